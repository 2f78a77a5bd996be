//! Counts of what floods cause, for one summed event a second instead of one
//! for each.

use std::sync::{Mutex, PoisonError};

use crate::census::{Displaced, Network};

/// What gave way, and what was refused, since the last report.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    displaced: u64,
    refused: u64,
    /// The heaviest network, as last seen.
    network: Option<Network>,
}

impl Tally {
    pub(crate) fn add_displaced<T>(&self, displaced: &[Displaced<T>]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.displaced += displaced.len() as u64;
        if let Some(last) = displaced.last() {
            counts.network = Some(last.network);
        }
    }

    pub(crate) fn add_refused(&self) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.refused += 1;
    }

    /// Gives `report` what there is since the last time: how many gave way, how
    /// many were refused, the heaviest network.
    pub(crate) fn report(&self, report: impl FnOnce(u64, u64, Option<Network>)) {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if counts.displaced + counts.refused > 0 {
            report(counts.displaced, counts.refused, counts.network);
        }
    }
}
