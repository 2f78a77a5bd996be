use std::sync::Arc;

use assay_engine::{Error, domain::Account, ids::ChallengeId, ports::Versioned};
use assay_proto::AttestationResponse;
use axum::{
    Json,
    extract::State,
    http::header::{LINK, RETRY_AFTER},
    response::{AppendHeaders, IntoResponse},
};

use crate::{named::Named, refusal::Refusal, render, signed::Signed, state::AppState};

/// Reads a challenge if the payload is empty, else answers it (RFC 8555 section
/// 7.5.1).
pub(super) async fn post(
    State(app): State<Arc<AppState>>,
    id: Named<ChallengeId>,
    request: Signed<Versioned<Account>>,
) -> Result<impl IntoResponse, Refusal> {
    let (id, context) = (id.known()?, request.context);
    let authorization = if request.payload.is_empty() {
        app.engine.challenge(&context, id).await?.value
    } else {
        let answer: AttestationResponse = request.payload.read()?;
        let engine = Arc::clone(&app.engine);
        app.work
            .run_to_completion(async move { engine.answer_challenge(&context, id, &answer).await })
            .await?
    };
    let urls = request.directory.urls();
    // RFC 8555 section 7.1: "The "up" link relation is used with challenge
    // resources to indicate the authorization resource to which a challenge
    // belongs."
    let up = format!("<{}>;rel=\"up\"", urls.authorization(authorization.id));
    let challenge = (authorization.challenge(id)).ok_or(Error::NotFound("challenge"))?;
    // Section 8.2: "The server SHOULD set the Retry-After header field to a time
    // after the server's next validation query".
    let now = app.engine.now();
    let wait = authorization.validation_of(id).map(|validating| {
        let seconds = validating.next_attempt.0.saturating_sub(now.0) + 1;
        [(RETRY_AFTER, seconds.to_string())]
    });
    Ok((
        AppendHeaders([(LINK, up)]),
        wait,
        Json(render::challenge(urls, challenge)),
    ))
}
