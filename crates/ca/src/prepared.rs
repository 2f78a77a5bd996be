//! The two sides of the signature: what will be signed, and what was.

use crate::SerialNumber;

/// A certificate that is complete but for its signature.
///
/// It is not `Clone`, and [`Issuer::sign`](crate::Issuer::sign) takes it by
/// move: one prepared certificate is signed at most once.
#[derive(Debug, Eq, PartialEq)]
pub struct PreparedCert {
    pub(crate) tbs_der: Vec<u8>,
    pub(crate) serial: SerialNumber,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    pub(crate) issuer_id: [u8; 32],
}

impl PreparedCert {
    /// The DER `TBSCertificate`: the exact bytes that will be signed.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        &self.tbs_der
    }

    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> &SerialNumber {
        &self.serial
    }

    /// [`Issuer::id`](crate::Issuer::id) of the only issuer that signs this.
    #[must_use]
    pub fn issuer_id(&self) -> [u8; 32] {
        self.issuer_id
    }

    /// Last second of validity, since the Unix epoch.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }
}

/// A signed certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IssuedCert {
    pub(crate) der: Vec<u8>,
    pub(crate) serial: SerialNumber,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
}

impl IssuedCert {
    /// The DER `Certificate`.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> &SerialNumber {
        &self.serial
    }

    /// First second of validity, since the Unix epoch.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Last second of validity, since the Unix epoch.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }
}
