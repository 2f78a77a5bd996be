//! One file per resource, named after the engine's use-case that it calls, where
//! there is one. A handler parses a request, calls the engine and renders the result.

mod account;
mod authorization;
mod certificate;
mod challenge;
mod directory;
mod fallback;
mod finalize;
mod key_change;
mod limits;
mod nonce;
mod order;

use std::sync::Arc;

use assay_engine::urls::Route;
use axum::{
    Router,
    routing::{MethodRouter, get, post},
};

pub(crate) use self::nonce::REPLAY_NONCE;
use crate::{
    health::{HEALTH, LIVE, READY, ready, well},
    state::AppState,
};

/// Returns the handlers of all routes in each directory. The paths come from
/// the engine's table.
pub(crate) fn router(app: Arc<AppState>) -> Router {
    let engine = Arc::clone(&app.engine);
    let mut router = Router::new();
    for directory in engine.directories().iter() {
        for route in Route::ALL {
            router = router.route(directory.pattern(*route), handlers(*route));
        }
    }
    router
        .method_not_allowed_fallback(fallback::method_not_allowed)
        .fallback(fallback::not_found)
        .with_state(app)
        // Behind the fallbacks: its refusals are not ACME problems.
        .route(HEALTH, get(async || well()))
        .route(LIVE, get(async || well()))
        .route(READY, get(async move || ready(engine.readiness().public())))
}

/// Returns the handlers of a route, by method.
fn handlers(route: Route) -> MethodRouter<Arc<AppState>> {
    match route {
        Route::Account => post(account::post),
        Route::Authorization => post(authorization::post),
        Route::Certificate => post(certificate::read),
        Route::Challenge => post(challenge::post),
        Route::Directory => get(directory::get).post(directory::read),
        Route::Finalize => post(finalize::post),
        Route::KeyChange => post(key_change::post),
        Route::Limits => get(limits::get),
        Route::NewAccount => post(account::create),
        Route::NewNonce => get(nonce::get).head(nonce::head).post(nonce::read),
        Route::NewOrder => post(order::create),
        Route::Order => post(order::read),
        Route::Orders => post(order::list),
        Route::RevokeCert => post(certificate::revoke),
    }
}
