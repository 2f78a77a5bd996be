//! The request that a task works for: whether it was authenticated, and what
//! its refusal costs the log.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use assay_engine::Engine;
use assay_proto::{Problem, ProblemType};

use crate::standing::Standing;

tokio::task_local! {
    static CURRENT: Arc<Current>;
}

/// What is known of the request under way.
pub(crate) struct Current {
    authenticated: AtomicBool,
    client: IpAddr,
    connection: Option<Arc<Standing>>,
    engine: Arc<Engine>,
}

impl Current {
    /// A request of `client`, not authenticated yet.
    pub(crate) fn new(
        engine: Arc<Engine>,
        client: IpAddr,
        connection: Option<Arc<Standing>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            authenticated: AtomicBool::new(false),
            client,
            connection,
            engine,
        })
    }

    /// Works for this request.
    pub(crate) async fn scope<F: Future>(self: Arc<Self>, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    fn get() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }
}

/// Works for the current request, if there is one, in whatever task.
pub(crate) fn in_current<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let current = Current::get();
    async {
        match current {
            Some(current) => current.scope(work).await,
            None => work.await,
        }
    }
}

/// The current request's signature was verified, its nonce redeemed.
pub(crate) fn authenticated() {
    if let Some(current) = Current::get() {
        current.authenticated.store(true, Ordering::Relaxed);
        if let Some(connection) = &current.connection {
            connection.authenticated();
        }
    }
}

/// Logs the refusal of the current request: by a line of its own where it was
/// authenticated and its address has not had too many, for debugging otherwise.
pub(crate) fn log_refusal(problem: &Problem) {
    let Problem {
        kind,
        detail,
        status,
        ..
    } = problem;
    if is_logged(*kind) {
        tracing::info!(
            event = "request_refused",
            status,
            kind = kind.name(),
            detail,
            "request refused"
        );
    } else {
        tracing::debug!(
            event = "request_refused",
            status,
            kind = kind.name(),
            detail,
            "request refused"
        );
    }
}

fn is_logged(kind: ProblemType) -> bool {
    Current::get().is_some_and(|current| {
        let log = current.engine.request_log();
        if current.authenticated.load(Ordering::Relaxed) {
            log.refused(kind, current.client)
        } else {
            log.refused_unauthenticated(kind);
            false
        }
    })
}

/// Whether a fault that the current request met gets a line of its own.
pub(crate) fn logs_fault(kind: ProblemType) -> bool {
    Current::get().is_none_or(|current| current.engine.request_log().fault(kind))
}
