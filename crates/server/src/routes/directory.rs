use std::sync::Arc;

use assay_engine::{directories as engine, domain::Account, ports::Versioned, urls::Route};
use assay_proto::{Directory, DirectoryMeta};
use axum::{
    Json,
    extract::{Request, State},
};

use crate::{
    refusal::Refusal,
    signed::{Signed, directory_of},
    state::AppState,
};

/// Returns the directory (RFC 8555 section 7.1.1).
pub(super) async fn get(State(app): State<Arc<AppState>>, request: Request) -> Json<Directory> {
    Json(body(&directory_of(request.extensions(), &app)))
}

fn body(directory: &engine::Directory) -> Directory {
    let urls = directory.urls();
    let meta = DirectoryMeta {
        terms_of_service: directory.terms_of_service().map(str::to_owned),
        website: directory.website().map(str::to_owned),
    };
    Directory {
        new_nonce: urls.of(Route::NewNonce),
        new_account: urls.of(Route::NewAccount),
        new_order: urls.of(Route::NewOrder),
        new_authz: None,
        revoke_cert: urls.of(Route::RevokeCert),
        key_change: urls.of(Route::KeyChange),
        meta: (meta != DirectoryMeta::default()).then_some(meta),
    }
}

/// RFC 8555 section 6.3: "The server MUST allow GET requests for the directory
/// and newNonce resources [...] in addition to POST-as-GET requests".
pub(super) async fn read(request: Signed<Versioned<Account>>) -> Result<Json<Directory>, Refusal> {
    request.payload.expect_empty()?;
    Ok(Json(body(&request.directory)))
}
