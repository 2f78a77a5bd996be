use assay_ca::SerialNumber;
use assay_proto::{RevocationReason, RevokeCert};

use crate::{
    AccountContext, Context, Engine, Error,
    authenticate::Requester,
    domain::{Certificate, Revocation, Revoker},
    events::Event,
    ids::AccountId,
    ports::{Change, Versioned},
    sha256,
};

/// A certificate with the chain that a relying party needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// PEM: the leaf, then its issuer. The root is omitted (RFC 8555 section
    /// 7.4.2 and RFC 8446 allow that).
    pub pem: String,
}

impl Engine {
    /// Returns a certificate of the account, with its chain.
    ///
    /// # Errors
    /// [`Error::NotFound`]; faults.
    pub async fn certificate(
        &self,
        context: &AccountContext,
        serial: SerialNumber,
    ) -> Result<Chain, Error> {
        let Some(certificate) = self.store.certificate(serial).await? else {
            return Err(Error::NotFound("certificate"));
        };
        let certificate = certificate.value;
        if owner(&certificate) != Some(context.account()) {
            return Err(Error::NotFound("certificate"));
        }
        let Some(issuer) = self.issuers.get(certificate.issuer) else {
            return Err(Error::Internal(format!(
                "the CA that issued {} is no longer loaded",
                certificate.serial
            )));
        };
        let leaf = assay_ca::certificate_pem(&certificate.der).ok_or_else(|| {
            Error::Internal("the certificate cannot be encoded as PEM".to_owned())
        })?;
        Ok(Chain {
            pem: leaf + issuer.certificate_pem(),
        })
    }

    /// revokeCert (RFC 8555 section 7.6), signed by the account that the
    /// certificate was issued to or by the certificate's own key.
    ///
    /// # Errors
    /// [`Error::RevocationUnauthorized`], [`Error::RevocationReason`],
    /// [`Error::AlreadyRevoked`]; faults.
    pub async fn revoke(
        &self,
        context: &Context<Requester>,
        asked: &RevokeCert,
    ) -> Result<(), Error> {
        let reason = asked
            .reason
            .map(|code| RevocationReason::from_code(code).ok_or(Error::RevocationReason(code)))
            .transpose()?;
        let der = &asked.certificate.0;
        let serial = assay_ca::serial_number_of(der).ok_or(Error::RevocationUnauthorized)?;
        let mut attempts = self.attempts(&context.request);
        loop {
            let found = self.store.certificate(serial.clone()).await?;
            let Versioned { value, version } = found.ok_or(Error::RevocationUnauthorized)?;
            // Compare all bytes with the issued ones: another CA may use the
            // same serial number.
            let by = revoker(&context.by, &value).filter(|_| value.der == *der);
            let by = by.ok_or(Error::RevocationUnauthorized)?;
            if value.revocation.is_some() {
                return Err(Error::AlreadyRevoked);
            }
            let now = self.now();
            let ordered = value.holder.ordered();
            let revoked = Certificate {
                revocation: Some(Revocation {
                    at: now,
                    reason,
                    by,
                }),
                ..value
            };
            let change = Change::UpdateCertificate(revoked, version);
            if attempts.commit("revoke", now, vec![change]).await? {
                self.report(&Event::Revoked {
                    request: &context.request,
                    ordered,
                    serial: &serial,
                    reason,
                    by,
                    at: now,
                });
                return Ok(());
            }
        }
    }
}

/// Returns the account that the certificate was issued to.
fn owner(certificate: &Certificate) -> Option<AccountId> {
    certificate.holder.ordered().map(|(account, _)| account)
}

/// Returns the requester, whose signature was verified, if it may revoke. Of
/// the RFC's ways only the two that need no other authorizations are supported.
fn revoker(requester: &Requester, certificate: &Certificate) -> Option<Revoker> {
    match requester {
        Requester::Account(account) => {
            let account = account.value.id;
            (owner(certificate) == Some(account)).then_some(Revoker::Account(account))
        }
        Requester::Key(key) => {
            (sha256(key.spki_der()) == certificate.spki_sha256).then_some(Revoker::CertificateKey)
        }
    }
}
