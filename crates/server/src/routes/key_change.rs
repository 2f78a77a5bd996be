use std::sync::Arc;

use assay_engine::{domain::Account, ports::Versioned};
use axum::{Json, extract::State, http::header::LOCATION, response::IntoResponse};

use crate::{limits::Limit, refusal::Refusal, render, signed::Signed, state::AppState};

/// Answers keyChange (RFC 8555 section 7.3.5).
pub(super) async fn post(
    State(app): State<Arc<AppState>>,
    request: Signed<Versioned<Account>>,
) -> Result<impl IntoResponse, Refusal> {
    request.charge(&app, Limit::ChangeAccount)?;
    let urls = request.directory.urls();
    let account = app
        .engine
        .change_key(&request.context, &request.payload, &request.url)
        .await
        .map_err(|error| Refusal::of_key_change(error, urls))?;
    Ok((
        [(LOCATION, urls.account(account.id))],
        Json(render::account(urls, &account)),
    ))
}
