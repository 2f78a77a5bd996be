use std::sync::Arc;

use assay_engine::{domain::Account, ports::Versioned};
use assay_proto::{Directory, DirectoryMeta};
use axum::{Json, extract::State};

use crate::{refusal::Refusal, signed::Signed, surface::App};

/// The directory (RFC 8555 section 7.1.1).
pub(super) async fn get(State(app): State<Arc<App>>) -> Json<Directory> {
    let urls = app.engine.urls();
    let meta = DirectoryMeta {
        terms_of_service: app.engine.terms_of_service().map(str::to_owned),
        website: app.website.clone(),
    };
    Json(Directory {
        new_nonce: urls.new_nonce(),
        new_account: urls.new_account(),
        new_order: urls.new_order(),
        new_authz: None,
        revoke_cert: urls.revoke_cert(),
        key_change: urls.key_change(),
        meta: (meta != DirectoryMeta::default()).then_some(meta),
    })
}

/// RFC 8555 section 6.3: "The server MUST allow GET requests for the directory
/// and newNonce resources [...] in addition to POST-as-GET requests".
pub(super) async fn read(
    state: State<Arc<App>>,
    request: Signed<Versioned<Account>>,
) -> Result<Json<Directory>, Refusal> {
    request.payload.expect_empty()?;
    Ok(get(state).await)
}
