use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Bytes that are encoded as base64url without padding (RFC 8555 section 6.1,
/// RFC 7515 section 2).
///
/// Decoding is strict: padding, characters outside the alphabet, white space
/// and non-zero trailing bits are refused, so that every byte string has
/// exactly one encoding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Base64Url(pub Vec<u8>);

impl Base64Url {
    /// Decodes `text`.
    ///
    /// # Errors
    /// Returns an error if `text` is not the one canonical encoding of some
    /// bytes.
    pub fn decode(text: &str) -> Result<Self, Base64UrlError> {
        // RFC 8555 section 6.1: "Encoded values that include trailing '='
        // characters MUST be rejected as improperly encoded."
        if text.ends_with('=') {
            return Err(Base64UrlError::Padded);
        }
        BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map(Self)
            .map_err(|error| Base64UrlError::NotBase64Url {
                position: error.position,
            })
    }

    /// Encodes `bytes`.
    #[must_use]
    pub fn encode(bytes: &[u8]) -> String {
        BASE64URL_NOPAD.encode(bytes)
    }
}

/// Why a text is not valid base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Base64UrlError {
    /// The text is not canonical base64url.
    #[error(
        "not base64url at character {position}: use the URL-safe alphabet, no white space, zero trailing bits"
    )]
    NotBase64Url {
        /// The position, in bytes from 0.
        position: usize,
    },
    /// The text ends in `=`.
    #[error("base64url with padding: leave out the trailing \"=\"")]
    Padded,
}

impl Serialize for Base64Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Self::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::decode(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_encoding_for_each_byte_string() {
        assert_eq!(Base64Url::decode("AQID"), Ok(Base64Url(vec![1, 2, 3])));
        assert_eq!(Base64Url::decode(""), Ok(Base64Url(vec![])));
        assert_eq!(Base64Url::decode("-_8"), Ok(Base64Url(vec![0xfb, 0xff])));
        assert_eq!(Base64Url::encode(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        assert_eq!(Base64Url::decode("AQ=="), Err(Base64UrlError::Padded));
        for (text, position) in [("A+ID", 1), ("AQ I", 2), ("AR", 1), ("A", 0)] {
            assert_eq!(
                Base64Url::decode(text),
                Err(Base64UrlError::NotBase64Url { position }),
                "{text}"
            );
        }
    }
}
