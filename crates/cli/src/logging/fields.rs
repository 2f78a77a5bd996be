//! The fields of a log line, each truncated to a maximum length.

use std::{
    error::Error,
    fmt::{self, Write as _},
};

use assay_engine::text::is_unsafe_to_print;
use serde_json::Value;
use tracing::field::{Field, Visit};

/// The maximum length of a field's value, in bytes as written: the limit for
/// all values that a client can choose.
pub const LONGEST: usize = 128;
/// The maximum length of a gate's finding: this program's text with quotes from
/// a client or its evidence. Both cause and remedy must fit.
pub const LONGEST_FINDING: usize = 512;
/// The maximum length of values that only this program chooses.
pub const LONGEST_OWN: usize = 1024;
/// Marks truncated text.
const MARK: char = '…';

/// The crates whose text never contains client input.
const OWN: &[&str] = &["assay", "assay_store"];
/// The crates whose own text is in `message`, `error` and `remedy`; client
/// input is in other fields.
const SERVING: &[&str] = &["assay_engine", "assay_server"];

/// The ordered fields of an event or a span.
pub struct Fields {
    target: &'static str,
    pub list: Vec<(&'static str, FieldValue)>,
}

/// The value of a field.
pub enum FieldValue {
    /// A string: quoted in text lines.
    Text(String),
    /// Formatted output: not quoted in text lines.
    Shown(String),
    /// A number or a boolean.
    Plain(Value),
}

impl Fields {
    /// Starts without fields, for an event or span of this target.
    pub fn of(target: &'static str) -> Self {
        Self {
            target,
            list: Vec::new(),
        }
    }

    /// The value of a string field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.list.iter().find_map(|(known, value)| match value {
            FieldValue::Text(text) | FieldValue::Shown(text) if *known == name => {
                Some(text.as_str())
            }
            _ => None,
        })
    }

    fn limit(&self, field: &str) -> usize {
        let origin = self.target.split("::").next().unwrap_or_default();
        let is_own = OWN.contains(&origin)
            || (SERVING.contains(&origin) && matches!(field, "error" | "message" | "remedy"));
        if is_own {
            LONGEST_OWN
        } else if origin == "assay_engine" && field == "detail" {
            LONGEST_FINDING
        } else {
            LONGEST
        }
    }

    fn push(&mut self, field: &Field, value: FieldValue) {
        let name = field.name();
        // Fields of the crate `log`: the source location.
        if name.starts_with("log.") {
            return;
        }
        let name = name.strip_prefix("r#").unwrap_or(name);
        self.list.retain(|(known, _)| *known != name);
        self.list.push((name, value));
    }

    fn shown(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let limit = self.limit(field.name());
        let mut start = Start {
            text: String::new(),
            // One byte more than the limit, to detect that the value is too
            // long.
            left: limit + 1,
        };
        // Writing fails once the buffer is full.
        let _ = start.write_fmt(value);
        let text = truncate(&start.text, limit);
        self.push(field, FieldValue::Shown(text));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        let text = truncate(value, self.limit(field.name()));
        self.push(field, FieldValue::Text(text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.shown(field, format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.shown(field, format_args!("{}", Chain(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, FieldValue::Plain(value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, FieldValue::Plain(value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, FieldValue::Plain(value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, FieldValue::Plain(value.into()));
    }
}

/// An error and its causes.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// A buffer for the start of a possibly long text.
struct Start {
    text: String,
    left: usize,
}

impl fmt::Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            if self.left == 0 {
                return Err(fmt::Error);
            }
            self.text.push(letter);
            self.left = self.left.saturating_sub(letter.len_utf8());
        }
        Ok(())
    }
}

/// Returns the text if its written form takes at most `limit` bytes, otherwise
/// the start that fits with a mark.
pub fn truncate(text: &str, limit: usize) -> String {
    let mut taken = 0;
    // The part that remains before a mark.
    let mut end = 0;
    for (start, letter) in text.char_indices() {
        taken += width(letter);
        if taken > limit {
            let mut short = text[..end].to_owned();
            short.push(MARK);
            return short;
        }
        if taken + MARK.len_utf8() <= limit {
            end = start + letter.len_utf8();
        }
    }
    text.to_owned()
}

/// The maximum number of bytes that a character takes in either format.
fn width(letter: char) -> usize {
    if is_unsafe_to_print(letter) {
        letter.escape_unicode().len().max(6 * letter.len_utf16())
    } else if matches!(letter, '"' | '\\') {
        2
    } else {
        letter.len_utf8()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_marked() {
        assert_eq!(truncate("short", 8), "short");
        assert_eq!(truncate("12345678", 8), "12345678");
        assert_eq!(truncate("123456789", 8), "12345…");
        assert_eq!(truncate("12345678", 7), "1234…");
        assert_eq!(truncate("éééé", 8), "éééé");
        assert_eq!(truncate("ééééé", 8), "éé…");
        // Counted as written.
        assert_eq!(truncate("\"\"\"\"\"", 8), "\"\"…");
        assert_eq!(truncate("a\u{1b}\u{1b}", 8), "a…");
        assert_eq!(truncate("", 0), "");
    }

    #[test]
    fn the_start_of_a_long_text_is_enough() {
        let mut start = Start {
            text: String::new(),
            left: 4,
        };
        assert!(write!(start, "{}", "é".repeat(1_000_000)).is_err());
        assert_eq!(start.text, "éé");
    }

    #[test]
    fn only_our_own_words_may_be_long() {
        for (target, field, limit) in [
            ("assay::devices", "error", LONGEST_OWN),
            ("assay_store::ledger_store::open", "detail", LONGEST_OWN),
            ("assay_engine::refusal", "identifier", LONGEST),
            ("assay_engine::engine", "message", LONGEST_OWN),
            ("assay_server::refusal", "error", LONGEST_OWN),
            ("assay_engine::refusal", "detail", LONGEST_FINDING),
            ("assay_server::refusal", "detail", LONGEST),
            ("assay_server::http_service", "path", LONGEST),
            ("assay_server::http_service", "method", LONGEST),
            ("assay_serverless", "error", LONGEST),
            ("h2::codec", "message", LONGEST),
        ] {
            assert_eq!(Fields::of(target).limit(field), limit, "{target} {field}");
        }
    }
}
