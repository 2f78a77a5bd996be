//! Versions of system software, compared as numbers.

use std::{cmp::Ordering, fmt, str::FromStr};

/// A version as it was attested: its text, and the numbers it begins with.
///
/// The numbers are decimal and separated by single dots. What follows them,
/// from the first character that is neither a digit nor a dot, is a suffix:
/// it belongs to the text and is no part of any comparison, so that
/// `16.4.1 (a)` counts as 16.4.1. A text that does not begin so
/// (`iBoot-11881`, `15.`, `15..1`) has no numbers, and is at least nothing.
///
/// `==` compares texts. [`at_least`](Self::at_least) compares numbers: 15.10
/// is more than 15.9, and missing numbers count as zero, so that 15 and 15.0
/// are at least each other.
///
/// ```
/// use assay_attest::Version;
///
/// let minimum: Version = "15.9".parse()?;
/// assert!("15.10".parse::<Version>()?.at_least(&minimum));
/// assert!(!"15.4.1".parse::<Version>()?.at_least(&minimum));
/// # Ok::<(), assay_attest::VersionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    text: String,
    /// Empty where the text does not begin with numbers.
    numbers: Vec<u64>,
}

/// The text does not begin with numbers that are separated by single dots, or
/// one of them has more than 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version begins with decimal numbers that are separated by single dots, like 15.5")]
pub struct VersionError;

impl Version {
    /// A version from an attestation: perhaps without numbers.
    pub(crate) fn of(text: String) -> Self {
        let numbers = numbers(&text).unwrap_or_default();
        Self { text, numbers }
    }

    /// The version as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the text begins with numbers.
    #[must_use]
    pub fn is_numeric(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// Whether this version is `minimum` or a later one, number by number.
    /// False where either of the two has no numbers.
    #[must_use]
    pub fn at_least(&self, minimum: &Self) -> bool {
        if !self.is_numeric() || !minimum.is_numeric() {
            return false;
        }
        let count = self.numbers.len().max(minimum.numbers.len());
        let number = |version: &Self, index| version.numbers.get(index).copied().unwrap_or(0);
        (0..count)
            .map(|index| number(self, index).cmp(&number(minimum, index)))
            .find(|order| order.is_ne())
            .is_none_or(Ordering::is_gt)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads a version that has numbers.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let version = Self::of(text.to_owned());
        if version.is_numeric() {
            Ok(version)
        } else {
            Err(VersionError)
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    // Without a sign, which is a suffix, every number is digits alone; an
    // empty one does not parse.
    text.get(..end)?
        .split('.')
        .map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_least(version: &str, minimum: &str) -> bool {
        Version::of(version.to_owned()).at_least(&Version::of(minimum.to_owned()))
    }

    #[test]
    fn scenario_29_versions_are_compared_as_numbers() {
        for (version, minimum, expected) in [
            ("15.4", "15.5", false),
            ("15.5", "15.5", true),
            ("15.10", "15.9", true),
            ("15.9", "15.10", false),
            ("15.4.1", "15.4", true),
            ("15.4", "15.4.1", false),
            ("9", "10", false),
            ("26.0", "18.7.2", true),
            // Missing numbers are zeros, leading zeros are none.
            ("15", "15.0", true),
            ("15.0", "15", true),
            ("15.05", "15.5", true),
            ("11881.121.1", "11881.81.4", true),
            ("18446744073709551615", "18446744073709551614", true),
        ] {
            assert_eq!(at_least(version, minimum), expected, "{version} {minimum}");
        }
    }

    #[test]
    fn a_suffix_is_no_part_of_the_comparison() {
        for text in [
            "16.4.1 (a)",
            "16.4.1b2",
            "16.4.1~3",
            "16.4.1-22E261",
            "16.4.1 ",
        ] {
            assert!(at_least(text, "16.4.1"), "{text}");
            assert!(!at_least(text, "16.4.2"), "{text}");
            assert_eq!(text.parse::<Version>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn without_numbers_a_version_is_at_least_nothing() {
        for text in [
            "iBoot-11881.121.1",
            "15.",
            ".5",
            "15..1",
            "15.beta",
            "+15",
            "-1",
            " 15",
            "",
            "١٥",
            "18446744073709551616",
        ] {
            assert!(!at_least(text, "0"), "{text}");
            assert!(!at_least("15", text), "{text}");
            assert!(!at_least(text, text), "{text}");
            assert_eq!(text.parse::<Version>(), Err(VersionError), "{text}");
        }
    }

    #[test]
    fn texts_are_equal_as_texts() {
        assert_ne!("15".parse::<Version>(), "15.0".parse::<Version>());
        assert_eq!(format!("{:>5}", Version::of("15".to_owned())), "   15");
    }
}
