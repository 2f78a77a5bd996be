use std::{io, sync::Arc, time::Duration};

use assay_engine::Engine;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

use crate::{config::ServerConfig, connection::Connections, surface::Surface};

/// How long to wait when no connection can be accepted: the open files may
/// have run out, and only time helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections and serves them.
pub struct Server {
    connections: Arc<Connections>,
    drain_timeout: Duration,
    listen: TcpListener,
    max_connections: usize,
}

impl Server {
    /// A server; it serves nothing until [`run`](Self::run).
    #[must_use]
    pub fn new(engine: Arc<Engine>, config: ServerConfig) -> Self {
        let surface = Surface::new(
            engine,
            config.website,
            config.trusted_proxies,
            config.rate_limits,
        );
        Self {
            connections: Arc::new(Connections::new(
                surface,
                config.tls.as_deref(),
                config.header_timeout,
                config.idle_timeout,
            )),
            drain_timeout: config.drain_timeout,
            listen: config.listen,
            max_connections: config.max_connections,
        }
    }

    /// Serves until `shutdown`. Then no connection is accepted any more, those
    /// that do nothing or are slow are cut, and requests that have arrived whole
    /// are answered, for as long as the configuration says. What was begun for a
    /// request in a task of its own comes to its end, commits among it.
    ///
    /// # Errors
    /// None at present: what goes wrong with one connection ends that one, and
    /// what keeps connections from being accepted is logged and waited out.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let mut shutdown = std::pin::pin!(shutdown);
        let (stop, stopped) = watch::channel(false);
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = open.join_next() => report(ended),
                accepted = self.listen.accept(), if open.len() < self.max_connections => {
                    match accepted {
                        Ok((stream, peer)) => {
                            let connections = Arc::clone(&self.connections);
                            let stopped = stopped.clone();
                            open.spawn(connections.serve(stream, peer.ip(), stopped));
                        }
                        Err(error) => wait_out(&error).await,
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
                "requests were not answered in time: their connections are cut"
            );
            open.shutdown().await;
        }
        self.connections.work_ended().await;
        Ok(())
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(event = "fault", %error, "the task of a connection failed");
    }
}

async fn wait_out(error: &io::Error) {
    // These concern the one connection that was about to be accepted.
    if matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    ) {
        return;
    }
    tracing::error!(event = "accept_failed", %error, "no connection can be accepted at present");
    sleep(ACCEPT_PAUSE).await;
}
