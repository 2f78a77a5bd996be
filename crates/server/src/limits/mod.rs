//! Rate limits for each address, which stop floods and let fleets through.
//!
//! Requests of an account are charged after their signature is verified, so
//! that junk does not use up the tokens of good requests. Failures are charged
//! to `failed`, which never refuses a request with a genuine nonce. For
//! operators see `docs/configuration.md`, "Limits".

mod buckets;
mod nested;
mod queue;
mod rates;
#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use governor::clock::{Clock, MonotonicClock};
use ipnet::IpNet;

use nested::Nested;
pub(crate) use nested::{Scope, TooSoon};
pub(crate) use queue::Turn;
pub use rates::{Limit, Override, Rate, RateLimits, Rates};

/// The state of a running server's limits.
pub(crate) struct Limits<C: Clock = MonotonicClock> {
    /// Indexed as [`Limit::ALL`] is.
    of_all: [Option<Nested<C>>; Limit::ALL.len()],
    /// The smallest networks first.
    overridden: Vec<Overridden<C>>,
    exempt: Vec<IpNet>,
    /// What would have been refused; `None` if this is no dry run.
    dry_run: Option<Mutex<[Spared; Limit::ALL.len()]>>,
    help: Option<String>,
    queue: queue::Queue,
}

/// A network with other limits.
struct Overridden<C: Clock> {
    network: IpNet,
    /// The limits that differ; an inner `None` is no limit.
    limits: [Option<Option<Nested<C>>>; Limit::ALL.len()],
}

/// Requests over a limit that a dry run let through.
#[derive(Default)]
struct Spared {
    /// Since the start.
    total: u64,
    /// Since the last log line.
    unlogged: u64,
    logged: Option<Instant>,
}

/// How often a limit's spared requests are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What a failure costs the sender.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing: the sender is exempt, or there are no limits.
    Free,
    /// A token, and the connection.
    Charged,
    /// The connection; the bucket is already empty.
    Beyond(TooSoon),
}

impl Limits {
    pub(crate) fn new(config: RateLimits) -> Self {
        Self::with_clock(config, &MonotonicClock)
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with_clock(config: RateLimits, clock: &C) -> Self {
        let nested = |rate: Option<Rate>, with_all| {
            rate.map(|rate| Nested::new(rate, with_all, clock.clone()))
        };
        let mut overridden: Vec<_> = config
            .overrides
            .into_iter()
            .map(|Override { network, rates }| Overridden {
                network,
                limits: Limit::ALL.map(|limit| {
                    let named = rates.iter().find(|(named, _)| *named == limit);
                    // The operator names this network, so it is trusted: its
                    // requests take no tokens of the bucket that all others
                    // share.
                    named.map(|(_, rate)| nested(*rate, false))
                }),
            })
            .collect();
        overridden.sort_by_key(|overridden| std::cmp::Reverse(overridden.network.prefix_len()));
        Self {
            of_all: Limit::ALL.map(|limit| nested(config.rates.get(limit), true)),
            overridden,
            exempt: config.exempt,
            dry_run: config.dry_run.then(Mutex::default),
            help: config.help,
            queue: queue::Queue::new(),
        }
    }

    /// Returns the URL of the help page if it is not the server's own.
    pub(crate) fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Charges a request of `client` to a limit.
    ///
    /// # Errors
    /// The request comes too soon and must be refused.
    pub(crate) fn charge(&self, limit: Limit, client: IpAddr) -> Result<(), TooSoon> {
        let Some(nested) = self.limit_of(limit, client) else {
            return Ok(());
        };
        match (nested.take(client), &self.dry_run) {
            (Err(_), Some(spared)) => {
                let mut spared = spared.lock().unwrap_or_else(PoisonError::into_inner);
                spared[limit as usize].note(limit, client, Instant::now());
                Ok(())
            }
            (taken, _) => taken,
        }
    }

    /// Charges a request of `client` that failed.
    pub(crate) fn fail(&self, client: IpAddr) -> Failure {
        let is_limited = self.limit_of(Limit::Failed, client).is_some();
        match self.charge(Limit::Failed, client) {
            Ok(()) if !is_limited || self.dry_run.is_some() => Failure::Free,
            Ok(()) => Failure::Charged,
            Err(too_soon) => Failure::Beyond(too_soon),
        }
    }

    /// Waits until a request of `client` may be authenticated. It does not wait
    /// unless many requests from its address or network failed.
    pub(crate) async fn turn(&self, client: IpAddr) -> Turn<'_> {
        let is_suspect = self.dry_run.is_none()
            && (self.limit_of(Limit::Failed, client)).is_some_and(|failed| failed.is_low(client));
        self.queue.turn(is_suspect).await
    }

    /// Returns the buckets of a limit that apply to `client`; `None` is no
    /// limit.
    fn limit_of(&self, limit: Limit, client: IpAddr) -> Option<&Nested<C>> {
        if self.exempt.iter().any(|network| network.contains(&client)) {
            return None;
        }
        let at = limit as usize;
        (self.overridden.iter())
            .filter(|overridden| overridden.network.contains(&client))
            .find_map(|overridden| overridden.limits[at].as_ref())
            .unwrap_or(&self.of_all[at])
            .as_ref()
    }
}

impl Spared {
    /// Counts a request, and logs the count at most once a second.
    fn note(&mut self, limit: Limit, client: IpAddr, now: Instant) {
        self.total += 1;
        self.unlogged += 1;
        let is_due = (self.logged).is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL);
        if is_due {
            tracing::warn!(
                event = "limit_dry_run",
                limit = limit.as_str(),
                count = self.unlogged,
                total = self.total,
                %client,
                "requests that this limit would refuse were let through"
            );
            self.unlogged = 0;
            self.logged = Some(now);
        }
    }
}
