//! Limits how many log lines requests can cause. Further ones are counted and
//! logged as sums, so that a flood of requests does not flood the log.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use assay_engine::{domain::Gate, ports::Clock};
use assay_proto::ProblemType;

/// The rate of log lines for one address or for a network that holds it. A line
/// is written only if every level has one left.
struct Level {
    /// How many leading bits of an IPv4 address count.
    v4: u8,
    /// How many leading bits of an IPv6 address count.
    v6: u8,
    rate: LineRate,
}

/// A rate of lines: a second in the long run, and at once after a pause.
struct LineRate {
    per_second: u64,
    burst: u64,
}

/// An address, its network, and all of IPv4 or IPv6. The last level bounds the
/// log whatever number of networks a flood comes from: for each topic and each
/// of IPv4 and IPv6 100 lines a second, of at most a kilobyte, less than 6 MB a
/// minute.
const LEVELS: [Level; 3] = [
    Level {
        v4: 32,
        v6: 64,
        rate: LineRate {
            per_second: 10,
            burst: 50,
        },
    },
    Level {
        v4: 24,
        v6: 48,
        rate: LineRate {
            per_second: 30,
            burst: 150,
        },
    },
    Level {
        v4: 0,
        v6: 0,
        rate: LineRate {
            per_second: 100,
            burst: 1_000,
        },
    },
];

/// Faults are the server's own, so all addresses share one rate.
const FAULTS: LineRate = LineRate {
    per_second: 10,
    burst: 50,
};

/// Lines of the access log for authenticated requests of all addresses: as many
/// as a fleet makes that enrols at the server's full speed for a while.
const ACCESS: LineRate = LineRate {
    per_second: 1_000,
    burst: 50_000,
};

/// The target of the sums, kept from the crate that counted first: log filters
/// name it.
const TARGET: &str = "assay_engine::request_log";

/// The number of buckets in one generation.
const CAPACITY: usize = 1 << 14;

/// What one line is about. Each topic has buckets of its own: new accounts must
/// not hide refusals, and no other request may hide what evidence was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Topic {
    /// An unauthenticated request in the access log.
    Access,
    Account,
    /// A device that is not admitted. Operators look for this.
    Admission,
    /// Evidence or a CSR that was judged and belongs to an order.
    Evidence,
    /// An order that a limit refused. It must not hide devices that are not
    /// admitted.
    Limit,
    Refusal,
}

impl Topic {
    /// By what factor the burst is larger than that of other topics: a fleet
    /// behind one address may fail at once, and each device must be named.
    fn bursts(self) -> u64 {
        match self {
            Self::Account | Self::Limit | Self::Refusal => 1,
            Self::Admission => 4,
            Self::Access | Self::Evidence => 20,
        }
    }
}

/// Decides which request lines are logged, and counts the others. The server
/// has one and shares it with the observer that logs the engine's events.
pub struct RequestLog {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buckets: Buckets,
    /// Until when the lines for faults are used up.
    faults: u64,
    /// The same for authenticated requests in the access log.
    access: u64,
    /// Requests without an access log line since the last summary.
    without_access: u64,
    sums: Vec<(ProblemType, Sum)>,
    accounts_created: u64,
    padded_signatures: u64,
}

/// What was counted instead of logged since the last summary.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    /// Requests that were refused.
    requests: u64,
    /// Those among them that were authenticated.
    authenticated: u64,
    /// `refused` events of requests.
    findings: u64,
    /// The address of the last one.
    client: Option<IpAddr>,
}

/// Maps each bucket to the tick at which it is full again; a tick is the time
/// of one line. Two generations bound the memory: a bucket that was not used
/// while a whole generation filled up is forgotten; it is full by then.
#[derive(Default)]
struct Buckets {
    current: HashMap<(Topic, usize, IpAddr), u64>,
    previous: HashMap<(Topic, usize, IpAddr), u64>,
}

impl RequestLog {
    /// Creates a log with full buckets.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the refusal of an authenticated request, unless it gets a line of
    /// its own: returns whether it does.
    #[must_use]
    pub fn count_refusal(&self, kind: ProblemType, client: IpAddr) -> bool {
        let now = self.clock.uptime();
        let mut state = self.lock();
        let logged = state.buckets.take(Topic::Refusal, client, now);
        if !logged {
            let sum = state.sum(kind);
            sum.requests += 1;
            sum.authenticated += 1;
            sum.client = Some(client);
        }
        logged
    }

    /// Counts the refusal of an unauthenticated request.
    pub fn count_unauthenticated_refusal(&self, kind: ProblemType, client: IpAddr) {
        let mut state = self.lock();
        let sum = state.sum(kind);
        sum.requests += 1;
        sum.client = Some(client);
    }

    /// Counts a request, unless it gets an access log line: returns whether it
    /// does.
    #[must_use]
    pub fn count_access(&self, client: IpAddr, authenticated: bool) -> bool {
        let now = self.clock.uptime();
        let mut state = self.lock();
        let logged = if authenticated {
            ACCESS.take(&mut state.access, now)
        } else {
            state.buckets.take(Topic::Access, client, now)
        };
        if !logged {
            state.without_access += 1;
        }
        logged
    }

    /// Counts a fault, unless it gets a line of its own: returns whether it does.
    #[must_use]
    pub fn count_fault(&self, kind: ProblemType, client: IpAddr, authenticated: bool) -> bool {
        let now = self.clock.uptime();
        let mut state = self.lock();
        let logged = FAULTS.take(&mut state.faults, now);
        if !logged {
            let sum = state.sum(kind);
            sum.requests += 1;
            sum.authenticated += u64::from(authenticated);
            sum.client = Some(client);
        }
        logged
    }

    /// Counts a gate's finding, unless it gets a line of its own: returns whether
    /// it does. Without a client no request caused it, and no flood can.
    #[must_use]
    pub fn count_finding(&self, gate: Gate, kind: ProblemType, client: Option<IpAddr>) -> bool {
        let Some(client) = client else {
            return true;
        };
        let now = self.clock.uptime();
        let mut state = self.lock();
        let topic = match gate {
            Gate::Admission if kind == ProblemType::RateLimited => Topic::Limit,
            Gate::Admission => Topic::Admission,
            Gate::Appraisal | Gate::Issuance => Topic::Evidence,
        };
        let logged = state.buckets.take(topic, client, now);
        if !logged {
            let sum = state.sum(kind);
            sum.findings += 1;
            sum.client = Some(client);
        }
        logged
    }

    /// Counts a new account, unless it gets a line of its own: returns whether it
    /// does.
    #[must_use]
    pub fn count_account(&self, client: Option<IpAddr>) -> bool {
        let Some(client) = client else {
            return true;
        };
        let now = self.clock.uptime();
        let mut state = self.lock();
        let logged = state.buckets.take(Topic::Account, client, now);
        if !logged {
            state.accounts_created += 1;
        }
        logged
    }

    /// Counts a signature whose leading zero bytes were missing.
    pub fn count_padded_signature(&self) {
        self.lock().padded_signatures += 1;
    }

    /// Logs what was counted since the last summary, one line for each kind.
    /// Call it every second and at shutdown.
    pub fn summarize(&self) {
        let (sums, accounts_created, padded_signatures, without_access) = {
            let mut state = self.lock();
            (
                std::mem::take(&mut state.sums),
                std::mem::take(&mut state.accounts_created),
                std::mem::take(&mut state.padded_signatures),
                std::mem::take(&mut state.without_access),
            )
        };
        for (kind, sum) in sums {
            tracing::info!(
                target: TARGET,
                event = "requests_refused",
                kind = kind.name(),
                count = sum.requests,
                authenticated = sum.authenticated,
                findings = sum.findings,
                client = sum.client.map(tracing::field::display),
                "requests refused without a line of their own"
            );
        }
        if accounts_created > 0 {
            tracing::info!(
                target: TARGET,
                event = "accounts_created",
                count = accounts_created,
                "accounts created without a line of their own"
            );
        }
        if without_access > 0 {
            tracing::info!(
                target: TARGET,
                event = "requests_without_access_line",
                count = without_access,
                "requests without their line of the access log: there were too many at once"
            );
        }
        if padded_signatures > 0 {
            tracing::info!(
                target: TARGET,
                event = "padded_signature",
                count = padded_signatures,
                "clients dropped leading zero bytes of signatures"
            );
        }
    }
}

impl State {
    /// The number of kinds is that of [`ProblemType::ALL`].
    fn sum(&mut self, kind: ProblemType) -> &mut Sum {
        let place = self.sums.iter().position(|(known, _)| *known == kind);
        let place = place.unwrap_or_else(|| {
            self.sums.push((kind, Sum::default()));
            self.sums.len() - 1
        });
        &mut self.sums[place].1
    }
}

impl LineRate {
    /// Computes when a bucket is full again that would be full at `full`, in
    /// ticks.
    fn full_at(&self, full: u64, now: u64) -> u64 {
        full.max(now.saturating_mul(self.per_second))
    }

    /// Returns whether a bucket has a line left at the second `now`.
    fn has(&self, full: u64, now: u64, bursts: u64) -> bool {
        let ahead = self.full_at(full, now) - now.saturating_mul(self.per_second);
        ahead < self.burst * bursts
    }

    /// Takes a line if one is left.
    fn take(&self, full: &mut u64, now: u64) -> bool {
        let has = self.has(*full, now, 1);
        if has {
            *full = self.full_at(*full, now).saturating_add(1);
        }
        has
    }
}

impl Buckets {
    /// Takes a line of each level if every level has one left.
    fn take(&mut self, topic: Topic, client: IpAddr, now: u64) -> bool {
        let full = LEVELS.each_ref().map(|level| {
            let key = (topic, usize::from(level.v6), level.network(client));
            let full = self.current.get(&key).or_else(|| self.previous.get(&key));
            (key, full.copied().unwrap_or(0), &level.rate)
        });
        let bursts = topic.bursts();
        let has = full
            .iter()
            .all(|(_, full, rate)| rate.has(*full, now, bursts));
        for (key, full, rate) in full {
            let taken = rate.full_at(full, now).saturating_add(1);
            self.current.insert(key, if has { taken } else { full });
        }
        if self.current.len() >= CAPACITY {
            self.previous = std::mem::take(&mut self.current);
        }
        has
    }
}

impl Level {
    fn network(&self, client: IpAddr) -> IpAddr {
        match client.to_canonical() {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.v4)).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.v6)).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use assay_proto::Timestamp;

    use super::*;

    struct Uptime(AtomicU64);

    impl Clock for Uptime {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }

        fn uptime(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn log() -> (RequestLog, Arc<Uptime>) {
        let uptime = Arc::new(Uptime(AtomicU64::new(1_000)));
        (RequestLog::new(uptime.clone()), uptime)
    }

    fn lines(log: &RequestLog, client: &str, requests: usize) -> usize {
        let client = client.parse().unwrap();
        let kind = ProblemType::Malformed;
        (0..requests)
            .filter(|_| log.count_refusal(kind, client))
            .count()
    }

    fn sum(log: &RequestLog, kind: ProblemType) -> Sum {
        *log.lock().sum(kind)
    }

    #[test]
    fn refusals_of_an_address_have_a_rate_and_the_rest_is_counted() {
        let (log, uptime) = log();
        assert_eq!(lines(&log, "192.0.2.1", 1_000), 50);
        let left = sum(&log, ProblemType::Malformed);
        assert_eq!((left.requests, left.authenticated), (950, 950));
        uptime.0.fetch_add(1, Ordering::Relaxed);
        assert_eq!(lines(&log, "192.0.2.1", 1_000), 10);
        uptime.0.fetch_add(3_600, Ordering::Relaxed);
        assert_eq!(lines(&log, "::ffff:192.0.2.1", 1_000), 50);
    }

    #[test]
    fn networks_and_all_addresses_together_have_rates() {
        let (log, _) = log();
        let of = |prefix: &str, count: usize| -> usize {
            (0..count)
                .map(|host| lines(&log, &prefix.replace('N', &host.to_string()), 50))
                .sum()
        };
        assert_eq!(of("2001:db8:0:0:N::1", 10), 50, "a /64");
        assert_eq!(of("2001:db8:1:N::1", 10), 150, "a /48");
        assert_eq!(of("192.0.2.N", 10), 150, "a /24");
        assert_eq!(of("10.N.0.1", 200), 850, "all of IPv4");
        assert_eq!(lines(&log, "2001:db8:ffff::1", 50), 50, "not IPv6");
    }

    #[test]
    fn new_accounts_and_unauthenticated_requests_take_no_lines_of_refusals() {
        let (log, _) = log();
        let client = "192.0.2.1".parse().unwrap();
        let created = (0..1_000).filter(|_| log.count_account(Some(client)));
        assert_eq!(created.count(), 50);
        for _ in 0..1_000 {
            log.count_unauthenticated_refusal(ProblemType::BadNonce, client);
        }
        assert_eq!(lines(&log, "192.0.2.1", 60), 50);
        let left = sum(&log, ProblemType::BadNonce);
        assert_eq!((left.requests, left.authenticated), (1_000, 0));
        // A sum names the last address.
        assert_eq!(left.client, Some(client));
    }

    #[test]
    fn findings_of_gates_have_their_own_lines_and_faults_share_one_rate() {
        let (log, _) = log();
        let client = "192.0.2.1".parse().ok();
        assert_eq!(lines(&log, "192.0.2.1", 60), 50);
        for (gate, kind, most) in [
            (Gate::Admission, ProblemType::RejectedIdentifier, 200),
            (Gate::Admission, ProblemType::RateLimited, 50),
            (Gate::Appraisal, ProblemType::BadAttestationStatement, 1_000),
        ] {
            let found = (0..most + 10).filter(|_| log.count_finding(gate, kind, client));
            assert_eq!(found.count(), most);
            assert_eq!(sum(&log, kind).findings, 10);
            assert!(
                log.count_finding(gate, kind, None),
                "without a request there is no limit"
            );
        }
        let client = client.unwrap();
        let faults = (0..60).filter(|_| log.count_fault(ProblemType::ServerInternal, client, true));
        assert_eq!(faults.count(), 50);
        assert!(!log.count_fault(ProblemType::ServerInternal, client, false));
        let left = sum(&log, ProblemType::ServerInternal);
        assert_eq!((left.requests, left.authenticated), (11, 10));
        assert_eq!(left.client, Some(client));
    }

    #[test]
    fn the_access_log_has_rates_and_a_flood_takes_no_lines_of_authenticated_requests() {
        let (log, uptime) = log();
        let client = "192.0.2.1".parse().unwrap();
        let written = |count: usize, authenticated| -> usize {
            let lines = (0..count).filter(|_| log.count_access(client, authenticated));
            lines.count()
        };
        assert_eq!(written(2_000, false), 1_000);
        assert_eq!(log.lock().without_access, 1_000);
        assert_eq!(written(60_000, true), 50_000);
        uptime.0.fetch_add(1, Ordering::Relaxed);
        assert_eq!((written(100, false), written(5_000, true)), (10, 1_000));
        // Refusals have other buckets.
        assert_eq!(lines(&log, "192.0.2.1", 60), 50);
        log.summarize();
        assert_eq!(log.lock().without_access, 0);
    }

    #[test]
    fn a_summary_has_a_line_for_each_kind_and_resets_the_counts() {
        let (log, _) = log();
        for kind in ProblemType::ALL {
            log.count_unauthenticated_refusal(*kind, Ipv4Addr::LOCALHOST.into());
            log.count_unauthenticated_refusal(*kind, Ipv4Addr::LOCALHOST.into());
        }
        assert_eq!(log.lock().sums.len(), ProblemType::ALL.len());
        log.summarize();
        assert_eq!(log.lock().sums.len(), 0);
    }

    #[test]
    fn the_number_of_buckets_is_bounded_and_the_busy_are_remembered() {
        let mut buckets = Buckets::default();
        let busy = "203.0.113.1".parse().unwrap();
        let mut take = |client| buckets.take(Topic::Refusal, client, 1_000);
        assert_eq!((0..60).filter(|_| take(busy)).count(), 50);
        for number in 0..3 * CAPACITY as u128 {
            take(Ipv6Addr::from_bits(number << 80).into());
            assert!(number % 1_000 != 0 || !take(busy), "{number}");
        }
        let held = buckets.current.len() + buckets.previous.len();
        assert!(held <= 2 * (CAPACITY + LEVELS.len()), "{held}");
    }
}
