//! One limit with buckets for an address, for the networks that hold it, and
//! for all networks.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
};

use super::{buckets::Buckets, rates::Rate};

/// The factors by which wider networks have a higher rate than one address. A
/// host can take any address of its /64, a home connection has a /56 and a site
/// at most a /48. An IPv4 /24 has the factor of a site.
const LAN: u32 = 2;
const HOME: u32 = 4;
const SITE: u32 = 16;
/// The factor of all networks together: four whole sites.
const ALL: u32 = 64;

/// How many providers' networks one generation of shares holds. It has room for
/// every IPv4 /16, so that no active network is evicted, which would reset its
/// share.
const PROVIDERS: usize = 1 << 16;

/// How many addresses one generation of buckets holds. A hash table is at most
/// seven eighths full; beyond that its size doubles.
pub(super) const ADDRESSES: usize = (1 << 15) / 8 * 7;
/// The same for each kind of wider network. When addresses of every kind have
/// filled it, a limit takes 9 MB.
pub(super) const NETWORKS: usize = (1 << 14) / 8 * 7;

/// How long a network without requests still counts among those that share the
/// bucket of all; up to twice as long.
const ACTIVE: Duration = Duration::from_secs(60);

/// What a bucket covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One address.
    Address,
    /// The network with this prefix length.
    Network(u8),
    /// All networks.
    All,
}

/// The error for a request that comes too soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooSoon {
    /// How long until the next request is let through.
    pub(crate) wait: Duration,
    /// The level whose bucket is empty.
    pub(crate) level: Scope,
}

impl TooSoon {
    /// Creates the error for the network of `client` with `bits` prefix bits.
    fn at(wait: Duration, bits: u8, client: IpAddr) -> Self {
        let is_address = bits == if client.is_ipv4() { 32 } else { 128 };
        let level = match is_address {
            true => Scope::Address,
            false => Scope::Network(bits),
        };
        Self { wait, level }
    }
}

/// Buckets of one rate, from narrow to wide.
pub(super) struct Nested<C: Clock = MonotonicClock> {
    address: Keyed<C>,
    lan: Keyed<C>,
    home: Keyed<C>,
    site: Keyed<C>,
    /// `None` for a network that the operator named.
    all: Option<All<C>>,
    clock: C,
}

/// Buckets of one level.
struct Keyed<C: Clock> {
    buckets: Buckets,
    limiter: RateLimiter<IpAddr, Buckets, C, NoOpMiddleware<C::Instant>>,
    quota: Quota,
    /// The zero point of its times.
    start: C::Instant,
}

/// The bucket of all networks, and each network's share of it.
struct All<C: Clock> {
    /// One bucket, with the key [`EVERYWHERE`].
    together: Keyed<C>,
    shares: Keyed<C>,
    active: Mutex<Active<C>>,
}

/// The key for all addresses.
const EVERYWHERE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The providers' networks that sent requests recently.
struct Active<C: Clock> {
    current: HashSet<IpAddr>,
    previous: HashSet<IpAddr>,
    since: C::Instant,
}

impl<C: Clock + Clone> Nested<C> {
    /// Creates buckets of `rate` for each address; `with_all` adds one for all
    /// networks.
    pub(super) fn new(rate: Rate, with_all: bool, clock: C) -> Self {
        let keyed = |times, capacity| Keyed::new(rate.times(times), capacity, &clock);
        Self {
            address: keyed(1, ADDRESSES),
            lan: keyed(LAN, NETWORKS),
            home: keyed(HOME, NETWORKS),
            site: keyed(SITE, NETWORKS),
            all: with_all.then(|| All::new(rate.times(ALL), &clock)),
            clock: clock.clone(),
        }
    }

    /// Takes a token of every bucket that applies to `client`. If one is empty,
    /// returns the narrowest such bucket and takes nothing. So requests beyond
    /// an address's own rate take no tokens of its network and no memory.
    pub(super) fn take(&self, client: IpAddr) -> Result<(), TooSoon> {
        let now = self.clock.now();
        let provider = provider_of(client);
        for (bits, level) in self.levels(client) {
            if let Some(wait) = level.wait(network(client, bits), 1, now) {
                return Err(TooSoon::at(wait, bits, client));
            }
        }
        if let Some(all) = &self.all {
            all.take(provider, now)?;
        }
        for (bits, level) in self.levels(client) {
            // Another request may have taken the token meanwhile.
            if let Err(not_until) = level.limiter.check_key(&network(client, bits)) {
                return Err(TooSoon::at(not_until.wait_time_from(now), bits, client));
            }
        }
        Ok(())
    }

    /// Returns whether a bucket that applies to `client` is less than half
    /// full. The bucket of all networks is ignored.
    pub(super) fn is_low(&self, client: IpAddr) -> bool {
        let now = self.clock.now();
        self.levels(client)
            .any(|(bits, level)| level.is_low(network(client, bits), now))
    }

    /// Returns the levels of an address with their prefixes, narrow ones first.
    fn levels(&self, client: IpAddr) -> impl Iterator<Item = (u8, &Keyed<C>)> {
        let v4 = [(32, &self.address), (24, &self.site)];
        let v6 = [
            (128, &self.address),
            (64, &self.lan),
            (56, &self.home),
            (48, &self.site),
        ];
        let (v4, v6) = match client {
            IpAddr::V4(_) => (Some(v4), None),
            IpAddr::V6(_) => (None, Some(v6)),
        };
        v4.into_iter().flatten().chain(v6.into_iter().flatten())
    }

    /// The number of remembered buckets.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        [&self.address, &self.lan, &self.home, &self.site]
            .map(|level| level.buckets.len())
            .iter()
            .sum()
    }
}

impl<C: Clock + Clone> Keyed<C> {
    fn new(quota: Quota, capacity: usize, clock: &C) -> Self {
        let buckets = Buckets::new(capacity);
        Self {
            start: clock.now(),
            limiter: RateLimiter::new(quota, buckets.clone(), clock.clone()),
            quota,
            buckets,
        }
    }

    /// Returns how long until a network's bucket has `tokens`; `None` if it has
    /// them now. governor computes the same when it takes them.
    fn wait(&self, network: IpAddr, tokens: u32, now: C::Instant) -> Option<Duration> {
        let used = self.used(network, now)?;
        let spare = self.quota.burst_size().get().saturating_sub(tokens);
        let wait = used.saturating_sub(self.quota.replenish_interval() * spare);
        (!wait.is_zero()).then_some(wait)
    }

    /// Returns whether a network's bucket is less than half full.
    fn is_low(&self, network: IpAddr, now: C::Instant) -> bool {
        let half = self.quota.burst_size_replenished_in() / 2;
        self.used(network, now).is_some_and(|used| used > half)
    }

    /// Returns how long until a network's bucket is full again.
    fn used(&self, network: IpAddr, now: C::Instant) -> Option<Duration> {
        let full_at = self.buckets.full_at(network)?;
        Some(
            full_at
                .saturating_sub(now.duration_since(self.start))
                .into(),
        )
    }
}

impl<C: Clock + Clone> All<C> {
    fn new(quota: Quota, clock: &C) -> Self {
        Self {
            together: Keyed::new(quota, 2, clock),
            shares: Keyed::new(quota, PROVIDERS, clock),
            active: Mutex::new(Active {
                current: HashSet::new(),
                previous: HashSet::new(),
                since: clock.now(),
            }),
        }
    }

    /// Takes a token of the bucket of all networks. While it is empty, a
    /// provider's network is still let through if it has not used up an equal
    /// share: what it would have if each active network had its own bucket,
    /// whose size is that of the common one divided by their number. So
    /// networks that keep the bucket empty only block themselves. At most twice
    /// the rate is let through, unless more networks are active than the bucket
    /// has tokens.
    fn take(&self, provider: IpAddr, now: C::Instant) -> Result<(), TooSoon> {
        let burst = self.shares.quota.burst_size();
        let cost = self.active_providers(provider, now).min(burst);
        let share = self.shares.wait(provider, cost.get(), now);
        let together = self.together.wait(EVERYWHERE, 1, now);
        if let (Some(share), Some(together)) = (share, together) {
            return Err(TooSoon {
                wait: share.min(together),
                level: Scope::All,
            });
        }
        // The result is ignored: the share is charged as far as it has tokens.
        let _ = self.shares.limiter.check_key_n(&provider, cost);
        let _ = self.together.limiter.check_key(&EVERYWHERE);
        Ok(())
    }

    /// Marks `provider` as active and counts the active ones.
    fn active_providers(&self, provider: IpAddr, now: C::Instant) -> NonZeroU32 {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.duration_since(active.since);
        if age >= Nanos::from(ACTIVE) || active.current.len() >= PROVIDERS {
            active.previous = std::mem::take(&mut active.current);
            active.since = now;
            if age >= Nanos::from(2 * ACTIVE) {
                active.previous.clear();
            }
        }
        if active.current.insert(provider) {
            active.previous.remove(&provider);
        }
        let count = active.current.len() + active.previous.len();
        u32::try_from(count)
            .ok()
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MIN)
    }
}

impl Rate {
    /// Returns the rate multiplied by `times`.
    fn times(self, times: u32) -> Quota {
        let times = NonZeroU32::new(times).unwrap_or(NonZeroU32::MIN);
        Quota::per_second(self.per_second.saturating_mul(times))
            .allow_burst(self.burst.saturating_mul(times))
    }
}

/// Returns the network of an address with `bits` prefix bits.
fn network(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

/// Returns the network whose share of the bucket of all an address uses: that
/// of one provider, or a part of it. A customer can have more /48s than fit in
/// memory; there are only 65,536 /16s in IPv4.
fn provider_of(address: IpAddr) -> IpAddr {
    let bits = match address {
        IpAddr::V4(_) => 16,
        IpAddr::V6(_) => 32,
    };
    network(address, bits)
}
