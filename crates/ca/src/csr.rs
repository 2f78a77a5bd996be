//! Certification requests (PKCS #10, RFC 2986).

mod names;
mod signature;
mod tlv;

use aws_lc_rs::digest::{SHA256, digest};
use der::{
    Decode, Reader,
    asn1::{AnyRef, BitStringRef},
};
use thiserror::Error;
use tlv::Elements;
use x509_cert::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

pub use names::RequestedNames;

/// Verifies a signature with the key `spki`, using one of the algorithms that a
/// CSR may use.
pub(crate) fn verify_signature(
    spki: &SubjectPublicKeyInfoRef<'_>,
    algorithm: &AlgorithmIdentifierRef<'_>,
    signed: &[u8],
    signature: &BitStringRef<'_>,
) -> Result<(), CsrError> {
    signature::algorithm(spki, algorithm)?.verify(signed, signature)
}

/// The maximum size of a CSR, in bytes of DER.
pub const MAX_CSR_LEN: usize = 16 * 1024;

/// A certification request whose self-signature verified.
///
/// RFC 2986 section 4:
///
/// ```text
/// CertificationRequest ::= SEQUENCE {
///     certificationRequestInfo CertificationRequestInfo,
///     signatureAlgorithm AlgorithmIdentifier{{ SignatureAlgorithms }},
///     signature          BIT STRING
/// }
///
/// CertificationRequestInfo ::= SEQUENCE {
///     version       INTEGER { v1(0) } (v1,...),
///     subject       Name,
///     subjectPKInfo SubjectPublicKeyInfo{{ PKInfoAlgorithms }},
///     attributes    [0] Attributes{{ CRIAttributes }}
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Csr {
    spki_der: Vec<u8>,
    spki_sha256: [u8; 32],
    names: RequestedNames,
}

impl Csr {
    /// Parses one DER CSR and verifies its self-signature. Accepted are P-256
    /// or P-384 with SHA-256, SHA-384 or SHA-512 in any combination, RSA of
    /// 2048 to 4096 bits with PKCS#1 v1.5, and Ed25519.
    ///
    /// The signature is checked last, over the received bytes.
    ///
    /// # Errors
    /// [`CsrError`] names the first rule that the CSR breaks.
    pub fn parse(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_CSR_LEN {
            return Err(CsrError::TooLarge);
        }
        let (request, rest) =
            AnyRef::from_der_partial(der).map_err(|_| CsrError::Malformed("request"))?;
        if !rest.is_empty() {
            return Err(CsrError::TrailingData);
        }
        let (info_der, algorithm, signature) = request
            .sequence(|reader| {
                Ok::<_, der::Error>((
                    reader.tlv_bytes()?,
                    AlgorithmIdentifierRef::decode(reader)?,
                    BitStringRef::decode(reader)?,
                ))
            })
            .map_err(|_| CsrError::Malformed("request"))?;
        let malformed = CsrError::Malformed("request information");
        let mut info = tlv::only(info_der, tlv::SEQUENCE).ok_or(malformed)?;
        let version = info.next().ok_or(malformed)?.whole;
        let version = u8::from_der(version).map_err(|_| malformed)?;
        if version != 0 {
            return Err(CsrError::UnsupportedVersion);
        }
        let subject = info.next().ok_or(malformed)?;
        subject
            .tagged(tlv::SEQUENCE)
            .ok_or(CsrError::Malformed("subject"))?;
        let spki_der = info.next().ok_or(malformed)?.whole;
        let attributes = attributes(&mut info)?;
        let spki = SubjectPublicKeyInfoRef::from_der(spki_der)
            .map_err(|_| CsrError::Malformed("public key"))?;
        let verification = signature::algorithm(&spki, &algorithm)?;
        let names = RequestedNames::read(subject, attributes)?;
        verification.verify(info_der, &signature)?;
        let mut spki_sha256 = [0; 32];
        spki_sha256.copy_from_slice(digest(&SHA256, spki_der).as_ref());
        Ok(Self {
            spki_der: spki_der.to_vec(),
            spki_sha256,
            names,
        })
    }

    /// The `SubjectPublicKeyInfo`, byte for byte as in the CSR.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// SHA-256 of [`Csr::spki_der`].
    #[must_use]
    pub fn spki_sha256(&self) -> &[u8; 32] {
        &self.spki_sha256
    }

    /// The names that the CSR requests. None of them is copied to a certificate
    /// unchecked.
    #[must_use]
    pub fn names(&self) -> &RequestedNames {
        &self.names
    }
}

/// Returns the content of the attributes. RFC 2986 requires them, even if
/// empty; some encoders omit them, and a CSR without attributes requests
/// nothing.
fn attributes<'a>(info: &mut Elements<'a>) -> Result<&'a [u8], CsrError> {
    const CONTEXT_0: u8 = 0xa0;

    let malformed = CsrError::Malformed("request information");
    let attributes = match info.is_finished() {
        true => return Ok(&[]),
        false => info.next().ok_or(malformed)?,
    };
    if !info.is_finished() {
        return Err(malformed);
    }
    attributes
        .tagged(CONTEXT_0)
        .ok_or(CsrError::Malformed("attributes"))
}

/// Why a CSR is refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum CsrError {
    /// The self-signature does not verify with the CSR's own key.
    #[error("the CSR's signature does not verify with the CSR's own public key")]
    BadSignature,
    /// More than one extension request.
    #[error("the CSR has more than one extensionRequest; put all extensions into one")]
    DuplicateAttribute,
    /// An extension that is evaluated is requested twice.
    #[error("the CSR requests the same extension twice")]
    DuplicateExtension,
    /// The named part does not decode.
    #[error("the CSR's {0} is not valid DER of its type")]
    Malformed(&'static str),
    /// An OID that is evaluated, or belongs to a device's name, is not
    /// minimally encoded.
    #[error("the CSR's {0} holds an object identifier that is not minimally encoded")]
    NonMinimal(&'static str),
    /// More than [`MAX_CSR_LEN`] bytes.
    #[error("the CSR is larger than 16 KiB")]
    TooLarge,
    /// Data follows the CSR.
    #[error("the CSR is followed by other data")]
    TrailingData,
    /// A key that is not P-256 or P-384 with an uncompressed point, RSA of 2048 to
    /// 4096 bits or Ed25519.
    #[error(
        "the CSR's key is not supported; use P-256 or P-384 with an uncompressed point, RSA of 2048 to 4096 bits, or Ed25519"
    )]
    UnsupportedKey,
    /// A signature algorithm that does not match the key, or uses SHA-1.
    #[error(
        "the CSR's signature algorithm does not fit its key; sign with SHA-256, SHA-384 or \
         SHA-512 (Ed25519 keys: with Ed25519)"
    )]
    UnsupportedSignature,
    /// A version other than 0.
    #[error("the CSR's version is not v1(0)")]
    UnsupportedVersion,
    /// RSA below 2048 bits, or with an exponent that is even or below 65537.
    #[error("the CSR's RSA key is weak; use 2048 to 4096 bits and the exponent 65537")]
    WeakKey,
}
