//! Reads the processor time of a process on Linux.

use std::{fs, io};

use serde::Serialize;

/// Clock ticks per second in `/proc`: `USER_HZ`, which is 100 on every architecture that Rust's
/// standard library supports (`getconf CLK_TCK` shows it).
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time in seconds, with a resolution of 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CpuTime {
    /// Time in user mode.
    pub user_seconds: f64,
    /// Time in the kernel.
    pub system_seconds: f64,
}

impl CpuTime {
    /// User and system time together, in seconds.
    #[must_use]
    pub fn total_seconds(self) -> f64 {
        self.user_seconds + self.system_seconds
    }

    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            user_seconds: self.user_seconds - earlier.user_seconds,
            system_seconds: self.system_seconds - earlier.system_seconds,
        }
    }
}

/// The time that all threads of a process have used.
pub(super) fn of_process(pid: u32) -> io::Result<CpuTime> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
}

/// The time that this process has used.
pub(super) fn of_client() -> io::Result<CpuTime> {
    parse(&fs::read_to_string("/proc/self/stat")?)
}

/// Reads `/proc/PID/stat` (proc(5)): utime is field 14, stime field 15.
fn parse(stat: &str) -> io::Result<CpuTime> {
    // Field 2, the name, is in parentheses and may itself contain blanks and parentheses.
    let seconds = |field: usize| {
        let after_name = stat.rsplit_once(')')?.1;
        let ticks: u32 = after_name
            .split_ascii_whitespace()
            .nth(field - 3)?
            .parse()
            .ok()?;
        Some(f64::from(ticks) / TICKS_PER_SECOND)
    };
    match (seconds(14), seconds(15)) {
        (Some(user_seconds), Some(system_seconds)) => Ok(CpuTime {
            user_seconds,
            system_seconds,
        }),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "its stat file has no utime and stime",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_blanks_and_parentheses() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 1234 56 7 8 20 0 1 0 99 1 1";
        let time = parse(stat).unwrap();
        assert_eq!(
            time,
            CpuTime {
                user_seconds: 12.34,
                system_seconds: 0.56
            }
        );
        assert_eq!(
            parse("42 (a) S 1").unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn a_process_that_works_uses_time_and_one_that_is_not_there_is_told() {
        let before = of_client().unwrap();
        let started = std::time::Instant::now();
        while started.elapsed().as_millis() < 100 {
            std::hint::black_box(0);
        }
        let used = of_client().unwrap().since(before);
        assert!(used.total_seconds() >= 0.02, "{used:?}");
        // No process has the id 0.
        assert_eq!(of_process(0).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
