//! Trust anchors: the roots at which a chain may end.

use sha2::{Digest, Sha256};

use crate::{
    apple::root,
    check::Check,
    faults::during,
    reason::Refusal,
    x509::anchor::{Anchor, AnchorFault},
};

/// A root that may vouch for devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustAnchor {
    pub(crate) root: Anchor,
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
        Self::parse(root::DER, root::NAME, false).expect("Apple's root is an anchor")
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
        if der == root::DER {
            return Err(AnchorError::Apple);
        }
        Self::parse(der, name, true)
    }

    fn parse(der: &[u8], name: &str, laboratory: bool) -> Result<Self, AnchorError> {
        let root = Anchor::parse(der).map_err(|fault| match fault {
            AnchorFault::Certificate(fault) => during(Check::Certificates)(fault).into(),
            AnchorFault::NotSelfSigned => AnchorError::NotSelfSigned,
            AnchorFault::Path(fault) => during(Check::Path)(fault).into(),
        })?;
        Ok(Self {
            root,
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
        &self.root.der
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
        assert_eq!(der, root::DER);
        let golden: &[u8] = include_bytes!(
            "../../../testdata/evidence/golden/apple-enterprise-attestation-root-ca.der"
        );
        assert_eq!(golden, root::DER);
        assert_eq!(
            hex::encode(TrustAnchor::apple().sha256()),
            "ccf59ef8fcb3017d97f8b5fa6fa90e7a3f9283f76b55ac6cf6eda8b8b949f05b"
        );
        assert!(!TrustAnchor::apple().is_laboratory());
    }

    #[test]
    fn apples_root_is_no_laboratory() {
        assert_eq!(
            TrustAnchor::laboratory(root::DER, "laboratory"),
            Err(AnchorError::Apple)
        );
    }
}
