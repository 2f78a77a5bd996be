//! Values of the command line that several commands take, and their parsers.

use assay_engine::text::is_unsafe_to_print;
use assay_proto::Timestamp;
use clap::ValueEnum;

use crate::config::{BaseUrl, UrlHost};

/// A key type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyKind {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
}

/// The start of a time range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Since a time.
    Time(Timestamp),
    /// This number of seconds ago.
    Ago(u64),
}

impl Since {
    /// Resolves to a time, relative to `now`.
    pub fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Time(time) => time,
            Self::Ago(seconds) => now.minus(seconds),
        }
    }
}

/// Parses a time, or a span before now.
pub fn since(text: &str) -> Result<Since, String> {
    let units = [
        ('s', 1),
        ('m', 60),
        ('h', 3_600),
        ('d', 86_400),
        ('w', 604_800),
    ];
    let span = units.into_iter().find_map(|(unit, seconds)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(seconds)
    });
    match span {
        Some(seconds) => Ok(Since::Ago(seconds)),
        None => time(text)
            .map(Since::Time)
            .map_err(|error| format!("{error}, or a span such as 90s, 30m, 24h, 7d or 2w")),
    }
}

/// Parses a name without control characters, invisible characters and
/// characters that change the direction of text.
pub fn plain_name(text: &str) -> Result<String, String> {
    match text.chars().find(|letter| is_unsafe_to_print(*letter)) {
        None => Ok(text.to_owned()),
        Some(letter) => Err(format!(
            "it contains {}, a control or invisible character: remove it",
            letter.escape_unicode()
        )),
    }
}

/// Parses a DNS name or an address, as the host of a base URL.
pub fn host(text: &str) -> Result<UrlHost, String> {
    if let Ok(address) = text.parse() {
        return Ok(UrlHost::Ip(address));
    }
    let url = Some(format!("https://{text}")).filter(|_| !text.contains(':'));
    match url.and_then(|url| url.parse::<BaseUrl>().ok()) {
        Some(url) => Ok(url.host().clone()),
        None => Err("give a DNS name or an address, for example ca.example.org".to_owned()),
    }
}

/// Parses a time: RFC 3339, or seconds since 1970.
pub fn time(text: &str) -> Result<Timestamp, String> {
    let time = match text.parse() {
        Ok(seconds) => Some(Timestamp(seconds)).filter(|time| *time <= Timestamp::MAX),
        Err(_) => Timestamp::parse(text).ok(),
    };
    time.ok_or_else(|| {
        "give a time such as 2026-11-18T12:00:00Z, or seconds since 1970 (up to the year 9999)"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_a_span() {
        assert_eq!(since("60"), Ok(Since::Time(Timestamp(60))));
        let now = Timestamp(1_000_000);
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1_800),
            ("24h", 86_400),
            ("7d", 604_800),
        ] {
            assert_eq!(since(text), Ok(Since::Ago(seconds)), "{text}");
            let expected = Timestamp(1_000_000 - seconds);
            assert_eq!(Since::Ago(seconds).before(now), expected);
        }
        for bad in ["", "h", "-1h", "yesterday", "99999999999999999999d"] {
            assert!(since(bad).unwrap_err().contains("24h"), "{bad}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for (text, expected) in [
            ("CA.example.org", "ca.example.org"),
            ("192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
        ] {
            assert_eq!(host(text).unwrap().to_string(), expected);
        }
        for bad in [
            "",
            "https://ca.example.org",
            "ca.example.org:8443",
            "a/b",
            "a b",
            "-",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_is_rfc_3339_or_seconds() {
        assert_eq!(time("1970-01-01T00:01:00Z"), Ok(Timestamp(60)));
        assert_eq!(time("60"), Ok(Timestamp(60)));
        assert_eq!(time("253402300799"), Ok(Timestamp::MAX));
        for bad in ["", "-1", "253402300800", "2026-11-18", "tomorrow"] {
            assert!(
                time(bad).unwrap_err().starts_with("give a time such as"),
                "{bad}"
            );
        }
    }
}
