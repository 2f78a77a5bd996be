use std::{io, sync::Arc, time::Duration};

use assay_engine::Engine;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    config::ServerConfig,
    connection::Connections,
    crowd::Crowd,
    http_service::HttpService,
    memory::Memory,
    places::{NoPlaceCount, Places},
    proxy_protocol::ProxyProtocol,
    request_log::RequestLog,
};

/// How long to wait when no connection can be accepted: probably there are no
/// file descriptors left, and only time helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The minimum time between two log lines about that.
const BETWEEN_FAILURES: Duration = Duration::from_secs(10);
/// How often counted events are logged.
const SUMMARY: Duration = Duration::from_secs(1);

/// Accepts connections and serves them.
pub struct Server {
    connections: Arc<Connections>,
    drain_timeout: Duration,
    listen: TcpListener,
    places: Arc<Places>,
    request_log: Arc<RequestLog>,
}

impl Server {
    /// Creates a server that serves nothing until [`run`](Self::run).
    /// `request_log` must be the one that the engine's observers use.
    #[must_use]
    pub fn new(engine: Arc<Engine>, request_log: Arc<RequestLog>, config: ServerConfig) -> Self {
        let crowd = Crowd::new();
        let proxy_protocol = config
            .proxy_protocol
            .then(|| ProxyProtocol::new(config.trusted_proxies.clone()));
        // With the PROXY protocol no proxy writes X-Forwarded-For, so only the
        // client can have set it.
        let trusted = match config.proxy_protocol {
            true => Vec::new(),
            false => config.trusted_proxies.clone(),
        };
        let exempt = [&config.trusted_proxies[..], &config.rate_limits.exempt].concat();
        let places = Places::new(
            config.max_connections,
            config.connections_per_address,
            exempt.clone(),
            Arc::clone(&crowd),
        );
        let service = HttpService::new(
            Memory::new(exempt, crowd),
            engine,
            Arc::clone(&request_log),
            trusted,
            config.rate_limits,
        )
        .with_access_log(config.access_log);
        Self {
            connections: Arc::new(Connections::new(
                service,
                config.tls.as_deref(),
                proxy_protocol,
                config.header_timeout,
                config.idle_timeout,
            )),
            drain_timeout: config.drain_timeout,
            listen: config.listen,
            places,
            request_log,
        }
    }

    /// Serves until `shutdown`. Then it accepts no more connections, closes
    /// idle and slow ones, and answers requests that have arrived completely
    /// within the drain timeout. Tasks that were started for a request, with
    /// their commits, run to completion.
    ///
    /// # Errors
    /// None at present: an error of one connection ends only that one, and an
    /// error of accept is logged and retried.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let mut shutdown = std::pin::pin!(shutdown);
        let (stop, stopped) = watch::channel(false);
        let mut open = JoinSet::new();
        let mut seconds = interval(SUMMARY);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = Failures::default();
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                _ = seconds.tick() => {
                    summarize(&self.request_log, &self.places);
                    self.connections.refused().summarize();
                }
                Some(ended) = open.join_next() => report(ended),
                () = self.places.freed() => {}
                accepted = self.listen.accept(), if self.places.has_free() => {
                    match accepted {
                        Ok((stream, peer)) => {
                            let peer = peer.ip();
                            // Dropping the stream closes it.
                            if self.connections.allows(peer)
                                && let Some(place) = self.places.take(peer)
                            {
                                let connections = Arc::clone(&self.connections);
                                open.spawn(connections.serve(stream, peer, place, stopped.clone()));
                            }
                        }
                        Err(error) => failures.wait_out(&error).await,
                    }
                }
            }
        }
        drop(self.listen);
        stop.send_replace(true);
        let drained = timeout(self.drain_timeout, async {
            while let Some(ended) = open.join_next().await {
                report(ended);
            }
        });
        if drained.await.is_err() {
            tracing::warn!(
                event = "drain_timeout",
                connections = open.len(),
                "drain timeout: requests were not answered in time, their connections are closed"
            );
            open.shutdown().await;
        }
        self.connections.work_ended().await;
        summarize(&self.request_log, &self.places);
        self.connections.refused().flush();
        Ok(())
    }
}

/// Logs what was counted since the last summary.
fn summarize(request_log: &RequestLog, places: &Places) {
    request_log.summarize();
    let NoPlaceCount { count, last } = places.refused();
    if count > 0 {
        tracing::info!(
            event = "connections_refused",
            count,
            client = last.map(tracing::field::display),
            "connections closed: their address has used its share of the places"
        );
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(event = "fault", %error, "the task of a connection failed");
    }
}

/// Connections that could not be accepted.
#[derive(Default)]
struct Failures {
    /// The number since the last line.
    count: u64,
    logged: Option<Instant>,
}

impl Failures {
    async fn wait_out(&mut self, error: &io::Error) {
        // These concern only the one connection that was about to be accepted.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
        ) {
            return;
        }
        self.count += 1;
        if self
            .logged
            .is_none_or(|logged| logged.elapsed() >= BETWEEN_FAILURES)
        {
            self.logged = Some(Instant::now());
            let count = std::mem::take(&mut self.count);
            tracing::error!(
                event = "accept_failed",
                count,
                %error,
                "no connection can be accepted at present"
            );
        }
        sleep(ACCEPT_PAUSE).await;
    }
}
