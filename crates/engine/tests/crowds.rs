//! Floods only harm their sender: which accounts are displaced when there are
//! too many, and what happens when the disk is full. For orders see
//! `orders_give_way.rs`.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use assay_engine::{
    Context, Engine, Error, Limits, RequestInfo,
    domain::{Account, AccountState, Order},
    ports::Store,
};
use assay_proto::{AccountUpdate, NewAccount, Problem};
use support::{
    Harness, SERIAL, START, Settings, account_key, any_key, device, eventful::Disk,
    faulty_store::CommitFault, keyed, new_order, wait,
};

fn accounts(provisional_accounts: usize) -> Settings {
    Settings {
        limits: Limits {
            provisional_accounts,
            ..Limits::default()
        },
        ..Settings::default()
    }
}

async fn is_there(harness: &Harness, account: &Account) -> bool {
    harness.store.account(account.id).await.unwrap().is_some()
}

async fn listed(harness: &Harness) -> usize {
    let listed = harness.store.provisional_accounts(None, usize::MAX).await;
    listed.unwrap().len()
}

#[tokio::test]
async fn an_account_is_established_by_its_first_valid_authorization() {
    let harness = Harness::new();
    let account = harness.account().await;
    let order = harness.order(&account, &[SERIAL]).await.unwrap();
    assert_eq!(listed(&harness).await, 1, "an order proves nothing");
    let device = device(SERIAL);
    // In the same commit, or not at all.
    harness
        .store
        .fail_next("challenge-valid", CommitFault::Lost);
    harness.answer(&order, 0, &device).await.unwrap_err();
    assert_eq!(listed(&harness).await, 1);
    harness.clock.advance(7);
    harness.answer(&order, 0, &device).await.unwrap();
    assert_eq!(listed(&harness).await, 0);
    let established = async || {
        let found = harness.store.account(account.id).await.unwrap().unwrap();
        found.value.established
    };
    assert_eq!(established().await, Some(START.plus(7)));
    assert_eq!(harness.engine.count_provisional_accounts().await, Ok(0));
    assert!(harness.read(&order).await.is_proven());
    // Another valid authorization does not change that.
    harness.clock.advance(7);
    harness.ready(&account).await;
    assert_eq!(established().await, Some(START.plus(7)));
}

#[tokio::test]
async fn beyond_the_bound_the_oldest_account_of_the_heaviest_network_gives_way() {
    let harness = Harness::with(accounts(4));
    let light = harness.account_from("198.51.100.7").await.unwrap();
    harness.clock.advance(1);
    let first = harness.account_from("2001:db8:0:1::1").await.unwrap();
    harness.clock.advance(1);
    let second = harness.account_from("2001:db8:0:2::1").await.unwrap();
    let third = harness.account_from("2001:db8:0:3::1").await.unwrap();
    harness.clock.advance(600);
    let newcomer = harness.account_from("203.0.113.9").await.unwrap();
    assert_eq!(listed(&harness).await, 4);
    assert!(!is_there(&harness, &first).await);
    for kept in [&light, &second, &third, &newcomer] {
        assert!(is_there(&harness, kept).await);
    }
    // The key can register again, as another account; the old URL stays
    // invalid.
    let (context, request) = (keyed(first.key.clone()), NewAccount::default());
    let again = (harness.engine).new_account(&context, &request);
    let (again, made) = again.await.unwrap();
    assert!(made && again.id != first.id);
    assert_eq!(listed(&harness).await, 4);
}

#[tokio::test]
async fn an_account_keeps_its_place_for_ten_minutes() {
    let harness = Harness::with(accounts(2));
    let old = harness.account_from("192.0.2.1").await.unwrap();
    harness.account_from("192.0.2.2").await.unwrap();
    harness.clock.advance(599);
    // The address above an equal share is refused, a light network is admitted.
    let error = harness.account_from("192.0.2.1").await.unwrap_err();
    assert_eq!(wait(&error), 1);
    harness.account_from("198.51.100.1").await.unwrap();
    assert!(is_there(&harness, &old).await);
    assert_eq!(listed(&harness).await, 3);
    // Twice the limit is never exceeded while no account is old enough.
    harness.account_from("203.0.113.1").await.unwrap();
    assert_eq!(listed(&harness).await, 4);
    harness.clock.advance(1);
    harness.account_from("192.0.2.3").await.unwrap();
    assert!(!is_there(&harness, &old).await);
    assert_eq!(listed(&harness).await, 3);
}

#[tokio::test]
async fn accounts_of_exempt_networks_are_neither_counted_nor_displaced() {
    let harness = Harness::with(Settings {
        exempt: vec!["10.0.0.0/8", "fd00::/8"],
        ..accounts(2)
    });
    let mut fleet = Vec::new();
    for address in ["10.0.0.1", "10.0.0.1", "fd00::1"] {
        fleet.push(harness.account_from(address).await.unwrap());
    }
    harness.clock.advance(600);
    for _ in 0..4 {
        harness.account_from("192.0.2.1").await.unwrap();
        harness.clock.advance(600);
    }
    for account in &fleet {
        assert!(is_there(&harness, account).await);
    }
    assert_eq!(listed(&harness).await, 5);
    // The same after a restart.
    let engine = harness.restart(&[&harness.authority], &harness.cas);
    assert_eq!(engine.count_provisional_accounts().await, Ok(2));
}

#[tokio::test]
async fn an_established_account_never_gives_way() {
    let harness = Harness::with(accounts(1));
    let account = harness.account().await;
    harness.ready(&account).await;
    for _ in 0..3 {
        harness.clock.advance(600);
        harness.account().await;
        assert_eq!(listed(&harness).await, 1);
    }
    assert!(is_there(&harness, &account).await);
}

#[tokio::test]
async fn the_bound_holds_over_a_restart() {
    let harness = Harness::with(accounts(2));
    let old = harness.account_from("192.0.2.1").await.unwrap();
    let heavy = harness.account_from("192.0.2.1").await.unwrap();
    harness.clock.advance(600);
    let engine = harness.restart(&[&harness.authority], &harness.cas);
    let from = RequestInfo::from("198.51.100.1".parse().unwrap());
    let (context, request) = (Context::new(any_key(), from), NewAccount::default());
    let made = engine.new_account(&context, &request);
    made.await.unwrap();
    assert_eq!(listed(&harness).await, 2);
    let kept = [
        is_there(&harness, &old).await,
        is_there(&harness, &heavy).await,
    ];
    assert!(kept[0] != kept[1]);
}

/// RFC 8555 section 7.3.6: a deactivated account's key is unusable as long as
/// the account is stored.
#[tokio::test]
async fn a_deactivated_provisional_account_keeps_its_key_until_it_gives_way() {
    let harness = Harness::with(accounts(2));
    let account = harness.account_from("192.0.2.1").await.unwrap();
    let update = AccountUpdate {
        status: Some("deactivated".to_owned()),
        ..AccountUpdate::default()
    };
    let signer = harness.authenticated(&account).await;
    (harness.engine)
        .update_account(&signer, &update)
        .await
        .unwrap();
    let found = harness.store.account(account.id).await.unwrap().unwrap();
    assert!(matches!(
        found.value.state,
        AccountState::Deactivated { .. }
    ));
    assert_eq!(listed(&harness).await, 1, "it counts");
    let again = async || {
        let (context, request) = (keyed(account.key.clone()), NewAccount::default());
        let made = (harness.engine).new_account(&context, &request);
        made.await.map(|(account, _)| account)
    };
    assert_eq!(again().await.unwrap_err(), Error::AccountDeactivated);
    harness.clock.advance(1);
    harness.account_from("192.0.2.1").await.unwrap();
    harness.clock.advance(600);
    assert_eq!(again().await.unwrap_err(), Error::AccountDeactivated);
    harness.account_from("192.0.2.1").await.unwrap();
    assert_eq!(listed(&harness).await, 2);
    assert_ne!(again().await.unwrap().id, account.id);
}

#[tokio::test]
async fn an_account_that_gives_way_takes_its_orders_along() {
    let harness = Harness::with(accounts(1));
    let account = harness.account().await;
    let mut made: Vec<Order> = Vec::new();
    for n in 0..10 {
        made.push(harness.order(&account, &[&format!("D{n}")]).await.unwrap());
    }
    harness.clock.advance(600);
    harness.account().await;
    assert!(!is_there(&harness, &account).await);
    let mut left = Vec::new();
    for (n, order) in made.iter().enumerate() {
        let found = harness.store.order(order.id).await.unwrap();
        let authorization = harness.store.authorization(order.authorizations[0]);
        assert_eq!(authorization.await.unwrap().is_some(), found.is_some());
        left.extend(found.map(|order| (n, order.value)));
    }
    // One commit does bounded work: the rest cannot be reached any more.
    assert_eq!(left.len(), 2);
    let error = harness.order(&account, &[SERIAL]).await;
    assert!(error.is_ok(), "it was authenticated before: {error:?}");
    let (n, order) = &left[0];
    let device = device(&format!("D{n}"));
    let context = harness.authenticated(&account).await;
    let error = harness.answer_as(&context, order, 0, &device).await;
    assert_eq!(error.unwrap_err(), Error::AccountDoesNotExist("kid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_at_once_stay_within_the_bound() {
    let harness = Arc::new(Harness::with(accounts(20)));
    for _ in 0..20 {
        harness.account_from("192.0.2.1").await.unwrap();
    }
    harness.clock.advance(600);
    let many: Vec<_> = (0..64)
        .map(|_| {
            let harness = Arc::clone(&harness);
            tokio::spawn(async move { harness.account_from("192.0.2.1").await })
        })
        .collect();
    let mut made = 0;
    for one in many {
        match one.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => assert!(wait(&error) > 0),
        }
    }
    // All old accounts were displaced; the young ones stay.
    assert_eq!(made, 20);
    assert_eq!(listed(&harness).await, 20);
    assert_eq!(harness.engine.count_provisional_accounts().await, Ok(20));
}

#[tokio::test]
async fn a_commit_that_fails_gives_all_places_back() {
    let harness = Harness::with(accounts(2));
    let old = harness.account_from("192.0.2.1").await.unwrap();
    harness.account_from("192.0.2.1").await.unwrap();
    harness.clock.advance(600);
    harness.store.fail_next("new-account", CommitFault::Lost);
    let error = harness.account_from("192.0.2.1").await.unwrap_err();
    assert!(matches!(error, Error::Store(_)));
    assert!(is_there(&harness, &old).await);
    // It is unknown whether the account was created, so it counts until the
    // store is read.
    for _ in 0..4 {
        harness.account_from("192.0.2.1").await.unwrap();
        harness.clock.advance(600);
    }
    assert_eq!(harness.engine.count_provisional_accounts().await, Ok(2));
    assert_eq!(listed(&harness).await, 2);
}

/// If an account changes between the choice and the commit, the choice is
/// repeated.
#[tokio::test]
async fn an_account_that_is_established_meanwhile_does_not_give_way() {
    let harness = Harness::with(accounts(1));
    let account = harness.account().await;
    let found = harness.store.account(account.id).await.unwrap().unwrap();
    harness.clock.advance(600);
    let established = found.value.establish(START);
    let change = assay_engine::ports::Change::UpdateAccount(established, found.version);
    harness.store.overtake_next(
        "new-account",
        assay_engine::ports::ChangeSet::new(START, vec![change]),
    );
    harness.account().await;
    assert!(is_there(&harness, &account).await);
    assert_eq!(harness.engine.count_provisional_accounts().await, Ok(1));
}

#[tokio::test]
async fn below_the_guard_new_accounts_and_orders_are_refused_and_the_rest_goes_on() {
    let disk = Arc::new(Disk(AtomicU64::new(1_000)));
    let limits = Limits {
        free_space: 800,
        ..Limits::default()
    };
    let harness = Harness::with(Settings {
        limits,
        space: Some(Arc::clone(&disk) as _),
        ..Settings::default()
    });
    let account = harness.account().await;
    let (ready, its_device) = harness.ready(&account).await;
    let pending = harness.order(&account, &[SERIAL]).await.unwrap();
    let measure = |free| {
        disk.0.store(free, Ordering::SeqCst);
        harness.engine.check_space();
        harness.engine.is_space_low()
    };
    assert!(!measure(800));
    assert!(measure(799));
    // A failed measurement changes nothing.
    assert!(measure(u64::MAX));
    let new_account = async |engine: &Engine| {
        let (context, request) = (keyed(account_key()), NewAccount::default());
        engine.new_account(&context, &request).await
    };
    let signer = harness.authenticated(&account).await;
    let request = new_order(&[SERIAL]);
    let order = (harness.engine).new_order(&signer, &request);
    let contacts = AccountUpdate {
        contact: Some(vec!["mailto:a@example.org".to_owned()]),
        ..AccountUpdate::default()
    };
    let update = (harness.engine).update_account(&signer, &contacts);
    let refused = [
        new_account(&harness.engine).await.map(drop),
        order.await.map(drop),
        update.await.map(drop),
    ];
    for error in refused.map(Result::unwrap_err) {
        assert_eq!(error, Error::NoSpace);
        assert_eq!(Problem::from(&error).status, 503);
        assert_eq!(error.retry_after(), Some(60));
        assert!(!error.is_fault(), "the log has it once");
    }
    // An existing account is found, and an order in progress completes.
    let (context, request) = (keyed(account.key.clone()), NewAccount::default());
    let found = (harness.engine).new_account(&context, &request);
    assert_eq!(found.await.unwrap().0.id, account.id);
    harness.answer(&pending, 0, &its_device).await.unwrap();
    harness.finalize(&ready, &its_device).await.unwrap();
    // An eighth above the threshold.
    assert!(measure(899));
    assert!(!measure(900));
    new_account(&harness.engine).await.unwrap();
}
