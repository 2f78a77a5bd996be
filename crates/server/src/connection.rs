use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use assay_engine::Engine;
use axum::{body::Body, extract::Request};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    address::Peer,
    config::{HEADER_TIMEOUT, IDLE_TIMEOUT},
    rate_limit::RateLimits,
    surface::Surface,
    tls::TlsIdentity,
};

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection may take to say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 16;
/// The most bytes of a request's head.
const MAX_HEAD: u32 = 32 * 1024;
/// The most bytes of bodies that one connection holds unread.
const WINDOW: u32 = 256 * 1024;

/// How connections are served.
pub(crate) struct Connections {
    http1: Builder<TokioExecutor>,
    http2: Builder<TokioExecutor>,
    idle_timeout: Duration,
    surface: Surface,
    tls: Option<TlsAcceptor>,
}

impl Connections {
    pub(crate) fn new(
        surface: Surface,
        tls: Option<&TlsIdentity>,
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
        Self {
            http1: builder.clone().http1_only(),
            http2: builder.http2_only(),
            idle_timeout,
            surface,
            tls: tls.map(|identity| TlsAcceptor::from(identity.config())),
        }
    }

    /// Serves one connection to its end, or until `stopped` and the end of its
    /// open requests.
    pub(crate) async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: IpAddr,
        stopped: watch::Receiver<bool>,
    ) {
        // Answers are small and whole: nothing is gained by holding them back.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY cannot be set");
        }
        let Some(tls) = &self.tls else {
            return self.drive(&self.http1, stream, peer, stopped).await;
        };
        match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let builder = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => &self.http2,
                    _ => &self.http1,
                };
                self.drive(builder, stream, peer, stopped).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    }

    async fn drive<S>(
        &self,
        builder: &Builder<TokioExecutor>,
        stream: S,
        peer: IpAddr,
        mut stopped: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let activity = Arc::new(Activity::default());
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            let surface = self.surface.clone();
            let busy = activity.begin();
            async move {
                let response = surface.answer(request.map(Body::new)).await;
                drop(busy);
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection =
            std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, error, "a connection failed");
                }
            }
            () = activity.idle_for(self.idle_timeout) => {
                connection.as_mut().graceful_shutdown();
                if timeout(CLOSE_TIMEOUT, connection).await.is_err() {
                    tracing::debug!(%peer, "an idle connection was cut");
                }
            }
            () = async { drop(stopped.wait_for(|stopped| *stopped).await) } => {
                connection.as_mut().graceful_shutdown();
                if let Err(error) = connection.await {
                    tracing::debug!(%peer, error, "a connection failed");
                }
            }
        }
    }
}

/// Serves one HTTP/1.1 connection to its end as [`Server`](crate::Server)
/// does, over any stream instead of a socket. The client counts as
/// 0.0.0.0.
pub async fn serve_stream<S>(engine: Arc<Engine>, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let surface = Surface::new(engine, None, Vec::new(), RateLimits::default());
    let connections = Connections::new(surface, None, HEADER_TIMEOUT, IDLE_TIMEOUT);
    // Kept until the end: nobody stops it.
    let (_stop, stopped) = watch::channel(false);
    let peer = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    connections
        .drive(&connections.http1, stream, peer, stopped)
        .await;
}

/// Whether requests are under way on a connection, or since when none is.
struct Activity(Mutex<(usize, Instant)>);

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }
}

impl Activity {
    fn begin(self: &Arc<Self>) -> Busy {
        self.change(|open| open + 1);
        Busy(Arc::clone(self))
    }

    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (change(state.0), Instant::now());
    }

    /// Ends once there was no request for that long.
    async fn idle_for(&self, limit: Duration) {
        loop {
            let (open, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let end = if open > 0 { now + limit } else { since + limit };
            if end <= now {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// A request under way.
struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.change(|open| open - 1);
    }
}
