//! One file a resource. A handler takes a request apart, asks the engine and
//! renders what comes back.

mod account;
mod authorization;
mod certificate;
mod challenge;
mod directory;
mod key_change;
mod limits;
mod new_account;
mod new_nonce;
mod new_order;
mod order;
mod orders;
mod revocation;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use crate::{
    health::{HEALTH, LIVE, READY, ready, well},
    surface::{self, App},
};

/// The directory's path.
pub(crate) const DIRECTORY: &str = "/acme/directory";
/// What limits there are, for those who are refused: no part of ACME.
pub(crate) const LIMITS: &str = "/acme/limits";

/// The handler of each path.
pub(crate) fn router(app: Arc<App>) -> Router {
    let engine = Arc::clone(&app.engine);
    // The paths are those of `assay_engine::urls::Urls`.
    Router::new()
        .route(DIRECTORY, get(directory::get).post(directory::read))
        .route(
            "/acme/new-nonce",
            get(new_nonce::get)
                .head(new_nonce::head)
                .post(new_nonce::read),
        )
        .route("/acme/new-account", post(new_account::post))
        .route("/acme/account/{id}", post(account::post))
        .route("/acme/account/{id}/orders", post(orders::read))
        .route("/acme/new-order", post(new_order::post))
        .route("/acme/order/{id}", post(order::read))
        .route("/acme/order/{id}/finalize", post(order::finalize))
        .route("/acme/authorization/{id}", post(authorization::post))
        .route("/acme/challenge/{id}", post(challenge::post))
        .route("/acme/certificate/{serial}", post(certificate::read))
        .route("/acme/revoke-cert", post(revocation::post))
        .route("/acme/key-change", post(key_change::post))
        .route(LIMITS, get(limits::get))
        .method_not_allowed_fallback(surface::method_not_allowed)
        .fallback(surface::not_found)
        .with_state(app)
        // Behind the fallbacks: its refusals are none of ACME's.
        .route(HEALTH, get(async || well()))
        .route(LIVE, get(async || well()))
        .route(READY, get(async move || ready(engine.readiness().public())))
}
