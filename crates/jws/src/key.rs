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

/// A public key that may sign ACME requests: checked, imported and hashed once.
///
/// Each key has exactly one accepted encoding as a JWK and one as a
/// SubjectPublicKeyInfo, so equality of keys, of thumbprints and of DER are the
/// same thing. Clones share one allocation.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    algorithm: Algorithm,
    jwk: String,
    /// Made from, and so returning, the canonical SubjectPublicKeyInfo.
    parsed: ParsedPublicKey,
    /// Octets of a signature: r and s together for ECDSA.
    signature_len: usize,
    thumbprint: Thumbprint,
}

impl PublicKey {
    /// Reads a JWK (RFC 7517) of one of the supported kinds: EC with P-256,
    /// P-384 or P-521, OKP with Ed25519 (RFC 8037), or RSA.
    ///
    /// Members that do not concern the key are ignored, as RFC 7517 section 4
    /// demands; private members are not.
    ///
    /// # Errors
    /// [`KeyError`], which ACME reports as `badPublicKey`. Caps on sizes come
    /// before the costly import.
    pub fn from_jwk(jwk: &[u8]) -> Result<Self, KeyError> {
        json::parse::<Jwk<'_>>(jwk)?.import(None)
    }

    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), such as
    /// that of a certificate or a CSR.
    ///
    /// # Errors
    /// [`KeyError::Spki`] if it is not the canonical form of a supported kind:
    /// compressed points, explicit curve parameters and absent RSA parameters
    /// are refused. Otherwise as [`from_jwk`](Self::from_jwk).
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        spki::import(spki)
    }

    /// The canonical JWK (the one that is hashed for the thumbprint, RFC 7638
    /// section 3.2): what a store keeps. [`from_jwk`](Self::from_jwk) of it
    /// gives an equal key.
    pub fn to_jwk(&self) -> String {
        self.0.jwk.clone()
    }

    /// The RFC 7638 thumbprint, computed when the key was read.
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
