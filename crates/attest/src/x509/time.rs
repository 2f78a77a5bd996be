//! Times, as findings show them.

use std::time::Duration;

use der::DateTime;

/// So many seconds after the Unix epoch, as RFC 3339 writes it in UTC; after the
/// year 9999, which DER cannot write either, the number itself.
pub(crate) fn utc(seconds: u64) -> String {
    DateTime::from_unix_duration(Duration::from_secs(seconds))
        .map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(1_795_000_000), "2026-11-18T11:06:40Z");
        assert_eq!(utc(u64::MAX), u64::MAX.to_string());
    }
}
