use std::sync::Arc;

use assay_engine::Requester;
use assay_proto::RevokeCert;
use axum::{extract::State, http::StatusCode};

use crate::{refusal::Refusal, signed::Signed, surface::App};

/// revokeCert (RFC 8555 section 7.6), signed by an account or by the
/// certificate's own key.
pub(super) async fn post(
    State(app): State<Arc<App>>,
    request: Signed<Requester>,
) -> Result<StatusCode, Refusal> {
    let revoke: RevokeCert = request.payload.read()?;
    app.engine.revoke(&request.signer, &revoke).await?;
    Ok(StatusCode::OK)
}
