use std::sync::{Mutex, PoisonError};

use assay_engine::ports::StoreError;
use assay_proto::Timestamp;
use tokio::sync::watch;

use crate::ledger::survey::Start;

/// The last applied commit, and whether the store has failed.
pub(super) struct Progress {
    /// The last applied commit, and where the ledger continues.
    applied: Mutex<Start>,
    poison: watch::Sender<Option<StoreError>>,
}

impl Progress {
    pub(super) fn new(applied: Start) -> Self {
        Self {
            applied: Mutex::new(applied),
            poison: watch::Sender::new(None),
        }
    }

    /// Notes that all commits up to `applied` are durable and applied.
    pub(super) fn set_applied(&self, applied: Start) {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = applied;
    }

    pub(super) fn applied(&self) -> Start {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn latest_time(&self) -> Timestamp {
        self.applied().place.time
    }

    /// Poisons the store: from now on nothing is read or written. The first
    /// reason stays.
    pub(super) fn poison(&self, reason: StoreError) {
        tracing::error!(event = "store_poisoned", %reason, "the store is poisoned: nothing more is accepted");
        self.poison.send_modify(|poison| {
            poison.get_or_insert(reason);
        });
    }

    /// Returns an error if the store is poisoned.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &*self.poison.borrow() {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    /// Completes with the reason when the store is poisoned. Pends indefinitely
    /// if the store is closed without being poisoned.
    pub(super) fn poisoned(&self) -> impl Future<Output = StoreError> + Send + use<> {
        let mut receiver = self.poison.subscribe();
        async move {
            let reason = receiver
                .wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|reason| reason.clone());
            match reason {
                Some(reason) => reason,
                None => std::future::pending().await,
            }
        }
    }
}
