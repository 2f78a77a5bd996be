//! Escapes untrusted text before a terminal shows it.

use std::fmt::Write as _;

use assay_engine::text::is_unsafe_to_print;
use serde::Serialize;

/// Escapes control and invisible characters.
pub fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_unsafe_to_print(letter) {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Escapes text of several lines. Lines after the first are indented, so that
/// none of them looks like a line of this program.
pub fn escape_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escape).collect();
    lines.join("\n  ")
}

/// Formats JSON in one line. Characters that a terminal interprets are written
/// as JSON escapes; they occur only in strings, whose value stays the same.
///
/// # Errors
/// The value cannot be serialized.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(value)?;
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_unsafe_to_print(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing to a String does not fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(letter);
        }
    }
    Ok(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let evil = "\u{1b}[2J\u{9b}1m\r\u{202e}\u{e0041}";
        let shown = r"\u{1b}[2J\u{9b}1m\u{d}\u{202e}\u{e0041}";
        assert_eq!(escape(evil), shown);
        // Escaping escaped text again changes nothing.
        assert_eq!(escape(shown), shown);
        assert_eq!(
            escape_lines("one\nassay: all is well\u{7}"),
            "one\n  assay: all is well\\u{7}"
        );
    }

    #[test]
    fn json_is_spelt_so_that_no_terminal_obeys_it() {
        let evil = "\u{9b}2J\u{7f}\u{202e}\u{e0041}é\n";
        let written = json(&evil).unwrap();
        assert_eq!(written, r#""\u009b2J\u007f\u202e\udb40\udc41é\n""#);
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), evil);
    }
}
