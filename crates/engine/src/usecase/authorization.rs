use assay_proto::{AuthorizationUpdate, truncate_quote};

use super::end::end_order;
use crate::{
    AccountContext, Engine, Error,
    domain::{Authorization, AuthorizationStatus, Failure},
    events::Event,
    ids::{AccountId, AuthorizationId},
    ports::{Change, Versioned},
};

impl Engine {
    /// Returns an authorization of the account.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Clock`] if it has expired while the clock
    /// is in doubt; faults.
    pub async fn authorization(
        &self,
        context: &AccountContext,
        id: AuthorizationId,
    ) -> Result<Versioned<Authorization>, Error> {
        self.authorization_of(context.account(), id).await
    }

    pub(super) async fn authorization_of(
        &self,
        account: AccountId,
        id: AuthorizationId,
    ) -> Result<Versioned<Authorization>, Error> {
        let found = self.store.authorization(id).await?;
        self.check_authorization(account, found, "authorization")
    }

    /// Checks that `found` exists and belongs to the account.
    pub(super) fn check_authorization(
        &self,
        account: AccountId,
        found: Option<Versioned<Authorization>>,
        resource: &'static str,
    ) -> Result<Versioned<Authorization>, Error> {
        match found {
            Some(authorization) if authorization.value.account == account => {
                let clock = self.read_clock();
                if authorization.value.status(clock.now) == AuthorizationStatus::Expired {
                    clock.settled()?;
                }
                Ok(authorization)
            }
            _ => Err(Error::NotFound(resource)),
        }
    }

    /// Deactivates an authorization (RFC 8555 section 7.5.2). If its order was
    /// pending or ready it becomes invalid; a valid order stays valid.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::StatusNotSettable`],
    /// [`Error::AuthorizationFinal`]; faults.
    pub async fn update_authorization(
        &self,
        context: &AccountContext,
        id: AuthorizationId,
        update: &AuthorizationUpdate,
    ) -> Result<Authorization, Error> {
        if update.status != "deactivated" {
            return Err(Error::StatusNotSettable(truncate_quote(&update.status)));
        }
        let mut attempts = self.attempts(&context.request);
        loop {
            let now = self.now();
            let Versioned { value, version } = self.authorization(context, id).await?;
            match value.status(now) {
                AuthorizationStatus::Deactivated => return Ok(value),
                AuthorizationStatus::Expired | AuthorizationStatus::Invalid => {
                    return Err(Error::AuthorizationFinal);
                }
                AuthorizationStatus::Pending | AuthorizationStatus::Valid => {}
            }
            let order = self.order(context, value.order).await?;
            let (order_id, order_ended) = (order.value.id, order.value.is_open(now));
            let deactivated = value.deactivate(now)?;
            let mut changes = vec![Change::UpdateAuthorization(deactivated.clone(), version)];
            if order_ended {
                let detail = format!("the client deactivated the authorization {id}");
                let failure = Failure::deactivated("authorization", detail, now);
                let ended = end_order(&*self.store, order, failure, &[id]).await?;
                changes.extend(ended.changes);
            }
            if attempts
                .commit("deactivate-authorization", now, changes)
                .await?
            {
                self.report(&Event::AuthorizationDeactivated {
                    request: &context.request,
                    account: context.account(),
                    authorization: id,
                    order: order_id,
                    order_ended,
                    at: now,
                });
                return Ok(deactivated);
            }
        }
    }
}
