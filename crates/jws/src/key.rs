mod curve;
mod error;
mod import;
mod jwk;
mod spki;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use aws_lc_rs::signature::ParsedPublicKey;

use crate::{Algorithm, Thumbprint, json};

pub use error::KeyError;
pub(crate) use jwk::Jwk;

/// A public key that may sign ACME requests, validated and hashed once.
///
/// Each key has exactly one accepted encoding as a JWK and one as a
/// SubjectPublicKeyInfo. So two keys are equal exactly if their thumbprints and
/// their DER are equal. Clones share one allocation.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    algorithm: Algorithm,
    jwk: String,
    /// Created from the canonical SubjectPublicKeyInfo, which it returns.
    parsed: ParsedPublicKey,
    /// Octets of a signature: r and s together for ECDSA.
    signature_len: usize,
    thumbprint: Thumbprint,
}

impl PublicKey {
    /// Parses a JWK (RFC 7517) of a supported type: EC with P-256, P-384 or
    /// P-521, OKP with Ed25519 (RFC 8037), or RSA.
    ///
    /// Unknown members are ignored, as RFC 7517 section 4 requires; private
    /// members are refused.
    ///
    /// # Errors
    /// [`KeyError`], which ACME reports as `badPublicKey`. Size limits are
    /// checked before the expensive import.
    pub fn from_jwk(jwk: &[u8]) -> Result<Self, KeyError> {
        json::parse::<Jwk<'_>>(jwk)?.import(None)
    }

    /// Parses a DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), such as
    /// that of a certificate or a CSR.
    ///
    /// # Errors
    /// [`KeyError::Spki`] unless it is the canonical form of a supported type:
    /// compressed points, explicit curve parameters and absent RSA parameters
    /// are refused. [`KeyError::CoordinateLength`] where a point is too short or
    /// too long. Otherwise as [`from_jwk`](Self::from_jwk).
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        spki::import(spki)
    }

    /// The canonical JWK (the one that is hashed for the thumbprint, RFC 7638
    /// section 3.2), as a store keeps it. [`from_jwk`](Self::from_jwk) parses
    /// it back into an equal key.
    pub fn to_jwk(&self) -> String {
        self.0.jwk.clone()
    }

    /// The RFC 7638 thumbprint, computed when the key was parsed.
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.0.thumbprint
    }

    /// The canonical DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        self.0.parsed.as_ref()
    }

    /// The one algorithm that this key may sign with.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    pub(crate) fn parsed(&self) -> &ParsedPublicKey {
        &self.0.parsed
    }

    pub(crate) fn signature_len(&self) -> usize {
        self.0.signature_len
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki_der() == other.spki_der()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("algorithm", &self.algorithm())
            .field("thumbprint", self.thumbprint())
            .finish()
    }
}
