use std::sync::Arc;

use assay_engine::{domain::Account, ids::OrderId, ports::Versioned};
use assay_proto::Finalize;
use axum::{extract::State, http::StatusCode, response::Response};

use super::order::reply;
use crate::{named::Named, refusal::Refusal, signed::Signed, state::AppState};

/// Finalizes an order (RFC 8555 section 7.4).
pub(super) async fn post(
    State(app): State<Arc<AppState>>,
    id: Named<OrderId>,
    request: Signed<Versioned<Account>>,
) -> Result<Response, Refusal> {
    let id = id.known()?;
    let Finalize { csr } = request.payload.read()?;
    let context = request.context;
    let (engine, directory) = (Arc::clone(&app.engine), request.directory);
    app.work
        .run_to_completion(async move {
            let order = engine.finalize(&context, id, &csr.0).await?;
            let urls = directory.urls();
            Ok(reply(&engine, urls, StatusCode::OK, &order))
        })
        .await
}
