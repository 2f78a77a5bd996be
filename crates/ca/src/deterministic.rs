//! Deterministic signing keys for laboratories that must repeat an issuance
//! byte for byte. Anyone can derive these keys.
//!
//! Such a key is not secret. It does not implement [`Signer`]. Only
//! [`Issuer::deterministic`] creates an [`Issuer`] from it, and refuses a
//! certificate without the laboratory mark.

use std::fmt;

use aws_lc_rs::digest::{SHA384, digest};
use p256::ecdsa::signature::Signer as _;
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData,
    SignatureAlgorithm as RcgenAlgorithm, SigningKey,
};

use crate::{
    Issuer, IssuerError, SignError, SignatureAlgorithm, Signer,
    authority::{KeyType, is_laboratory},
};

/// An ECDSA key that signs by RFC 6979: the nonce of a signature is derived
/// from the key and the message, so each message has exactly one signature.
pub struct DeterministicKey {
    key: Key,
    /// The uncompressed point (SEC 1 section 2.3.3).
    public: Vec<u8>,
}

enum Key {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

impl DeterministicKey {
    /// Derives the key for `label`. Anyone who knows the label can derive it.
    #[must_use]
    pub fn derive(key_type: KeyType, label: &str) -> Self {
        // A digest that is not a scalar of the curve (0, or not below the
        // order) occurs at most once in 2^32 labels; then the next counter is
        // used.
        let mut counter = 0_u32;
        loop {
            let input = [&counter.to_be_bytes(), label.as_bytes()].concat();
            if let Some(key) = Self::from_scalar(key_type, digest(&SHA384, &input).as_ref()) {
                return key;
            }
            counter = counter.wrapping_add(1);
        }
    }

    /// The key with this private scalar: the first 32 (P-256) or 48 (P-384) of
    /// `bytes`, big-endian. `None` if it is not a scalar of the curve.
    fn from_scalar(key_type: KeyType, bytes: &[u8]) -> Option<Self> {
        let (key, public) = match key_type {
            KeyType::P256 => {
                let key = p256::ecdsa::SigningKey::from_slice(bytes.get(..32)?).ok()?;
                let public = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
                (Key::P256(key), public)
            }
            KeyType::P384 => {
                let key = p384::ecdsa::SigningKey::from_slice(bytes.get(..48)?).ok()?;
                let public = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
                (Key::P384(key), public)
            }
        };
        Some(Self { key, public })
    }

    /// The DER `Ecdsa-Sig-Value` over the hash of `message`: SHA-256 for
    /// P-256, SHA-384 for P-384.
    fn signature_der(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let failed = |_| SignError::Signer;
        Ok(match &self.key {
            Key::P256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                signature.to_der().as_bytes().to_vec()
            }
            Key::P384(key) => {
                let signature: p384::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                signature.to_der().as_bytes().to_vec()
            }
        })
    }
}

impl PublicKeyData for DeterministicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static RcgenAlgorithm {
        match self.key {
            Key::P256(_) => &PKCS_ECDSA_P256_SHA256,
            Key::P384(_) => &PKCS_ECDSA_P384_SHA384,
        }
    }
}

impl SigningKey for DeterministicKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signature_der(message)
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl fmt::Debug for DeterministicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeterministicKey").finish_non_exhaustive()
    }
}

impl Issuer {
    /// Parses a laboratory's CA certificate and pairs it with a key that signs
    /// by RFC 6979. It issues identical bytes each time, and relying parties
    /// must not trust it.
    ///
    /// # Errors
    /// [`IssuerError::NotALaboratory`] if the certificate lacks the mark of
    /// [`authority::is_laboratory`](crate::authority::is_laboratory), and every
    /// error of [`Issuer::new`].
    pub fn deterministic(
        certificate_der: &[u8],
        key: DeterministicKey,
    ) -> Result<Self, IssuerError> {
        if !is_laboratory(certificate_der) {
            return Err(IssuerError::NotALaboratory);
        }
        let spki_der = key.subject_public_key_info();
        Self::new(
            certificate_der,
            Box::new(DeterministicSigner { key, spki_der }),
        )
    }
}

/// A signer that uses a [`DeterministicKey`].
struct DeterministicSigner {
    key: DeterministicKey,
    spki_der: Vec<u8>,
}

impl Signer for DeterministicSigner {
    fn algorithm(&self) -> SignatureAlgorithm {
        match self.key.key {
            Key::P256(_) => SignatureAlgorithm::EcdsaSha256,
            Key::P384(_) => SignatureAlgorithm::EcdsaSha384,
        }
    }

    fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    fn may_block(&self) -> bool {
        false
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.signature_der(message)
    }
}

#[cfg(test)]
mod tests;
