use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Extension,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{address::ClientAddress, body::discard, refusal::Refusal};

/// How often one address may ask for what a client needs no account for.
/// `None` does not limit.
///
/// The defaults let a fleet of 1,000 devices enrol at once from behind one
/// address, and then two more a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// An account's own resource, and keyChange: each change is a durable write.
    pub change_account: Option<Rate>,
    /// newAccount: each success is a durable write.
    pub new_account: Option<Rate>,
    /// newOrder: each success is a durable write, and accounts are free.
    pub new_order: Option<Rate>,
    /// newNonce.
    pub new_nonce: Option<Rate>,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second in the long run.
    pub per_second: NonZeroU32,
    /// Requests at once, after a pause.
    pub burst: NonZeroU32,
}

impl RateLimits {
    /// No limits: for tests and load generators.
    #[must_use]
    pub const fn off() -> Self {
        Self {
            change_account: None,
            new_account: None,
            new_order: None,
            new_nonce: None,
        }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        let rate = |per_second, burst| {
            let per_second = NonZeroU32::new(per_second)?;
            NonZeroU32::new(burst).map(|burst| Rate { per_second, burst })
        };
        Self {
            change_account: rate(2, 1_000),
            new_account: rate(2, 1_000),
            new_order: rate(2, 2_000),
            new_nonce: rate(20, 3_000),
        }
    }
}

/// Addresses that one generation of buckets holds.
const CAPACITY: usize = 1 << 16;

/// A token bucket per address, in memory.
pub(crate) struct RateLimiter {
    interval: Duration,
    /// How far ahead of its time an address may be.
    tolerance: Duration,
    buckets: Mutex<Buckets>,
}

/// For each address the moment at which its bucket is full again. Two
/// generations bound the memory: whoever was not seen while a whole generation
/// filled up is forgotten.
#[derive(Default)]
struct Buckets {
    current: HashMap<IpAddr, Instant>,
    previous: HashMap<IpAddr, Instant>,
}

impl RateLimiter {
    pub(crate) fn new(rate: Rate) -> Self {
        let interval = Duration::from_secs(1) / rate.per_second.get();
        Self {
            interval,
            tolerance: interval * (rate.burst.get() - 1),
            buckets: Mutex::default(),
        }
    }

    /// Takes a token of `client`; or tells how long there is none.
    fn take(&self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let bucket = bucket_of(client);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { current, previous } = &mut *buckets;
        let known = current.get(&bucket).or_else(|| previous.get(&bucket));
        let full = known.copied().unwrap_or(now).max(now);
        let (full, result) = match full.duration_since(now).checked_sub(self.tolerance) {
            None | Some(Duration::ZERO) => (full + self.interval, Ok(())),
            Some(wait) => (full, Err(wait)),
        };
        current.insert(bucket, full);
        if current.len() >= CAPACITY {
            *previous = std::mem::take(current);
        }
        result
    }
}

/// An IPv6 host has a whole /64 to choose its address from.
fn bucket_of(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// Lets a request through, or answers it with 429.
pub(crate) async fn limit(
    State(limiter): State<Arc<RateLimiter>>,
    Extension(ClientAddress(client)): Extension<ClientAddress>,
    request: Request,
    next: Next,
) -> Response {
    match limiter.take(client, Instant::now()) {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            discard(request.into_body()).await;
            Refusal::too_fast(wait).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn limiter(per_second: u32, burst: u32) -> RateLimiter {
        RateLimiter::new(Rate {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        })
    }

    #[test]
    fn scenario_108_a_burst_passes_and_then_the_rate_holds() {
        let limiter = limiter(2, 3);
        let client = "192.0.2.1".parse().unwrap();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        for (millis, expected) in [
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(500)),
            (200, Err(300)),
            (500, Ok(())),
            (500, Err(500)),
            (10_000, Ok(())),
            (10_000, Ok(())),
            (10_000, Ok(())),
            (10_000, Err(500)),
        ] {
            assert_eq!(
                limiter.take(client, at(millis)),
                expected.map_err(Duration::from_millis),
                "at {millis}"
            );
        }
    }

    #[test]
    fn addresses_have_their_own_buckets_and_an_ipv6_network_shares_one() {
        let limiter = limiter(1, 1);
        let now = Instant::now();
        for (client, expected) in [
            ("192.0.2.1", true),
            ("192.0.2.2", true),
            ("192.0.2.1", false),
            ("2001:db8:0:1::1", true),
            ("2001:db8:0:1:ffff::2", false),
            ("2001:db8:0:2::1", true),
        ] {
            let taken = limiter.take(client.parse().unwrap(), now);
            assert_eq!(taken.is_ok(), expected, "{client}");
        }
    }

    #[test]
    fn the_number_of_addresses_is_bounded_and_the_busy_are_remembered() {
        let limiter = limiter(1, 1);
        let now = Instant::now();
        let busy = IpAddr::from([203, 0, 113, 1]);
        for number in 0..3 * CAPACITY {
            let address = Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap());
            assert_eq!(limiter.take(address.into(), now), Ok(()));
            if number % 1_000 == 0 {
                assert_eq!(limiter.take(busy, now).is_ok(), number == 0, "{number}");
            }
        }
        let buckets = limiter.buckets.lock().unwrap();
        assert!(buckets.current.len() + buckets.previous.len() <= 2 * CAPACITY);
    }
}
