//! The request that a task works for: its id, its account, and whether it was
//! authenticated. It also decides how a refusal is logged.

use std::{
    fmt,
    hash::{BuildHasher, DefaultHasher, Hasher, RandomState},
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use assay_engine::{RequestId, ids::AccountId};
use assay_proto::{Problem, ProblemType, WireIdentifier, truncate_quote};
use tracing::Span;

use crate::{request_log::RequestLog, standing::Standing};

/// The maximum length of the ordered identifiers in the log, in bytes.
const LONGEST_IDENTIFIERS: usize = 256;

tokio::task_local! {
    static CURRENT: Arc<CurrentRequest>;
}

/// What is known of the current request.
pub(crate) struct CurrentRequest {
    account: OnceLock<AccountId>,
    authenticated: AtomicBool,
    client: IpAddr,
    connection: Option<Arc<Standing>>,
    id: RequestId,
    log: Arc<RequestLog>,
    /// The log span of this request.
    span: OnceLock<Span>,
}

/// Generates request ids. An id does not show how many requests there were.
pub(crate) struct RequestIds {
    count: AtomicU64,
    seed: u64,
}

impl RequestIds {
    /// Creates a generator whose ids differ in each process.
    pub(crate) fn random() -> Self {
        Self::of(RandomState::new().hash_one(0))
    }

    /// Creates a generator that repeats its ids, for replays.
    pub(crate) fn repeatable() -> Self {
        Self::of(0)
    }

    fn of(seed: u64) -> Self {
        Self {
            count: AtomicU64::new(0),
            seed,
        }
    }

    pub(crate) fn next(&self) -> RequestId {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u64(self.count.fetch_add(1, Ordering::Relaxed));
        RequestId(hasher.finish())
    }
}

impl CurrentRequest {
    /// Creates the state of a request of `client` that is not authenticated
    /// yet.
    pub(crate) fn new(
        log: Arc<RequestLog>,
        id: RequestId,
        client: IpAddr,
        connection: Option<Arc<Standing>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            account: OnceLock::new(),
            authenticated: AtomicBool::new(false),
            client,
            connection,
            id,
            log,
            span: OnceLock::new(),
        })
    }

    /// The account that signed it, or that it created.
    pub(crate) fn account(&self) -> Option<AccountId> {
        self.account.get().copied()
    }

    /// The client's address.
    pub(crate) fn client(&self) -> IpAddr {
        self.client
    }

    /// Its name.
    pub(crate) fn id(&self) -> RequestId {
        self.id
    }

    /// Sets the span of this request's log lines. What becomes known later is
    /// recorded in it.
    pub(crate) fn within(&self, span: &Span) {
        self.span.get_or_init(|| span.clone());
    }

    /// Counts it, unless its access log line is written: returns whether it is.
    pub(crate) fn count_access(&self) -> bool {
        let authenticated = self.authenticated.load(Ordering::Relaxed);
        self.log.count_access(self.client, authenticated)
    }

    fn note(&self, field: &str, value: impl fmt::Display) {
        if let Some(span) = self.span.get() {
            span.record(field, tracing::field::display(value));
        }
    }

    /// Runs `work` with this as its current request.
    pub(crate) async fn scope<F: Future>(self: Arc<Self>, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    fn get() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }
}

/// The id of the current request.
pub(crate) fn id() -> Option<RequestId> {
    CurrentRequest::get().map(|current| current.id)
}

/// Runs `work` with the caller's current request, in whatever task it is
/// polled.
pub(crate) fn in_current<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let current = CurrentRequest::get();
    async {
        match current {
            Some(current) => current.scope(work).await,
            None => work.await,
        }
    }
}

/// Marks the current request as authenticated: its signature was verified and
/// its nonce redeemed. `account` is the signer's, if it has one.
pub(crate) fn authenticated(account: Option<AccountId>) {
    if let Some(current) = CurrentRequest::get() {
        current.authenticated.store(true, Ordering::Relaxed);
        if let Some(connection) = &current.connection {
            connection.authenticated();
        }
    }
    if let Some(account) = account {
        note_account(account);
    }
}

/// Sets the account that the current request belongs to, or created.
pub(crate) fn note_account(account: AccountId) {
    if let Some(current) = CurrentRequest::get()
        && current.account.set(account).is_ok()
    {
        current.note("account", account);
    }
}

/// Notes what the current request orders. It must be authenticated.
pub(crate) fn note_identifiers(identifiers: &[WireIdentifier]) {
    if let Some(current) = CurrentRequest::get() {
        let mut all = String::new();
        for identifier in identifiers {
            if all.len() >= LONGEST_IDENTIFIERS {
                break;
            }
            let separator = if all.is_empty() { "" } else { ", " };
            let value = truncate_quote(&identifier.value);
            all = format!("{all}{separator}{value}");
        }
        current.note("identifier", all);
    }
}

/// Notes the name of the resource that the current request is for. It must be
/// authenticated.
pub(crate) fn note_resource(name: &str) {
    if let Some(current) = CurrentRequest::get() {
        current.note("resource", name);
    }
}

/// Logs the refusal of the current request: with its own line if it was
/// authenticated and its address has lines left, else at the debug level.
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
    CurrentRequest::get().is_some_and(|current| {
        let log = &current.log;
        if current.authenticated.load(Ordering::Relaxed) {
            log.count_refusal(kind, current.client)
        } else {
            log.count_unauthenticated_refusal(kind, current.client);
            false
        }
    })
}

/// Counts a fault of the current request, unless it gets a line of its own:
/// returns whether it does.
pub(crate) fn count_fault(kind: ProblemType) -> bool {
    CurrentRequest::get().is_none_or(|current| {
        let authenticated = current.authenticated.load(Ordering::Relaxed);
        current.log.count_fault(kind, current.client, authenticated)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ_and_only_those_of_replays_repeat() {
        let [a, b] = [RequestIds::repeatable(), RequestIds::repeatable()];
        let names: Vec<_> = (0..100).map(|_| a.next()).collect();
        assert!(names.iter().all(|name| *name == b.next()));
        let mut distinct: Vec<_> = names.iter().map(ToString::to_string).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 100);
        assert!(distinct.iter().all(|name| name.len() == 16));
        assert_ne!(RequestIds::random().next(), names[0]);
    }
}
