//! The server's own time: the time of every decision, and whether the wall
//! clock agrees with it.
//!
//! Within a process the time advances with the uptime (CLOCK_BOOTTIME, so
//! suspending the machine is not a fault). The wall clock sets the initial time
//! and corrects small drift. A wall clock that departs from the server's time
//! by more than [`TOLERANCE`] is a fault until it returns, is followed or is
//! confirmed: meanwhile the clock may be wrong, and an expiry would be final.

use std::fmt;

use assay_proto::Timestamp;

use crate::Error;

/// The largest difference between wall clock and server's time that is not a
/// fault, in seconds.
pub const TOLERANCE: u64 = 60;

/// The default of the largest forward step that is followed without
/// confirmation, in seconds.
pub const MAX_JUMP: u64 = 3600;

/// How long a forward step must hold before it is followed, in seconds.
pub const HOLD: u64 = 300;

/// The largest difference between the time that an operator confirms and the
/// wall clock, in seconds.
pub const CONFIRMATION: u64 = 3600;

/// The longest gap between two observations of a step for which it counts as
/// one step that holds, in seconds.
const MAX_GAP: u64 = 60;

/// The shortest interval between two reports of a departure, in seconds.
const REPORT_EVERY: u64 = 60;

/// The seconds over which one second of drift is corrected.
const SLEW: u64 = 10;

/// Both clocks count whole seconds, so their difference is exact to one second.
const RESOLUTION: u64 = 1;

/// The server's time, a state machine over observations of the two clocks. It
/// never goes back.
#[derive(Clone, Debug)]
pub struct ServerTime {
    /// The server's time at uptime 0; negative if the time is less than the
    /// uptime.
    origin: i64,
    max_jump: u64,
    /// The uptime up to which drift was corrected.
    slewed: u64,
    /// The seconds that rounding may have lost when the time was set from the
    /// wall clock.
    rounding: u64,
    departure: Option<Departure>,
    /// The departure reported last.
    reported: Option<Reported>,
}

/// A reported departure.
#[derive(Clone, Copy, Debug)]
struct Reported {
    /// The wall clock's time at uptime 0.
    origin: i64,
    /// The uptime of the report.
    at: u64,
    /// Whether the departure ended, so that the same step is reported again.
    over: bool,
}

/// A wall clock that departs from the server's time.
#[derive(Clone, Copy, Debug)]
struct Departure {
    /// The wall clock's time at uptime 0 when this departure was first seen.
    origin: i64,
    /// The uptime at which it was first seen.
    since: u64,
    /// The uptime at which it was last seen.
    seen: u64,
}

/// The readings of both clocks at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The server's time, which decisions use.
    pub now: Timestamp,
    /// The wall clock.
    pub wall: Timestamp,
    /// Whether the two differ, so that no decision made final by time may be
    /// committed.
    pub in_doubt: bool,
}

/// A change of the clock's state, to be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockEvent {
    /// The wall clock departed from the server's time, or its departure changed
    /// by more than a minute since the last report.
    Departed,
    /// The wall clock is back within the tolerance.
    Returned,
    /// The server's time advanced to the wall clock, by this many seconds.
    Followed(u64),
}

/// Why the wall clock is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockRefusal {
    /// The confirmed time is not the wall clock's.
    #[error(
        "the clock says {wall}, which is more than an hour from {confirmed}: set the clock right, \
         or give the time that it is"
    )]
    NotTheWallClock {
        /// The wall clock.
        wall: Timestamp,
        /// The time that the operator gave.
        confirmed: Timestamp,
    },
    /// The wall clock is behind the server's time.
    #[error(
        "the clock says {wall}, but decisions of {now} are recorded: set the clock right; if \
         {now} is wrong, stop the server and run `assay store reset-clock`"
    )]
    Behind {
        /// The wall clock.
        wall: Timestamp,
        /// The server's time.
        now: Timestamp,
    },
}

/// A decision that would become final by time while the wall clock departs from
/// the server's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock says {wall}, the server's time is {now}: nothing expires until they agree; set the \
     clock right, or confirm it with `assay store accept-clock TIME`"
)]
pub struct ClockInDoubt {
    /// The server's time.
    pub now: Timestamp,
    /// The wall clock.
    pub wall: Timestamp,
}

impl ServerTime {
    /// The time of a new process: the wall clock's, but at least `mark`, the
    /// latest recorded time.
    #[must_use]
    pub fn starting(mark: Timestamp, wall: Timestamp, uptime: u64, max_jump: u64) -> Self {
        Self {
            origin: origin(mark.max(wall), uptime),
            max_jump,
            slewed: uptime,
            rounding: RESOLUTION,
            departure: None,
            reported: None,
        }
    }

    /// Observes both clocks. The uptime must not decrease between calls.
    pub fn observe(&mut self, wall: Timestamp, uptime: u64) -> (ClockReading, Option<ClockEvent>) {
        let wall_origin = origin(wall, uptime);
        let ahead = wall_origin - self.origin;
        let event = if self.agrees(ahead) {
            self.slew(ahead, uptime);
            self.departure.take().and_then(|_| self.end_report())
        } else {
            self.slewed = uptime;
            self.depart(wall_origin, uptime)
        };
        let reading = ClockReading {
            now: at(self.origin, uptime),
            wall,
            in_doubt: self.departure.is_some(),
        };
        (reading, event)
    }

    /// Follows the wall clock forward after the operator confirmed that the
    /// time is `confirmed`.
    ///
    /// # Errors
    /// [`ClockRefusal`]; then nothing changes.
    pub fn accept(
        &mut self,
        confirmed: Timestamp,
        wall: Timestamp,
        uptime: u64,
    ) -> Result<Option<ClockEvent>, ClockRefusal> {
        check_confirmation(confirmed, wall)?;
        let now = at(self.origin, uptime);
        if now.0.saturating_sub(wall.0) > TOLERANCE {
            return Err(ClockRefusal::Behind { wall, now });
        }
        let ahead = origin(wall, uptime) - self.origin;
        Ok((ahead > 0).then(|| self.follow(ahead, uptime)))
    }

    /// Whether a wall clock that is this many seconds ahead is within the
    /// tolerance. The two limits differ by a second, so that rounding of the
    /// two clocks does not look like repeated departures and returns.
    fn agrees(&self, ahead: i64) -> bool {
        let limit = match self.departure {
            Some(_) => TOLERANCE,
            None => TOLERANCE + RESOLUTION,
        };
        ahead.unsigned_abs() <= limit
    }

    /// Corrects drift: only forward, and slowly except for what rounding cost.
    /// A time ahead of the wall clock stays ahead.
    fn slew(&mut self, mut ahead: i64, uptime: u64) {
        if ahead > 0 && self.rounding > 0 {
            self.rounding -= 1;
            self.origin += 1;
            ahead -= 1;
        }
        if ahead <= 0 {
            self.slewed = uptime;
            return;
        }
        let allowed = uptime.saturating_sub(self.slewed) / SLEW;
        let step = allowed.min(ahead.unsigned_abs());
        self.origin = self.origin.saturating_add_unsigned(step);
        self.slewed = if step == ahead.unsigned_abs() {
            uptime
        } else {
            self.slewed + step * SLEW
        };
    }

    fn depart(&mut self, wall_origin: i64, uptime: u64) -> Option<ClockEvent> {
        let mut departure = self
            .departure
            .filter(|departure| {
                // Another step, or a gap in the observations: start again.
                (wall_origin - departure.origin).unsigned_abs() <= TOLERANCE + RESOLUTION
                    && uptime.saturating_sub(departure.seen) <= MAX_GAP
            })
            .unwrap_or(Departure {
                origin: wall_origin,
                since: uptime,
                seen: uptime,
            });
        departure.seen = uptime;
        self.departure = Some(departure);
        let ahead = wall_origin - self.origin;
        let held = uptime.saturating_sub(departure.since) >= HOLD;
        if held && ahead > 0 && ahead.unsigned_abs() <= self.max_jump {
            return Some(self.follow(ahead, uptime));
        }
        self.report(wall_origin, uptime)
    }

    /// Reports a departure when it begins and when the wall clock steps again,
    /// at most once a minute. An earlier change is reported after the minute,
    /// if it lasts.
    fn report(&mut self, wall_origin: i64, uptime: u64) -> Option<ClockEvent> {
        if let Some(reported) = self.reported {
            let moved = (wall_origin - reported.origin).unsigned_abs();
            let is_news = reported.over || moved > TOLERANCE + RESOLUTION;
            if !is_news || uptime.saturating_sub(reported.at) < REPORT_EVERY {
                return None;
            }
        }
        self.reported = Some(Reported {
            origin: wall_origin,
            at: uptime,
            over: false,
        });
        Some(ClockEvent::Departed)
    }

    /// Reports the end of the departure, unless its beginning was not reported.
    fn end_report(&mut self) -> Option<ClockEvent> {
        let reported = self.reported.as_mut().filter(|reported| !reported.over)?;
        reported.over = true;
        Some(ClockEvent::Returned)
    }

    fn follow(&mut self, ahead: i64, uptime: u64) -> ClockEvent {
        self.origin += ahead;
        self.slewed = uptime;
        self.rounding = RESOLUTION;
        self.departure = None;
        self.end_report();
        ClockEvent::Followed(ahead.unsigned_abs())
    }
}

/// Checks that the time `confirmed` by an operator is the one that the wall
/// clock shows.
///
/// # Errors
/// [`ClockRefusal::NotTheWallClock`]
pub fn check_confirmation(confirmed: Timestamp, wall: Timestamp) -> Result<(), ClockRefusal> {
    if confirmed.0.abs_diff(wall.0) > CONFIRMATION {
        return Err(ClockRefusal::NotTheWallClock { wall, confirmed });
    }
    Ok(())
}

impl ClockReading {
    /// Returns the time for the validity of certificates: the wall clock if it
    /// is behind the server's time, so that no certificate begins in the
    /// future.
    #[must_use]
    pub fn issuing(&self) -> Timestamp {
        self.now.min(self.wall)
    }

    /// Returns `decided`, unless it is a refusal and another time might have
    /// led to another decision.
    ///
    /// # Errors
    /// [`Error::Clock`] instead of a refusal while the clock is in doubt.
    pub(crate) fn settle<T>(&self, decided: Result<T, Error>) -> Result<T, Error> {
        decided.or_else(|refusal| {
            self.settled()?;
            Err(refusal)
        })
    }

    /// Passes only if the wall clock agrees with the server's time. Called
    /// before a decision that time makes final.
    ///
    /// # Errors
    /// [`ClockInDoubt`]
    pub fn settled(&self) -> Result<(), ClockInDoubt> {
        if self.in_doubt {
            return Err(ClockInDoubt {
                now: self.now,
                wall: self.wall,
            });
        }
        Ok(())
    }
}

impl fmt::Display for ClockReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (apart, side) = if self.wall >= self.now {
            (self.wall.0 - self.now.0, "ahead of")
        } else {
            (self.now.0 - self.wall.0, "behind")
        };
        write!(
            f,
            "the wall clock says {}, {apart} s {side} the server's time {}",
            self.wall, self.now
        )
    }
}

/// Returns the time at uptime 0 of a clock that shows `time` at `uptime`.
fn origin(time: Timestamp, uptime: u64) -> i64 {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX / 2);
    signed(time.min(Timestamp::MAX).0) - signed(uptime)
}

fn at(origin: i64, uptime: u64) -> Timestamp {
    Timestamp(uptime.checked_add_signed(origin).unwrap_or(0)).min(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
