//! A certificate before and after it is signed.

use crate::SerialNumber;

/// A certificate that is complete except for its signature.
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
    /// The DER `TBSCertificate`: the exact bytes to sign.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        &self.tbs_der
    }

    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> &SerialNumber {
        &self.serial
    }

    /// [`Issuer::id`](crate::Issuer::id) of the only issuer that can sign this
    /// certificate.
    #[must_use]
    pub fn issuer_id(&self) -> [u8; 32] {
        self.issuer_id
    }

    /// The last second of validity, since the Unix epoch.
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

    /// The first second of validity, since the Unix epoch.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// The last second of validity, since the Unix epoch.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }
}
