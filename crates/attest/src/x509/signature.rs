//! Signatures in certificates, behind one small trait.

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod rust_crypto;

use const_oid::ObjectIdentifier;

#[cfg(feature = "aws-lc")]
pub use self::aws_lc::AwsLc;
pub use self::rust_crypto::RustCrypto;

/// A signature algorithm: ECDSA (RFC 5758 section 3.2) or RSA PKCS #1 v1.5
/// (RFC 4055 section 5). The curve is the key's matter: any curve goes with
/// any hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256, 1.2.840.10045.4.3.2.
    EcdsaSha256,
    /// ecdsa-with-SHA384, 1.2.840.10045.4.3.3.
    EcdsaSha384,
    /// ecdsa-with-SHA512, 1.2.840.10045.4.3.4.
    EcdsaSha512,
    /// sha256WithRSAEncryption, 1.2.840.113549.1.1.11.
    RsaSha256,
    /// sha384WithRSAEncryption, 1.2.840.113549.1.1.12.
    RsaSha384,
    /// sha512WithRSAEncryption, 1.2.840.113549.1.1.13.
    RsaSha512,
}

impl SignatureAlgorithm {
    /// Every algorithm that is accepted.
    pub const ALL: &[Self] = &[
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::RsaSha256,
        Self::RsaSha384,
        Self::RsaSha512,
    ];

    pub(crate) const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::EcdsaSha256 => const { ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2") },
            Self::EcdsaSha384 => const { ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3") },
            Self::EcdsaSha512 => const { ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4") },
            Self::RsaSha256 => const { ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11") },
            Self::RsaSha384 => const { ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12") },
            Self::RsaSha512 => const { ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13") },
        }
    }

    pub(crate) const fn is_rsa(self) -> bool {
        matches!(self, Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512)
    }
}

/// A signature that does not verify, or a key that cannot have made it. Back-ends give no
/// cause: there is none that a caller could act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify under this key")]
pub struct BadSignature;

/// A cryptographic back-end. All of them accept exactly the same signatures.
pub trait SignatureVerifier: Send + Sync {
    /// Verifies a signature over a message that is not hashed yet.
    ///
    /// `spki_der` is a SubjectPublicKeyInfo with a P-256 or P-384 key
    /// (uncompressed point) or an RSA key of 2048 to 4096 bits; `signature`
    /// has the form in which certificates carry it: for ECDSA the DER of
    /// `ECDSA-Sig-Value` (RFC 3279 section 2.2.3), for RSA as many bytes as
    /// the modulus.
    ///
    /// # Errors
    /// The signature does not verify, the key is none of these, or the
    /// algorithm is not the key's.
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        spki_der: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature>;
}
