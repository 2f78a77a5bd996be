use assay_ca::{Csr, IssuedCert, Issuer, PreparedCert};
use assay_jws::PublicKey;
use assay_proto::{Problem, ProblemType, Timestamp};

use super::end::end_order;
use crate::{
    AccountContext, Engine, Error, RequestInfo,
    domain::{
        Authorization, Certificate, CertificateHolder, Failure, Gate, Intent, NotReady, Order,
        OrderState, Processing,
    },
    error::{CsrRefusal, IssuanceRefusal},
    events::{Event, Refused, RefusedIssuance},
    health::Part,
    ids::OrderId,
    issuance,
    ports::{Change, CommitError, Versioned},
    profile::Profile,
    refusal::joined,
    signing::NotSigned,
    time::ClockReading,
};

impl Engine {
    /// finalize: the third gate, then record, sign, record.
    ///
    /// The two commits are never repeated: after an unknown result the order is
    /// read again, or recovered after its lease, but never signed under another
    /// serial number.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::OrderNotReady`], [`Error::Csr`],
    /// [`Error::Issuance`]; faults.
    pub async fn finalize(
        &self,
        context: &AccountContext,
        id: OrderId,
        csr: &[u8],
    ) -> Result<Order, Error> {
        let order = self.order(context, id).await?;
        let clock = self.read_clock();
        let now = clock.now;
        // RFC 8555 section 7.4: "A request to finalize an order will result in
        // error if the order is not in the "ready" state. In such cases, the
        // server MUST return a 403 (Forbidden) error with a problem document of
        // type "orderNotReady"."
        order.value.check_ready(now)?;
        self.report(&Event::CsrReceived {
            order: id,
            authorizations: &order.value.authorizations,
            csr,
            profile: order.value.profile.as_str(),
            settings: self.profile_of(&order.value).ok(),
        });
        let authorizations = self.valid_authorizations(context, &order, now).await?;
        let prepared = self.prepare(&order.value, &authorizations, csr, &clock);
        let prepared = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => {
                self.report_issuance(&context.request, &order.value, csr, &error)
                    .await;
                return Err(error);
            }
        };
        let processing = Processing {
            intent: Intent {
                issuer: prepared.signable.cert.issuer_id(),
                tbs: prepared.signable.cert.tbs_der().to_vec(),
            },
            serial: prepared.signable.cert.serial().clone(),
            spki_sha256: prepared.spki_sha256,
            root_sha256: prepared.root_sha256,
            lease_until: now.plus(Order::LEASE),
        };
        let value = order.value.begin(processing, now)?;
        let begin = vec![Change::UpdateOrder(value.clone(), order.version)];
        match self
            .commit(&context.request, "finalize-begin", now, begin)
            .await
        {
            Ok(version) => {
                let begun = Versioned { value, version };
                self.complete(begun, &authorizations, Some(csr), prepared.signable)
                    .await
            }
            Err(CommitError::Conflict(_)) => {
                let overtaken = self.order(context, id).await?;
                Err(NotReady(overtaken.value.status(now)).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Signs the order's stored intent and records the certificate. The
    /// certificate is returned only once it is durable. If another attempt took
    /// over or ended the order meanwhile, the stored state counts. On a signing
    /// timeout the order stays in processing, and recovery retries after the
    /// lease. `csr` is the one that was just sent, if there is one.
    pub(crate) async fn complete(
        &self,
        order: Versioned<Order>,
        authorizations: &[Authorization],
        csr: Option<&[u8]>,
        Signable { issuer, cert }: Signable<'_>,
    ) -> Result<Order, Error> {
        let signed = self.sign(issuer, cert).await;
        let now = self.now();
        let issued = match signed {
            Ok(issued) => issued,
            Err(not_signed) => {
                let detail = not_signed.to_string();
                self.health.fail(Part::Signer, detail.clone());
                return match not_signed {
                    NotSigned::Failed(_) => {
                        let failure = unsigned("signing-failed", detail, now);
                        self.abandon(order, failure).await
                    }
                    NotSigned::Late | NotSigned::NoThread => {
                        self.report(&Event::IssuancePostponed {
                            account: order.value.account,
                            order: order.value.id,
                            reason: "signing-late",
                            detail: &detail,
                        });
                        Ok(order.value)
                    }
                };
            }
        };
        self.health.recover(Part::Signer);
        let certificate = certificate(&order.value, &issued, now)?;
        let finished = order.value.complete()?;
        let not_after = certificate.not_after;
        let changes = vec![
            Change::InsertCertificate(certificate),
            Change::UpdateOrder(finished.clone(), order.version),
        ];
        // The previous commit carried the request's nonce, if there is a
        // request.
        let request = RequestInfo::default();
        match self
            .commit(&request, "finalize-complete", now, changes)
            .await
        {
            Ok(_) => {
                self.report(&Event::Issued {
                    account: finished.account,
                    order: finished.id,
                    authorizations: &finished.authorizations,
                    serial: issued.serial(),
                    certificate: issued.der(),
                    csr,
                    evidence: authorizations.iter().find_map(Authorization::evidence),
                    issuer: issuer.name(),
                    not_after,
                    at: now,
                });
                Ok(finished)
            }
            Err(CommitError::Conflict(_)) => Ok(self.as_stored(finished.id).await?.value),
            Err(error) => Err(error.into()),
        }
    }

    /// Fails an order whose certificate cannot be signed.
    pub(crate) async fn abandon(
        &self,
        order: Versioned<Order>,
        failure: Failure,
    ) -> Result<Order, Error> {
        let (id, now) = (order.value.id, failure.at);
        let ended = end_order(&*self.store, order, failure.clone(), &[]).await?;
        let (failed, request) = (ended.order, RequestInfo::default());
        match self
            .commit(&request, "finalize-abandon", now, ended.changes)
            .await
        {
            Ok(_) => {}
            Err(CommitError::Conflict(_)) => return Ok(self.as_stored(id).await?.value),
            Err(error) => return Err(error.into()),
        }
        if failure.problem.kind == ProblemType::ServerInternal {
            self.report(&Event::IssuanceFailed {
                account: failed.account,
                order: id,
                authorizations: &failed.authorizations,
                failure: &failure,
            });
        } else {
            self.report_failed_order(&request, &failure, &failed, &names(&failed));
        }
        Ok(failed)
    }

    /// Reads an order that another request may have ended.
    pub(crate) async fn as_stored(&self, id: OrderId) -> Result<Versioned<Order>, Error> {
        let order = self.store.order(id).await?;
        order.ok_or_else(|| Error::Internal(format!("the order {id} is no longer in the store")))
    }

    /// Returns the authorizations of a ready order, all of them valid.
    async fn valid_authorizations(
        &self,
        context: &AccountContext,
        order: &Versioned<Order>,
        now: Timestamp,
    ) -> Result<Vec<Authorization>, Error> {
        let authorizations = self.authorizations(&order.value).await?;
        let mut all = authorizations.iter();
        if let Some(other) = all.find(|one| one.basis(now).is_none()) {
            // Deactivating an authorization also ends its order.
            let (id, version) = (order.value.id, order.version);
            let current = self.order(context, id).await?;
            if current.version != version {
                return Err(NotReady(current.value.status(now)).into());
            }
            return Err(Error::Internal(format!(
                "the order {id} is ready, but its authorization {} is not valid",
                other.id
            )));
        }
        Ok(authorizations)
    }

    /// Returns the order's authorizations, in its order.
    pub(crate) async fn authorizations(&self, order: &Order) -> Result<Vec<Authorization>, Error> {
        let mut authorizations = Vec::with_capacity(order.authorizations.len());
        for id in &order.authorizations {
            let authorization = self.authorization_of(order.account, *id).await?;
            authorizations.push(authorization.value);
        }
        Ok(authorizations)
    }

    /// Repeats the checks of newOrder and of the challenge: each device must
    /// still be admitted, and the root of each evidence still trusted.
    ///
    /// The certificate record names one root, the first one's, but the
    /// certificate covers all authorizations, so every root is checked. An
    /// authorization without evidence has no root to trust.
    ///
    /// # Errors
    /// [`Error::Issuance`]; faults.
    pub(crate) async fn check_still_good(
        &self,
        order: &Order,
        authorizations: &[Authorization],
    ) -> Result<(), Error> {
        let directory = self.directories.get(&order.directory);
        let directory = directory.ok_or(IssuanceRefusal::ProfileNotOffered);
        let admission = directory.map_err(Error::Issuance)?.admission();
        for authorization in authorizations {
            let admitted = admission.admit(&authorization.identifier).await?;
            let attribute = authorization.admitted.attribute;
            if admitted.map(|admitted| admitted.attribute) != Ok(attribute) {
                return Err(Error::Issuance(IssuanceRefusal::NoLongerAdmitted));
            }
        }
        let trusted = |authorization: &Authorization| {
            let evidence = authorization.evidence();
            evidence.is_some_and(|evidence| self.trusts_root(&evidence.root_sha256))
        };
        if !authorizations.iter().all(trusted) {
            return Err(Error::Issuance(IssuanceRefusal::RootNoLongerTrusted));
        }
        Ok(())
    }

    /// Checks everything that can be refused before a certificate is signed.
    async fn prepare(
        &self,
        order: &Order,
        authorizations: &[Authorization],
        csr: &[u8],
        clock: &ClockReading,
    ) -> Result<Prepared<'_>, Error> {
        let now = clock.now;
        let csr = Csr::parse(csr).map_err(CsrRefusal::Unreadable)?;
        let profile = self.profile_of(order)?;
        let evidence = issuance::check_csr(&csr, order, authorizations, profile, now)?;
        issuance::check_one_device(authorizations, now).map_err(Error::Issuance)?;
        // RFC 8555 section 11.1: "ACME clients and servers MUST verify that a
        // CSR submitted in a finalize request does not contain a public key for
        // any known account key pair."
        if let Ok(key) = PublicKey::from_spki_der(csr.spki_der())
            && self.store.is_account_key(*key.thumbprint()).await?
        {
            return Err(CsrRefusal::AccountKey.into());
        }
        self.check_still_good(order, authorizations).await?;
        let validity = self
            .validity_limits(profile, clock)?
            .of(order.not_before, order.not_after, clock.issuing())
            .map_err(Error::Issuance);
        let validity = clock.settle(validity)?;
        let leaf = issuance::leaf(&csr, order, evidence, profile, validity)?;
        let issuer = self.issuers.issuing();
        let cert = issuance::prepare(issuer, &leaf, self.draw_serial())?;
        Ok(Prepared {
            signable: Signable { issuer, cert },
            spki_sha256: evidence.spki_sha256,
            root_sha256: evidence.root_sha256,
        })
    }

    /// Returns the profile that the order was created for. The operator may
    /// have removed it from the directory since.
    fn profile_of(&self, order: &Order) -> Result<&Profile, Error> {
        let directory = self.directories.get(&order.directory);
        let profile = directory.and_then(|directory| directory.profile(&order.profile));
        profile.ok_or(Error::Issuance(IssuanceRefusal::ProfileNotOffered))
    }

    /// Reports a refused certificate and notes the refusal at its order, which
    /// stays ready.
    async fn report_issuance(
        &self,
        request: &RequestInfo,
        order: &Order,
        csr: &[u8],
        error: &Error,
    ) {
        let (kind, reason) = match error {
            Error::Csr(refused) => (ProblemType::BadCsr, refused.as_str()),
            Error::Issuance(refused) => (ProblemType::Unauthorized, refused.as_str()),
            _ => return,
        };
        self.report(&Event::Refused(Refused {
            request,
            gate: Gate::Issuance,
            kind,
            account: order.account,
            order: Some(order.id),
            identifier: &names(order),
            reason,
            detail: error,
            object_sha256: None,
            issuance: Some(RefusedIssuance {
                authorizations: &order.authorizations,
                csr: Some(csr),
                problem: &error.into(),
            }),
        }));
        self.note(request, order.id, reason, &error.to_string())
            .await;
    }
}

/// A prepared certificate and its issuer.
pub(crate) struct Signable<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) cert: PreparedCert,
}

/// A certificate that passed the gate but is not recorded yet.
struct Prepared<'a> {
    signable: Signable<'a>,
    spki_sha256: [u8; 32],
    root_sha256: [u8; 32],
}

/// Builds the certificate record of an order that is being signed.
fn certificate(order: &Order, issued: &IssuedCert, now: Timestamp) -> Result<Certificate, Error> {
    let OrderState::Processing(processing) = order.state() else {
        return Err(Error::Internal(format!(
            "the order {} was signed but is not in processing",
            order.id
        )));
    };
    Ok(Certificate {
        serial: issued.serial().clone(),
        issuer: processing.intent.issuer,
        der: issued.der().to_vec(),
        spki_sha256: processing.spki_sha256,
        holder: CertificateHolder::Device {
            account: order.account,
            order: order.id,
            root_sha256: processing.root_sha256,
        },
        issued: now,
        not_after: Timestamp(issued.not_after()),
        revocation: None,
    })
}

fn names(order: &Order) -> String {
    joined(order.identifiers.iter().map(|one| one.to_wire().value))
}

/// The failure of an order whose certificate could not be signed; not the
/// client's fault.
pub(crate) fn unsigned(reason: &str, detail: String, at: Timestamp) -> Failure {
    Failure {
        problem: Problem::new(
            ProblemType::ServerInternal,
            "the certificate could not be signed: make a new order",
        ),
        gate: Gate::Issuance,
        reason: reason.to_owned(),
        detail,
        object_sha256: None,
        at,
    }
}
