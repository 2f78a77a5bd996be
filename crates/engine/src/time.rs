//! The server's own time: which time a decision is made at, and whether the
//! wall clock agrees with it.
//!
//! Within a process the time moves with the uptime (CLOCK_BOOTTIME, so that a
//! suspended machine is no fault). The wall clock starts it and corrects small
//! drift. A wall clock that departs from it by more than [`TOLERANCE`] is a
//! fault until it returns, is followed or is confirmed: an expiry that is
//! decided meanwhile would be final, and the clock may be wrong.

use std::fmt;

use assay_proto::Timestamp;

use crate::Error;

/// How far the wall clock may depart from the server's time before that is a
/// fault, in seconds.
pub const TOLERANCE: u64 = 60;

/// The largest forward step that is followed without confirmation, in seconds,
/// unless the operator sets another.
pub const MAX_JUMP: u64 = 3600;

/// How long a forward step must hold before it is followed, in seconds.
pub const HOLD: u64 = 300;

/// How far the time that an operator confirms may be from the wall clock, in
/// seconds.
pub const CONFIRMATION: u64 = 3600;

/// The longest gap between two observations of a step that count as one
/// holding step, in seconds.
const MAX_GAP: u64 = 60;

/// How often a departure is reported at most, in seconds.
const REPORT_EVERY: u64 = 60;

/// A drift of a second is corrected over this many seconds.
const SLEW: u64 = 10;

/// Both clocks count whole seconds: their difference is exact to one.
const RESOLUTION: u64 = 1;

/// The server's time, as a state machine over observations of the two clocks.
/// It never goes back.
#[derive(Clone, Debug)]
pub struct ServerTime {
    /// The server's time at uptime 0; negative where the time is less than the
    /// uptime.
    origin: i64,
    max_jump: u64,
    /// The uptime up to which drift was corrected.
    slewed: u64,
    /// The seconds that rounding may have cost when the time was set from the
    /// wall clock.
    rounding: u64,
    departure: Option<Departure>,
    /// The last departure that was reported.
    reported: Option<Reported>,
}

/// A departure that was reported.
#[derive(Clone, Copy, Debug)]
struct Reported {
    /// The wall clock's time at uptime 0.
    origin: i64,
    /// The uptime at which it was reported.
    at: u64,
    /// Whether it is over, so that the same step is news.
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

/// What the clocks say at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The server's time: what decisions are made at.
    pub now: Timestamp,
    /// The wall clock.
    pub wall: Timestamp,
    /// Whether the two depart from each other, so that no decision which time
    /// makes final may be committed.
    pub in_doubt: bool,
}

/// A change of the clock's state, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockEvent {
    /// The wall clock departed from the server's time, or departs by more than a
    /// minute more or less than was reported before.
    Departed,
    /// The wall clock is back within the tolerance.
    Returned,
    /// The server's time went forward to the wall clock by so many seconds.
    Followed(u64),
}

/// Why a wall clock is not accepted.
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

/// A decision that time would make final while the wall clock departs from the
/// server's time.
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
    /// The time of a process that starts: the wall clock's, and never less than
    /// `mark`, the latest time that was recorded.
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

    /// Observes both clocks. The uptime must not go back between calls.
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

    /// Follows the wall clock to wherever it is ahead, because the operator
    /// confirms that it is `confirmed`.
    ///
    /// # Errors
    /// [`ClockRefusal`]; nothing changes then.
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

    /// Whether a wall clock that is so many seconds ahead is within the
    /// tolerance. The second between the two limits keeps the rounding of two
    /// clocks from looking like departures and returns.
    fn agrees(&self, ahead: i64) -> bool {
        let limit = match self.departure {
            Some(_) => TOLERANCE,
            None => TOLERANCE + RESOLUTION,
        };
        ahead.unsigned_abs() <= limit
    }

    /// Corrects a drift: forward, and slowly but for what rounding cost. A time
    /// that is ahead of the wall clock stays so.
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
                // Another step, or nobody looked whether it held: begin again.
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

    /// A departure is reported when it begins and when the wall clock steps
    /// again, once a minute at most: what comes sooner is reported when the
    /// minute is over, if it lasts.
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

    /// The departure is over: reported, unless its beginning was not.
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

/// Checks that an operator who gives `confirmed` means the time that the wall
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
    /// The time at which validities begin and end: the wall clock where the
    /// server's time runs ahead of it, so that no certificate begins in the
    /// future.
    #[must_use]
    pub fn issuing(&self) -> Timestamp {
        self.now.min(self.wall)
    }

    /// `decided`, unless it is a refusal that another time might not have led
    /// to.
    ///
    /// # Errors
    /// [`Error::Clock`] in the place of a refusal while the clock is in doubt.
    pub(crate) fn settle<T>(&self, decided: Result<T, Error>) -> Result<T, Error> {
        decided.or_else(|refusal| {
            self.settled()?;
            Err(refusal)
        })
    }

    /// Passes only while the wall clock agrees with the server's time: asked
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

/// The time at uptime 0 of a clock that says `time` at `uptime`.
fn origin(time: Timestamp, uptime: u64) -> i64 {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX / 2);
    signed(time.min(Timestamp::MAX).0) - signed(uptime)
}

fn at(origin: i64, uptime: u64) -> Timestamp {
    Timestamp(uptime.checked_add_signed(origin).unwrap_or(0)).min(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
