use std::sync::Arc;

use assay_engine::{domain::Account, ports::Versioned};
use assay_proto::NewOrder;
use axum::{extract::State, http::StatusCode, response::Response};

use super::order;
use crate::{current, limits::Limit, refusal::Refusal, signed::Signed, surface::App};

/// newOrder (RFC 8555 section 7.4).
pub(super) async fn post(
    State(app): State<Arc<App>>,
    request: Signed<Versioned<Account>>,
) -> Result<Response, Refusal> {
    let new = request.payload.read::<NewOrder>();
    if let Ok(new) = &new {
        // A refusal for the rate names them, too.
        current::note_identifiers(&new.identifiers);
    }
    if let Err(too_fast) = request.charge(&app, Limit::NewOrder) {
        if let Ok(new) = &new {
            app.engine.order_rate_limited(
                &request.context,
                &new.identifiers,
                too_fast.detail().to_owned(),
            );
        }
        return Err(too_fast);
    }
    let new = new?;
    let order = app.engine.new_order(&request.context, &new).await?;
    let urls = request.directory.urls();
    Ok(order::reply(&app.engine, urls, StatusCode::CREATED, &order))
}
