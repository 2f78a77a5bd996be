//! The [`Signer`] trait, and a signer whose key is in a file.

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    },
};
use const_oid::db::rfc5912::{ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384};
use der::asn1::ObjectIdentifier;
use thiserror::Error;
use zeroize::Zeroizing;

/// A CA's private key, wherever it is stored.
pub trait Signer: Send + Sync {
    /// The one algorithm that this key signs with.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// The DER `SubjectPublicKeyInfo` of the key.
    fn spki_der(&self) -> &[u8];

    /// Whether [`sign`](Self::sign) may block for longer than a computation,
    /// because it waits for a device, a module or another machine. If so, it
    /// must not be called on the threads of an async runtime.
    fn may_block(&self) -> bool;

    /// Signs `message` (hashing included) and returns the signature in the form
    /// that a certificate contains: for ECDSA the DER `Ecdsa-Sig-Value`.
    ///
    /// # Errors
    /// [`SignError::Signer`] if the key or its device fails.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// The algorithms that a CA signs with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignatureAlgorithm {
    /// ECDSA with SHA-256, for P-256 keys (RFC 5758 section 3.2).
    EcdsaSha256,
    /// ECDSA with SHA-384, for P-384 keys (RFC 5758 section 3.2).
    EcdsaSha384,
}

impl SignatureAlgorithm {
    /// RFC 5758 section 3.2: "the encoding MUST omit the parameters field", so
    /// the OID is the whole AlgorithmIdentifier.
    pub(crate) fn oid(self) -> ObjectIdentifier {
        match self {
            Self::EcdsaSha256 => ECDSA_WITH_SHA_256,
            Self::EcdsaSha384 => ECDSA_WITH_SHA_384,
        }
    }
}

/// Why signing failed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SignError {
    /// The signed certificate cannot be encoded.
    #[error("the signed certificate cannot be encoded")]
    Encoding,
    /// The certificate was prepared by another issuer.
    #[error("the certificate was prepared for another issuer; sign it with that one")]
    OtherIssuer,
    /// The key or its device failed.
    #[error("the CA key could not sign; check the device or module that holds it")]
    Signer,
}

/// An ECDSA key that is read from a PKCS#8 file and kept in memory.
pub struct FileSigner {
    key: EcdsaKeyPair,
    algorithm: SignatureAlgorithm,
    spki_der: Vec<u8>,
}

impl FileSigner {
    /// Parses an unencrypted PKCS#8 key (`BEGIN PRIVATE KEY`) on P-256, which
    /// signs with SHA-256, or on P-384, which signs with SHA-384.
    ///
    /// # Errors
    /// [`SignerError`], which says what to do.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, SignerError> {
        // Check the label first: it distinguishes the formats, and key material
        // is decoded only if it will be used.
        match pem_rfc7468::decode_label(pem.as_bytes()) {
            Ok("PRIVATE KEY") => {}
            Ok("EC PRIVATE KEY") => return Err(SignerError::Sec1),
            Ok("ENCRYPTED PRIVATE KEY") => return Err(SignerError::Encrypted),
            Ok(_) | Err(_) => return Err(SignerError::NotAPrivateKey),
        }
        let (_, der) =
            pem_rfc7468::decode_vec(pem.as_bytes()).map_err(|_| SignerError::NotAPrivateKey)?;
        let der = Zeroizing::new(der);
        let (key, algorithm) = [
            (
                &ECDSA_P256_SHA256_ASN1_SIGNING,
                SignatureAlgorithm::EcdsaSha256,
            ),
            (
                &ECDSA_P384_SHA384_ASN1_SIGNING,
                SignatureAlgorithm::EcdsaSha384,
            ),
        ]
        .into_iter()
        .find_map(|(signing, algorithm)| {
            let key = EcdsaKeyPair::from_pkcs8(signing, &der).ok()?;
            Some((key, algorithm))
        })
        .ok_or(SignerError::UnsupportedKey)?;
        let spki_der = key
            .public_key()
            .as_der()
            .map_err(|_| SignerError::UnsupportedKey)?
            .as_ref()
            .to_vec();
        Ok(Self {
            key,
            algorithm,
            spki_der,
        })
    }
}

impl Signer for FileSigner {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    fn may_block(&self) -> bool {
        false
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match self.key.sign(&SystemRandom::new(), message) {
            Ok(signature) => Ok(signature.as_ref().to_vec()),
            Err(_) => Err(SignError::Signer),
        }
    }
}

impl fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSigner")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Why a key file is unusable.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SignerError {
    /// A PKCS#8 key that is encrypted with a passphrase.
    #[error("the CA key is encrypted; decrypt it with `openssl pkey -in KEY -out PLAIN`")]
    Encrypted,
    /// Not PEM, or PEM of another kind.
    #[error("the CA key file is not a PEM `PRIVATE KEY` (PKCS#8)")]
    NotAPrivateKey,
    /// The older format of RFC 5915.
    #[error("the CA key is in SEC1 format; convert it with `openssl pkey -in KEY -out PKCS8`")]
    Sec1,
    /// Another algorithm, another curve, or a damaged key.
    #[error("the CA key is not a valid ECDSA key on P-256 or P-384")]
    UnsupportedKey,
}
