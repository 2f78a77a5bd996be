//! The signing keys of authorities and devices.

use p256::ecdsa::signature::Signer;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData, SignatureAlgorithm,
    SigningKey,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use sha2::{Digest, Sha384};

/// The key types that a Secure Enclave generates for the ACME payload (`KeyType` ECSECPrimeRandom,
/// `KeySize` 256 or 384, `HardwareBound`). Apple's authority also uses P-384.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyType {
    /// P-256.
    #[default]
    P256,
    /// P-384.
    P384,
}

/// A private key, random or derived from a seed.
///
/// A random key signs with aws-lc, which is fast and not deterministic. A key from a seed always
/// signs the same message with the same bytes (RFC 6979).
pub struct Key {
    pair: KeyPair,
    deterministic: Option<Deterministic>,
}

enum Deterministic {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

impl Key {
    /// Generates a random key.
    ///
    /// # Errors
    /// Key generation fails.
    pub fn random(key_type: KeyType) -> Result<Self, rcgen::Error> {
        let algorithm = match key_type {
            KeyType::P256 => &PKCS_ECDSA_P256_SHA256,
            KeyType::P384 => &PKCS_ECDSA_P384_SHA384,
        };
        KeyPair::generate_for(algorithm).map(Self::from)
    }

    /// Derives a key from a seed of any length: the first of SHA-384(label, 0, count, seed) for
    /// count = 0, 1, ... that is a scalar of the curve (for P-256 its first 32 bytes). Anyone who
    /// knows the seed can derive the key.
    ///
    /// # Errors
    /// A library refuses the key.
    pub fn from_seed(key_type: KeyType, label: &str, seed: &[u8]) -> Result<Self, rcgen::Error> {
        let candidates = (0..=u8::MAX).map(|count| {
            Sha384::new()
                .chain_update(label)
                .chain_update([0, count])
                .chain_update(seed)
                .finalize()
        });
        // Nearly every number is a scalar, so the first one almost always fits.
        match key_type {
            KeyType::P256 => candidates
                .into_iter()
                .find_map(|scalar| p256::SecretKey::from_slice(&scalar[..32]).ok())
                .and_then(|secret| secret.to_pkcs8_der().ok()),
            KeyType::P384 => candidates
                .into_iter()
                .find_map(|scalar| p384::SecretKey::from_slice(&scalar).ok())
                .and_then(|secret| secret.to_pkcs8_der().ok()),
        }
        .ok_or(rcgen::Error::CouldNotParseKeyPair)
        .and_then(|document| {
            let der = PrivatePkcs8KeyDer::from(document.as_bytes());
            KeyPair::try_from(&der)
        })
        .and_then(|pair| Self::from(pair).deterministic())
    }

    /// Derives another key, reproducibly. Only the holder of this key can derive it.
    ///
    /// # Errors
    /// As [`from_seed`](Self::from_seed).
    pub fn derive(&self, key_type: KeyType, label: &str) -> Result<Self, rcgen::Error> {
        Self::from_seed(key_type, label, self.pair.serialized_der())
    }

    /// The same key, which then signs deterministically (RFC 6979).
    ///
    /// # Errors
    /// It is neither a P-256 nor a P-384 key.
    pub fn deterministic(self) -> Result<Self, rcgen::Error> {
        let der = self.pair.serialized_der();
        let p256 = || p256::ecdsa::SigningKey::from_pkcs8_der(der).map(Deterministic::P256);
        let p384 = || p384::ecdsa::SigningKey::from_pkcs8_der(der).map(Deterministic::P384);
        let key = p256().or_else(|_| p384());
        let key = key.map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        Ok(Self {
            deterministic: Some(key),
            ..self
        })
    }

    /// The private key, PKCS#8 in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.pair.serialize_pem()
    }

    /// The private key, PKCS#8 in DER.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> &[u8] {
        self.pair.serialized_der()
    }
}

impl From<KeyPair> for Key {
    /// A key of rcgen, with rcgen's signatures.
    fn from(pair: KeyPair) -> Self {
        Self {
            pair,
            deterministic: None,
        }
    }
}

/// Shows only the public part.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("pair", &self.pair)
            .field("deterministic", &self.deterministic.is_some())
            .finish()
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.pair.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.pair.algorithm()
    }
}

/// ECDSA in DER: on P-256 with SHA-256, on P-384 with SHA-384.
impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match &self.deterministic {
            None => self.pair.sign(message),
            Some(Deterministic::P256(key)) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Some(Deterministic::P384(key)) => {
                let signature: p384::ecdsa::Signature = key.sign(message);
                Ok(signature.to_der().as_bytes().to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_key_and_one_signature() {
        for key_type in [KeyType::P256, KeyType::P384] {
            let make = |label, seed| Key::from_seed(key_type, label, seed).unwrap();
            let first = make("root", b"seed");
            let again = make("root", b"seed");
            assert_eq!(first.to_pkcs8_der(), again.to_pkcs8_der());
            assert_eq!(first.sign(b"a").unwrap(), again.sign(b"a").unwrap());
            for other in [make("root", b"other"), make("leaf", b"seed")] {
                assert_ne!(first.der_bytes(), other.der_bytes());
            }
            let derived = first.derive(key_type, "x").unwrap();
            let twice = again.derive(key_type, "x").unwrap();
            assert_eq!(derived.to_pkcs8_der(), twice.to_pkcs8_der());
        }
    }

    #[test]
    fn a_random_key_is_made_deterministic_and_keeps_what_it_is() {
        for key_type in [KeyType::P256, KeyType::P384] {
            let key = Key::random(key_type).unwrap();
            assert_ne!(key.sign(b"a").unwrap(), key.sign(b"a").unwrap());
            let public = key.subject_public_key_info();
            let key = key.deterministic().unwrap();
            assert_eq!(key.sign(b"a").unwrap(), key.sign(b"a").unwrap());
            assert_eq!(key.subject_public_key_info(), public);
        }
        let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        assert!(Key::from(ed25519).deterministic().is_err());
    }
}
