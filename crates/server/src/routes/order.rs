use std::sync::Arc;

use assay_engine::{
    Engine, Error,
    domain::{Account, Order},
    ids::{AccountId, OrderId},
    ports::Versioned,
    urls::{self, Urls},
};
use assay_proto::{NewOrder, OrderStatus, OrdersList};
use axum::{
    Json,
    extract::State,
    http::{
        StatusCode, Uri,
        header::{LINK, LOCATION, RETRY_AFTER},
    },
    response::{AppendHeaders, IntoResponse, Response},
};

use super::account::check_holder;
use crate::{
    current, limits::Limit, named::Named, refusal::Refusal, render, signed::Signed, state::AppState,
};

/// Answers newOrder (RFC 8555 section 7.4).
pub(super) async fn create(
    State(app): State<Arc<AppState>>,
    request: Signed<Versioned<Account>>,
) -> Result<Response, Refusal> {
    let new = request.payload.read::<NewOrder>();
    if let Ok(new) = &new {
        // Noted before the limit, so that its refusal names them, too.
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
    Ok(reply(&app.engine, urls, StatusCode::CREATED, &order))
}

/// Reads an order (RFC 8555 section 7.4).
pub(super) async fn read(
    State(app): State<Arc<AppState>>,
    id: Named<OrderId>,
    request: Signed<Versioned<Account>>,
) -> Result<Response, Refusal> {
    let id = id.known()?;
    request.payload.expect_empty()?;
    let context = request.context;
    // In its own task, since this may complete an interrupted issuance.
    let (engine, directory) = (Arc::clone(&app.engine), request.directory);
    app.work
        .run_to_completion(async move {
            let order = engine.order(&context, id).await?;
            let urls = directory.urls();
            Ok(reply(&engine, urls, StatusCode::OK, &order.value))
        })
        .await
}

/// Reads one page of an account's orders (RFC 8555 section 7.1.2.1).
pub(super) async fn list(
    State(app): State<Arc<AppState>>,
    id: Named<AccountId>,
    uri: Uri,
    request: Signed<Versioned<Account>>,
) -> Result<impl IntoResponse, Refusal> {
    let context = request.context;
    check_holder(id, &context.by.value)?;
    request.payload.expect_empty()?;
    let after = match uri.query() {
        Some(query) => {
            let cursor = query.strip_prefix("after=").and_then(urls::parse_cursor);
            Some(cursor.ok_or(Error::NotFound("page of orders"))?)
        }
        None => None,
    };
    let page = app.engine.orders(&context, after).await?;
    let urls = request.directory.urls();
    let next = page.next.map(|cursor| {
        let url = urls.orders_after(context.account(), cursor);
        (LINK, format!("<{url}>;rel=\"next\""))
    });
    let orders = page.orders.iter().map(|id| urls.order(*id)).collect();
    Ok((AppendHeaders(next), Json(OrdersList { orders })))
}

/// Renders an order and its URL.
pub(super) fn reply(engine: &Engine, urls: &Urls, status: StatusCode, order: &Order) -> Response {
    let body = render::order(urls, order, engine.now());
    // RFC 8555 section 7.4: "processing": The certificate is being issued. Send
    // a POST-as-GET request after the time given in the Retry-After header
    // field of the response, if any."
    let wait = (body.status == OrderStatus::Processing).then_some([(RETRY_AFTER, "3")]);
    let location = [(LOCATION, urls.order(order.id))];
    (status, location, wait, Json(body)).into_response()
}
