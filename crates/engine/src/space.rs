//! The guard on the room that is left on the disk: what may grow without end
//! stops before a write can fail, so that what was begun can be finished.

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
    /// Below so many free bytes there is not; 0 switches the guard off.
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

    /// Measures, and reports what changed. What was low stays so until there is
    /// an eighth more than the threshold; where the system does not say, nothing
    /// changes.
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
