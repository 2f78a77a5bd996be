use std::fmt;

use assay_ca::SerialNumber;
use assay_proto::{RevocationReason, Timestamp};

use crate::ids::{AccountId, OrderId};

/// The intent to sign a certificate: the complete TBSCertificate and its
/// issuer, recorded before the signature is made. Recovery signs these same
/// bytes or nothing.
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
    /// The holder.
    pub holder: CertificateHolder,
    /// When it was issued.
    pub issued: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// The revocation, if it was revoked.
    pub revocation: Option<Revocation>,
}

/// The holder of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateHolder {
    /// A device with genuine evidence.
    Device {
        /// The account that ordered it.
        account: AccountId,
        /// The order.
        order: OrderId,
        /// SHA-256 of the root certificate of the evidence.
        root_sha256: [u8; 32],
    },
    /// This server's own TLS endpoint.
    Server,
}

impl CertificateHolder {
    /// Returns the account and order of a device's certificate.
    #[must_use]
    pub fn ordered(&self) -> Option<(AccountId, OrderId)> {
        match *self {
            Self::Device { account, order, .. } => Some((account, order)),
            Self::Server => None,
        }
    }
}

/// When, why and by whom a certificate was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The time of the revocation.
    pub at: Timestamp,
    /// The reason, if one was given.
    pub reason: Option<RevocationReason>,
    /// The signer of the revocation request.
    pub by: Revoker,
}

/// The signer of a revocation request (RFC 8555 section 7.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoker {
    /// An account.
    Account(AccountId),
    /// The holder of the certificate's key.
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

/// The intent of a certificate for this server's own TLS endpoint. The key
/// exists only in the memory of one process, so intents of dead processes are
/// dropped, not signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIntent {
    /// The serial number within the intent.
    pub serial: SerialNumber,
    /// The certificate to sign.
    pub intent: Intent,
    /// When it was recorded.
    pub at: Timestamp,
    /// From when on any node may drop it.
    pub lease_until: Timestamp,
}

impl ServerIntent {
    /// How many seconds the process that recorded it may take to complete it.
    pub const LEASE: u64 = 60;
}
