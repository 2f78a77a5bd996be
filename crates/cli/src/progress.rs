//! Shows the progress of long work on a terminal.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::logging;

/// The minimum time between two updates.
const EVERY: Duration = Duration::from_millis(200);

/// A progress line on standard error, if that is a terminal.
pub struct Progress {
    what: &'static str,
    state: Option<Mutex<State>>,
}

struct State {
    last: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// Starts the progress of `what`.
    pub fn new(what: &'static str) -> Self {
        let state = State {
            last: None,
            shown: false,
        };
        Self {
            what,
            state: (io::stderr().is_terminal() && !logging::is_json()).then(|| Mutex::new(state)),
        }
    }

    /// Shows how much is done, without a total.
    pub fn count(&self, done: usize) {
        let Some(state) = &self.state else { return };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        state.last = Some(Instant::now());
        state.shown = true;
        // A closed terminal must not stop the work.
        let _ = write!(io::stderr(), "\r{}: {done} ", self.what);
    }

    /// Ends the progress.
    pub fn end(&self) {
        self.show(0, 0);
    }

    /// Shows `done` of `total`.
    pub fn show(&self, done: u64, total: u64) {
        let Some(state) = &self.state else { return };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if done >= total && state.shown {
            // Further output begins on a new line.
            let _ = writeln!(io::stderr(), "\r{}: done ", self.what);
            state.shown = false;
        }
        if done >= total || state.last.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        state.last = Some(Instant::now());
        state.shown = true;
        // A closed terminal must not stop the work.
        let _ = write!(io::stderr(), "\r{}: {} %", self.what, percent(done, total));
    }
}

/// The percentage of `done` in `total`.
pub fn percent(done: u64, total: u64) -> u8 {
    let hundredths = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
    u8::try_from(hundredths).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_between_0_and_100() {
        assert_eq!(percent(0, 0), 0);
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(9, 3), 100);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }
}
