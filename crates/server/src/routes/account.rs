use std::sync::Arc;

use assay_engine::{Error, domain::Account, ids::AccountId, ports::Versioned};
use assay_proto as proto;
use axum::{Json, extract::State};

use crate::{limits::Limit, named::Named, refusal::Refusal, render, signed::Signed, surface::App};

/// An account: read, updated or deactivated by its holder (RFC 8555 sections
/// 7.3.2 and 7.3.6).
pub(super) async fn post(
    State(app): State<Arc<App>>,
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

/// The account in a URL must be the one that signed.
pub(super) fn check_holder(id: Named<AccountId>, signer: &Account) -> Result<(), Error> {
    if id.known()? == signer.id {
        Ok(())
    } else {
        Err(Error::NotFound("account"))
    }
}
