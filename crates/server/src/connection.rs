use std::{
    convert::Infallible,
    error::Error,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use assay_engine::Engine;
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, header::CONNECTION},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    activity::{Activity, GRACE},
    address::Peer,
    config::{HEADER_TIMEOUT, IDLE_TIMEOUT},
    http_service::HttpService,
    limits::RateLimits,
    places::Place,
    proxy_protocol::{ProxyProtocol, read_header},
    refusal::Aftermath,
    refused::{Cause, ProxyRefusal, RefusedConnections, TlsRefusal},
    request_log::RequestLog,
    standing::{STREAMS_IN_CROWD, Standing},
    tls::TlsIdentity,
};

/// The time limit for a TLS handshake and, before it, the PROXY protocol
/// header.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to close when it is cut.
const CUT_TIMEOUT: Duration = Duration::from_millis(100);
/// The maximum number of concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 16;
/// The maximum size of a request's head in bytes. An incomplete head is charged
/// to no memory budget: 64 MiB on 4,096 connections.
const MAX_HEAD: u32 = 16 * 1024;
/// How many bytes of unread bodies one connection buffers: the minimum that
/// HTTP/2 allows (RFC 9113 section 6.9.2). They are charged to no budget
/// either: 256 MiB on 4,096 connections.
const WINDOW: u32 = 64 * 1024 - 1;

/// Serves connections.
pub(crate) struct Connections {
    http1: Builder<TokioExecutor>,
    http2: Builder<TokioExecutor>,
    /// For a connection that arrives while the server is crowded.
    http2_in_crowd: Builder<TokioExecutor>,
    idle_timeout: Duration,
    proxy_protocol: Option<ProxyProtocol>,
    refused: RefusedConnections,
    service: HttpService,
    tls: Option<TlsAcceptor>,
}

impl Connections {
    pub(crate) fn new(
        service: HttpService,
        tls: Option<&TlsIdentity>,
        proxy_protocol: Option<ProxyProtocol>,
        header_timeout: Duration,
        idle_timeout: Duration,
    ) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(MAX_HEAD as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD)
            .initial_connection_window_size(WINDOW)
            .initial_stream_window_size(WINDOW);
        let mut in_crowd = builder.clone();
        in_crowd.http2().max_concurrent_streams(STREAMS_IN_CROWD);
        Self {
            http1: builder.clone().http1_only(),
            http2: builder.http2_only(),
            http2_in_crowd: in_crowd.http2_only(),
            idle_timeout,
            proxy_protocol,
            refused: RefusedConnections::default(),
            service,
            tls: tls.map(|identity| TlsAcceptor::from(identity.config())),
        }
    }

    /// Waits for the last task that outlives its request.
    pub(crate) async fn work_ended(&self) {
        self.service.work_ended().await;
    }

    /// The connections that ended without a request.
    pub(crate) fn refused(&self) -> &RefusedConnections {
        &self.refused
    }

    /// Returns whether a connection of `peer` is served: with the PROXY
    /// protocol only those of trusted proxies are.
    pub(crate) fn allows(&self, peer: IpAddr) -> bool {
        let allowed = (self.proxy_protocol.as_ref()).is_none_or(|proxies| proxies.allows(peer));
        if !allowed {
            let cause = Cause::Proxy(ProxyRefusal::NotATrustedProxy);
            self.refused.note(cause, peer);
        }
        allowed
    }

    /// Returns the client that a proxy names, and the place counted to it.
    /// `None` if the connection must not be served.
    async fn client_of(
        &self,
        stream: &mut TcpStream,
        proxy: IpAddr,
        place: Place,
        accepted: Instant,
        stopped: &mut watch::Receiver<bool>,
    ) -> Option<(IpAddr, Place)> {
        let header = tokio::select! {
            header = timeout_at(accepted + HANDSHAKE_TIMEOUT, read_header(stream)) => header,
            () = async {
                stop_of(stopped).await;
                sleep_until(accepted + GRACE).await;
            } => return None,
        };
        match header {
            Ok(Ok(Some(client))) => Some((client, place.of_client(client)?)),
            Ok(Ok(None)) => Some((proxy, place)),
            Ok(Err(error)) => {
                tracing::debug!(peer = %proxy, %error, "no PROXY protocol header");
                if let Some(cause) = error.cause() {
                    self.refused.note(cause, proxy);
                }
                None
            }
            Err(_) => {
                tracing::debug!(peer = %proxy, "PROXY protocol header timeout");
                None
            }
        }
    }

    /// Serves one connection to its end, or until `stopped`: then running
    /// requests are answered, and the rest is cut.
    pub(crate) async fn serve(
        self: Arc<Self>,
        mut stream: TcpStream,
        mut peer: IpAddr,
        mut place: Place,
        mut stopped: watch::Receiver<bool>,
    ) {
        let accepted = Instant::now();
        if self.proxy_protocol.is_some() {
            let named = self.client_of(&mut stream, peer, place, accepted, &mut stopped);
            match named.await {
                Some(named) => (peer, place) = named,
                None => return,
            }
        }
        let activity = Activity::new(accepted);
        let crowd = Arc::clone(self.service.crowd());
        let standing = Arc::new(Standing::new(Arc::clone(&activity), crowd, Some(place)));
        // Answers are small and complete, so that delaying them gains nothing.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY cannot be set");
        }
        let mut connection = Open {
            accepted,
            activity,
            is_http2: false,
            peer,
            standing,
        };
        let Some(tls) = &self.tls else {
            return self.drive(&self.http1, stream, connection, stopped).await;
        };
        let handshake = tokio::select! {
            handshake = timeout_at(accepted + HANDSHAKE_TIMEOUT, tls.accept(stream)) => handshake,
            () = connection.standing.unproven(accepted) => {
                tracing::debug!(%peer, "TLS handshake timeout while crowded");
                return;
            }
            () = connection.standing.gives_way() => {
                tracing::debug!(%peer, "TLS handshake cut: its place went to another connection");
                return;
            }
            () = async {
                stop_of(&mut stopped).await;
                sleep_until(accepted + GRACE).await;
            } => {
                tracing::debug!(%peer, "TLS handshake cut: the server is shutting down");
                return;
            }
        };
        match handshake {
            Ok(Ok(stream)) => {
                connection.is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                // A handshake that ends after the signal must not prolong the
                // shutdown.
                if !*stopped.borrow() {
                    connection.activity.heard();
                }
                let builder = match connection.is_http2 {
                    false => &self.http1,
                    true if connection.standing.has_short_timeout() => &self.http2_in_crowd,
                    true => &self.http2,
                };
                self.drive(builder, stream, connection, stopped).await;
            }
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "TLS handshake failed");
                if let Some(refusal) = TlsRefusal::of(&error) {
                    self.refused.note(Cause::Tls(refusal), peer);
                }
            }
            Err(_) => tracing::debug!(%peer, "TLS handshake timeout"),
        }
    }

    /// Serves a connection after its handshake.
    async fn drive<S>(
        &self,
        builder: &Builder<TokioExecutor>,
        stream: S,
        connection: Open,
        mut stopped: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Open {
            accepted,
            activity,
            is_http2,
            peer,
            standing,
        } = connection;
        let failed = Arc::new(Notify::new());
        let has_failed = Arc::clone(&failed);
        let service = service_fn(|mut request: Request<Incoming>| {
            let extensions = request.extensions_mut();
            extensions.insert(Peer(peer));
            extensions.insert(Arc::clone(&standing));
            let service = self.service.clone();
            let failed = Arc::clone(&failed);
            let busy = activity.begin();
            let request = request.map(|body| Body::new(activity.arriving(body)));
            async move {
                let mut response = service.answer(request).await;
                let aftermath = response.extensions().get().copied();
                let Aftermath { closes, .. } = aftermath.unwrap_or_default();
                let closes = closes && !service.is_proxy(peer);
                if closes && is_http2 {
                    failed.notify_one();
                }
                if (busy.end() || closes) && !is_http2 {
                    // RFC 9112 section 9.6: "A server that sends a "close"
                    // connection option MUST initiate closure of the
                    // connection [...] after it sends the response containing
                    // the "close" connection option." hyper does.
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection =
            std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let goodbye = loop {
            tokio::select! {
                ended = connection.as_mut() => return report(peer, ended),
                () = activity.idle_for(self.idle_timeout) => break CLOSE_TIMEOUT,
                // GOAWAY: requests that have begun are answered; the next one
                // needs a new connection.
                () = has_failed.notified() => connection.as_mut().graceful_shutdown(),
                () = standing.gives_way() => {
                    connection.as_mut().graceful_shutdown();
                    break tokio::select! {
                        ended = connection.as_mut() => return report(peer, ended),
                        () = activity.answered() => CUT_TIMEOUT,
                    };
                }
                () = standing.unproven(accepted) => {
                    connection.as_mut().graceful_shutdown();
                    break tokio::select! {
                        ended = connection.as_mut() => return report(peer, ended),
                        () = activity.answered() => CUT_TIMEOUT,
                    };
                }
                () = stop_of(&mut stopped) => {
                    activity.stop();
                    if is_http2 {
                        // The client is notified and opens another connection.
                        connection.as_mut().graceful_shutdown();
                    }
                    break tokio::select! {
                        ended = connection.as_mut() => return report(peer, ended),
                        () = activity.can_be_cut() => CUT_TIMEOUT,
                    };
                }
            }
        };
        connection.as_mut().graceful_shutdown();
        match timeout(goodbye, connection).await {
            Ok(ended) => report(peer, ended),
            Err(_) => tracing::debug!(%peer, "an idle or slow connection was cut"),
        }
    }
}

/// An open connection.
struct Open {
    accepted: Instant,
    activity: Arc<Activity>,
    is_http2: bool,
    peer: IpAddr,
    standing: Arc<Standing>,
}

/// Waits until the server is stopped.
async fn stop_of(stopped: &mut watch::Receiver<bool>) {
    // Without a sender there is no server either.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

fn report(peer: IpAddr, ended: Result<(), Box<dyn Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, error, "a connection failed");
    }
}

/// Serves one HTTP/1.1 connection to its end as [`Server`](crate::Server) does,
/// over any stream instead of a socket, and without limits. The client counts
/// as 0.0.0.0.
pub async fn serve_stream<S>(engine: Arc<Engine>, request_log: Arc<RequestLog>, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = HttpService::repeatable(engine, request_log, Vec::new(), RateLimits::off());
    let connections = Connections::new(service, None, None, HEADER_TIMEOUT, IDLE_TIMEOUT);
    // Kept until the end, so that the connection is never stopped.
    let (_stop, stopped) = watch::channel(false);
    let accepted = Instant::now();
    let activity = Activity::new(accepted);
    let crowd = Arc::clone(connections.service.crowd());
    let connection = Open {
        accepted,
        activity: Arc::clone(&activity),
        is_http2: false,
        peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        standing: Arc::new(Standing::new(activity, crowd, None)),
    };
    connections
        .drive(&connections.http1, stream, connection, stopped)
        .await;
}
