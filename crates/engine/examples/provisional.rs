//! Measures newAccount with the most provisional accounts, and the growth of a
//! database under a flood of them: `cargo run --release -p assay-engine
//! --example provisional [ACCOUNTS]`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints, and ends with a panic"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use assay_engine::{
    Context, Engine, Issuers, Limits, RequestInfo, Setup,
    admission::{Admission, AdmissionPolicy, IdentifierBinding},
    directories::{Directories, DirectoryPlan, Profiles},
    ports::Store,
    profile::Profile,
    time::MAX_JUMP,
};
use assay_proto::NewAccount;
use assay_store::{LedgerStore, Options, Sizes, maintenance::check};
use support::{SystemRandom, TestClock, any_key, issuer, new_cas};
use tempfile::TempDir;

/// Concurrent requests.
const AT_ONCE: u64 = 64;
/// Accounts per second, in the flood's own time.
const A_SECOND: u64 = 30;

struct House {
    engine: Engine,
    clock: TestClock,
    store: Arc<LedgerStore>,
    made: AtomicU64,
}

impl House {
    fn new(dir: &TempDir) -> Self {
        let mut options = Options::default();
        // Merge early, so that the size of the live data shows.
        options.sizes = Sizes {
            segment: 4 << 20,
            merge: 8 << 20,
            ..Sizes::default()
        };
        let store = LedgerStore::create_with(&dir.path().join("db"), false, options);
        let (store, clock) = (Arc::new(store.unwrap()), TestClock::starting());
        let engine = support::at_once(Engine::start(Setup {
            anchors: Vec::new(),
            blocking: None,
            clock: Arc::new(clock.clone()),
            directories: Directories::single(
                "https://localhost",
                &Profiles::single(Profile::privacy_preserving()),
                DirectoryPlan::new(AdmissionPolicy {
                    admission: Admission::AnyAttested {
                        bind: IdentifierBinding::Serial,
                    },
                    assigners: std::collections::HashSet::new(),
                }),
            )
            .unwrap(),
            health: Arc::default(),
            exempt: Vec::new(),
            issuers: Issuers::single(issuer(&new_cas().issuing)),
            limits: Limits::default(),
            max_jump: MAX_JUMP,
            nonces: None,
            observers: Vec::new(),
            random: Arc::new(SystemRandom),
            server_issuer: None,
            space: None,
            store: Arc::clone(&store) as _,
            validators: Vec::new(),
        }));
        Self {
            engine: engine.unwrap(),
            clock,
            store,
            made: AtomicU64::new(0),
        }
    }

    /// Creates `count` accounts, 64 at once, from the /64s of one /32.
    async fn flood(self: &Arc<Self>, count: u64) -> Duration {
        let began = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..AT_ONCE {
            let house = Arc::clone(self);
            tasks.spawn(async move {
                for n in (task..count).step_by(AT_ONCE as usize) {
                    let (high, low) = ((n >> 8) as u16, n as u16);
                    let client = IpAddr::from([0x2001, 0xdb8, high, low, 0, 0, 0, 1]);
                    let context = Context::new(any_key(), RequestInfo::from(client));
                    let request = NewAccount::default();
                    let made = house.engine.new_account(&context, &request);
                    made.await.unwrap();
                    let made = house.made.fetch_add(1, Ordering::Relaxed);
                    if made.is_multiple_of(A_SECOND) {
                        house.clock.advance(1);
                    }
                }
            });
        }
        tasks.join_all().await;
        began.elapsed()
    }
}

#[tokio::main]
async fn main() {
    let total = std::env::args().nth(1);
    let total: u64 = total.map_or(100_000, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let house = Arc::new(House::new(&dir));
    let count = 5_000;
    let few = house.flood(count).await;
    house.flood(20_000 - count).await;
    let full = house.flood(count).await;
    for (what, took) in [("few", few), ("20,000", full)] {
        let rate = count as f64 / took.as_secs_f64();
        println!("newAccount, {AT_ONCE} at once, {what} present: {rate:.0} a second");
    }
    let rest = total.saturating_sub(house.made.load(Ordering::Relaxed));
    house.flood(rest).await;
    let kept = house.engine.count_provisional_accounts().await.unwrap();
    let listed = house.store.provisional_accounts(None, usize::MAX).await;
    assert_eq!(listed.unwrap().len(), kept);
    // Closing waits until a merge in progress is complete or aborted.
    let house = Arc::into_inner(house).unwrap();
    drop(house);
    let report = check(&dir.path().join("db"), &|_, _| {}).unwrap();
    assert!(report.is_whole());
    println!("{total} newAccounts of one network: {kept} are kept");
    println!(
        "the ledger has {} KB, its checkpoint {} KB of live pairs",
        report.bytes / 1000,
        report.live_bytes / 1000
    );
}
