use std::sync::Arc;

use assay_engine::PublicKey;
use assay_proto::NewAccount;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};

use crate::{limits::Limit, refusal::Refusal, render, signed::Signed, surface::App};

/// newAccount (RFC 8555 section 7.3).
pub(super) async fn post(
    State(app): State<Arc<App>>,
    request: Signed<PublicKey>,
) -> Result<impl IntoResponse, Refusal> {
    request.charge(&app, Limit::NewAccount)?;
    let new: NewAccount = request.payload.read()?;
    let (account, made) = app
        .engine
        .new_account(&request.payload.context(), request.signer, &new)
        .await?;
    let urls = app.engine.urls();
    let status = match made {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok((
        status,
        [(LOCATION, urls.account(account.id))],
        Json(render::account(urls, &account)),
    ))
}
