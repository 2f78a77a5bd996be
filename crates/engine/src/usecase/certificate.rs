use assay_ca::SerialNumber;
use assay_proto::{Identifier, RevocationReason, RevokeCert, Timestamp};

use crate::{
    Engine, Error,
    authenticate::Requester,
    domain::{Certificate, CertificateHolder, Revocation},
    engine::ATTEMPTS,
    ids::{AccountId, OrderId},
    ports::{Change, CommitError, OrderCursor, Versioned},
    sha256,
};

/// The most of an account's orders that are searched for authorizations, so that
/// a refusal stays cheap.
const ORDERS: usize = 500;

/// A certificate and what a relying party needs to verify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// PEM: the leaf, then its issuer; the root is left out (RFC 8555 section
    /// 7.4.2 allows it, RFC 8446 too).
    pub pem: String,
}

impl Engine {
    /// A certificate of the account's, with its chain.
    ///
    /// # Errors
    /// [`Error::NotFound`], faults.
    pub async fn certificate(
        &self,
        account: AccountId,
        serial: SerialNumber,
    ) -> Result<Chain, Error> {
        let Some(certificate) = self.store.certificate(serial).await? else {
            return Err(Error::NotFound("certificate"));
        };
        let certificate = certificate.value;
        match certificate.holder {
            CertificateHolder::Device { account: owner, .. } if owner == account => {}
            _ => return Err(Error::NotFound("certificate")),
        }
        if certificate.issuer != self.issuer.id() {
            return Err(Error::Internal(format!(
                "the CA that issued {} is not loaded any more",
                certificate.serial
            )));
        }
        let leaf = assay_ca::certificate_pem(&certificate.der)
            .ok_or_else(|| Error::Internal("the certificate has no PEM form".to_owned()))?;
        Ok(Chain {
            pem: leaf + self.issuer.certificate_pem(),
        })
    }

    /// revokeCert (RFC 8555 section 7.6), by the account that the certificate
    /// was issued to, by one that proved the same identifiers, or by the
    /// certificate's own key.
    ///
    /// # Errors
    /// [`Error::RevocationUnauthorized`], [`Error::RevocationReason`],
    /// [`Error::AlreadyRevoked`], faults.
    pub async fn revoke(&self, requester: &Requester, request: &RevokeCert) -> Result<(), Error> {
        let reason = request
            .reason
            .map(|code| RevocationReason::from_code(code).ok_or(Error::RevocationReason(code)))
            .transpose()?;
        let der = &request.certificate.0;
        let serial = assay_ca::serial_number_of(der).ok_or(Error::RevocationUnauthorized)?;
        for _ in 0..ATTEMPTS {
            let Some(Versioned { value, version }) = self.store.certificate(serial.clone()).await?
            else {
                return Err(Error::RevocationUnauthorized);
            };
            // The bytes must be those that were issued: another CA may use the
            // same serial number.
            if value.der != *der {
                return Err(Error::RevocationUnauthorized);
            }
            let now = self.now();
            let Some(by) = self.may_revoke(requester, &value, now).await? else {
                return Err(Error::RevocationUnauthorized);
            };
            if value.revocation.is_some() {
                return Err(Error::AlreadyRevoked);
            }
            let revoked = Certificate {
                revocation: Some(Revocation { at: now, reason }),
                ..value
            };
            let change = Change::UpdateCertificate(revoked, version);
            match self.commit("revoke", now, vec![change]).await {
                Ok(_) => {
                    tracing::info!(
                        event = "revoked",
                        serial = %serial,
                        reason = reason.map(RevocationReason::code),
                        by = by.as_str(),
                        account = requester.account().map(tracing::field::display),
                        "revoked"
                    );
                    return Ok(());
                }
                Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Store(fault)) => return Err(fault.into()),
            }
        }
        Err(Error::Contention)
    }

    /// As whom the requester, whose signature was verified, may revoke; `None`
    /// when it may not.
    ///
    /// RFC 8555 section 7.6: "The server MUST consider at least the following
    /// accounts authorized for a given certificate: the account that issued the
    /// certificate; an account that holds authorizations for all of the
    /// identifiers in the certificate. The server MUST also consider a revocation
    /// request valid if it is signed with the private key corresponding to the
    /// public key in the certificate."
    async fn may_revoke(
        &self,
        requester: &Requester,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Result<Option<Revoker>, Error> {
        let requester = match requester {
            Requester::Account(account) => account.value.id,
            Requester::Key(key) => {
                let is_its_own = sha256(key.spki_der()) == certificate.spki_sha256;
                return Ok(is_its_own.then_some(Revoker::CertificateKey));
            }
        };
        let CertificateHolder::Device { account, order, .. } = certificate.holder else {
            return Ok(None);
        };
        if account == requester {
            return Ok(Some(Revoker::Account));
        }
        // The certificate need not show what it was ordered for.
        let Some(order) = self.store.order(order).await? else {
            return Ok(None);
        };
        let holds = self
            .holds_all(requester, order.value.identifiers, now)
            .await?;
        Ok(holds.then_some(Revoker::OtherAccount))
    }

    /// Whether the account holds, at `now`, a valid authorization for each of
    /// these identifiers, from whichever of its orders.
    async fn holds_all(
        &self,
        account: AccountId,
        identifiers: Vec<Identifier>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        // Of nothing, everybody would hold all.
        if identifiers.is_empty() {
            return Ok(false);
        }
        let mut missing = identifiers;
        // An authorization ends with its order, at the latest.
        let since = OrderCursor {
            created: now.minus(self.limits.order_lifetime),
            id: OrderId::from_bytes([0; 16]),
        };
        let orders = self
            .store
            .orders(Some(account), Some(since), ORDERS)
            .await?;
        for cursor in orders {
            let Some(order) = self.store.order(cursor.id).await? else {
                continue;
            };
            for id in order.value.authorizations {
                if let Some(authorization) = self.store.authorization(id).await?
                    && authorization.value.validated(now).is_some()
                {
                    missing.retain(|identifier| *identifier != authorization.value.identifier);
                }
            }
            if missing.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// As whom a certificate is revoked.
#[derive(Clone, Copy)]
enum Revoker {
    /// The account that it was issued to.
    Account,
    /// Whoever holds its private key.
    CertificateKey,
    /// An account that proved the same identifiers.
    OtherAccount,
}

impl Revoker {
    fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::CertificateKey => "certificate-key",
            Self::OtherAccount => "other-account",
        }
    }
}
