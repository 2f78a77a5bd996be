use std::fmt;

use assay_ca::SerialNumber;
use assay_proto::{RevocationReason, Timestamp};

use crate::ids::{AccountId, OrderId};

/// A certificate that may be signed: the whole TBSCertificate and its issuer,
/// recorded before the signature is made. Recovery signs these same bytes or
/// none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// SHA-256 of the issuer's certificate.
    pub issuer: [u8; 32],
    /// The TBSCertificate in DER.
    pub tbs: Vec<u8>,
}

/// An issued certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number, unique for this CA.
    pub serial: SerialNumber,
    /// SHA-256 of the issuer's certificate.
    pub issuer: [u8; 32],
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
    /// Who it was issued to.
    pub holder: CertificateHolder,
    /// When it was issued.
    pub issued: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Whether it was revoked.
    pub revocation: Option<Revocation>,
}

/// Whom a certificate was issued to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateHolder {
    /// A device that proved itself.
    Device {
        /// The account that ordered it.
        account: AccountId,
        /// The order.
        order: OrderId,
        /// SHA-256 of the root certificate that vouched for the device.
        root_sha256: [u8; 32],
    },
    /// This server's own TLS end.
    Server,
}

impl CertificateHolder {
    /// The account that ordered it and its order, where a device holds it.
    #[must_use]
    pub fn ordered(&self) -> Option<(AccountId, OrderId)> {
        match *self {
            Self::Device { account, order, .. } => Some((account, order)),
            Self::Server => None,
        }
    }
}

/// That, why and by whom a certificate was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// The reason, where one was given.
    pub reason: Option<RevocationReason>,
    /// Whose signature asked for it.
    pub by: Revoker,
}

/// Who had a certificate revoked (RFC 8555 section 7.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoker {
    /// An account.
    Account(AccountId),
    /// Whoever holds the certificate's key.
    CertificateKey,
}

impl fmt::Display for Revoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => write!(f, "account {account}"),
            Self::CertificateKey => f.write_str("the certificate's key"),
        }
    }
}

/// The intent of a certificate for this server's own TLS end. Its key lives in
/// one process only, so that what a dead process left is dropped, not signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIntent {
    /// The serial number within the intent.
    pub serial: SerialNumber,
    /// What is to be signed.
    pub intent: Intent,
    /// When it was recorded.
    pub at: Timestamp,
    /// From when on any node may drop it.
    pub lease_until: Timestamp,
}

impl ServerIntent {
    /// How long the process that recorded it may take to finish it, in seconds.
    pub const LEASE: u64 = 60;
}
