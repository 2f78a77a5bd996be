use std::sync::Arc;

use assay_engine::{
    Engine,
    domain::{Account, Order},
    ids::OrderId,
    ports::Versioned,
    urls::Urls,
};
use assay_proto::{Finalize, OrderStatus};
use axum::{
    Json,
    extract::State,
    http::{
        StatusCode,
        header::{LOCATION, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};

use crate::{named::Named, refusal::Refusal, render, signed::Signed, surface::App};

/// An order, read (RFC 8555 section 7.4).
pub(super) async fn read(
    State(app): State<Arc<App>>,
    id: Named<OrderId>,
    request: Signed<Versioned<Account>>,
) -> Result<Response, Refusal> {
    let id = id.known()?;
    request.payload.expect_empty()?;
    let context = request.context;
    // To the end, since an interrupted issuance may come to its end here.
    let (engine, directory) = (Arc::clone(&app.engine), request.directory);
    app.work
        .to_the_end(async move {
            let order = engine.order(&context, id).await?;
            let urls = directory.urls();
            Ok(reply(&engine, urls, StatusCode::OK, &order.value))
        })
        .await
}

/// An order, finalized (RFC 8555 section 7.4).
pub(super) async fn finalize(
    State(app): State<Arc<App>>,
    id: Named<OrderId>,
    request: Signed<Versioned<Account>>,
) -> Result<Response, Refusal> {
    let id = id.known()?;
    let Finalize { csr } = request.payload.read()?;
    let context = request.context;
    let (engine, directory) = (Arc::clone(&app.engine), request.directory);
    app.work
        .to_the_end(async move {
            let order = engine.finalize(&context, id, &csr.0).await?;
            let urls = directory.urls();
            Ok(reply(&engine, urls, StatusCode::OK, &order))
        })
        .await
}

/// An order and where it is.
pub(super) fn reply(engine: &Engine, urls: &Urls, status: StatusCode, order: &Order) -> Response {
    let body = render::order(urls, order, engine.now());
    // RFC 8555 section 7.4: "processing": The certificate is being issued. Send
    // a POST-as-GET request after the time given in the Retry-After header
    // field of the response, if any."
    let wait = (body.status == OrderStatus::Processing).then_some([(RETRY_AFTER, "3")]);
    let location = [(LOCATION, urls.order(order.id))];
    (status, location, wait, Json(body)).into_response()
}
