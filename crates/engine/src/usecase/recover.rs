use assay_proto::Timestamp;

use crate::{
    Engine, Error, RequestInfo,
    domain::{AccountState, Authorization, Failure, Held, Order, OrderState, Processing, Work},
    ids::OrderId,
    ports::{Change, CommitError, Versioned},
    usecase::finalize::{Signable, unsigned},
};

impl Engine {
    /// Resolves an order whose signing was interrupted and whose lease is over;
    /// any other order is returned unchanged.
    ///
    /// The recorded bytes are signed, or the order fails: there is no second
    /// serial number. Of concurrent attempts on all nodes one gets the new
    /// lease and signs, so a slow signer is not called once per read.
    pub(crate) async fn resolve(&self, order: Versioned<Order>) -> Result<Versioned<Order>, Error> {
        let OrderState::Processing(processing) = order.value.state() else {
            return Ok(order);
        };
        if self.now() < processing.lease_until {
            return Ok(order);
        }
        let (id, processing) = (order.value.id, processing.clone());
        match self.take_up(&order.value, &processing).await? {
            Ok((prepared, authorizations)) => {
                let Some(order) = self.resume(order).await? else {
                    return self.as_stored(id).await;
                };
                self.complete(order, &authorizations, None, prepared)
                    .await?
            }
            Err(failure) => self.abandon(order, failure).await?,
        };
        self.as_stored(id).await
    }

    /// Takes another lease on an order for this attempt. Returns `None` if
    /// another attempt was first.
    async fn resume(&self, order: Versioned<Order>) -> Result<Option<Versioned<Order>>, Error> {
        let now = self.now();
        let value = order.value.resume(now.plus(Order::LEASE))?;
        let change = Change::UpdateOrder(value.clone(), order.version);
        let request = RequestInfo::default();
        match self
            .commit(&request, "finalize-resume", now, vec![change])
            .await
        {
            Ok(version) => Ok(Some(Versioned { value, version })),
            Err(CommitError::Conflict(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns what an interrupted issuance had prepared, or why it must not be
    /// signed any more. Days may have passed: the operator may have changed the
    /// list, the roots or the CA, or the client may have deactivated the
    /// account or an authorization.
    async fn take_up(
        &self,
        order: &Order,
        processing: &Processing,
    ) -> Result<Result<(Signable<'_>, Vec<Authorization>), Failure>, Error> {
        let clock = self.read_clock();
        let now = clock.now;
        let unsigned = |reason, detail| Ok(Err(unsigned(reason, detail, now)));
        let Some(issuer) = self.issuers.get(processing.intent.issuer) else {
            let detail = "the CA that was to sign is not loaded any more".to_owned();
            return unsigned("issuer-gone", detail);
        };
        let prepared = match issuer.resume(&processing.intent.tbs) {
            Ok(prepared) => prepared,
            Err(fault) => return unsigned("intent-unusable", fault.to_string()),
        };
        let not_after = Timestamp(prepared.not_after());
        if not_after < now {
            clock.settled()?;
            let detail = format!("the certificate would have ended at {not_after}");
            return unsigned("intent-ended", detail);
        }
        let deactivated = |what| {
            let detail = format!("the client deactivated the {what} before the signature");
            Ok(Err(Failure::deactivated(what, detail, now)))
        };
        match self.store.account(order.account).await? {
            Some(account) if account.value.state == AccountState::Valid => {}
            _ => return deactivated("account"),
        }
        let authorizations = self.authorizations(order).await?;
        if authorizations.iter().any(|one| one.deactivated().is_some()) {
            return deactivated("authorization");
        }
        match self.check_still_good(order, &authorizations).await {
            Ok(()) => Ok(Ok((
                Signable {
                    issuer,
                    cert: prepared,
                },
                authorizations,
            ))),
            Err(Error::Issuance(refusal)) => Ok(Err(Failure::refused(refusal, now))),
            Err(fault) => Err(fault),
        }
    }

    /// Resolves every order whose lease is over; only the node with the lease
    /// on that work does so. Returns the end of the next lease that is still
    /// running.
    ///
    /// # Errors
    /// The first error, after all orders were tried: one failing order does not
    /// block the others.
    pub async fn recover(&self) -> Result<Option<Timestamp>, Error> {
        let mut next: Option<Timestamp> = None;
        let mut first_fault = Ok(());
        for id in self.store.orders_in_processing().await? {
            match self.recover_order(id).await {
                Ok(None) => {}
                Ok(Some(lease)) => next = Some(next.map_or(lease, |first| first.min(lease))),
                Err(fault) => first_fault = first_fault.and(Err(fault)),
            }
        }
        first_fault.map(|()| next)
    }

    /// Resolves one order; returns the end of its lease if that is still
    /// running.
    async fn recover_order(&self, id: OrderId) -> Result<Option<Timestamp>, Error> {
        let Some(order) = self.store.order(id).await? else {
            return Ok(None);
        };
        if let OrderState::Processing(processing) = order.value.state() {
            if self.now() < processing.lease_until {
                return Ok(Some(processing.lease_until));
            }
            if let Err(Held(until)) = self.take_lease(Work::Recovery).await? {
                return Ok(Some(until));
            }
        }
        Ok(match self.resolve(order).await?.value.state() {
            OrderState::Processing(processing) => Some(processing.lease_until),
            _ => None,
        })
    }
}
