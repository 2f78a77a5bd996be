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

const NEW_NONCE: &str = "/acme/new-nonce";
const NEW_ACCOUNT: &str = "/acme/new-account";
const ACCOUNT: &str = "/acme/account/{id}";
const ORDERS: &str = "/acme/account/{id}/orders";
const NEW_ORDER: &str = "/acme/new-order";
const ORDER: &str = "/acme/order/{id}";
const FINALIZE: &str = "/acme/order/{id}/finalize";
const AUTHORIZATION: &str = "/acme/authorization/{id}";
const CHALLENGE: &str = "/acme/challenge/{id}";
const CERTIFICATE: &str = "/acme/certificate/{serial}";
const REVOKE_CERT: &str = "/acme/revoke-cert";
const KEY_CHANGE: &str = "/acme/key-change";

/// All paths of ACME, as the router has them.
const PATTERNS: &[&str] = &[
    DIRECTORY,
    LIMITS,
    NEW_NONCE,
    NEW_ACCOUNT,
    ACCOUNT,
    ORDERS,
    NEW_ORDER,
    ORDER,
    FINALIZE,
    AUTHORIZATION,
    CHALLENGE,
    CERTIFICATE,
    REVOKE_CERT,
    KEY_CHANGE,
];

/// The pattern of the resource at `path`, as logs have it: names of resources
/// are for their holders. A path at which there is nothing stays as it is.
pub(crate) fn pattern(path: &str) -> &str {
    known_pattern(path).unwrap_or(path)
}

/// The same, if there is a resource.
pub(crate) fn known_pattern(path: &str) -> Option<&'static str> {
    let fits = |pattern: &&&str| {
        let mut segments = path.split('/');
        let all = pattern.split('/').all(|wanted| {
            segments.next().is_some_and(|segment| {
                segment == wanted || (wanted.starts_with('{') && !segment.is_empty())
            })
        });
        all && segments.next().is_none()
    };
    PATTERNS.iter().find(fits).copied()
}

/// The handler of each path.
pub(crate) fn router(app: Arc<App>) -> Router {
    let engine = Arc::clone(&app.engine);
    // The paths are those of `assay_engine::urls::Urls`.
    Router::new()
        .route(DIRECTORY, get(directory::get).post(directory::read))
        .route(
            NEW_NONCE,
            get(new_nonce::get)
                .head(new_nonce::head)
                .post(new_nonce::read),
        )
        .route(NEW_ACCOUNT, post(new_account::post))
        .route(ACCOUNT, post(account::post))
        .route(ORDERS, post(orders::read))
        .route(NEW_ORDER, post(new_order::post))
        .route(ORDER, post(order::read))
        .route(FINALIZE, post(order::finalize))
        .route(AUTHORIZATION, post(authorization::post))
        .route(CHALLENGE, post(challenge::post))
        .route(CERTIFICATE, post(certificate::read))
        .route(REVOKE_CERT, post(revocation::post))
        .route(KEY_CHANGE, post(key_change::post))
        .route(LIMITS, get(limits::get))
        .method_not_allowed_fallback(surface::method_not_allowed)
        .fallback(surface::not_found)
        .with_state(app)
        // Behind the fallbacks: its refusals are none of ACME's.
        .route(HEALTH, get(async || well()))
        .route(LIVE, get(async || well()))
        .route(READY, get(async move || ready(engine.readiness().public())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_logged_as_the_patterns_of_their_routes() {
        for (path, expected) in [
            ("/acme/directory", DIRECTORY),
            ("/acme/order/AbC", ORDER),
            ("/acme/order/AbC/finalize", FINALIZE),
            ("/acme/account/AbC/orders", ORDERS),
            ("/acme/certificate/00ff", CERTIFICATE),
            ("/acme/order/", "/acme/order/"),
            ("/acme/order/a/b", "/acme/order/a/b"),
            ("/acme/order", "/acme/order"),
            ("/", "/"),
            ("*", "*"),
        ] {
            assert_eq!(pattern(path), expected);
        }
        for known in PATTERNS {
            assert_eq!(pattern(known), *known);
        }
    }
}
