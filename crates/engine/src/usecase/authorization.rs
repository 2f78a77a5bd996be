use assay_proto::{AuthorizationUpdate, OrderStatus, cut};

use crate::{
    Context, Engine, Error,
    domain::{Authorization, AuthorizationStatus, Failure},
    engine::ATTEMPTS,
    events::What,
    ids::{AccountId, AuthorizationId},
    ports::{Change, CommitError, Versioned},
};

impl Engine {
    /// An authorization of the account's.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Clock`] for one that has expired while the
    /// clock is in doubt, faults.
    pub async fn authorization(
        &self,
        account: AccountId,
        id: AuthorizationId,
    ) -> Result<Versioned<Authorization>, Error> {
        match self.store.authorization(id).await? {
            Some(authorization) if authorization.value.account == account => {
                let clock = self.read_clock();
                if authorization.value.status(clock.now) == AuthorizationStatus::Expired {
                    clock.settled()?;
                }
                Ok(authorization)
            }
            _ => Err(Error::NotFound("authorization")),
        }
    }

    /// Deactivates an authorization (RFC 8555 section 7.5.2). An order that
    /// was pending or ready on it is invalid then; a valid one stays valid.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::StatusNotSettable`],
    /// [`Error::AuthorizationFinal`], faults.
    pub async fn update_authorization(
        &self,
        context: &Context,
        account: AccountId,
        id: AuthorizationId,
        update: &AuthorizationUpdate,
    ) -> Result<Authorization, Error> {
        if update.status != "deactivated" {
            return Err(Error::StatusNotSettable(cut(&update.status)));
        }
        for _ in 0..ATTEMPTS {
            let now = self.now();
            let Versioned { value, version } = self.authorization(account, id).await?;
            match value.status(now) {
                AuthorizationStatus::Deactivated => return Ok(value),
                AuthorizationStatus::Expired | AuthorizationStatus::Invalid => {
                    return Err(Error::AuthorizationFinal);
                }
                AuthorizationStatus::Pending | AuthorizationStatus::Valid => {}
            }
            let order = self.order(account, value.order).await?;
            let deactivated = value.deactivate(now);
            let order_id = order.value.id;
            let order_ended = matches!(
                order.value.status(now),
                OrderStatus::Pending | OrderStatus::Ready
            );
            let mut changes = vec![Change::UpdateAuthorization(deactivated.clone(), version)];
            if order_ended {
                let detail = format!("the client deactivated the authorization {id}");
                let failure = Failure::deactivated("authorization", detail, now);
                changes.push(Change::UpdateOrder(
                    order.value.fail(failure),
                    order.version,
                ));
            }
            match self
                .commit(context, "deactivate-authorization", now, changes)
                .await
            {
                Ok(_) => {
                    let what = What::AuthorizationDeactivated {
                        authorization: id,
                        order: order_id,
                        order_ended,
                    };
                    self.happened(context, account, what);
                    return Ok(deactivated);
                }
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contention)
    }
}
