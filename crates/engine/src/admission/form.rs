//! What the form of a name says: which attribute it probably is, and whether it
//! can be an Apple serial number or UDID at all.

/// Whether `name` has the form of a UDID: 8 and 16 hex digits with a hyphen
/// between them, or 40 hex digits.
#[must_use]
pub fn is_udid(name: &str) -> bool {
    groups(name, &[8, 16]) || groups(name, &[40])
}

/// Whether `name` has the form of an Apple serial number: 8 to 14 upper-case
/// letters and digits.
#[must_use]
pub fn is_serial(name: &str) -> bool {
    (8..=14).contains(&name.len())
        && (name.bytes()).all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Whether `name` is a variable that an MDM product or a script should have
/// replaced: `$SERIALNUMBER`, `${serial}`, `%SerialNumber%`, `{{serial}}`.
#[must_use]
pub fn is_variable(name: &str) -> bool {
    name.contains(['$', '{', '}']) || name.matches('%').count() >= 2
}

/// Whether `name` has lower-case letters where Apple writes upper case:
/// everywhere except in UDIDs of 40 hex digits.
#[must_use]
pub fn has_lower_case(name: &str) -> bool {
    name.bytes().any(|byte| byte.is_ascii_lowercase()) && !groups(name, &[40])
}

/// Why no attesting device can have this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlikely {
    /// A variable that was not replaced.
    #[error("it is a variable that was not replaced: export the values")]
    Variable,
    /// A serial number such as `1234E567` that a spreadsheet rewrote.
    #[error(
        "it is a number that a spreadsheet rewrote: format the column as text and export again"
    )]
    Scientific,
    /// What an export writes for a missing value.
    #[error("it is a placeholder for a missing value: leave the field empty")]
    Placeholder,
    /// A UUID.
    #[error(
        "it is a UUID, an MDM's own number or a Mac's hardware UUID: evidence attests the serial number and the UDID (on a Mac the provisioning UDID)"
    )]
    Uuid,
    /// A UDID without its hyphen.
    #[error("it is a UDID without its hyphen: write 8 hex digits, \"-\", 16 hex digits")]
    NoHyphen,
    /// Lower-case letters.
    #[error(
        "it has lower-case letters: Apple's serial numbers and UDIDs of this form are in upper case"
    )]
    LowerCase,
    /// A character that is not ASCII.
    #[error("it has U+{:04X}, which no serial number or UDID of Apple has", u32::from(*.0))]
    NotAscii(char),
}

/// Returns why no attesting device can have this name, judged by its form.
#[must_use]
pub fn unlikely(name: &str) -> Option<Unlikely> {
    const PLACEHOLDERS: [&str; 10] = [
        "unknown",
        "none",
        "null",
        "nil",
        "na",
        "n.a.",
        "n\\a",
        "undefined",
        "-",
        "tbd",
    ];
    if is_variable(name) {
        Some(Unlikely::Variable)
    } else if PLACEHOLDERS
        .iter()
        .any(|one| name.eq_ignore_ascii_case(one))
    {
        Some(Unlikely::Placeholder)
    } else if is_scientific(name) {
        Some(Unlikely::Scientific)
    } else if groups(name, &[8, 4, 4, 4, 12]) {
        Some(Unlikely::Uuid)
    } else if groups(name, &[24]) {
        Some(Unlikely::NoHyphen)
    } else if let Some(letter) = name.chars().find(|letter| !letter.is_ascii()) {
        Some(Unlikely::NotAscii(letter))
    } else if has_lower_case(name) {
        Some(Unlikely::LowerCase)
    } else {
        None
    }
}

/// Whether `name` consists of groups of hex digits with these lengths,
/// separated by hyphens.
fn groups(name: &str, lengths: &[usize]) -> bool {
    let is_hex = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.split('-').count() == lengths.len()
        && (name.split('-').zip(lengths))
            .all(|(group, length)| group.len() == *length && is_hex(group))
}

/// `1.23457E+11`
fn is_scientific(name: &str) -> bool {
    let Some((mantissa, exponent)) = name.split_once(['e', 'E']) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    digits(whole) && digits(fraction) && exponent.strip_prefix('+').is_some_and(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_udids_and_serials() {
        for udid in [
            "00008112-000A1B2C3D4E5F60",
            "00008112-000a1b2c3d4e5f60",
            "2b6f0cc904d137be2e1730235f5664094b831186",
        ] {
            assert!(is_udid(udid) && !is_serial(udid), "{udid}");
        }
        for other in [
            "",
            "-",
            "C02XK0AAJHD2",
            "00008112-000A1B2C3D4E5F6",
            "00008112-000A1B2C3D4E5F6G",
            "00008112000A1B2C3D4E5F60",
            "00008112-000A1B2C-3D4E5F60",
            "2b6f0cc904d137be2e1730235f5664094b83118",
            "000\u{e9}8112-000A1B2C3D4E5F60",
        ] {
            assert!(!is_udid(other), "{other}");
        }
        for serial in ["C02XK0AAJHD2", "F2LXK0AA", "ABCDEFGHJK"] {
            assert!(is_serial(serial), "{serial}");
        }
        for other in ["C02", "c02xk0aajhd2", "C02-XK0AAJHD2", "C02XK0AAJHD2345"] {
            assert!(!is_serial(other), "{other}");
        }
    }

    #[test]
    fn names_that_no_device_has() {
        use Unlikely as U;
        for (name, reason) in [
            ("$SERIALNUMBER", U::Variable),
            ("${serial}", U::Variable),
            ("%SerialNumber%", U::Variable),
            ("{{serial}}", U::Variable),
            ("1.23457E+11", U::Scientific),
            ("1E+11", U::Scientific),
            ("Unknown", U::Placeholder),
            ("NONE", U::Placeholder),
            ("4C4C4544-0042-3510-8051-B4C04F4E3132", U::Uuid),
            ("00008112000A1B2C3D4E5F60", U::NoHyphen),
            ("c02xk0aajhd2", U::LowerCase),
            ("00008112-000a1b2c3d4e5f60", U::LowerCase),
            ("\u{421}02XK0AAJHD2", U::NotAscii('\u{421}')),
        ] {
            assert_eq!(unlikely(name), Some(reason), "{name}");
        }
        for name in [
            "C02XK0AAJHD2",
            "1234E567",
            "00008112-000A1B2C3D4E5F60",
            "2b6f0cc904d137be2e1730235f5664094b831186",
        ] {
            assert_eq!(unlikely(name), None, "{name}");
        }
    }
}
