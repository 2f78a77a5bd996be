//! Listeners for short queries: one request and one answer for each connection,
//! within a time limit. The health listener has its own limit of connections, so
//! that a flood of the ACME listener does not take its places. During a start
//! the ACME listener is answered here, too.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Request, Response, header::CONNECTION},
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
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    proxy_protocol::{ProxyProtocol, read_header},
    tls::TlsIdentity,
};

/// The time limit of one connection: handshake, request and answer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The maximum number of connections.
const MAX_CONNECTIONS: usize = 200;

/// How long to wait when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers a request without reading its body.
pub(crate) trait Answer:
    Fn(&Request<Incoming>) -> Response<Body> + Send + Sync + 'static
{
}

impl<F: Fn(&Request<Incoming>) -> Response<Body> + Send + Sync + 'static> Answer for F {}

/// Answers each request on `listener` until it is dropped.
pub(crate) async fn serve(
    listener: &TcpListener,
    tls: Option<&TlsIdentity>,
    proxies: Option<&ProxyProtocol>,
    answer: impl Answer,
) -> Infallible {
    let tls = tls.map(|identity| TlsAcceptor::from(identity.config()));
    let answer = Arc::new(answer);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            continue;
        };
        match listener.accept().await {
            Ok((_, peer)) if proxies.is_some_and(|proxies| !proxies.allows(peer.ip())) => {}
            Ok((stream, _)) => {
                let (tls, answer) = (tls.clone(), Arc::clone(&answer));
                let has_header = proxies.is_some();
                open.spawn(async move {
                    let connection = connection(stream, has_header, tls, answer);
                    let served = timeout(TIME_LIMIT, connection).await;
                    if served.is_err() {
                        tracing::debug!("a connection took too long");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "no connection can be accepted at present");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    mut stream: TcpStream,
    has_header: bool,
    tls: Option<TlsAcceptor>,
    answer: Arc<impl Answer>,
) {
    if has_header && let Err(error) = read_header(&mut stream).await {
        return tracing::debug!(%error, "no PROXY protocol header");
    }
    match tls {
        None => drive(stream, answer).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => drive(stream, answer).await,
            Err(error) => tracing::debug!(%error, "TLS handshake failed"),
        },
    }
}

async fn drive<S>(stream: S, answer: Arc<impl Answer>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    let service = service_fn(move |request: Request<Incoming>| {
        let mut response = answer(&request);
        // On the ACME listener the next request may be for the server that has
        // started meanwhile.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
        async move { Ok::<_, Infallible>(response) }
    });
    if let Err(error) = builder
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(error, "a connection failed");
    }
}
