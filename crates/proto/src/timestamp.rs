use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A UTC time in whole seconds since the Unix epoch. In JSON it is RFC 3339
/// text ("2016-01-05T14:09:07Z").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The latest time that RFC 3339 can express: 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);

    /// Adds `seconds`, up to at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        let sum = self.0.saturating_add(seconds);
        if sum > Self::MAX.0 {
            Self::MAX
        } else {
            Self(sum)
        }
    }

    /// Subtracts `seconds`, down to at least the epoch.
    #[must_use]
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Parses the RFC 3339 `date-time` production. Fractions of a second are
    /// truncated; an offset is applied.
    ///
    /// # Errors
    /// Returns an error if `text` has another form, names a day that does not
    /// exist, or is before 1970.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        // RFC 3339 section 5.6: "ISO 8601 defines date and time separated by "T".
        // Applications using this syntax may choose, for the sake of
        // readability, to specify a full-date and full-time separated by (say) a
        // space character." ACME chooses none.
        if !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
            return Err(TimestampError);
        }
        // Which days have a leap second is not known here: each is read as the
        // second before it.
        let text = match text.get(17..19) {
            Some("60") => Cow::Owned(format!("{}59{}", &text[..17], &text[19..])),
            _ => Cow::Borrowed(text),
        };
        let parsed = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| TimestampError)?;
        match u64::try_from(parsed.unix_timestamp()).map(Self) {
            Ok(timestamp) if parsed.year() >= 1970 && timestamp <= Self::MAX => Ok(timestamp),
            _ => Err(TimestampError),
        }
    }
}

/// The text is not an RFC 3339 time from 1970 or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time from 1970 to 9999, for example 2026-01-05T14:09:07Z")]
pub struct TimestampError;

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.min(Self::MAX.0)).map_err(|_| fmt::Error)?;
        let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| fmt::Error)?;
        let text = time.format(&Rfc3339).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments_both_ways() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_452_002_947, "2016-01-05T14:09:07Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (Timestamp::MAX.0, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp(seconds).to_string(), text);
            assert_eq!(Timestamp::parse(text), Ok(Timestamp(seconds)));
        }
    }

    #[test]
    fn fractions_and_offsets() {
        let expected = Ok(Timestamp(1_452_002_947));
        for text in [
            "2016-01-05T14:09:07.123456Z",
            "2016-01-05t15:09:07+01:00",
            "2016-01-05T12:39:07-01:30",
        ] {
            assert_eq!(Timestamp::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_second_before() {
        for (text, seconds) in [
            ("2016-12-31T23:59:60Z", 1_483_228_799),
            ("2016-12-31T23:59:60.5Z", 1_483_228_799),
            ("2016-01-05T14:09:60Z", 1_452_002_999),
            ("9999-12-31T23:59:60Z", Timestamp::MAX.0),
        ] {
            assert_eq!(Timestamp::parse(text), Ok(Timestamp(seconds)), "{text}");
        }
    }

    #[test]
    fn what_no_year_of_four_digits_has_is_written_as_the_last_second() {
        let last = Timestamp::MAX.to_string();
        assert_eq!(Timestamp(Timestamp::MAX.0 + 1).to_string(), last);
        assert_eq!(Timestamp(u64::MAX).to_string(), last);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "2016-01-05",
            "2016-01-05T14:09:07",
            "2016-01-05T14:09:07Zx",
            "2016-02-30T14:09:07Z",
            "2015-02-29T00:00:00Z",
            "2016-13-01T14:09:07Z",
            "2016-01-05T24:09:07Z",
            "2016-01-05T14:09:07.Z",
            "2016-01-05T14:09:07+24:00",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2016-01-05 14:09:07Z",
            "2016-01-05T14:09:61Z",
            "1969-12-31T23:59:59-01:00",
            "10000-01-01T00:00:00Z",
            "２016-01-05T14:09:07Z",
        ] {
            assert_eq!(Timestamp::parse(text), Err(TimestampError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_comes_back(seconds in 0..=Timestamp::MAX.0) {
            prop_assert_eq!(Timestamp::parse(&Timestamp(seconds).to_string()), Ok(Timestamp(seconds)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = Timestamp::parse(&text);
        }
    }
}
