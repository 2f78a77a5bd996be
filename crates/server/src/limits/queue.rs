//! The order in which signatures are checked.

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::yield_now,
};

/// Where requests wait for their signature check if their address sent much
/// junk. One at a time continues, and only after all other requests that can
/// continue. So junk takes at most one core, and only what other requests leave
/// of it.
///
/// Nothing is refused here: a good request may come from the same address. The
/// number of connections and streams bounds how many wait;
/// [`Bodies`](crate::body::Bodies) bounds their bodies.
pub(super) struct Queue(Semaphore);

/// The permit to check one signature. Dropping it lets the next request
/// continue.
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
        // The semaphore is never closed.
        let permit = self.0.acquire().await.ok();
        yield_now().await;
        Turn { _permit: permit }
    }
}
