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
    routing::{MethodRouter, get, post},
};

use assay_engine::urls::Route;

use crate::{
    health::{HEALTH, LIVE, READY, ready, well},
    surface::{self, App},
};

/// The handlers of all routes, in each directory: paths are the engine's table.
pub(crate) fn router(app: Arc<App>) -> Router {
    let engine = Arc::clone(&app.engine);
    let mut router = Router::new();
    for directory in engine.directories().iter() {
        for route in Route::ALL {
            router = router.route(directory.pattern(*route), handlers(*route));
        }
    }
    router
        .method_not_allowed_fallback(surface::method_not_allowed)
        .fallback(surface::not_found)
        .with_state(app)
        // Behind the fallbacks: its refusals are none of ACME's.
        .route(HEALTH, get(async || well()))
        .route(LIVE, get(async || well()))
        .route(READY, get(async move || ready(engine.readiness().public())))
}

/// What answers at a route, by method.
fn handlers(route: Route) -> MethodRouter<Arc<App>> {
    match route {
        Route::Account => post(account::post),
        Route::Authorization => post(authorization::post),
        Route::Certificate => post(certificate::read),
        Route::Challenge => post(challenge::post),
        Route::Directory => get(directory::get).post(directory::read),
        Route::Finalize => post(order::finalize),
        Route::KeyChange => post(key_change::post),
        Route::Limits => get(limits::get),
        Route::NewAccount => post(new_account::post),
        Route::NewNonce => get(new_nonce::get)
            .head(new_nonce::head)
            .post(new_nonce::read),
        Route::NewOrder => post(new_order::post),
        Route::Order => post(order::read),
        Route::Orders => post(orders::read),
        Route::RevokeCert => post(revocation::post),
    }
}
