//! Names as text, odd ones too.

use const_oid::{ObjectIdentifier, db::DB};

use super::hexadecimal;
use crate::x509::tlv::{self, Element, Elements, Malformed};

const NUMERIC_STRING: u8 = 0x12;
const TELETEX_STRING: u8 = 0x14;
const VISIBLE_STRING: u8 = 0x1a;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;

/// A name in the form of RFC 4514, control characters escaped. What has no form
/// there stands as `#` and its DER in hexadecimal (section 2.4).
pub(super) fn text(name: Element<'_>) -> String {
    // The `x509-cert` crate puts a SET in order, and has no text for strings of the
    // old types.
    shown(&sets(name).unwrap_or_else(|_| format!("#{}", hexadecimal(name.whole))))
}

/// Control characters escaped.
fn shown(text: &str) -> String {
    text.chars().fold(String::new(), |mut shown, letter| {
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
        shown
    })
}

/// Section 2.1: the last relative name stands first.
fn sets(name: Element<'_>) -> Result<String, Malformed> {
    let mut sets = Elements::of(name.tagged(tlv::SEQUENCE)?);
    let mut shown = Vec::new();
    while !sets.is_finished() {
        let mut attributes = Elements::of(sets.content(tlv::SET)?);
        let mut set = Vec::new();
        while !attributes.is_finished() {
            set.push(attribute(attributes.content(tlv::SEQUENCE)?)?);
        }
        shown.push(set.join("+"));
    }
    shown.reverse();
    Ok(shown.join(","))
}

fn attribute(content: &[u8]) -> Result<String, Malformed> {
    let mut fields = Elements::of(content);
    let arcs = fields.content(tlv::OBJECT_IDENTIFIER)?;
    let value = fields.next()?;
    let short = tlv::object_identifier(arcs)
        .ok()
        .and_then(|oid| DB.find_names_for_oid(oid).min_by_key(|name| name.len()))
        .map(str::to_uppercase);
    let name = short.unwrap_or_else(|| dotted(arcs));
    let value = string(value).map_or_else(
        || format!("#{}", hexadecimal(value.whole)),
        |text| escaped(&text),
    );
    Ok(format!("{name}={value}"))
}

/// The text of a string type, old ones too.
fn string(value: Element<'_>) -> Option<String> {
    let content = value.content;
    match value.tag {
        tlv::UTF8_STRING
        | tlv::PRINTABLE_STRING
        | tlv::IA5_STRING
        | NUMERIC_STRING
        | VISIBLE_STRING => str::from_utf8(content).ok().map(str::to_owned),
        // As written in practice: Latin-1.
        TELETEX_STRING => Some(content.iter().copied().map(char::from).collect()),
        BMP_STRING => {
            let (units, []) = content.as_chunks::<2>() else {
                return None;
            };
            let units: Vec<_> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            String::from_utf16(&units).ok()
        }
        UNIVERSAL_STRING => {
            let (units, []) = content.as_chunks::<4>() else {
                return None;
            };
            let mut units = units.iter().map(|unit| u32::from_be_bytes(*unit));
            units.try_fold(String::new(), |mut text, unit| {
                text.push(char::from_u32(unit)?);
                Some(text)
            })
        }
        _ => None,
    }
}

/// Section 2.4: what separates stands behind a backslash.
fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::new();
    for (index, letter) in text.chars().enumerate() {
        let outer = letter == ' ' && (index == 0 || index == last);
        let first = letter == '#' && index == 0;
        if outer || first || "\"+,;<>\\".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// The dotted form of an OBJECT IDENTIFIER's content, of arcs up to 128 bits;
/// otherwise its bytes.
pub(super) fn dotted(arcs: &[u8]) -> String {
    if let Ok(oid) = ObjectIdentifier::from_bytes(arcs)
        && tlv::is_minimal(arcs)
    {
        return oid.to_string();
    }
    numbers(arcs).unwrap_or_else(|| format!("#{}", hexadecimal(arcs)))
}

fn numbers(arcs: &[u8]) -> Option<String> {
    if !tlv::is_minimal(arcs) {
        return None;
    }
    let mut numbers = Vec::new();
    let mut number: u128 = 0;
    for byte in arcs {
        number = number.checked_mul(128)? + u128::from(byte & 0x7f);
        if *byte < 0x80 {
            numbers.push(number);
            number = 0;
        }
    }
    // X.690 section 8.19.4: the first two arcs are one number.
    let (first, others) = numbers.split_first()?;
    let root = (*first / 40).min(2);
    let dotted = [root, *first - 40 * root];
    let dotted: Vec<_> = (dotted.iter().chain(others))
        .map(ToString::to_string)
        .collect();
    Some(dotted.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(der: &str) -> String {
        let der = hex::decode(der.replace(' ', "")).unwrap();
        text(Elements::of(&der).next().unwrap())
    }

    #[test]
    fn odd_names_are_shown() {
        // A SET out of order; an empty name; strings of old types; no string; an
        // arc of 128 bits.
        for (der, expected) in [
            (
                "3016 3114 3008 0603550403 0c0162 3008 0603550403 0c0161",
                "CN=b+CN=a",
            ),
            ("3000", ""),
            (
                "3022 310b 3009 0603550406 13025553 3113 3011 060355040a 0c0a4170706c6520496e632e",
                "O=Apple Inc.,C=US",
            ),
            ("300f 310d 300b 0603550403 0c0420232320", "CN=\\ ##\\ "),
            ("300f 310d 300b 0603550403 1c0400000041", "CN=A"),
            ("300d 310b 3009 0603550403 1e0200e9", "CN=\u{e9}"),
            ("300c 310a 3008 0603550403 1401e9", "CN=\u{e9}"),
            ("300c 310a 3008 0603550403 0c01ff", "CN=#0c01ff"),
            ("300f 310d 300b 0603550403 0c042c3c2022", "CN=\\,\\< \\\""),
            ("0403616263", "#0403616263"),
            (
                "301c 311a 3018 0613 69 83f88ccbd9a1d4b485a8e3f1c4d29ae0c636 0c0161",
                "2.25.",
            ),
        ] {
            let shown = shown(der);
            match expected.strip_suffix("2.25.") {
                Some(_) => assert!(shown.starts_with(expected), "{shown}"),
                None => assert_eq!(shown, expected, "{der}"),
            }
        }
    }
}
