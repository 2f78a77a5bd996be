use serde::{Deserialize, Deserializer, de::Error as _};

/// A size in the configuration: a whole number and one of `KiB`, `MiB`, `GiB`,
/// `TiB`; or `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(u64);

impl Size {
    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Parses a size, for example `512MiB`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self(0));
        }
        let (digits, shift) = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)]
            .into_iter()
            .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits
            .parse::<u64>()
            .ok()?
            .checked_mul(1 << shift)
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// `0` from the environment is a number.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is not a size: write a whole number and KiB, MiB, GiB or TiB, for example \"1GiB\""
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("1KiB", Some(1024)),
            ("512MiB", Some(512 << 20)),
            ("2TiB", Some(2 << 40)),
            ("1", None),
            ("GiB", None),
            ("+1GiB", None),
            ("1 GiB", None),
            ("1GB", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(Size::parse(text).map(Size::bytes), bytes, "{text}");
        }
    }
}
