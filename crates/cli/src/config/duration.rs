use serde::{Deserialize, Deserializer, de::Error as _};

/// A duration in the configuration: a whole number and one of `s`, `m`, `h`,
/// `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration(u64);

impl Duration {
    /// A duration of this many seconds.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// The number of seconds.
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// Parses a duration, for example `90d`.
    pub fn parse(text: &str) -> Option<Self> {
        let unit = match text.chars().last()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u64>().ok()?.checked_mul(unit).map(Self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is not a duration: write a whole number and s, m, h or d, for example \"90d\""
            ))
        })
    }
}
