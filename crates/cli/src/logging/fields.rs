//! The fields of a log line, none of them longer than it may be.

use std::{
    error::Error,
    fmt::{self, Write as _},
};

use assay_engine::text::disturbs;
use serde_json::Value;
use tracing::field::{Field, Visit};

/// The longest value of a field, in bytes as they are written: all that a
/// client can choose.
pub const LONGEST: usize = 128;
/// The longest finding of a gate: our own words, with what a client or its
/// evidence says quoted in them. Its cause and its remedy must both be there.
pub const LONGEST_FINDING: usize = 512;
/// The longest value that only this program can choose.
pub const LONGEST_OWN: usize = 1024;
/// Stands in the place of what was cut off.
const MARK: char = '…';

/// The crates that no client's text reaches.
const OWN: &[&str] = &["assay", "assay_store"];
/// Those whose own words are in `message`, `error` and `remedy`; a client's are
/// in other fields.
const SERVING: &[&str] = &["assay_engine", "assay_server"];

/// The fields of an event or a span, in their order.
pub struct Fields {
    target: &'static str,
    pub list: Vec<(&'static str, FieldValue)>,
}

/// One value.
pub enum FieldValue {
    /// A text: quoted in lines for people.
    Text(String),
    /// What something is shown as: not quoted there.
    Shown(String),
    /// A number or a truth value.
    Plain(Value),
}

impl Fields {
    /// None yet, of an event or span of this target.
    pub fn of(target: &'static str) -> Self {
        Self {
            target,
            list: Vec::new(),
        }
    }

    /// The value of a field that is a text.
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
        // Of the crate `log`: the place in its source.
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
            // As much as is needed to see that it is too long.
            left: limit + 1,
        };
        // It fails once there is enough.
        let _ = start.write_fmt(value);
        let text = cut(&start.text, limit);
        self.push(field, FieldValue::Shown(text));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        let text = cut(value, self.limit(field.name()));
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

/// An error and what caused it.
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

/// The start of a text that may be long.
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

/// The text, if it takes no more than `limit` bytes as it is written; otherwise
/// as much of its start as does with a mark.
pub fn cut(text: &str, limit: usize) -> String {
    let mut taken = 0;
    // What would be left with a mark.
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

/// The bytes that a letter takes in either format, at most.
fn width(letter: char) -> usize {
    if disturbs(letter) {
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
    fn a_text_is_cut_between_letters_and_marked() {
        assert_eq!(cut("short", 8), "short");
        assert_eq!(cut("12345678", 8), "12345678");
        assert_eq!(cut("123456789", 8), "12345…");
        assert_eq!(cut("12345678", 7), "1234…");
        assert_eq!(cut("éééé", 8), "éééé");
        assert_eq!(cut("ééééé", 8), "éé…");
        // As they are written.
        assert_eq!(cut("\"\"\"\"\"", 8), "\"\"…");
        assert_eq!(cut("a\u{1b}\u{1b}", 8), "a…");
        assert_eq!(cut("", 0), "");
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
            ("assay_server::surface", "path", LONGEST),
            ("assay_server::surface", "method", LONGEST),
            ("assay_serverless", "error", LONGEST),
            ("h2::codec", "message", LONGEST),
        ] {
            assert_eq!(Fields::of(target).limit(field), limit, "{target} {field}");
        }
    }
}
