//! Compares random commits on sled with a small model of their meaning.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

mod common;

use std::{collections::BTreeMap, sync::OnceLock, thread};

use assay_engine::{
    domain::{Account, Order},
    ports::{Change, CommitError, ConflictOn, Direction, OrderList, Store, Version},
};
use assay_store::{LedgerStore, MemoryStore, OpenMode};
use proptest::prelude::*;

use crate::common::*;

/// One change of a set. `fresh` means that it names the current version.
#[derive(Clone, Debug)]
enum Step {
    AddNote { order: u8, reason: u8 },
    DeleteAccount { account: u8, fresh: bool },
    DeleteIntent { intent: u8, fresh: bool },
    DeleteOrder { order: u8, fresh: bool },
    InsertAccount { account: u8, key: u8 },
    InsertIntent { intent: u8 },
    InsertOrder { order: u8, account: u8 },
    UpdateAccount { account: u8, to: Shape, fresh: bool },
    UpdateOrder { order: u8, state: u8, fresh: bool },
}

impl Step {
    fn is_too_large(&self) -> bool {
        matches!(self, Self::UpdateOrder { state, .. } if *state == TOO_LARGE)
    }
}

/// An account's key, and whether the account is established.
type Shape = (u8, bool);

/// An operation on the store.
#[derive(Clone, Debug)]
enum Operation {
    Commit(Vec<Step>),
    Reopen,
}

/// The expected content of the store: values and their versions.
#[derive(Clone, Default)]
struct Model {
    sequence: u64,
    /// Maps accounts to shapes.
    accounts: BTreeMap<u8, (Shape, u64)>,
    intents: BTreeMap<u8, u64>,
    /// Maps orders to accounts and states.
    orders: BTreeMap<u8, (u8, u8, u64)>,
    /// Maps orders to the reasons of their notes.
    notes: BTreeMap<u8, Vec<u8>>,
}

impl Model {
    fn version(&self, version: Option<u64>, fresh: bool) -> Version {
        match version {
            Some(version) if fresh => Version(version),
            // A number that is never assigned.
            _ => Version(self.sequence + 100),
        }
    }

    /// Returns the change of a step in the model's current state.
    fn change(&self, step: &Step) -> Change {
        match *step {
            Step::AddNote { order, reason } => Change::AddNote(order_id(order), note(reason)),
            Step::DeleteAccount { account, fresh } => {
                let version = self.accounts.get(&account).map(|(_, version)| *version);
                Change::DeleteAccount(account_id(account), self.version(version, fresh))
            }
            Step::DeleteOrder { order, fresh } => {
                let version = self.orders.get(&order).map(|(_, _, version)| *version);
                Change::DeleteOrder(order_id(order), self.version(version, fresh))
            }
            Step::DeleteIntent { intent, fresh } => {
                let version = self.intents.get(&intent).copied();
                Change::DeleteServerIntent(serial(intent), self.version(version, fresh))
            }
            Step::InsertAccount { account, key } => {
                Change::InsertAccount(an_account(account, (key, false)))
            }
            Step::InsertIntent { intent } => Change::InsertServerIntent(server_intent(intent)),
            Step::InsertOrder { order, account } => insert_order(an_order(order, account, 0)),
            Step::UpdateAccount { account, to, fresh } => {
                let version = self.accounts.get(&account).map(|(_, version)| *version);
                Change::UpdateAccount(an_account(account, to), self.version(version, fresh))
            }
            Step::UpdateOrder {
                order,
                state,
                fresh,
            } => {
                let found = self.orders.get(&order);
                let account = found.map_or(0, |(account, _, _)| *account);
                let version = found.map(|(_, _, version)| *version);
                Change::UpdateOrder(
                    an_order(order, account, state),
                    self.version(version, fresh),
                )
            }
        }
    }

    /// Applies the changes of a set. After an error `self` must not be used.
    fn apply(&mut self, steps: &[Step]) -> Result<Version, ConflictOn> {
        let before = self.clone();
        self.sequence += 1;
        let now = self.sequence;
        for step in steps {
            match *step {
                Step::AddNote { order, reason } => {
                    if self.orders.contains_key(&order) {
                        let notes = self.notes.entry(order).or_default();
                        notes.retain(|other| *other != reason);
                        notes.push(reason);
                        while notes.len() > 8 {
                            notes.remove(0);
                        }
                    }
                }
                Step::DeleteAccount { account, fresh } => {
                    let known = before.accounts.get(&account).copied();
                    if !fresh || known.is_none() || self.accounts.remove(&account) != known {
                        return Err(ConflictOn::Value);
                    }
                }
                Step::DeleteOrder { order, fresh } => {
                    let known = before.orders.get(&order).copied();
                    if !fresh || known.is_none() || self.orders.remove(&order) != known {
                        return Err(ConflictOn::Value);
                    }
                    self.notes.remove(&order);
                }
                Step::DeleteIntent { intent, fresh } => {
                    let known = fresh && before.intents.contains_key(&intent);
                    if !known
                        || self.intents.remove(&intent) != before.intents.get(&intent).copied()
                    {
                        return Err(ConflictOn::Value);
                    }
                }
                Step::InsertAccount { account, key } => {
                    if self.accounts.contains_key(&account) {
                        return Err(ConflictOn::Value);
                    }
                    self.set(account, (key, false))?;
                }
                Step::InsertIntent { intent } => {
                    if self.intents.insert(intent, now).is_some() {
                        return Err(ConflictOn::Value);
                    }
                }
                Step::InsertOrder { order, account } => {
                    if self.orders.insert(order, (account, 0, now)).is_some() {
                        return Err(ConflictOn::Value);
                    }
                }
                Step::UpdateAccount { account, to, fresh } => {
                    let known = before.accounts.get(&account);
                    if !fresh || known.is_none() || self.accounts.get(&account) != known {
                        return Err(ConflictOn::Value);
                    }
                    self.set(account, to)?;
                }
                Step::UpdateOrder {
                    order,
                    state,
                    fresh,
                } => {
                    let known = before.orders.get(&order);
                    if !fresh || self.orders.get(&order) != known {
                        return Err(ConflictOn::Value);
                    }
                    let (account, _, _) = *known.ok_or(ConflictOn::Value)?;
                    self.orders.insert(order, (account, state, now));
                }
            }
        }
        Ok(Version(now))
    }

    fn set(&mut self, account: u8, to: Shape) -> Result<(), ConflictOn> {
        let mut others = self.accounts.iter().filter(|(other, _)| **other != account);
        if others.any(|(_, ((taken, _), _))| *taken == to.0) {
            return Err(ConflictOn::AccountKey);
        }
        self.accounts.insert(account, (to, self.sequence));
        Ok(())
    }

    /// Compares the results of all queries.
    async fn compare(&self, store: &LedgerStore) {
        for n in 0..4 {
            let found = store.account(account_id(n)).await.unwrap();
            let found = found.map(|found| {
                let established = found.value.established.is_some();
                (found.value.key, established, found.version.0)
            });
            let expected = (self.accounts.get(&n))
                .map(|((k, established), version)| (key(*k), *established, *version));
            assert_eq!(found, expected);

            let holder = store
                .account_by_key(Default::default(), *key(n).thumbprint())
                .await
                .unwrap();
            let holder = holder.map(|account| account.value.id);
            let mut accounts = self.accounts.iter();
            let expected = accounts.find(|(_, ((k, _), _))| *k == n);
            assert_eq!(holder, expected.map(|(id, _)| account_id(*id)));

            let found = store.order(order_id(n)).await.unwrap();
            let found = found.map(|found| (found.value, found.version.0));
            let expected = self.orders.get(&n);
            let expected = expected.map(|(a, state, version)| (an_order(n, *a, *state), *version));
            assert_eq!(found, expected);

            let notes = self.notes.get(&n).cloned().unwrap_or_default();
            let notes: Vec<_> = notes.into_iter().map(note).collect();
            assert_eq!(store.notes(order_id(n)).await, Ok(notes));

            let device = store
                .orders(
                    OrderList::OfDevice(&format!("DEVICE{n}")),
                    None,
                    Direction::Older,
                    9,
                )
                .await;
            let device: Vec<_> = device.unwrap().into_iter().map(|one| one.id).collect();
            let expected = self.orders.get(&n).map(|_| order_id(n));
            assert_eq!(device, Vec::from_iter(expected));

            let of_account = || self.orders.iter().filter(|(_, (a, _, _))| *a == n);
            let listed = store
                .orders(
                    OrderList::OfAccount(account_id(n)),
                    None,
                    Direction::Newer,
                    99,
                )
                .await
                .unwrap();
            let listed: Vec<_> = listed.into_iter().map(|cursor| cursor.id).collect();
            let expected: Vec<_> = of_account().map(|(id, _)| order_id(*id)).collect();
            assert_eq!(listed, expected);

            for device in 0..4 {
                let identifier = permanent(&format!("DEVICE{device}"));
                let open = open_orders_naming(store, account_id(n), &identifier, NOW).await;
                let mine =
                    of_account().filter(|(id, (_, state, _))| **id == device && is_open(*state));
                let mine: Vec<_> = mine.map(|(id, _)| order_id(*id)).collect();
                assert_eq!(open, mine.len());
                let naming = store.open_orders_naming(account_id(n), &identifier, NOW, 99);
                assert_eq!(naming.await, Ok(mine));
            }
            let mut open = store.open_orders(account_id(n), NOW, 99).await.unwrap();
            open.sort();
            let expected = of_account().filter(|(_, (_, state, _))| is_open(*state));
            assert_eq!(
                open,
                expected.map(|(id, _)| order_id(*id)).collect::<Vec<_>>()
            );
        }
        for n in 0..4 {
            let device = permanent(&format!("DEVICE{n}"));
            let listed = store.unproven_orders(&device, None, 99).await.unwrap();
            let listed: Vec<_> = listed
                .into_iter()
                .map(|one| (one.id, one.pending, one.origin))
                .collect();
            let state = self.orders.get(&n).map(|(_, state, _)| *state);
            let expected = state.filter(|state| [0, 4].contains(state));
            let expected = expected.map(|state| (order_id(n), state == 0, Some(origin(n))));
            assert_eq!(listed, Vec::from_iter(expected));
        }
        let latest = store
            .orders(OrderList::All, None, Direction::Older, 99)
            .await
            .unwrap();
        let latest: Vec<_> = latest.into_iter().map(|one| one.id).collect();
        let expected: Vec<_> = self.orders.keys().rev().map(|n| order_id(*n)).collect();
        assert_eq!(latest, expected);
        let count = u64::try_from(expected.len()).unwrap();
        assert_eq!(store.count_orders().await, Ok(count));
        let provisional = store.provisional_accounts(None, 99).await.unwrap();
        let provisional: Vec<_> = provisional
            .into_iter()
            .map(|account| (account.cursor.id, account.origin))
            .collect();
        let expected = self.accounts.iter().filter(|(_, ((_, it), _))| !it);
        let expected: Vec<_> = expected
            .map(|(n, _)| (account_id(*n), Some(origin(*n))))
            .collect();
        assert_eq!(provisional, expected);
        let in_processing = (self.orders.iter()).filter(|(_, (_, state, _))| tbs(*state).is_some());
        let in_processing = in_processing.map(|(id, _)| order_id(*id)).collect();
        assert_eq!(store.orders_in_processing().await, Ok(in_processing));
        let intents = store.server_intents().await.unwrap();
        let intents: Vec<_> = intents
            .into_iter()
            .map(|intent| (intent.value.serial, intent.version.0))
            .collect();
        let expected = self
            .intents
            .iter()
            .map(|(n, version)| (serial(*n), *version));
        assert_eq!(intents, expected.collect::<Vec<_>>());
    }
}

fn an_account(n: u8, (with, established): Shape) -> Account {
    let account = account(n).with_key(key(with));
    match established {
        true => account.establish(NOW),
        false => account,
    }
}

/// Returns the length of an order's longest TBSCertificate: its record then has
/// the maximum length, or one byte less for some orders.
fn longest() -> usize {
    static LONGEST: OnceLock<usize> = OnceLock::new();
    *LONGEST.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        // The test's runtime does not allow another one on this thread.
        let found = thread::spawn(|| {
            (runtime.unwrap()).block_on(longest_tbs(&MemoryStore::new(), order(1)))
        });
        found.join().unwrap()
    })
}

/// Returns the length of the TBSCertificate of an order in a processing state:
/// the usual one, the longest, some around records of 4 KiB, and one that is
/// too long.
fn tbs(state: u8) -> Option<usize> {
    let of_4_kib = longest() - 60 * 1024;
    match state {
        2 => Some(300),
        6 => Some(of_4_kib),
        7 => Some(of_4_kib + 1),
        8 => Some(of_4_kib + 2),
        9 => Some(20_000),
        10 => Some(longest()),
        TOO_LARGE => Some(longest() + 9),
        _ => None,
    }
}

/// The state of an order whose record is a few bytes too large.
const TOO_LARGE: u8 = 11;

fn is_open(state: u8) -> bool {
    state < 2 || tbs(state).is_some()
}

/// State 5 is an order that ended with evidence.
fn an_order(n: u8, account: u8, state: u8) -> Order {
    let state = match (state, tbs(state)) {
        (_, Some(len)) => processing(n, len),
        (0, _) => Stage::Pending,
        (1, _) => ready(),
        (3, _) => valid(n),
        (4, _) => invalid(),
        _ => Stage::InvalidOnceProven,
    };
    let order = with(order(n), |order| order.account = account_id(account));
    in_state(order, state)
}

fn step() -> impl Strategy<Value = Step> {
    let fresh = || prop::bool::weighted(0.9);
    prop_oneof![
        (0..4_u8, 0..12_u8).prop_map(|(order, reason)| Step::AddNote { order, reason }),
        (0..4_u8, fresh()).prop_map(|(account, fresh)| Step::DeleteAccount { account, fresh }),
        (0..4_u8, fresh()).prop_map(|(intent, fresh)| Step::DeleteIntent { intent, fresh }),
        (0..4_u8, fresh()).prop_map(|(order, fresh)| Step::DeleteOrder { order, fresh }),
        (0..4_u8, 0..4_u8).prop_map(|(account, key)| Step::InsertAccount { account, key }),
        (0..4_u8).prop_map(|intent| Step::InsertIntent { intent }),
        (0..4_u8, 0..4_u8).prop_map(|(order, account)| Step::InsertOrder { order, account }),
        (0..4_u8, (0..4_u8, any::<bool>()), fresh())
            .prop_map(|(account, to, fresh)| Step::UpdateAccount { account, to, fresh }),
        (0..4_u8, 0..12_u8, fresh()).prop_map(|(order, state, fresh)| Step::UpdateOrder {
            order,
            state,
            fresh
        }),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        9 => prop::collection::vec(step(), 1..3).prop_map(Operation::Commit),
        1 => Just(Operation::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sled_does_what_the_model_does(operations in prop::collection::vec(operation(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let mut store = LedgerStore::create(dir.path(), false).unwrap();
            let mut model = Model::default();
            for operation in &operations {
                match operation {
                    Operation::Commit(steps) => {
                        let changes = steps.iter().map(|step| model.change(step)).collect();
                        let result = commit(&store, changes).await;
                        if steps.iter().any(Step::is_too_large) {
                            assert!(matches!(result, Err(CommitError::Store(_))), "{result:?}");
                            model.compare(&store).await;
                            continue;
                        }
                        let mut next = model.clone();
                        let expected = next.apply(steps);
                        assert_eq!(result, expected.map_err(CommitError::Conflict));
                        if result.is_ok() {
                            model = next;
                        }
                    }
                    Operation::Reopen => {
                        drop(store);
                        store = LedgerStore::open(dir.path(), OpenMode::Any).unwrap();
                    }
                }
                model.compare(&store).await;
            }
        });
    }
}
