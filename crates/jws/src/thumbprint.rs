use std::fmt;

use aws_lc_rs::digest;
use data_encoding::BASE64URL_NOPAD;

/// The SHA-256 thumbprint of a public key (RFC 7638 section 3).
///
/// Two keys are the same account key exactly if their thumbprints are equal:
/// [`PublicKey`](crate::PublicKey) accepts one encoding per key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Thumbprint(
    /// The digest itself.
    pub [u8; 32],
);

impl Thumbprint {
    /// Hashes a JWK that is already in the form of RFC 7638 section 3.2: only
    /// the required members, in lexicographic order, without whitespace.
    pub(crate) fn of_canonical_jwk(jwk: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, jwk.as_bytes()).as_ref());
        Self(bytes)
    }
}

/// Unpadded base64url, as in a key authorization (RFC 8555 section 8.1).
impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BASE64URL_NOPAD.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}
