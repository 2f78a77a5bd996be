//! The first of several concurrent commits wins.

use std::sync::Arc;

use assay_engine::{
    domain::Account,
    names::DirectoryName,
    ports::{
        Change, ChangeSet, CommitError, ConflictOn, Direction, OrderList, Store, TimeReset, Version,
    },
};
use assay_proto::Timestamp;
use tokio::task::JoinSet;

use crate::common::*;

const STALE: Result<Version, CommitError> = Err(CommitError::Conflict(ConflictOn::Value));
const KEY_TAKEN: Result<Version, CommitError> = Err(CommitError::Conflict(ConflictOn::AccountKey));

fn inserts() -> [Change; 5] {
    [
        Change::InsertAccount(account(1)),
        Change::InsertAuthorization(authorization(1)),
        Change::InsertCertificate(certificate(1)),
        insert_order(order(1)),
        Change::InsertServerIntent(server_intent(1)),
    ]
}

fn updates(version: Version) -> [Change; 5] {
    [
        Change::UpdateAccount(account(1), version),
        Change::UpdateAuthorization(authorization(1), version),
        Change::UpdateCertificate(certificate(1), version),
        Change::UpdateOrder(order(1), version),
        Change::DeleteServerIntent(serial(1), version),
    ]
}

pub(crate) async fn an_insert_of_what_is_there_conflicts(store: Arc<dyn Store>) {
    assert_eq!(commit(&*store, inserts().into()).await, Ok(Version(1)));
    for insert in inserts() {
        assert_eq!(commit(&*store, vec![insert]).await, STALE);
    }
}

pub(crate) async fn an_update_of_what_is_not_there_conflicts(store: Arc<dyn Store>) {
    for version in [0, 1] {
        for update in updates(Version(version)) {
            assert_eq!(commit(&*store, vec![update]).await, STALE);
        }
    }
}

pub(crate) async fn a_stale_version_changes_nothing_of_the_set(store: Arc<dyn Store>) {
    commit(&*store, inserts().into()).await.unwrap();
    assert_eq!(
        commit(&*store, updates(Version(1)).into()).await,
        Ok(Version(2))
    );
    let stale = updates(Version(1));
    // The intent no longer exists, so that its delete conflicts in another way.
    for stale in stale {
        let changes = vec![
            Change::InsertAccount(account(2)),
            insert_order(order(2)),
            Change::UpdateOrder(in_state(order(1), ready()), Version(2)),
            stale,
            Change::InsertServerIntent(server_intent(2)),
        ];
        assert_eq!(commit_at(&*store, NOW.plus(9), changes).await, STALE);
    }
    assert!(store.account(account_id(2)).await.unwrap().is_none());
    let by_key = store
        .account_by_key(Default::default(), *key(2).thumbprint())
        .await
        .unwrap();
    assert!(by_key.is_none());
    assert_eq!(store.order(order_id(2)).await, Ok(None));
    let first = store.order(order_id(1)).await.unwrap().unwrap();
    assert_eq!((first.value, first.version), (order(1), Version(2)));
    assert_eq!(
        store
            .orders(OrderList::All, None, Direction::Newer, 9)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(store.server_intents().await, Ok(Vec::new()));
    assert_eq!(store.latest_time().await.unwrap(), NOW);
    // No version number was used up.
    let changes = vec![insert_order(order(2))];
    assert_eq!(commit(&*store, changes).await, Ok(Version(3)));
}

pub(crate) async fn a_record_changes_once_in_a_set(store: Arc<dyn Store>) {
    commit(&*store, inserts().into()).await.unwrap();
    let changes = vec![
        Change::UpdateOrder(in_state(order(1), ready()), Version(1)),
        Change::UpdateOrder(in_state(order(1), invalid()), Version(1)),
    ];
    assert_eq!(commit(&*store, changes).await, STALE);
    let changes = vec![insert_order(order(2)), insert_order(order(2))];
    assert_eq!(commit(&*store, changes).await, STALE);
    let other = Account {
        key: key(3),
        ..account(2)
    };
    let changes = vec![
        Change::InsertAccount(other),
        Change::InsertAccount(account(3)),
    ];
    assert_eq!(commit(&*store, changes).await, KEY_TAKEN);
}

pub(crate) async fn twenty_parallel_new_accounts_with_one_key_make_one(store: Arc<dyn Store>) {
    let mut tasks = JoinSet::new();
    for n in 0..20 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let account = Account {
                key: key(99),
                ..account(n)
            };
            let result = commit(&*store, vec![Change::InsertAccount(account)]).await;
            (n, result)
        });
    }
    let mut winners = Vec::new();
    while let Some(done) = tasks.join_next().await {
        match done.unwrap() {
            (n, Ok(_)) => winners.push(n),
            (_, result) => assert_eq!(result, KEY_TAKEN),
        }
    }
    assert_eq!(winners.len(), 1);
    let found = store
        .account_by_key(Default::default(), *key(99).thumbprint())
        .await
        .unwrap();
    assert_eq!(found.unwrap().value.id, account_id(winners[0]));
}

pub(crate) async fn a_key_has_an_account_in_each_directory(store: Arc<dyn Store>) {
    // One name is a prefix of the other.
    let names = ["a", "a-b"].map(|name| DirectoryName::parse(name).unwrap());
    let directories = [DirectoryName::DEFAULT, names[0], names[1]];
    let in_directory = |n: u8, directory| Account {
        directory,
        key: key(9),
        ..account(n)
    };
    let thumbprint = *key(9).thumbprint();
    assert_eq!(store.is_account_key(thumbprint).await, Ok(false));
    let mut versions = Vec::new();
    for (n, directory) in (1..).zip(directories) {
        let insert = Change::InsertAccount(in_directory(n, directory));
        versions.push(commit(&*store, vec![insert]).await.unwrap());
        let again = Change::InsertAccount(in_directory(n + 10, directory));
        assert_eq!(commit(&*store, vec![again]).await, KEY_TAKEN);
    }
    let holder = async |directory| {
        let found = store.account_by_key(directory, thumbprint).await.unwrap();
        found.map(|found| found.value.id)
    };
    for (n, directory) in (1..).zip(directories) {
        assert_eq!(holder(directory).await, Some(account_id(n)));
    }
    // They are deleted one after the other, and the key is in use until the
    // last.
    for ((n, directory), version) in (1..).zip(directories).zip(versions) {
        assert_eq!(store.is_account_key(thumbprint).await, Ok(true));
        let update = match n {
            1 => Change::UpdateAccount(in_directory(n, directory).with_key(key(8)), version),
            _ => Change::DeleteAccount(account_id(n), version),
        };
        commit(&*store, vec![update]).await.unwrap();
        assert_eq!(holder(directory).await, None);
    }
    assert_eq!(store.is_account_key(thumbprint).await, Ok(false));
}

pub(crate) async fn a_key_change_frees_the_old_key(store: Arc<dyn Store>) {
    let changes = vec![
        Change::InsertAccount(account(1)),
        Change::InsertAccount(account(2)),
    ];
    commit(&*store, changes).await.unwrap();
    let taken = account(1).with_key(key(2));
    let changes = vec![Change::UpdateAccount(taken, Version(1))];
    assert_eq!(commit(&*store, changes).await, KEY_TAKEN);
    let changes = vec![Change::UpdateAccount(
        account(1).with_key(key(3)),
        Version(1),
    )];
    assert_eq!(commit(&*store, changes).await, Ok(Version(2)));

    let holder = async |n| {
        let found = store
            .account_by_key(Default::default(), *key(n).thumbprint())
            .await
            .unwrap();
        found.map(|account| account.value.id)
    };
    assert_eq!(holder(1).await, None);
    assert_eq!(holder(2).await, Some(account_id(2)));
    assert_eq!(holder(3).await, Some(account_id(1)));
    let newcomer = Account {
        key: key(1),
        ..account(4)
    };
    let changes = vec![Change::InsertAccount(newcomer)];
    assert_eq!(commit(&*store, changes).await, Ok(Version(3)));
    assert_eq!(holder(1).await, Some(account_id(4)));
}

pub(crate) async fn scenario_62_of_twenty_parallel_finalizes_one_wins(store: Arc<dyn Store>) {
    let changes = vec![insert_order(in_state(order(1), ready()))];
    let version = commit(&*store, changes).await.unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..20 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let begun = in_state(order(1), processing(n, 600));
            let result = commit(&*store, vec![Change::UpdateOrder(begun, version)]).await;
            (n, result)
        });
    }
    let mut winners = Vec::new();
    while let Some(done) = tasks.join_next().await {
        match done.unwrap() {
            (n, Ok(_)) => winners.push(n),
            (_, result) => assert_eq!(result, STALE),
        }
    }
    assert_eq!(winners.len(), 1);
    let found = store.order(order_id(1)).await.unwrap().unwrap();
    assert_eq!(found.value, in_state(order(1), processing(winners[0], 600)));
}

pub(crate) async fn latest_time_never_falls(store: Arc<dyn Store>) {
    assert_eq!(store.latest_time().await.unwrap(), Timestamp(0));
    for (now, latest) in [(5, 5), (9, 9), (7, 9), (10, 10)] {
        commit_at(&*store, Timestamp(now), Vec::new())
            .await
            .unwrap();
        assert_eq!(store.latest_time().await.unwrap(), Timestamp(latest));
    }
}

pub(crate) async fn latest_time_falls_when_it_is_reset(store: Arc<dyn Store>) {
    for (now, latest, reset) in [(1000, 1000, false), (500, 500, true), (400, 500, false)] {
        let now = Timestamp(now);
        let set = if reset {
            ChangeSet::resetting_time(now, TimeReset { nonce_key: [1; 32] })
        } else {
            ChangeSet::new(now, Vec::new())
        };
        store.commit("test", set).await.unwrap();
        assert_eq!(store.latest_time().await.unwrap(), Timestamp(latest));
    }
}
