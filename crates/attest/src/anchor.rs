//! Trust anchors: the roots at which a chain may end.

use sha2::{Digest, Sha256};

use crate::{
    certificate::Certificate,
    check::Check,
    path,
    reason::{Finding, Refusal},
    signature::{RustCrypto, SignatureVerifier},
};

/// Apple Enterprise Attestation Root CA, DER (P-384, 2022-02-16 to
/// 2047-02-20, SHA-256
/// `ccf59ef8fcb3017d97f8b5fa6fa90e7a3f9283f76b55ac6cf6eda8b8b949f05b`).
const APPLE_ROOT: &[u8] = include_bytes!("../roots/apple-enterprise-attestation-root-ca.der");

const APPLE_NAME: &str = "Apple Enterprise Attestation Root CA";

/// A root that may vouch for devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustAnchor {
    pub(crate) der: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    pub(crate) key_identifier: Option<Vec<u8>>,
    pub(crate) path_length: Option<u8>,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    sha256: [u8; 32],
    name: String,
    laboratory: bool,
}

impl TrustAnchor {
    /// Apple's root for Managed Device Attestation, built in. Apple may
    /// change the intermediate below it at any time: the root alone is
    /// pinned.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "the input is a constant, and a test parses it"
    )]
    pub fn apple() -> Self {
        Self::parse(APPLE_ROOT, APPLE_NAME, false).expect("Apple's root is an anchor")
    }

    /// Any other root. Whoever holds its key can forge every device, so its
    /// evidence is marked: [`AttestedDevice::laboratory`] is true.
    ///
    /// `der` is a self-signed CA certificate; `name` is for people.
    ///
    /// # Errors
    /// The certificate is not one that can be an anchor, or is Apple's.
    ///
    /// [`AttestedDevice::laboratory`]: crate::AttestedDevice::laboratory
    pub fn laboratory(der: &[u8], name: &str) -> Result<Self, AnchorError> {
        if der == APPLE_ROOT {
            return Err(AnchorError::Apple);
        }
        Self::parse(der, name, true)
    }

    fn parse(der: &[u8], name: &str, laboratory: bool) -> Result<Self, AnchorError> {
        let certificate =
            Certificate::read(der).map_err(|finding| finding.during(Check::Certificates))?;
        let during_path = |finding: Finding| finding.during(Check::Path);
        let path_length = path::check_ca(&certificate).map_err(during_path)?;
        let algorithm = path::signature_algorithm(&certificate).map_err(during_path)?;
        let key_identifier = path::key_identifier(&certificate).map_err(during_path)?;
        if certificate.issuer != certificate.subject
            || RustCrypto
                .verify(
                    algorithm,
                    certificate.spki,
                    certificate.tbs,
                    certificate.signature,
                )
                .is_err()
        {
            return Err(AnchorError::NotSelfSigned);
        }
        Ok(Self {
            der: der.to_owned(),
            subject: certificate.subject.to_owned(),
            spki: certificate.spki.to_owned(),
            key_identifier: key_identifier.map(<[u8]>::to_owned),
            path_length,
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            sha256: Sha256::digest(der).into(),
            name: name.to_owned(),
            laboratory,
        })
    }

    /// The root's name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The root certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The SHA-256 of the root certificate's DER.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Whether this is any other root than Apple's.
    #[must_use]
    pub fn is_laboratory(&self) -> bool {
        self.laboratory
    }
}

/// Why a certificate cannot be a trust anchor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// Apple's root needs no laboratory, and must not be marked as one.
    #[error("this is Apple's root: it is built in, leave it out of the laboratory roots")]
    Apple,
    /// Another CA signed it, or nobody did.
    #[error("the certificate is not self-signed: configure the root of its hierarchy instead")]
    NotSelfSigned,
    /// It breaks a rule that holds for every CA of a chain.
    #[error("the certificate cannot be a trust anchor: {0}")]
    Refused(#[from] Refusal),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_root_is_apples() {
        let pem = include_bytes!("../roots/apple-enterprise-attestation-root-ca.pem");
        let (label, der) = pem_rfc7468::decode_vec(pem).unwrap();
        assert_eq!(label, "CERTIFICATE");
        assert_eq!(der, APPLE_ROOT);
        let golden: &[u8] = include_bytes!(
            "../../../testdata/evidence/golden/apple-enterprise-attestation-root-ca.der"
        );
        assert_eq!(golden, APPLE_ROOT);
        assert_eq!(
            hex::encode(TrustAnchor::apple().sha256()),
            "ccf59ef8fcb3017d97f8b5fa6fa90e7a3f9283f76b55ac6cf6eda8b8b949f05b"
        );
        assert!(!TrustAnchor::apple().is_laboratory());
    }

    #[test]
    fn apples_root_is_no_laboratory() {
        assert_eq!(
            TrustAnchor::laboratory(APPLE_ROOT, "laboratory"),
            Err(AnchorError::Apple)
        );
    }
}
