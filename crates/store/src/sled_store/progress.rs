use std::sync::atomic::{AtomicU64, Ordering};

use assay_engine::ports::StoreError;
use assay_proto::Timestamp;
use tokio::sync::watch;

/// How far the writer is: what readers and the server wait for.
pub(super) struct Progress {
    /// No commit after this one is visible in the tree.
    applied: AtomicU64,
    state: watch::Sender<State>,
}

struct State {
    /// All commits up to this one are on the disk.
    durable: u64,
    latest_time: Timestamp,
    poison: Option<StoreError>,
}

impl Progress {
    pub(super) fn new(sequence: u64, latest_time: Timestamp) -> Self {
        let state = State {
            durable: sequence,
            latest_time,
            poison: None,
        };
        Self {
            applied: AtomicU64::new(sequence),
            state: watch::Sender::new(state),
        }
    }

    /// Commits up to `sequence` are about to become visible.
    pub(super) fn applying(&self, sequence: u64) {
        self.applied.store(sequence, Ordering::SeqCst);
    }

    /// The last commit that may be visible.
    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::SeqCst)
    }

    /// Commits up to `sequence` are on the disk.
    pub(super) fn durable(&self, sequence: u64, latest_time: Timestamp) {
        self.state.send_modify(|state| {
            state.durable = sequence;
            state.latest_time = latest_time;
        });
    }

    pub(super) fn latest_time(&self) -> Timestamp {
        self.state.borrow().latest_time
    }

    /// Nothing is to be read or written any more. The first reason stays.
    pub(super) fn poison(&self, reason: StoreError) {
        tracing::error!(%reason, "the store is poisoned");
        self.state.send_modify(|state| {
            state.poison.get_or_insert(reason);
        });
    }

    /// Returns when commit `sequence` is on the disk.
    pub(super) async fn wait(&self, sequence: u64) -> Result<(), StoreError> {
        let mut receiver = self.state.subscribe();
        let waited = receiver
            .wait_for(|state| state.poison.is_some() || state.durable >= sequence)
            .await;
        match waited.as_deref() {
            Ok(State { poison: None, .. }) => Ok(()),
            Ok(State {
                poison: Some(reason),
                ..
            }) => Err(reason.clone()),
            Err(_) => Err(StoreError("the store was closed".to_owned())),
        }
    }

    /// The reason of the poisoning, once it happens. Pends for ever when the
    /// store is dropped in health.
    pub(super) fn poisoned(&self) -> impl Future<Output = StoreError> + Send + use<> {
        let mut receiver = self.state.subscribe();
        async move {
            let reason = receiver
                .wait_for(|state| state.poison.is_some())
                .await
                .ok()
                .and_then(|state| state.poison.clone());
            match reason {
                Some(reason) => reason,
                None => std::future::pending().await,
            }
        }
    }
}
