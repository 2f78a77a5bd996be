use std::sync::Arc;

use assay_engine::{domain::Account, ports::Versioned};
use axum::{
    Extension,
    extract::State,
    http::{HeaderName, StatusCode, header::CACHE_CONTROL},
};

use crate::{
    address::ClientAddress, limits::Limit, refusal::Refusal, signed::Signed, state::AppState,
};

/// The header of a nonce (RFC 8555 section 6.5.1).
pub(crate) const REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");

/// RFC 8555 section 7.2: "To get a fresh nonce, the client sends a HEAD request
/// to the newNonce resource on the server. The server's response MUST include
/// a Replay-Nonce header field containing a fresh nonce and SHOULD have status
/// code 200 (OK)."
pub(super) async fn head(
    State(app): State<Arc<AppState>>,
    client: Extension<ClientAddress>,
) -> Result<(StatusCode, [(HeaderName, String); 2]), Refusal> {
    Ok((StatusCode::OK, nonce(&app, client)?))
}

/// The same section: "The server MUST also respond to GET requests for this
/// resource, returning an empty body (while still providing a Replay-Nonce
/// header) with a status code of 204 (No Content)."
pub(super) async fn get(
    State(app): State<Arc<AppState>>,
    client: Extension<ClientAddress>,
) -> Result<(StatusCode, [(HeaderName, String); 2]), Refusal> {
    Ok((StatusCode::NO_CONTENT, nonce(&app, client)?))
}

/// Answers POST-as-GET. Every answer to a POST carries a nonce in any case.
pub(super) async fn read(
    State(app): State<Arc<AppState>>,
    request: Signed<Versioned<Account>>,
) -> Result<StatusCode, Refusal> {
    request.charge(&app, Limit::NewNonce)?;
    request.payload.expect_empty()?;
    Ok(StatusCode::NO_CONTENT)
}

/// The same section: "The server MUST include a Cache-Control header field with
/// the "no-store" directive in responses for the newNonce resource".
fn nonce(
    app: &AppState,
    Extension(ClientAddress(client)): Extension<ClientAddress>,
) -> Result<[(HeaderName, String); 2], Refusal> {
    app.charge(Limit::NewNonce, client)?;
    Ok([
        (REPLAY_NONCE, app.engine.nonce()),
        (CACHE_CONTROL, "no-store".to_owned()),
    ])
}
