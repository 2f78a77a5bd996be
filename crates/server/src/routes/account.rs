use std::sync::Arc;

use assay_engine::{Error, PublicKey, domain::Account, ids::AccountId, ports::Versioned};
use assay_proto as proto;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};

use crate::{
    current, limits::Limit, named::Named, refusal::Refusal, render, signed::Signed, state::AppState,
};

/// Answers newAccount (RFC 8555 section 7.3).
pub(super) async fn create(
    State(app): State<Arc<AppState>>,
    request: Signed<PublicKey>,
) -> Result<Response, Refusal> {
    request.charge(&app, Limit::NewAccount)?;
    let new: proto::NewAccount = request.payload.read()?;
    let context = request.context;
    // In its own task: the outcome for the account that is displaced must be
    // known.
    let (engine, directory) = (Arc::clone(&app.engine), request.directory);
    app.work
        .run_to_completion(async move {
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

/// Reads, updates or deactivates an account for its holder (RFC 8555 sections
/// 7.3.2 and 7.3.6).
pub(super) async fn post(
    State(app): State<Arc<AppState>>,
    id: Named<AccountId>,
    request: Signed<Versioned<Account>>,
) -> Result<Json<proto::Account>, Refusal> {
    check_holder(id, &request.context.by.value)?;
    let directory = Arc::clone(&request.directory);
    let account = if request.payload.is_empty() {
        request.context.by.value
    } else {
        request.charge(&app, Limit::ChangeAccount)?;
        let update: proto::AccountUpdate = request.payload.read()?;
        app.engine.update_account(&request.context, &update).await?
    };
    Ok(Json(render::account(directory.urls(), &account)))
}

/// Checks that the account in the URL is the one that signed.
pub(super) fn check_holder(id: Named<AccountId>, signer: &Account) -> Result<(), Error> {
    if id.known()? == signer.id {
        Ok(())
    } else {
        Err(Error::NotFound("account"))
    }
}
