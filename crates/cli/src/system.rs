//! The ports to the machine: its clocks and its CSPRNG.

use assay_engine::ports::{Clock, Purpose, Random};
use assay_proto::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::now;

/// The system's clocks.
pub struct SystemClock;

impl Clock for SystemClock {
    /// Suspension included, so that a machine that slept is no fault.
    fn uptime(&self) -> u64 {
        u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or(0)
    }

    fn now(&self) -> Timestamp {
        Timestamp(now())
    }
}

/// The system's CSPRNG.
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::expect_used,
        reason = "without random bytes nothing may go on: no nonce, no token, no serial number"
    )]
    fn fill(&self, _: Purpose, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the operating system gives no random bytes");
    }
}
