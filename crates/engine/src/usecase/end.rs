use crate::{
    Error,
    domain::{Authorization, Failure, Order},
    ids::AuthorizationId,
    ports::{Change, Store, Versioned},
};

/// An order that ended, with all changes that this entails.
pub(crate) struct EndedOrder {
    pub(crate) order: Order,
    pub(crate) changes: Vec<Change>,
}

/// Ends an order that is not final. No other function does, so everything that
/// an order holds is released here. Authorizations in validation change too,
/// except `but`, which the caller changes itself.
///
/// # Errors
/// [`Error::Internal`] for a final order; when the store fails.
pub(crate) async fn end_order(
    store: &dyn Store,
    order: Versioned<Order>,
    failure: Failure,
    but: &[AuthorizationId],
) -> Result<EndedOrder, Error> {
    let Versioned { value, version } = order;
    let mut changes = Vec::new();
    for id in value.authorizations.iter().filter(|id| !but.contains(id)) {
        if let Some(Versioned { value, version }) = store.authorization(*id).await?
            && let Some(stopped) = stop_validation(value, &failure)?
        {
            changes.push(Change::UpdateAuthorization(stopped, version));
        }
    }
    let order = value.fail(failure)?;
    changes.push(Change::UpdateOrder(order.clone(), version));
    Ok(EndedOrder { order, changes })
}

/// Fails the challenge of the authorization that is in validation, if there is
/// one.
fn stop_validation(
    authorization: Authorization,
    failure: &Failure,
) -> Result<Option<Authorization>, Error> {
    match authorization.in_validation().map(|(one, _)| one.id()) {
        Some(id) => Ok(Some(authorization.fail(id, failure.clone())?)),
        None => Ok(None),
    }
}
