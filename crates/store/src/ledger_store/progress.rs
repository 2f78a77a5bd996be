use std::sync::{Mutex, PoisonError};

use assay_engine::ports::StoreError;
use assay_proto::Timestamp;
use tokio::sync::watch;

use crate::ledger::survey::Start;

/// How far the store is, and whether it failed.
pub(super) struct Progress {
    /// The last commit that is applied, and where the ledger goes on.
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

    /// All commits up to there are durable and applied.
    pub(super) fn set_applied(&self, applied: Start) {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = applied;
    }

    pub(super) fn applied(&self) -> Start {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn latest_time(&self) -> Timestamp {
        self.applied().place.time
    }

    /// Nothing is to be read or written any more. The first reason stays.
    pub(super) fn poison(&self, reason: StoreError) {
        tracing::error!(event = "store_poisoned", %reason, "the store is poisoned: nothing more is accepted");
        self.poison.send_modify(|poison| {
            poison.get_or_insert(reason);
        });
    }

    /// Fails once the store is poisoned.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &*self.poison.borrow() {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    /// The reason of the poisoning, once it happens. Pends indefinitely when
    /// the store is closed without one.
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
