//! The building blocks of the tests that cut the power, kill the process and
//! let its file operations fail. `.ci/power-cut`, `.ci/store-kill` and
//! `tests/shim.rs` combine them.
//!
//! `write DIR FIRST [small]` opens or creates a database and commits to it
//! until it is killed, beginning with enrolment FIRST. Each printed line is an
//! acknowledged commit: the enrolment's number and its stage. With `small`
//! segments are short, so that they are closed and merged all the time.
//!
//! `some DIR FIRST COUNT` opens or creates a database, commits COUNT enrolments
//! one after the other, and closes it. The exit code is 0, or 2 if it cannot be
//! opened, or 3 if a commit fails. It prints the same lines as `write`.
//! Segments are short.
//!
//! `check DIR FILE cut|killed [small]` opens a database after a power cut or a
//! kill, and compares it with the lines in FILE. After `cut` it does so as if
//! the machine had rebooted.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "half a test, and it ends with a panic"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use assay_engine::{
    PublicKey, SerialNumber,
    domain::{
        Account, Authorization, Certificate, CertificateHolder, Order, OrderState, Processing,
    },
    ids::{AccountId, AuthorizationId, OrderId},
    ports::{Change, Direction, OrderList, Store, Version},
};
use assay_store::{LedgerStore, OpenError, OpenMode, Options, Sizes};
use tokio::task::JoinSet;

/// The number of concurrent enrolments.
const WRITERS: u64 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["write", dir, first] => write(Path::new(dir), first, Options::default()).await,
        ["write", dir, first, "small"] => write(Path::new(dir), first, small()).await,
        ["some", dir, first, count] => {
            let (first, count) = (first.parse().unwrap(), count.parse().unwrap());
            return some(Path::new(dir), first, count).await;
        }
        ["check", dir, acknowledged, how] => {
            check(dir, acknowledged, after(how, Options::default())).await;
        }
        ["check", dir, acknowledged, how, "small"] => {
            check(dir, acknowledged, after(how, small())).await;
        }
        _ => panic!(
            "usage: power_cut write DIR FIRST [small] | power_cut some DIR FIRST COUNT | \
             power_cut check DIR FILE cut|killed [small]"
        ),
    }
    ExitCode::SUCCESS
}

/// Commits a few enrolments, and closes the database even if a commit fails.
async fn some(dir: &Path, first: u64, count: u64) -> ExitCode {
    let mut options = small();
    options.sizes = Sizes {
        segment: 10_000,
        merge: 25_000,
        chunk: 15_000,
    };
    options.flush_timeout = Duration::from_secs(2);
    let store = match open_or_create(dir, options) {
        Ok(store) => store,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    for number in first..first + count {
        let enrolment = Enrolment(number);
        let mut version = Version(0);
        for stage in 1..=4 {
            let changes = enrolment.changes(stage, version);
            version = match common::commit(&store, changes).await {
                Ok(version) => version,
                Err(error) => {
                    eprintln!("{error:?}");
                    return ExitCode::from(3);
                }
            };
            println!("{number} {stage}");
        }
    }
    ExitCode::SUCCESS
}

fn open_or_create(dir: &Path, options: Options) -> Result<LedgerStore, OpenError> {
    match dir.exists() {
        true => LedgerStore::open_with(dir, OpenMode::Any, options),
        false => LedgerStore::create_with(dir, false, options),
    }
}

/// Segments are closed and merged many times a second.
fn small() -> Options {
    let mut options = Options::default();
    options.sizes = Sizes {
        segment: 200_000,
        merge: 500_000,
        chunk: 300_000,
    };
    options
}

/// Returns the options for a machine after a power cut or a kill.
fn after(how: &str, mut options: Options) -> Options {
    match how {
        "cut" => options.boot_id = Some([1; 16]),
        "killed" => {}
        _ => panic!("{how}: neither cut nor killed"),
    }
    options
}

async fn write(dir: &Path, first: &str, options: Options) {
    let store = open_or_create(dir, options);
    let store = Arc::new(store.unwrap_or_else(|error| panic!("{error}")));
    let next = Arc::new(AtomicU64::new(first.parse().unwrap()));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (store, next) = (Arc::clone(&store), Arc::clone(&next));
        writers.spawn(async move {
            loop {
                let enrolment = Enrolment(next.fetch_add(1, Ordering::Relaxed));
                let mut version = Version(0);
                for stage in 1..=4 {
                    let changes = enrolment.changes(stage, version);
                    version = common::commit(&*store, changes).await.unwrap();
                    println!("{} {stage}", enrolment.0);
                }
            }
        });
    }
    // The writers end only by a panic.
    writers.join_all().await;
}

async fn check(dir: &str, acknowledged: &str, options: Options) {
    let dir = Path::new(dir);
    let text = fs::read_to_string(acknowledged).unwrap();
    let mut stages = BTreeMap::new();
    for line in text.lines() {
        let (number, stage) = line.split_once(' ').unwrap();
        let (number, stage): (u64, u8) = (number.parse().unwrap(), stage.parse().unwrap());
        let last = stages.entry(number).or_insert(0);
        *last = stage.max(*last);
    }
    let commits = text.lines().count();
    assert!(commits > 0, "nothing was acknowledged");

    let store = LedgerStore::open_with(dir, OpenMode::Any, options.clone());
    let store = store.unwrap_or_else(|error| panic!("{error}"));
    let mut found = BTreeMap::new();
    let mut after = None;
    loop {
        let page = store
            .orders(OrderList::All, after, Direction::Newer, 1000)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(*last);
        for cursor in page {
            let number = u128::from_be_bytes(*cursor.id.as_bytes());
            let enrolment = Enrolment(number.try_into().unwrap());
            found.insert(enrolment.0, enrolment.read_whole(&store).await);
        }
    }
    let processing: BTreeSet<_> = (store.orders_in_processing().await.unwrap())
        .into_iter()
        .collect();
    let expected = found
        .iter()
        .filter(|(_, stage)| **stage == 3)
        .map(|(number, _)| Enrolment(*number).order_id())
        .collect();
    assert_eq!(processing, expected);

    let lost: u64 = stages
        .iter()
        .map(|(number, stage)| u64::from(stage.saturating_sub(*found.get(number).unwrap_or(&0))))
        .sum();
    assert_eq!(
        lost, 0,
        "of {commits} acknowledged commits, so many were lost"
    );

    // The database still works.
    let enrolment = Enrolment(u64::MAX - commits as u64);
    let changes = enrolment.changes(1, Version(0));
    common::commit(&store, changes).await.unwrap();
    drop(store);
    let store = LedgerStore::open_with(dir, OpenMode::Any, options);
    let store = store.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(enrolment.read_whole(&store).await, 1);
    println!(
        "{commits} acknowledged commits, none lost; {} enrolments, all whole",
        found.len()
    );
}

/// The enrolment with this number. It has four stages, one commit each: order,
/// proof, intent, certificate.
struct Enrolment(u64);

impl Enrolment {
    /// Returns the changes of the commit to this stage; the commit before gave
    /// `version`.
    fn changes(&self, stage: u8, version: Version) -> Vec<Change> {
        let order = self.order(stage);
        match stage {
            1 => vec![
                Change::InsertAccount(self.account()),
                Change::InsertAuthorization(self.authorization(stage)),
                common::insert_order(order),
            ],
            2 => vec![
                Change::UpdateAuthorization(self.authorization(stage), version),
                Change::UpdateOrder(order, version),
            ],
            3 => vec![Change::UpdateOrder(order, version)],
            _ => vec![
                Change::InsertCertificate(self.certificate()),
                Change::UpdateOrder(order, version),
            ],
        }
    }

    /// Reads everything about a listed enrolment and asserts that it is exactly
    /// as at one of its stages. Returns the stage.
    async fn read_whole(&self, store: &dyn Store) -> u8 {
        let number = self.0;
        let order = store.order(self.order_id()).await.unwrap();
        let order = order.unwrap_or_else(|| panic!("order {number} is only listed"));
        let stage = match order.value.state() {
            OrderState::Pending => 1,
            OrderState::Ready => 2,
            OrderState::Processing(_) => 3,
            _ => 4,
        };
        assert_eq!(order.value, self.order(stage), "order {number}");
        let account = store
            .account_by_key(Default::default(), *self.key().thumbprint())
            .await;
        let account = account.unwrap().map(|account| account.value);
        // An account's key prints as its thumbprint.
        let (account, expected) = (format!("{account:?}"), Some(self.account()));
        assert_eq!(account, format!("{expected:?}"), "account {number}");
        let authorization = store.authorization(self.authorization_id()).await.unwrap();
        let authorization = authorization.map(|authorization| authorization.value);
        let expected = Some(self.authorization(stage));
        assert_eq!(authorization, expected, "authorization {number}");
        let certificate = store.certificate(self.serial()).await.unwrap();
        let certificate = certificate.map(|certificate| certificate.value);
        let expected = (stage == 4).then(|| self.certificate());
        assert_eq!(certificate, expected, "certificate {number}");
        stage
    }

    fn account(&self) -> Account {
        Account {
            id: self.account_id(),
            key: self.key(),
            ..common::account(1)
        }
    }

    fn order(&self, stage: u8) -> Order {
        let order = common::with(common::order(1), |order| {
            order.id = self.order_id();
            order.account = self.account_id();
            order.authorizations = vec![self.authorization_id()];
        });
        let processing = Processing {
            serial: self.serial(),
            ..common::being_signed(1, self.tbs_len())
        };
        let state = match stage {
            1 => common::Stage::Pending,
            2 => common::Stage::Ready,
            3 => common::Stage::Processing(processing),
            _ => common::Stage::Valid(processing),
        };
        common::in_state(order, state)
    }

    fn authorization(&self, stage: u8) -> Authorization {
        let pending = common::authorization_with(1, |one| {
            one.id = self.authorization_id();
            one.account = self.account_id();
            one.order = self.order_id();
        });
        match stage {
            1 => pending,
            _ => common::fulfilled(pending, common::evidence(12)),
        }
    }

    fn certificate(&self) -> Certificate {
        Certificate {
            serial: self.serial(),
            holder: CertificateHolder::Device {
                account: self.account_id(),
                order: self.order_id(),
                root_sha256: [5; 32],
            },
            der: vec![0x30; self.tbs_len() + 100],
            ..common::certificate(1)
        }
    }

    /// Most records are small; some take several pieces in the index.
    fn tbs_len(&self) -> usize {
        match self.0 % 16 {
            3 => 4_500,
            7 => 20_000,
            11 => 63_000,
            _ => 800,
        }
    }

    fn key(&self) -> PublicKey {
        let x = [[7; 24].as_slice(), &self.0.to_be_bytes()].concat();
        let x = data_encoding::BASE64URL_NOPAD.encode(&x);
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        PublicKey::from_jwk(jwk.as_bytes()).unwrap()
    }

    fn serial(&self) -> SerialNumber {
        let content = [[0x40].as_slice(), &self.0.to_be_bytes()].concat();
        SerialNumber::from_der_content(&content).unwrap()
    }

    fn bytes(&self) -> [u8; 16] {
        u128::from(self.0).to_be_bytes()
    }

    fn account_id(&self) -> AccountId {
        AccountId::from_bytes(self.bytes())
    }

    fn order_id(&self) -> OrderId {
        OrderId::from_bytes(self.bytes())
    }

    fn authorization_id(&self) -> AuthorizationId {
        AuthorizationId::from_bytes(self.bytes())
    }
}
