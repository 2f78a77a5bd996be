use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::StatusCode,
};

use crate::{address::ClientAddress, body::discard, refusal::Refusal, state::AppState};

/// Answers requests for unknown paths.
pub(super) async fn not_found(State(app): State<Arc<AppState>>, request: Request) -> Refusal {
    let detail = "there is no resource at this path: the directory lists the URLs";
    refuse_unread(&app, request, StatusCode::NOT_FOUND, detail).await
}

/// Answers requests with a method that the resource does not support.
pub(super) async fn method_not_allowed(
    State(app): State<Arc<AppState>>,
    request: Request,
) -> Refusal {
    // RFC 8555 section 6.3: "if the server receives a GET request, it MUST
    // return an error with status code 405 (Method Not Allowed) and type
    // "malformed"."
    let detail = "this resource does not support this method: use POST, or POST-as-GET to read";
    refuse_unread(&app, request, StatusCode::METHOD_NOT_ALLOWED, detail).await
}

async fn refuse_unread(
    app: &AppState,
    request: Request,
    status: StatusCode,
    detail: &str,
) -> Refusal {
    let client = ClientAddress::noted_in(request.extensions());
    discard(request.into_body()).await;
    app.fail(client, Refusal::malformed(status, detail), false)
}
