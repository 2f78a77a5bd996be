use std::{fmt, time::Duration};

use der::DateTime;

/// A moment as recordings write it: RFC 3339, whole seconds, UTC, from 1970 to
/// 9999 ("2026-11-18T12:26:40Z"). There is no second way to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(DateTime);

impl Time {
    /// So many seconds after the Unix epoch; `None` after the year 9999.
    #[must_use]
    pub fn from_seconds(seconds: u64) -> Option<Self> {
        DateTime::from_unix_duration(Duration::from_secs(seconds))
            .ok()
            .map(Self)
    }

    /// Reads the one form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = Self(text.parse().ok()?);
        // The parser of `der` lets nothing else pass; this says so.
        (time.to_string() == text).then_some(time)
    }

    /// The text of so many seconds; after the year 9999, which DER cannot write
    /// either, the number itself.
    pub(super) fn text(seconds: u64) -> String {
        crate::time::utc(seconds)
    }

    /// Seconds since the Unix epoch.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0.unix_duration().as_secs()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
