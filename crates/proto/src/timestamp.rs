use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

const SECONDS_A_DAY: u64 = 86_400;

/// A moment, in whole seconds since the Unix epoch, UTC; on the wire a text as
/// in RFC 3339 ("2016-01-05T14:09:07Z").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The last moment that RFC 3339 can write: 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);

    /// This moment and `seconds` more, at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        let sum = self.0.saturating_add(seconds);
        if sum > Self::MAX.0 {
            Self::MAX
        } else {
            Self(sum)
        }
    }

    /// This moment and `seconds` less, at least the epoch.
    #[must_use]
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Parses the RFC 3339 `date-time` production. A fraction of a second is
    /// cut off; an offset is applied.
    ///
    /// # Errors
    /// When `text` is of another form, names a day that does not exist, or
    /// lies before 1970.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let bytes = text.as_bytes();
        let digits = |from: usize, count: usize| -> Result<u64, TimestampError> {
            let part = bytes.get(from..from + count).ok_or(TimestampError)?;
            part.iter().try_fold(0, |value, byte| match byte {
                b'0'..=b'9' => Ok(value * 10 + u64::from(byte - b'0')),
                _ => Err(TimestampError),
            })
        };
        let literal = |at: usize, wanted: &[u8]| match bytes.get(at) {
            Some(byte) if wanted.contains(byte) => Ok(()),
            _ => Err(TimestampError),
        };
        let (year, month, day) = (digits(0, 4)?, digits(5, 2)?, digits(8, 2)?);
        let (hour, minute, second) = (digits(11, 2)?, digits(14, 2)?, digits(17, 2)?);
        literal(4, b"-")?;
        literal(7, b"-")?;
        literal(10, b"Tt")?;
        literal(13, b":")?;
        literal(16, b":")?;
        if year < 1970
            || !(1..=12).contains(&month)
            || day == 0
            || day > days_in_month(year, month)
            || hour > 23
            || minute > 59
            || second > 60
        {
            return Err(TimestampError);
        }
        let mut at = 19;
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            let fraction = bytes[at..]
                .iter()
                .take_while(|b| b.is_ascii_digit())
                .count();
            if fraction == 0 {
                return Err(TimestampError);
            }
            at += fraction;
        }
        let local = days_before(year, month, day) * SECONDS_A_DAY
            + hour * 3600
            + minute * 60
            + second.min(59);
        let (seconds, end) = match bytes.get(at) {
            Some(b'Z' | b'z') => (Some(local), at + 1),
            Some(sign @ (b'+' | b'-')) => {
                let (hours, minutes) = (digits(at + 1, 2)?, digits(at + 4, 2)?);
                literal(at + 3, b":")?;
                if hours > 23 || minutes > 59 {
                    return Err(TimestampError);
                }
                let offset = hours * 3600 + minutes * 60;
                let seconds = if *sign == b'+' {
                    local.checked_sub(offset)
                } else {
                    Some(local + offset)
                };
                (seconds, at + 6)
            }
            _ => return Err(TimestampError),
        };
        match seconds {
            Some(seconds) if end == bytes.len() && seconds <= Self::MAX.0 => Ok(Self(seconds)),
            _ => Err(TimestampError),
        }
    }
}

/// A text that is not an RFC 3339 moment from 1970 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time as in RFC 3339 of the years 1970 to 9999, for example 2026-01-05T14:09:07Z")]
pub struct TimestampError;

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0 / SECONDS_A_DAY, self.0 % SECONDS_A_DAY);
        let (year, month, day) = date_of(days);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days from 1970-01-01 to the given day; the year is 1970 or later.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let leap_days = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    (year - 1970) * 365 + leap_days(year) - leap_days(1970)
        + (1..month)
            .map(|month| days_in_month(year, month))
            .sum::<u64>()
        + day
        - 1
}

/// The inverse of [`days_before`].
fn date_of(days: u64) -> (u64, u64, u64) {
    // 400 years have 146,097 days; the guess is at most one year too high.
    let mut year = 1970 + days * 400 / 146_097 + 1;
    while days_before(year, 1, 1) > days {
        year -= 1;
    }
    let mut rest = days - days_before(year, 1, 1);
    let mut month = 1;
    while rest >= days_in_month(year, month) {
        rest -= days_in_month(year, month);
        month += 1;
    }
    (year, month, rest + 1)
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
