use std::sync::Arc;

use assay_engine::{Error, domain::Account, ids::AccountId, ports::Versioned, urls};
use assay_proto::OrdersList;
use axum::{
    Json,
    extract::State,
    http::{HeaderName, Uri, header::LINK},
    response::AppendHeaders,
};

use super::account::check_holder;
use crate::{named::Named, refusal::Refusal, signed::Signed, surface::App};

/// One page of an account's orders (RFC 8555 section 7.1.2.1).
pub(super) async fn read(
    State(app): State<Arc<App>>,
    id: Named<AccountId>,
    uri: Uri,
    request: Signed<Versioned<Account>>,
) -> Result<
    (
        AppendHeaders<Option<(HeaderName, String)>>,
        Json<OrdersList>,
    ),
    Refusal,
> {
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
