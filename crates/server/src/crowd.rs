//! Whether resources of unauthenticated clients are scarce.

use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// Tracks whether more than half of the connection places, or of the memory for
/// unauthenticated requests, is taken. While that is so, a connection must
/// prove itself soon.
pub(crate) struct Crowd {
    reasons: Mutex<Reasons>,
    crowded: watch::Sender<bool>,
}

#[derive(Default)]
struct Reasons {
    memory: bool,
    places: bool,
}

impl Crowd {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            reasons: Mutex::default(),
            crowded: watch::Sender::new(false),
        })
    }

    /// Sets whether more than half of the memory is taken.
    pub(crate) fn set_memory_scarce(&self, scarce: bool) {
        self.change(|reasons| reasons.memory = scarce);
    }

    /// Sets whether more than half of the places are taken.
    pub(crate) fn set_places_scarce(&self, scarce: bool) {
        self.change(|reasons| reasons.places = scarce);
    }

    fn change(&self, change: impl FnOnce(&mut Reasons)) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut reasons);
        let now = reasons.memory || reasons.places;
        // Sent under the lock, so that the last change is also the last one
        // seen.
        self.crowded
            .send_if_modified(|crowded| std::mem::replace(crowded, now) != now);
    }

    pub(crate) fn is_crowded(&self) -> bool {
        *self.crowded.borrow()
    }

    /// Waits until it is crowded.
    pub(crate) async fn wait(&self) {
        // The sender is in `self`, so it cannot be gone.
        drop(self.crowded.subscribe().wait_for(|crowded| *crowded).await);
    }
}
