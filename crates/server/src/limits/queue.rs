//! In which order signatures are checked.

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::yield_now,
};

/// Where requests of addresses that sent much junk wait before their signatures
/// are checked: one at a time goes on, and that one only after all other requests
/// that can go on have. So junk takes one core at most, and only what others leave
/// of it.
///
/// Nothing is refused here, since a good request may come from the same address.
/// What waits is bounded by the connections and their streams, and its bodies by
/// [`Bodies`](crate::body::Bodies).
pub(super) struct Queue(Semaphore);

/// The right to have one signature checked, until it is dropped.
pub(crate) struct Turn<'a> {
    _permit: Option<SemaphorePermit<'a>>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self(Semaphore::new(1))
    }

    pub(super) async fn turn(&self, is_suspect: bool) -> Turn<'_> {
        if !is_suspect {
            return Turn { _permit: None };
        }
        // It is never closed.
        let permit = self.0.acquire().await.ok();
        yield_now().await;
        Turn { _permit: permit }
    }
}
