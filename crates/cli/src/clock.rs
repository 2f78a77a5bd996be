//! Checks the wall clock at start, and compares it with the server's time while
//! serving.

pub mod command;

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use assay_engine::{Engine, time::TOLERANCE};
use assay_proto::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often the wall clock is compared with the server's time: often enough to
/// see that a step persists.
const CHECK: Duration = Duration::from_secs(10);

/// How often an idle server records its time.
const RECORD: Duration = Duration::from_secs(86_400);

/// Refuses a wall clock that contradicts `mark`, the latest time that the
/// database recorded: more than `max_rest` seconds ahead of it, or behind it. A
/// database without commits accepts any time.
pub fn check_start(mark: Timestamp, wall: Timestamp, max_rest: u64) -> anyhow::Result<()> {
    if mark == Timestamp(0) {
        return Ok(());
    }
    ensure!(
        mark <= wall.plus(TOLERANCE),
        "the clock says {wall}, but the database has recorded decisions at {mark}: if the clock is \
         wrong, correct it; if it was wrong then, reset the recorded time with \
         `assay store reset-clock`"
    );
    ensure!(
        wall <= mark.plus(max_rest),
        "the clock says {wall}, but the last time that the database recorded is {mark}, more than \
         time.max_rest before: if the clock is wrong, correct it; if it is right, confirm it once \
         with `assay store accept-clock TIME`, where TIME is the current time to within an hour"
    );
    Ok(())
}

/// Watches the wall clock and records the time daily, since it was recorded at
/// start. Runs until dropped.
pub async fn keep(engine: Arc<Engine>) {
    let mut ticks = interval(CHECK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut recorded = Instant::now();
    loop {
        ticks.tick().await;
        // A change is logged and reported where it is detected.
        let _ = engine.readiness();
        if recorded.elapsed() < RECORD {
            continue;
        }
        match engine.record_time("time").await {
            Ok(_) => recorded = Instant::now(),
            Err(error) => {
                tracing::error!(event = "time_not_recorded", %error, "the time was not recorded; trying again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Timestamp = Timestamp(1_800_000_000);
    const REST: u64 = 30 * 86_400;

    #[test]
    fn a_clock_that_goes_on_from_the_mark_is_accepted() {
        for wall in [MARK.minus(60), MARK, MARK.plus(REST)] {
            check_start(MARK, wall, REST).unwrap();
        }
        // Nothing was ever recorded.
        check_start(Timestamp(0), MARK, REST).unwrap();
    }

    #[test]
    fn scenarios_133_and_145_a_clock_behind_or_far_ahead_of_the_mark_is_refused_with_both_times() {
        let refusal = |wall| check_start(MARK, wall, REST).unwrap_err().to_string();
        let behind = refusal(MARK.minus(61));
        for part in [
            "2027-01-15T07:58:59Z",
            "2027-01-15T08:00:00Z",
            "`assay store reset-clock`",
        ] {
            assert!(behind.contains(part), "{behind}");
        }
        let ahead = refusal(MARK.plus(REST + 1));
        for part in [
            "2027-02-14T08:00:01Z",
            "2027-01-15T08:00:00Z",
            "`assay store accept-clock TIME`",
        ] {
            assert!(ahead.contains(part), "{ahead}");
        }
    }
}
