//! `/livez`, `/healthz` and `/readyz`, for load balancers and supervisors. They
//! are not part of ACME.

use std::{convert::Infallible, sync::Arc};

use assay_proto::Readiness;
use axum::{
    Json,
    body::Body,
    http::{Method, Request, Response, StatusCode, header::ALLOW},
    response::IntoResponse,
};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use crate::brief;

/// The path of the check whether requests are served.
pub(crate) const HEALTH: &str = "/healthz";

/// The path of the check whether the process lives. It also answers while the
/// server cannot serve yet.
pub(crate) const LIVE: &str = "/livez";

/// The path of the check whether devices can enrol, and which parts work.
pub(crate) const READY: &str = "/readyz";

/// Returns the current state of all parts, reasons included.
pub type ReadReadiness = Arc<dyn Fn() -> Readiness + Send + Sync>;

/// Answers `/livez`, `/healthz` and `/readyz` on `listener` in plain HTTP until
/// it is dropped. `/readyz` names reasons, so the listener must not be
/// reachable from outside.
pub async fn serve_health(listener: TcpListener, readiness: ReadReadiness) -> Infallible {
    brief::serve(&listener, None, None, move |request: &Request<Incoming>| {
        answer(request, &readiness)
    })
    .await
}

fn answer(request: &Request<Incoming>, readiness: &ReadReadiness) -> Response<Body> {
    match (request.uri().path(), request.method()) {
        (LIVE | HEALTH | READY, method) if ![Method::GET, Method::HEAD].contains(method) => {
            (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response()
        }
        (LIVE | HEALTH, _) => well(),
        (READY, _) => ready(readiness()),
        _ => (StatusCode::NOT_FOUND, "ask /livez or /readyz\n").into_response(),
    }
}

/// The answer of a live process.
pub(crate) fn well() -> Response<Body> {
    "ok\n".into_response()
}

/// 200, or 503 while no device can enrol.
pub(crate) fn ready(readiness: Readiness) -> Response<Body> {
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness)).into_response()
}
