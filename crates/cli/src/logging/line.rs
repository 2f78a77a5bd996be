//! Log lines, in text or JSON format.

use std::fmt::Write as _;

use serde::{Serialize, Serializer, ser::SerializeMap};
use tracing::Level;
use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime as _, SystemTime},
};

use super::{
    fields::{FieldValue, Fields},
    journal,
};
use crate::terminal;

/// The style of lines, and whether the journal reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub format: Format,
    /// Whether each line begins with its priority.
    pub journal: bool,
}

/// The format of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Text, with colours if enabled.
    Text { color: bool },
}

/// A line under construction.
pub struct Line {
    style: Style,
    level: Level,
    target: &'static str,
    fields: Fields,
    /// The spans that contain it, outermost first.
    spans: Vec<Span>,
}

struct Span {
    name: &'static str,
    /// In text format.
    text: String,
    /// In JSON format.
    json: serde_json::Map<String, serde_json::Value>,
}

impl Line {
    pub fn new(style: Style, level: Level, target: &'static str, fields: Fields) -> Self {
        Self {
            style,
            level,
            target,
            fields,
            spans: Vec::new(),
        }
    }

    /// Adds a span that contains the line.
    pub fn within(&mut self, name: &'static str, fields: &Fields) {
        let mut span = Span {
            name,
            text: String::new(),
            json: serde_json::Map::new(),
        };
        match self.style.format {
            Format::Json => {
                for (name, value) in &fields.list {
                    span.json.insert((*name).to_owned(), value.to_json());
                }
                span.json.insert("name".to_owned(), name.into());
            }
            Format::Text { color } => {
                for (name, value) in &fields.list {
                    write_field(&mut span.text, name, value, color);
                }
            }
        }
        self.spans.push(span);
    }

    /// Formats the complete line.
    pub fn finish(self) -> String {
        let mut time = String::new();
        // Log the line even if the time cannot be formatted.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let mut line = match self.style.format {
            // JSON of strings and numbers always serializes.
            Format::Json => terminal::json(&Json(&time, &self)).unwrap_or_default(),
            Format::Text { color } => self.text(&time, color),
        };
        line.push('\n');
        match self.style.journal {
            true => journal::with_priority(self.level, &line),
            false => line,
        }
    }

    fn text(&self, time: &str, color: bool) -> String {
        let paint = |code: &str, text: &str| match color {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        };
        let (code, level) = match self.level {
            Level::ERROR => ("31", "ERROR"),
            Level::WARN => ("33", " WARN"),
            Level::INFO => ("32", " INFO"),
            Level::DEBUG => ("34", "DEBUG"),
            Level::TRACE => ("35", "TRACE"),
        };
        let mut line = format!("{} {}", paint("2", time), paint(code, level));
        for (place, span) in self.spans.iter().enumerate() {
            if place == 0 {
                line.push(' ');
            }
            line.push_str(&paint("1", span.name));
            if !span.text.is_empty() {
                line.push_str(&paint("1", "{"));
                line.push_str(&span.text);
                line.push_str(&paint("1", "}"));
            }
            line.push(':');
        }
        let mut rest = String::new();
        for (name, value) in &self.fields.list {
            if *name != "message" {
                write_field(&mut rest, name, value, color);
            }
        }
        let message = self.fields.text("message").map(terminal::escape);
        for part in [message.unwrap_or_default(), rest] {
            if !part.is_empty() {
                line.push(' ');
                line.push_str(&part);
            }
        }
        line
    }
}

fn write_field(line: &mut String, name: &str, value: &FieldValue, color: bool) {
    if !line.is_empty() {
        line.push(' ');
    }
    let value = match value {
        FieldValue::Text(text) => quoted(text),
        FieldValue::Shown(text) if needs_quotes(text) => quoted(text),
        FieldValue::Shown(text) => text.clone(),
        FieldValue::Plain(value) => value.to_string(),
    };
    // Writing to a String does not fail.
    let _ = match color {
        true => write!(line, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}"),
        false => write!(line, "{name}={value}"),
    };
}

/// Whether a value contains more than a plain token. Such a value could end a
/// span, or look like another field. Times, URLs, addresses, numbers and this
/// program's names do not need quotes.
fn needs_quotes(text: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.:/@+%*~".contains(letter);
    text.is_empty() || !text.chars().all(is_plain)
}

/// Quotes a value, with quotes and backslashes escaped.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", terminal::escape(&text))
}

impl FieldValue {
    fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) | Self::Shown(text) => text.as_str().into(),
            Self::Plain(value) => value.clone(),
        }
    }
}

/// A line with its time, for serialization.
struct Json<'a>(&'a str, &'a Line);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(time, line) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", time)?;
        map.serialize_entry("level", line.level.as_str())?;
        for (name, value) in &line.fields.list {
            map.serialize_entry(name, &value.to_json())?;
        }
        map.serialize_entry("target", line.target)?;
        if let Some((innermost, outer)) = line.spans.split_last() {
            map.serialize_entry("span", &innermost.json)?;
            // Each span is written once.
            if !outer.is_empty() {
                let outer: Vec<_> = outer.iter().map(|span| &span.json).collect();
                map.serialize_entry("spans", &outer)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(format: Format, journal: bool) -> String {
        let mut fields = Fields::of("assay");
        let spans = ["outer", "inner"].map(|name| {
            let mut fields = Fields::of("assay");
            let client = FieldValue::Shown(format!("{name} client"));
            fields.list.push(("client", client));
            (name, fields)
        });
        for (name, value) in [
            ("message", FieldValue::Shown("what happened".to_owned())),
            ("event", FieldValue::Text("name".to_owned())),
            (
                "detail",
                FieldValue::Shown("a \"b\" c=d\n\u{1b}".to_owned()),
            ),
            ("one", FieldValue::Shown("one".to_owned())),
            ("none", FieldValue::Shown(String::new())),
            ("count", FieldValue::Plain(7.into())),
        ] {
            fields.list.push((name, value));
        }
        let mut line = Line::new(Style { format, journal }, Level::WARN, "assay", fields);
        for (name, fields) in &spans {
            line.within(name, fields);
        }
        line.finish()
    }

    #[test]
    fn in_text_a_value_with_blanks_is_quoted_and_controls_are_escaped() {
        let line = finished(Format::Text { color: false }, false);
        let (_, rest) = line.split_once(" WARN ").unwrap();
        assert_eq!(
            rest,
            "outer{client=\"outer client\"}:inner{client=\"inner client\"}: what happened \
             event=\"name\" detail=\"a \\\"b\\\" c=d\\u{a}\\u{1b}\" one=one none=\"\" count=7\n"
        );
    }

    #[test]
    fn in_text_no_value_looks_like_the_end_of_a_span_or_another_field() {
        let style = Style {
            format: Format::Text { color: false },
            journal: false,
        };
        let of = |value: &str| {
            let mut fields = Fields::of("assay");
            let value = FieldValue::Shown(value.to_owned());
            fields.list.push(("value", value));
            fields
        };
        let written = |value: &str| {
            let mut line = Line::new(style, Level::WARN, "assay", of(value));
            line.within("span", &of(value));
            let line = line.finish();
            let (_, rest) = line.split_once(" WARN ").unwrap();
            rest.to_owned()
        };
        for plain in [
            "2026-11-18T11:06:40.000001Z",
            "https://ca.example.org:8443/acme/order/a_b-C~1",
            "2001:db8::1",
            "192.0.2.1:443",
            "1.2.840.113635.100.8.9.1",
            "a@b+c%2F*",
        ] {
            assert_eq!(
                written(plain),
                format!("span{{value={plain}}}: value={plain}\n")
            );
        }
        for (value, quoted) in [
            ("X}:event=\"issued\"", r#""X}:event=\"issued\"""#),
            ("client=192.0.2.99", r#""client=192.0.2.99""#),
            ("a\\", r#""a\\""#),
            ("{", r#""{""#),
            ("a,b", r#""a,b""#),
            ("a;b", r#""a;b""#),
            ("a(b)", r#""a(b)""#),
            ("[a]", r#""[a]""#),
            ("'a'", r#""'a'""#),
            ("a\tb", r#""a\u{9}b""#),
            ("\u{e9}", "\"\u{e9}\""),
        ] {
            assert_eq!(
                written(value),
                format!("span{{value={quoted}}}: value={quoted}\n")
            );
        }
    }

    #[test]
    fn in_json_each_span_is_written_once() {
        let line = finished(Format::Json, false);
        assert_eq!(line.matches("inner client").count(), 1, "{line}");
        assert_eq!(line.matches("outer client").count(), 1, "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["span"]["name"], "inner");
        assert_eq!(value["spans"][0]["name"], "outer");
        assert_eq!(value["level"], "WARN");
    }

    #[test]
    fn on_a_journal_a_line_begins_with_its_priority() {
        for format in [Format::Json, Format::Text { color: false }] {
            let line = finished(format, true);
            assert_eq!(line.matches("<4>").count(), 1, "{line}");
            assert!(line.starts_with("<4>"), "{line}");
        }
    }
}
