use std::sync::Arc;

use assay_engine::Requester;
use assay_proto::RevokeCert;
use axum::{extract::State, http::StatusCode};

use crate::{refusal::Refusal, signed::Signed, surface::App};

/// revokeCert (RFC 8555 section 7.6), signed by an account or by the
/// certificate's own key. To the end: who hangs up must not have a certificate
/// revoked that the log does not tell of.
pub(super) async fn post(
    State(app): State<Arc<App>>,
    request: Signed<Requester>,
) -> Result<StatusCode, Refusal> {
    let revoke: RevokeCert = request.payload.read()?;
    let (engine, context) = (Arc::clone(&app.engine), request.context);
    app.work
        .to_the_end(async move { engine.revoke(&context, &revoke).await })
        .await?;
    Ok(StatusCode::OK)
}
