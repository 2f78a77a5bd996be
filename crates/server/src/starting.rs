//! Answers while the server cannot serve yet: the index is being rebuilt.

use std::{convert::Infallible, sync::Arc, time::Duration};

use assay_proto::{Problem, ProblemType};
use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    routes::{HEALTH, LIVE},
    tls::TlsIdentity,
};

/// How long one connection may take in all: a request, an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most connections at once.
const MAX_CONNECTIONS: usize = 200;

/// How soon a client may try again, in seconds.
const RETRY_IN: u64 = 10;

/// How far the start is, in percent; what `/healthz` and the refusals say.
pub type Percent = Arc<dyn Fn() -> u8 + Send + Sync>;

/// Answers on `listener` until it is dropped: `/livez` by 200, everything else
/// by 503 with Retry-After.
pub async fn answer_while_starting(
    listener: &TcpListener,
    tls: Option<&TlsIdentity>,
    percent: Percent,
) -> Infallible {
    let tls = tls.map(|identity| TlsAcceptor::from(identity.config()));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut open = tokio::task::JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            continue;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (tls, percent) = (tls.clone(), Arc::clone(&percent));
                open.spawn(async move {
                    let served = timeout(PATIENCE, serve(stream, tls, percent)).await;
                    if served.is_err() {
                        tracing::debug!("a connection took too long");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "no connection can be accepted at present");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, percent: Percent) {
    match tls {
        None => drive(stream, percent).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => drive(stream, percent).await,
            Err(error) => tracing::debug!(%error, "TLS handshake failed"),
        },
    }
}

async fn drive<S>(stream: S, percent: Percent)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(request.uri().path(), percent());
        async move { Ok::<_, Infallible>(response) }
    });
    if let Err(error) = builder
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(error, "a connection failed");
    }
}

fn answer(path: &str, percent: u8) -> Response<Body> {
    let detail = format!("the server is starting: its index is being rebuilt ({percent} %)");
    let mut response = match path {
        LIVE => (StatusCode::OK, "ok\n").into_response(),
        HEALTH => (StatusCode::SERVICE_UNAVAILABLE, format!("{detail}\n")).into_response(),
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
    if path != LIVE {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_IN));
    }
    // The next request is for the server itself.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_livez_is_well_while_the_server_starts() {
        assert_eq!(answer("/livez", 7).status(), StatusCode::OK);
        for path in ["/healthz", "/acme/directory", "/", "/acme/new-nonce"] {
            let response = answer(path, 7);
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert_eq!(response.headers()[RETRY_AFTER], "10", "{path}");
        }
    }
}
