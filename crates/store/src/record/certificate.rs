use assay_engine::{
    domain::{Certificate, CertificateHolder, Intent, Revocation, Revoker, ServerIntent},
    ids::{AccountId, OrderId},
};
use assay_proto::{RevocationReason, Timestamp};
use minicbor::{Decode, Encode};

use super::{Damage, KeyCache, Record, serial};
use crate::keys;

/// An issued certificate.
#[derive(Decode, Encode)]
pub(crate) struct StoredCertificate {
    #[cbor(n(0), with = "minicbor::bytes")]
    serial: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    issuer: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    der: Vec<u8>,
    #[cbor(n(3), with = "minicbor::bytes")]
    spki_sha256: [u8; 32],
    #[n(4)]
    holder: StoredHolder,
    #[n(5)]
    issued: u64,
    #[n(6)]
    not_after: u64,
    #[n(7)]
    revocation: Option<StoredRevocation>,
}

/// The holder that a certificate was issued to.
#[derive(Decode, Encode)]
enum StoredHolder {
    #[n(0)]
    Device {
        #[cbor(n(0), with = "minicbor::bytes")]
        account: [u8; 16],
        #[cbor(n(1), with = "minicbor::bytes")]
        order: [u8; 16],
        #[cbor(n(2), with = "minicbor::bytes")]
        root_sha256: [u8; 32],
    },
    #[n(1)]
    Server,
}

/// A revocation, with its reason as a code.
#[derive(Decode, Encode)]
struct StoredRevocation {
    #[n(0)]
    at: u64,
    #[n(1)]
    reason: Option<u8>,
    #[n(2)]
    by: StoredRevoker,
}

/// The party that revoked a certificate.
#[derive(Decode, Encode)]
enum StoredRevoker {
    #[n(0)]
    Account(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]),
    #[n(1)]
    CertificateKey,
}

/// The intent of a TLS certificate for this server.
#[derive(Decode, Encode)]
pub(crate) struct StoredServerIntent {
    #[cbor(n(0), with = "minicbor::bytes")]
    serial: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    issuer: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    tbs: Vec<u8>,
    #[n(3)]
    at: u64,
    /// Absent in records of earlier versions, whose processes have ended.
    #[n(4)]
    lease_until: Option<u64>,
}

impl From<Certificate> for StoredCertificate {
    fn from(certificate: Certificate) -> Self {
        let Certificate {
            serial,
            issuer,
            der,
            spki_sha256,
            holder,
            issued,
            not_after,
            revocation,
        } = certificate;
        Self {
            serial: serial.as_bytes().to_vec(),
            issuer,
            der,
            spki_sha256,
            holder: match holder {
                CertificateHolder::Device {
                    account,
                    order,
                    root_sha256,
                } => StoredHolder::Device {
                    account: *account.as_bytes(),
                    order: *order.as_bytes(),
                    root_sha256,
                },
                CertificateHolder::Server => StoredHolder::Server,
            },
            issued: issued.0,
            not_after: not_after.0,
            revocation: revocation.map(|Revocation { at, reason, by }| StoredRevocation {
                at: at.0,
                reason: reason.map(RevocationReason::code),
                by: match by {
                    Revoker::Account(account) => StoredRevoker::Account(*account.as_bytes()),
                    Revoker::CertificateKey => StoredRevoker::CertificateKey,
                },
            }),
        }
    }
}

impl Record for StoredCertificate {
    type Domain = Certificate;
    const NAME: &'static str = "a certificate";

    fn key(&self) -> Vec<u8> {
        keys::certificate(&self.serial)
    }

    fn restore(self, _: &KeyCache) -> Result<Certificate, Damage> {
        Ok(Certificate {
            serial: serial(&self.serial)?,
            issuer: self.issuer,
            der: self.der,
            spki_sha256: self.spki_sha256,
            holder: match self.holder {
                StoredHolder::Device {
                    account,
                    order,
                    root_sha256,
                } => CertificateHolder::Device {
                    account: AccountId::from_bytes(account),
                    order: OrderId::from_bytes(order),
                    root_sha256,
                },
                StoredHolder::Server => CertificateHolder::Server,
            },
            issued: Timestamp(self.issued),
            not_after: Timestamp(self.not_after),
            revocation: self.revocation.map(TryInto::try_into).transpose()?,
        })
    }
}

impl TryFrom<StoredRevocation> for Revocation {
    type Error = Damage;

    fn try_from(stored: StoredRevocation) -> Result<Self, Damage> {
        let reason = |code: u8| {
            RevocationReason::from_code(code.into()).ok_or(Damage::Field("revocation reason"))
        };
        Ok(Self {
            at: Timestamp(stored.at),
            reason: stored.reason.map(reason).transpose()?,
            by: match stored.by {
                StoredRevoker::Account(account) => Revoker::Account(AccountId::from_bytes(account)),
                StoredRevoker::CertificateKey => Revoker::CertificateKey,
            },
        })
    }
}

impl From<ServerIntent> for StoredServerIntent {
    fn from(intent: ServerIntent) -> Self {
        let ServerIntent {
            serial,
            intent: Intent { issuer, tbs },
            at,
            lease_until,
        } = intent;
        Self {
            serial: serial.as_bytes().to_vec(),
            issuer,
            tbs,
            at: at.0,
            lease_until: Some(lease_until.0),
        }
    }
}

impl Record for StoredServerIntent {
    type Domain = ServerIntent;
    const NAME: &'static str = "a server intent";

    fn key(&self) -> Vec<u8> {
        keys::server_intent(&self.serial)
    }

    fn restore(self, _: &KeyCache) -> Result<ServerIntent, Damage> {
        Ok(ServerIntent {
            serial: serial(&self.serial)?,
            intent: Intent {
                issuer: self.issuer,
                tbs: self.tbs,
            },
            at: Timestamp(self.at),
            lease_until: Timestamp(self.lease_until.unwrap_or(self.at)),
        })
    }
}
