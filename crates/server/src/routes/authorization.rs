use std::sync::Arc;

use assay_engine::{domain::Account, ids::AuthorizationId, ports::Versioned};
use assay_proto as proto;
use axum::{Json, extract::State};

use crate::{named::Named, refusal::Refusal, render, signed::Signed, state::AppState};

/// Reads (RFC 8555 section 7.5) or deactivates (7.5.2) an authorization.
pub(super) async fn post(
    State(app): State<Arc<AppState>>,
    id: Named<AuthorizationId>,
    request: Signed<Versioned<Account>>,
) -> Result<Json<proto::Authorization>, Refusal> {
    let (id, context) = (id.known()?, request.context);
    let engine = Arc::clone(&app.engine);
    let directory = Arc::clone(&request.directory);
    let authorization = if request.payload.is_empty() {
        engine.authorization(&context, id).await?.value
    } else {
        let update: proto::AuthorizationUpdate = request.payload.read()?;
        app.work
            .run_to_completion(
                async move { engine.update_authorization(&context, id, &update).await },
            )
            .await?
    };
    let now = app.engine.now();
    Ok(Json(render::authorization(
        directory.urls(),
        &authorization,
        now,
    )))
}
