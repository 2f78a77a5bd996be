use std::sync::Arc;

use assay_engine::{domain::Account, ids::AuthorizationId, ports::Versioned};
use assay_proto::AttestationResponse;
use axum::{
    Json, extract::State, http::header::LINK, response::AppendHeaders, response::IntoResponse,
};

use crate::{named::Named, refusal::Refusal, render, signed::Signed, surface::App};

/// A challenge: read by an empty payload, answered by any other (RFC 8555
/// section 7.5.1).
pub(super) async fn post(
    State(app): State<Arc<App>>,
    id: Named<AuthorizationId>,
    request: Signed<Versioned<Account>>,
) -> Result<impl IntoResponse, Refusal> {
    let (id, account) = (id.known()?, request.signer.value.id);
    let authorization = if request.payload.is_empty() {
        app.engine.authorization(account, id).await?.value
    } else {
        let answer: AttestationResponse = request.payload.read()?;
        let context = request.payload.context();
        let engine = Arc::clone(&app.engine);
        app.work
            .to_the_end(async move {
                engine
                    .answer_challenge(&context, account, id, &answer)
                    .await
            })
            .await?
    };
    let urls = app.engine.urls();
    // RFC 8555 section 7.1: "The "up" link relation is used with challenge
    // resources to indicate the authorization resource to which a challenge
    // belongs."
    let up = (LINK, format!("<{}>;rel=\"up\"", urls.authorization(id)));
    Ok((
        AppendHeaders([up]),
        Json(render::challenge(urls, &authorization)),
    ))
}
