use assay_proto::Timestamp;

use crate::{
    Engine, Error,
    domain::{Order, OrderState},
    ports::{CommitError, Versioned},
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
        let result = if processing.intent.issuer == self.issuer.id() {
            match self.issuer.resume(&processing.intent.tbs) {
                Ok(prepared) => self.complete(order, processing, prepared).await,
                Err(fault) => {
                    self.abandon(order, "intent-unusable", fault.to_string())
                        .await
                }
            }
        } else {
            let detail = "the CA that was to sign is not loaded any more".to_owned();
            self.abandon(order, "issuer-gone", detail).await
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

    /// Resolves every order whose lease is over. Returns when the next lease
    /// ends, where one is still running.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn recover(&self) -> Result<Option<Timestamp>, Error> {
        let mut next: Option<Timestamp> = None;
        for id in self.store.orders_in_processing().await? {
            let Some(order) = self.store.order(id).await? else {
                continue;
            };
            if let OrderState::Processing(processing) = self.resolve(order).await?.value.state {
                let lease = processing.lease_until;
                next = Some(next.map_or(lease, |earliest| earliest.min(lease)));
            }
        }
        Ok(next)
    }
}

impl Error {
    /// An overtaken commit that is not tried again, or a fault of the store.
    pub(crate) fn from_commit(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(_) => Self::Contention,
            CommitError::Store(fault) => Self::Store(fault),
        }
    }
}
