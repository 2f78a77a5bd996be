//! Counters for what floods cause, reported as one event a second instead of
//! one each.

use std::sync::{Mutex, PoisonError};

use crate::{census, events::DisplacedCounts};

/// How many were displaced and refused since the last report.
#[derive(Default)]
pub(crate) struct Tally(Mutex<DisplacedCounts>);

impl Tally {
    pub(crate) fn add_displaced<T>(&self, displaced: &[census::Displaced<T>]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.count += displaced.len() as u64;
        if let Some(last) = displaced.last() {
            counts.network = Some(last.network);
        }
    }

    pub(crate) fn add_refused(&self) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.refused += 1;
    }

    /// Returns the counts since the last call, if they are not zero.
    pub(crate) fn take(&self) -> Option<DisplacedCounts> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (counts.count + counts.refused > 0).then_some(counts)
    }
}
