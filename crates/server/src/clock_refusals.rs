//! Logs the requests that are answered 503 because the clock is in doubt. They
//! are summed, since a wrong clock refuses every request that depends on the
//! time.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use assay_engine::time::ClockInDoubt;

/// The minimum time between two log lines.
const EVERY: Duration = Duration::from_secs(60);

static REFUSALS: Mutex<Refusals> = Mutex::new(Refusals {
    logged: None,
    count: 0,
});

/// The refusals since the last log line.
struct Refusals {
    logged: Option<Instant>,
    count: u64,
}

/// Logs that a request was refused, or counts it for the next line.
pub(crate) fn log(doubt: &ClockInDoubt) {
    let count = {
        let mut refusals = REFUSALS.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.add(Instant::now())
    };
    if let Some(requests) = count {
        tracing::error!(
            event = "clock_refused_requests",
            requests,
            wall = %doubt.wall,
            now = %doubt.now,
            "requests were answered 503: {doubt}"
        );
    }
}

impl Refusals {
    /// Counts a refusal. If a line is due, returns the number since the last
    /// one.
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        let is_due = self
            .logged
            .is_none_or(|logged| now.duration_since(logged) >= EVERY);
        if !is_due {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_by_a_clock_in_doubt_are_summed_a_minute() {
        let mut refusals = Refusals {
            logged: None,
            count: 0,
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(refusals.add(at(0)), Some(1));
        for second in 1..60 {
            assert_eq!(refusals.add(at(second)), None);
        }
        assert_eq!(refusals.add(at(60)), Some(60));
        assert_eq!(refusals.add(at(1000)), Some(1));
    }
}
