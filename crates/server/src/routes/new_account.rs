use std::sync::Arc;

use assay_engine::PublicKey;
use assay_proto::NewAccount;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};

use crate::{current, limits::Limit, refusal::Refusal, render, signed::Signed, surface::App};

/// newAccount (RFC 8555 section 7.3).
pub(super) async fn post(
    State(app): State<Arc<App>>,
    request: Signed<PublicKey>,
) -> Result<Response, Refusal> {
    request.charge(&app, Limit::NewAccount)?;
    let new: NewAccount = request.payload.read()?;
    let context = request.context;
    // To the end: what becomes of the account that gives way must be known.
    let (engine, directory) = (Arc::clone(&app.engine), request.directory);
    app.work
        .to_the_end(async move {
            let (account, made) = engine.new_account(&context, &new).await?;
            current::note_account(account.id);
            let urls = directory.urls();
            let status = match made {
                true => StatusCode::CREATED,
                false => StatusCode::OK,
            };
            let location = [(LOCATION, urls.account(account.id))];
            Ok((status, location, Json(render::account(urls, &account))).into_response())
        })
        .await
}
