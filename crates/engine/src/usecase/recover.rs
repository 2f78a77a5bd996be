use assay_ca::PreparedCert;
use assay_proto::Timestamp;

use crate::{
    Engine, Error,
    domain::{Order, OrderState, Processing},
    ids::OrderId,
    ports::Versioned,
};

impl Engine {
    /// Brings an order to its end whose signing was interrupted and whose lease
    /// is over; any other order is returned as it is.
    ///
    /// The recorded bytes are signed, or the order fails: there is no second
    /// serial number.
    pub(crate) async fn resolve(&self, order: Versioned<Order>) -> Result<Versioned<Order>, Error> {
        let OrderState::Processing(processing) = &order.value.state else {
            return Ok(order);
        };
        if self.now() < processing.lease_until {
            return Ok(order);
        }
        let (id, processing) = (order.value.id, processing.clone());
        let result = match self.take_up(&order.value, &processing).await? {
            Ok(prepared) => self.complete(order, processing, prepared).await,
            Err((reason, detail)) => self.abandon(order, reason, detail).await,
        };
        match result {
            // Somebody else resolved it meanwhile: what is stored counts.
            Ok(_) | Err(Error::Contention) => match self.store.order(id).await? {
                Some(order) => Ok(order),
                None => Err(Error::Internal(format!("the order {id} vanished"))),
            },
            Err(fault) => Err(fault),
        }
    }

    /// What an interrupted issuance had prepared, if it may still be signed;
    /// otherwise the stable name of the reason, and the reason.
    async fn take_up(
        &self,
        order: &Order,
        processing: &Processing,
    ) -> Result<Result<PreparedCert, (&'static str, String)>, Error> {
        if processing.intent.issuer != self.issuer.id() {
            let detail = "the CA that was to sign is not loaded any more".to_owned();
            return Ok(Err(("issuer-gone", detail)));
        }
        let prepared = match self.issuer.resume(&processing.intent.tbs) {
            Ok(prepared) => prepared,
            Err(fault) => return Ok(Err(("intent-unusable", fault.to_string()))),
        };
        let not_after = Timestamp(prepared.not_after());
        if not_after < self.now() {
            let detail = format!("the certificate would have ended at {not_after}");
            return Ok(Err(("intent-ended", detail)));
        }
        // Days may have passed, and the operator changed the list or the roots.
        let authorizations = self.authorizations(order).await?;
        match self
            .check_still_good(&authorizations, &processing.root_sha256)
            .await
        {
            Ok(()) => Ok(Ok(prepared)),
            Err(Error::Issuance(refusal)) => Ok(Err((refusal.as_str(), refusal.to_string()))),
            Err(fault) => Err(fault),
        }
    }

    /// Resolves every order whose lease is over. Returns when the next lease
    /// ends, where one is still running.
    ///
    /// # Errors
    /// The first fault, once all orders had their turn: one that cannot be
    /// resolved holds up no other.
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

    /// Resolves one order; the end of its lease, where that is still running.
    async fn recover_order(&self, id: OrderId) -> Result<Option<Timestamp>, Error> {
        let Some(order) = self.store.order(id).await? else {
            return Ok(None);
        };
        Ok(match self.resolve(order).await?.value.state {
            OrderState::Processing(processing) => Some(processing.lease_until),
            _ => None,
        })
    }
}
