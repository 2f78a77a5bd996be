//! Answers while the server cannot serve yet because the index is being
//! rebuilt.

use std::{convert::Infallible, sync::Arc};

use assay_proto::{Problem, ProblemType, Readiness};
use axum::{
    Json,
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use hyper::{Request, body::Incoming};
use ipnet::IpNet;
use tokio::net::TcpListener;

use crate::{
    brief,
    health::{HEALTH, LIVE, READY, ReadReadiness, ready, well},
    proxy_protocol::ProxyProtocol,
    tls::TlsIdentity,
};

/// The Retry-After of the answers, in seconds.
const RETRY_IN: u64 = 10;

/// The progress of the start in percent, for `/healthz` and refusals.
pub type Percent = Arc<dyn Fn() -> u8 + Send + Sync>;

/// Answers on `listener` until it is dropped: `/livez` with 200, everything
/// else with 503 and Retry-After, `/readyz` with the parts of `readiness`. With
/// `proxies` each connection must come from one of these networks and begin
/// with a PROXY protocol header.
pub async fn answer_while_starting(
    listener: &TcpListener,
    tls: Option<&TlsIdentity>,
    proxies: Option<&[IpNet]>,
    percent: Percent,
    readiness: ReadReadiness,
) -> Infallible {
    let proxies = proxies.map(|networks| ProxyProtocol::new(networks.to_vec()));
    let answer =
        move |request: &Request<Incoming>| answer(request.uri().path(), percent(), readiness());
    brief::serve(listener, tls, proxies.as_ref(), answer).await
}

fn answer(path: &str, percent: u8, readiness: Readiness) -> Response<Body> {
    let detail = format!("the server is starting: its index is being rebuilt ({percent} %)");
    let mut response = match path {
        LIVE => return well(),
        HEALTH => (StatusCode::SERVICE_UNAVAILABLE, format!("{detail}\n")).into_response(),
        READY => {
            let not_ready = Readiness {
                ready: false,
                ..readiness.public()
            };
            ready(not_ready)
        }
        _ => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let problem = Problem::new(ProblemType::ServerInternal, detail);
            let mut response = (status, Json(problem.with_status(status.as_u16()))).into_response();
            let kind = HeaderValue::from_static("application/problem+json");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_IN));
    response
}

#[cfg(test)]
mod tests {
    use assay_engine::health::{Health, Part};

    use super::*;

    #[test]
    fn only_livez_answers_200_while_the_server_starts() {
        let health = Health::default();
        // A caller's mistake must not make a starting server ready.
        for failing in [false, true] {
            if failing {
                health.fail(Part::Store, "it is being rebuilt");
            }
            let answer = |path| answer(path, 7, health.readiness());
            assert_eq!(answer("/livez").status(), StatusCode::OK);
            for path in [
                "/healthz",
                "/readyz",
                "/acme/directory",
                "/",
                "/acme/new-nonce",
            ] {
                let response = answer(path);
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
                assert_eq!(response.headers()[RETRY_AFTER], "10", "{path}");
            }
        }
    }
}
