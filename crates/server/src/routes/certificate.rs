use std::sync::Arc;

use assay_engine::{Requester, SerialNumber, domain::Account, ports::Versioned};
use assay_proto::RevokeCert;
use axum::{
    extract::State,
    http::{HeaderName, StatusCode, header::CONTENT_TYPE},
};

use crate::{named::Named, refusal::Refusal, signed::Signed, state::AppState};

/// Reads a certificate with its chain (RFC 8555 section 7.4.2).
pub(super) async fn read(
    State(app): State<Arc<AppState>>,
    serial: Named<SerialNumber>,
    request: Signed<Versioned<Account>>,
) -> Result<([(HeaderName, &'static str); 1], String), Refusal> {
    let serial = serial.known()?;
    request.payload.expect_empty()?;
    let chain = app.engine.certificate(&request.context, serial).await?;
    let media_type = [(CONTENT_TYPE, "application/pem-certificate-chain")];
    Ok((media_type, chain.pem))
}

/// Answers revokeCert (RFC 8555 section 7.6), signed by an account or by the
/// certificate's own key. Runs in its own task: if the client hangs up, a
/// revocation must still be logged.
pub(super) async fn revoke(
    State(app): State<Arc<AppState>>,
    request: Signed<Requester>,
) -> Result<StatusCode, Refusal> {
    let revoke: RevokeCert = request.payload.read()?;
    let (engine, context) = (Arc::clone(&app.engine), request.context);
    app.work
        .run_to_completion(async move { engine.revoke(&context, &revoke).await })
        .await?;
    Ok(StatusCode::OK)
}
