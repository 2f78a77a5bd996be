use std::fmt;

use assay_proto::Timestamp;

/// A time as recordings write it: RFC 3339, whole seconds, UTC, from 1970 to
/// 9999 ("2026-11-18T12:26:40Z"). There is no second way to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(Timestamp);

impl Time {
    /// So many seconds after the Unix epoch; `None` after the year 9999.
    #[must_use]
    pub fn from_seconds(seconds: u64) -> Option<Self> {
        (seconds <= Timestamp::MAX.0).then_some(Self(Timestamp(seconds)))
    }

    /// Reads the one form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = Self(Timestamp::parse(text).ok()?);
        // RFC 3339 has other forms of the same time: fractions, offsets, case.
        (time.to_string() == text).then_some(time)
    }

    /// The text of so many seconds; after the year 9999, which DER cannot write
    /// either, the number itself.
    pub(super) fn text(seconds: u64) -> String {
        Self::from_seconds(seconds).map_or_else(|| seconds.to_string(), |time| time.to_string())
    }

    /// Seconds since the Unix epoch.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0.0
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
