//! The root of an installation, which verifies the CAs below it.

use aws_lc_rs::digest::{SHA256, digest};
use const_oid::db::rfc5280::ANY_EXTENDED_KEY_USAGE;
use der::{Decode, Encode, asn1::ObjectIdentifier};
use thiserror::Error;
use x509_cert::{
    certificate::Version,
    ext::pkix::{
        AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier,
    },
    spki::SubjectPublicKeyInfoRef,
};

use crate::{
    csr::{CsrError, verify_signature},
    leaf::LeafUsage,
    tbs::{Certificate, TbsCertificate},
};

/// A self-signed CA certificate that relying parties trust.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Root {
    der: Vec<u8>,
    not_before: u64,
    not_after: u64,
}

/// Why a certificate is not a root, or why a CA was not issued by this root.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RootError {
    /// The CA certificate's signature does not verify with the root's key.
    #[error("its signature does not verify with the root's key")]
    BadSignature,
    /// The CA certificate's issuer is not the root's subject.
    #[error("it names another issuer than the root")]
    IssuerMismatch,
    /// The CA certificate's authority key identifier names another key.
    #[error("it names another issuer key than the root's")]
    KeyIdentifierMismatch,
    /// Not exactly one DER certificate, or an extension is repeated or does not
    /// decode.
    #[error("it is not exactly one well-formed DER certificate")]
    Malformed,
    /// Not version 3 with basicConstraints and cA, or without key usage
    /// keyCertSign.
    #[error("it may not sign certificates: it needs basicConstraints with cA, and keyCertSign")]
    NotACa,
    /// Not signed with its own key, or not issued by its own name.
    #[error("it is not self-signed, so relying parties do not trust it as a root")]
    NotSelfSigned,
    /// The root's path length does not allow a CA below it.
    #[error("the root's path length does not allow a CA below it")]
    PathLength,
    /// The key type or the algorithm is not supported.
    #[error("its signature uses an unsupported algorithm or key type")]
    UnsupportedSignature,
    /// A critical extension that relying parties do not process.
    #[error(
        "it has the critical extension {0}, which relying parties do not know: they would refuse every certificate below it"
    )]
    UnknownExtension(ObjectIdentifier),
    /// The root's extended key usage does not allow the usage of the CA.
    #[error("the root's extended key usage does not allow the usage of this CA")]
    UsageOutsideRoot,
}

impl Root {
    /// Parses a root: a self-signed CA certificate.
    ///
    /// # Errors
    /// [`RootError`]
    pub fn from_der(der: &[u8]) -> Result<Self, RootError> {
        let malformed = |_| RootError::Malformed;
        let certificate = Certificate::from_der(der).map_err(malformed)?;
        let tbs_der = certificate.tbs_certificate.to_der().map_err(malformed)?;
        let tbs = TbsCertificate::from_der(&tbs_der).map_err(malformed)?;
        let constraints = tbs.extension::<BasicConstraints>().map_err(malformed)?;
        let usage = tbs.extension::<KeyUsage>().map_err(malformed)?;
        if tbs.version != Version::V3
            || !constraints.is_some_and(|(_, constraints)| constraints.ca)
            || usage.is_some_and(|(_, usage)| !usage.key_cert_sign())
        {
            return Err(RootError::NotACa);
        }
        if let Some(extension) = tbs.unprocessed() {
            return Err(RootError::UnknownExtension(extension));
        }
        if tbs.issuer != tbs.subject {
            return Err(RootError::NotSelfSigned);
        }
        match verify(&tbs, &certificate, &tbs_der) {
            Err(RootError::BadSignature) => return Err(RootError::NotSelfSigned),
            verified => verified?,
        }
        Ok(Self {
            der: der.to_vec(),
            not_before: tbs.validity.not_before.to_unix_duration().as_secs(),
            not_after: tbs.validity.not_after.to_unix_duration().as_secs(),
        })
    }

    /// The first second of its validity, since the Unix epoch.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// The last second of its validity, since the Unix epoch.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the certificate's DER.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &self.der).as_ref());
        hash
    }

    /// Checks that this root issued the CA certificate `ca_der`, so that a
    /// relying party that trusts the root accepts leaves for `usage` below it.
    /// The caller must compare the dates with its clock.
    ///
    /// # Errors
    /// [`RootError`]
    pub fn check_issued(&self, ca_der: &[u8], usage: LeafUsage) -> Result<(), RootError> {
        let malformed = |_| RootError::Malformed;
        let root = Certificate::from_der(&self.der).map_err(malformed)?;
        let root_tbs_der = root.tbs_certificate.to_der().map_err(malformed)?;
        let root = TbsCertificate::from_der(&root_tbs_der).map_err(malformed)?;
        let ca = Certificate::from_der(ca_der).map_err(malformed)?;
        let ca_tbs_der = ca.tbs_certificate.to_der().map_err(malformed)?;
        let ca_tbs = TbsCertificate::from_der(&ca_tbs_der).map_err(malformed)?;

        // RFC 5280 section 6.1.3 (a)(4): "The certificate issuer name is the
        // working_issuer_name."
        if ca_tbs.issuer != root.subject {
            return Err(RootError::IssuerMismatch);
        }
        // RFC 5280 section 4.2.1.1: the authority key identifier "provides a
        // means of identifying the public key corresponding to the private key
        // used to sign a certificate".
        let own = root.extension::<SubjectKeyIdentifier>();
        let named = ca_tbs.extension::<AuthorityKeyIdentifier>();
        let named = (named.map_err(malformed)?).and_then(|(_, named)| named.key_identifier);
        if let (Some((_, own)), Some(named)) = (own.map_err(malformed)?, named)
            && own.0 != named
        {
            return Err(RootError::KeyIdentifierMismatch);
        }
        // RFC 5280 section 4.2.1.9: pathLenConstraint "gives the maximum number
        // of non-self-issued intermediate certificates that may follow this
        // certificate in a valid certification path".
        let constraints = root.extension::<BasicConstraints>().map_err(malformed)?;
        if constraints.is_some_and(|(_, constraints)| constraints.path_len_constraint == Some(0)) {
            return Err(RootError::PathLength);
        }
        let allowed = root.extension::<ExtendedKeyUsage>().map_err(malformed)?;
        if let Some((_, ExtendedKeyUsage(allowed))) = allowed
            && !allowed.contains(&usage.oid())
            && !allowed.contains(&ANY_EXTENDED_KEY_USAGE)
        {
            return Err(RootError::UsageOutsideRoot);
        }
        verify(&root, &ca, &ca_tbs_der)
    }
}

/// RFC 5280 section 6.1.3 (a)(1): "The signature on the certificate can be
/// verified using working_public_key_algorithm, the working_public_key, and the
/// working_public_key_parameters."
fn verify(
    issuer: &TbsCertificate<'_>,
    certificate: &Certificate<'_>,
    tbs_der: &[u8],
) -> Result<(), RootError> {
    let spki = (issuer.subject_public_key_info.to_der()).map_err(|_| RootError::Malformed)?;
    let spki = SubjectPublicKeyInfoRef::from_der(&spki).map_err(|_| RootError::Malformed)?;
    let (algorithm, signature) = (&certificate.signature_algorithm, &certificate.signature);
    verify_signature(&spki, algorithm, tbs_der, signature).map_err(|error| match error {
        CsrError::BadSignature => RootError::BadSignature,
        CsrError::Malformed(_) => RootError::Malformed,
        _ => RootError::UnsupportedSignature,
    })
}
