use proptest::{collection::vec, prelude::*};

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000);
const HOUR: u64 = 3600;

/// A server's time and the two clocks that it observes.
struct Clocks {
    time: ServerTime,
    wall: Timestamp,
    uptime: u64,
}

impl Clocks {
    fn starting() -> Self {
        Self {
            time: ServerTime::starting(Timestamp(0), NOW, 5, HOUR),
            wall: NOW,
            uptime: 5,
        }
    }

    fn observe(&mut self) -> (ClockReading, Option<ClockEvent>) {
        self.time.observe(self.wall, self.uptime)
    }

    /// Advances time, with an observation every ten seconds as in `serve`.
    fn pass(&mut self, seconds: u64) -> (ClockReading, Option<ClockEvent>) {
        let mut last = None;
        let mut left = seconds;
        while left > 0 {
            let step = left.min(10);
            left -= step;
            self.wall = self.wall.plus(step);
            self.uptime += step;
            last = self.observe().1.or(last);
        }
        let (reading, event) = self.observe();
        (reading, event.or(last))
    }
}

fn ok(now: Timestamp) -> ClockReading {
    ClockReading {
        now,
        wall: now,
        in_doubt: false,
    }
}

#[test]
fn time_moves_with_the_uptime_and_starts_at_the_wall_clock() {
    let mut clocks = Clocks::starting();
    assert_eq!(clocks.observe(), (ok(NOW), None));
    assert_eq!(clocks.pass(86_400), (ok(NOW.plus(86_400)), None));
    // A night in suspend: both clocks advance without observations.
    clocks.wall = clocks.wall.plus(30_000);
    clocks.uptime += 30_000;
    assert_eq!(clocks.observe(), (ok(NOW.plus(116_400)), None));
}

#[test]
fn time_never_starts_below_the_recorded_mark() {
    let mut time = ServerTime::starting(NOW.plus(30), NOW, 5, HOUR);
    assert_eq!(time.observe(NOW, 5).0.now, NOW.plus(30));
    assert!(!time.observe(NOW, 5).0.in_doubt);
    let mut time = ServerTime::starting(NOW.plus(HOUR), NOW, 5, HOUR);
    let (reading, event) = time.observe(NOW, 5);
    assert_eq!((reading.now, reading.in_doubt), (NOW.plus(HOUR), true));
    assert_eq!(event, Some(ClockEvent::Departed));
}

#[test]
fn a_small_drift_is_corrected_slowly_and_only_forward() {
    let mut clocks = Clocks::starting();
    clocks.wall = clocks.wall.plus(60);
    let (reading, event) = clocks.observe();
    // At once, only the second that rounding may have lost at the start.
    let now = NOW.plus(1);
    assert_eq!((reading.now, reading.in_doubt, event), (now, false, None));
    assert_eq!(clocks.observe().0.now, now);
    assert_eq!(clocks.pass(100).0.now, NOW.plus(111));
    assert_eq!(clocks.pass(500).0, ok(NOW.plus(660)));
    clocks.wall = clocks.wall.minus(60);
    let (reading, event) = clocks.pass(600);
    assert_eq!(reading.now, NOW.plus(1260));
    assert_eq!((reading.in_doubt, event), (false, None));
}

/// Both clocks are truncated to whole seconds, at different fractions.
#[test]
fn time_is_never_behind_the_wall_clock_by_rounding() {
    for (wall, uptime) in [(100, 900), (900, 100), (0, 999), (500, 500)] {
        let at = |clock: u64, milliseconds: u64| (clock + milliseconds) / 1000;
        let clocks = |passed| (Timestamp(NOW.0 + at(wall, passed)), 5 + at(uptime, passed));
        let (start, up) = clocks(0);
        let mut time = ServerTime::starting(Timestamp(0), start, up, HOUR);
        for passed in (0..20_000).step_by(50) {
            let (wall, uptime) = clocks(passed);
            let now = time.observe(wall, uptime).0.now;
            assert!(now >= wall && now <= wall.plus(1), "{passed}: {now} {wall}");
        }
    }
}

#[test]
fn a_step_of_more_than_a_minute_is_a_fault_until_the_clock_is_back() {
    for forward in [true, false] {
        let mut clocks = Clocks::starting();
        let right = clocks.wall;
        clocks.wall = if forward {
            right.plus(400 * 86_400)
        } else {
            right.minus(HOUR)
        };
        let (reading, event) = clocks.observe();
        assert_eq!(event, Some(ClockEvent::Departed));
        assert_eq!((reading.now, reading.wall), (NOW, clocks.wall));
        assert!(reading.settled().is_err());
        // It is reported once.
        assert_eq!(clocks.observe().1, None);
        clocks.wall = right;
        assert_eq!(clocks.observe(), (ok(NOW), Some(ClockEvent::Returned)));
    }
}

#[test]
fn each_new_departure_is_reported_and_one_a_minute_at_most() {
    let mut clocks = Clocks::starting();
    let departed = Some(ClockEvent::Departed);
    clocks.wall = clocks.wall.plus(86_400);
    assert_eq!(clocks.observe().1, departed);
    // The same departure is reported once.
    assert_eq!(clocks.pass(600).1, None);
    // Another step, forward or back, is reported; less than a minute is not.
    clocks.wall = clocks.wall.plus(60);
    assert_eq!(clocks.pass(600).1, None);
    clocks.wall = clocks.wall.plus(40 * 86_400);
    assert_eq!(clocks.observe().1, departed);
    clocks.wall = clocks.wall.minus(39 * 86_400);
    assert_eq!(clocks.observe().1, None);
    assert_eq!(clocks.pass(59).1, None);
    assert_eq!(clocks.pass(1).1, departed);
    assert_eq!(clocks.pass(600).1, None);
}

#[test]
fn a_clock_that_comes_and_goes_is_reported_once_a_minute() {
    let mut clocks = Clocks::starting();
    let mut events = Vec::new();
    for second in 0..600 {
        let right = NOW.plus(second);
        clocks.wall = if second % 2 == 0 {
            right.plus(HOUR)
        } else {
            right
        };
        clocks.uptime = 5 + second;
        let (reading, event) = clocks.observe();
        assert_eq!(reading.in_doubt, second % 2 == 0);
        events.extend(event);
    }
    let departures = events
        .iter()
        .filter(|event| **event == ClockEvent::Departed);
    assert_eq!(departures.count(), 10, "{events:?}");
    assert!(events.len() <= 20, "{events:?}");
}

#[test]
fn a_step_within_the_limit_is_followed_once_it_held_for_five_minutes() {
    let mut clocks = Clocks::starting();
    clocks.wall = clocks.wall.plus(HOUR);
    clocks.observe();
    let (reading, _) = clocks.pass(HOLD - 1);
    assert_eq!((reading.now, reading.in_doubt), (NOW.plus(299), true));
    assert_eq!(
        clocks.pass(1),
        (ok(NOW.plus(HOUR + 300)), Some(ClockEvent::Followed(HOUR)))
    );
}

#[test]
fn a_larger_step_is_followed_only_when_it_is_confirmed() {
    let mut clocks = Clocks::starting();
    clocks.wall = clocks.wall.plus(HOUR + 1);
    assert!(clocks.pass(30 * 86_400).0.in_doubt);
    let (wall, uptime) = (clocks.wall, clocks.uptime);
    assert_eq!(
        clocks.time.accept(wall.plus(3601), wall, uptime),
        Err(ClockRefusal::NotTheWallClock {
            wall,
            confirmed: wall.plus(3601)
        })
    );
    assert!(clocks.observe().0.in_doubt);
    assert_eq!(
        clocks.time.accept(wall.plus(3600), wall, uptime),
        Ok(Some(ClockEvent::Followed(HOUR + 1)))
    );
    assert_eq!(clocks.observe(), (ok(wall), None));
    assert_eq!(clocks.time.accept(wall, wall, uptime), Ok(None));
}

#[test]
fn a_clock_that_is_behind_is_never_followed_not_even_when_it_is_confirmed() {
    let mut clocks = Clocks::starting();
    clocks.wall = clocks.wall.minus(HOUR);
    let (reading, _) = clocks.pass(86_400);
    assert_eq!(reading.now, NOW.plus(86_400));
    assert!(reading.in_doubt);
    let refused = clocks
        .time
        .accept(clocks.wall, clocks.wall, clocks.uptime)
        .unwrap_err();
    assert!(refused.to_string().contains("store reset-clock"));
}

#[test]
fn a_step_that_does_not_hold_is_not_followed() {
    let mut clocks = Clocks::starting();
    let right = clocks.wall;
    // The wall clock goes and returns.
    clocks.wall = right.plus(HOUR);
    clocks.pass(200);
    clocks.wall = right.plus(200);
    clocks.observe();
    clocks.wall = right.plus(HOUR + 200);
    assert!(clocks.pass(200).0.in_doubt);
    // The wall clock moves on.
    clocks.wall = clocks.wall.minus(600);
    assert!(clocks.pass(200).0.in_doubt);
    // No observation for two minutes.
    clocks.wall = clocks.wall.plus(120);
    clocks.uptime += 120;
    assert!(clocks.observe().0.in_doubt);
    assert!(clocks.pass(299).0.in_doubt);
    assert!(!clocks.pass(1).0.in_doubt);
}

#[test]
fn certificates_begin_by_the_clock_that_is_behind() {
    let ahead = ClockReading {
        now: NOW,
        wall: NOW.plus(HOUR),
        in_doubt: true,
    };
    assert_eq!(ahead.issuing(), NOW);
    let behind = ClockReading {
        wall: NOW.minus(HOUR),
        ..ahead
    };
    assert_eq!(behind.issuing(), NOW.minus(HOUR));
    assert_eq!(
        behind.to_string(),
        "the wall clock says 2027-01-15T07:00:00Z, 3600 s behind the server's time 2027-01-15T08:00:00Z"
    );
}

#[test]
fn clocks_out_of_all_bounds_do_no_harm() {
    for wall in [0, u64::MAX, Timestamp::MAX.0] {
        for uptime in [0, u64::MAX / 4] {
            let mut time = ServerTime::starting(NOW, Timestamp(wall), uptime, HOUR);
            time.observe(Timestamp(wall), uptime);
            let (reading, _) = time.observe(NOW, uptime);
            assert!(reading.now <= Timestamp::MAX);
        }
    }
}

/// A change of the clocks between two observations.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Jump(i64),
    Accept(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..90_u64).prop_map(Step::Pass),
        1 => (0..1_000_000_u64).prop_map(Step::Pass),
        2 => (-10_000..10_000_i64).prop_map(Step::Jump),
        1 => (-70..70_i64).prop_map(Step::Jump),
        1 => (0..100_000_000_i64).prop_map(Step::Jump),
        1 => (0..8000_u64).prop_map(Step::Accept),
    ]
}

proptest! {
    #[test]
    fn time_is_followed_only_by_the_rules(
        mark in 1_799_990_000..1_800_010_000_u64,
        steps in vec(step(), 1..200),
    ) {
        let mark = Timestamp(mark);
        let (mut wall, mut uptime) = (NOW, 7);
        let mut time = ServerTime::starting(mark, wall, uptime, HOUR);
        let mut before = time.observe(wall, uptime).0;
        let mut seen_at = uptime;
        // Since when the wall clock has been about this far ahead without
        // interruption.
        let mut held: Option<(i64, u64)> = None;
        for step in steps {
            match step {
                Step::Pass(seconds) => {
                    wall = wall.plus(seconds);
                    uptime += seconds;
                }
                Step::Jump(by) => wall = Timestamp(wall.0.saturating_add_signed(by)),
                Step::Accept(by) => {
                    let confirmed = wall.plus(by).minus(4000);
                    let accepted = time.accept(confirmed, wall, uptime);
                    prop_assert!(accepted.is_err() || wall.plus(TOLERANCE) >= before.now);
                    before.now = before.now.max(time.observe(wall, uptime).0.now);
                    held = None;
                }
            }
            // The time if nothing is followed.
            let expected = before.now.plus(uptime - seen_at);
            let ahead = wall.0 as i64 - expected.0 as i64;
            let offset = wall.0 as i64 - uptime as i64;
            let (reading, event) = time.observe(wall, uptime);
            prop_assert!(reading.now >= expected, "went back");
            prop_assert!(reading.now >= mark, "below the mark");
            held = held
                .filter(|(at, _)| at.abs_diff(offset) <= 61 && uptime - seen_at <= 60)
                .or(Some((offset, uptime)))
                .filter(|_| ahead.unsigned_abs() > 60);
            let since = held.map_or(uptime, |(_, since)| since);
            if reading.now > expected.plus(6 + (uptime - seen_at) / 10) {
                prop_assert_eq!(event, Some(ClockEvent::Followed(ahead.unsigned_abs())));
                prop_assert!(ahead <= HOUR as i64, "followed too far");
                prop_assert!(uptime - since >= HOLD, "followed too early");
            }
            if ahead > 61 && ahead <= HOUR as i64 && uptime - since >= HOLD {
                prop_assert_eq!(reading.now, wall, "not followed");
            }
            prop_assert_eq!(reading.in_doubt, reading.now.0.abs_diff(wall.0) > 61
                || (before.in_doubt && reading.now.0.abs_diff(wall.0) > 60));
            if !reading.in_doubt {
                held = None;
            }
            (before, seen_at) = (reading, uptime);
        }
    }
}
