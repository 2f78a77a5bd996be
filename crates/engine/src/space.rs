//! Guard on free disk space: what grows without bound is refused before writes
//! fail, so that orders in progress can complete.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    events::Event,
    health::{Health, Part},
    ports::Space,
};

/// Whether there is room for new accounts and orders.
pub(crate) struct SpaceGuard {
    /// New accounts and orders need at least this many free bytes; 0 disables
    /// the guard.
    threshold: u64,
    space: Option<Arc<dyn Space>>,
    health: Arc<Health>,
    is_low: AtomicBool,
    is_unknown: AtomicBool,
}

impl SpaceGuard {
    pub(crate) fn new(space: Option<Arc<dyn Space>>, threshold: u64, health: Arc<Health>) -> Self {
        Self {
            threshold,
            space: space.filter(|_| threshold > 0),
            health,
            is_low: AtomicBool::new(false),
            is_unknown: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_low(&self) -> bool {
        self.is_low.load(Ordering::Relaxed)
    }

    /// Measures the free space and reports changes. After "low", the space must
    /// exceed the threshold by an eighth to be enough again. If the space
    /// cannot be read, the state does not change.
    pub(crate) fn check(&self, report: impl FnOnce(&Event<'_>)) {
        let Some(space) = &self.space else { return };
        let free = match space.free() {
            Ok(free) => free,
            Err(error) => {
                if !self.is_unknown.swap(true, Ordering::Relaxed) {
                    if !self.is_low() {
                        let reason = format!("the free space cannot be read: {error}");
                        self.health.degrade(Part::FreeSpace, reason);
                    }
                    report(&Event::FreeSpaceUnknown { error: &error });
                }
                return;
            }
        };
        let was_unknown = self.is_unknown.swap(false, Ordering::Relaxed);
        let threshold = match self.is_low() {
            true => self.threshold.saturating_add(self.threshold / 8),
            false => self.threshold,
        };
        let is_low = free < threshold;
        if is_low {
            let reason = format!("{free} bytes are free, fewer than {threshold}");
            self.health.fail(Part::FreeSpace, reason);
        } else if was_unknown || self.is_low() {
            self.health.recover(Part::FreeSpace);
        }
        match (self.is_low.swap(is_low, Ordering::Relaxed), is_low) {
            (false, true) => report(&Event::FreeSpaceLow { free, threshold }),
            (true, false) => report(&Event::FreeSpaceBack { free }),
            _ => {}
        }
    }
}
