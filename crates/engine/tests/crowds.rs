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
    Context, Engine, Error, Limits, Request,
    domain::{Account, AccountState, Order},
    ports::Store,
};
use assay_proto::{AccountUpdate, NewAccount, Problem};
use support::{
    Glass, Knobs, SERIAL, START, account_key, any_key, device, eventful::Disk,
    faulty_store::CommitFault, keyed, new_order, wait,
};

fn accounts(provisional_accounts: usize) -> Knobs {
    Knobs {
        limits: Limits {
            provisional_accounts,
            ..Limits::default()
        },
        ..Knobs::default()
    }
}

async fn is_there(glass: &Glass, account: &Account) -> bool {
    glass.store.account(account.id).await.unwrap().is_some()
}

async fn listed(glass: &Glass) -> usize {
    let listed = glass.store.provisional_accounts(None, usize::MAX).await;
    listed.unwrap().len()
}

#[tokio::test]
async fn an_account_is_established_by_its_first_valid_authorization() {
    let glass = Glass::new();
    let account = glass.account().await;
    let order = glass.order(&account, &[SERIAL]).await.unwrap();
    assert_eq!(listed(&glass).await, 1, "an order proves nothing");
    let device = device(SERIAL);
    // In the same commit, or not at all.
    glass.store.fail_next("challenge-valid", CommitFault::Lost);
    glass.answer(&order, 0, &device).await.unwrap_err();
    assert_eq!(listed(&glass).await, 1);
    glass.clock.advance(7);
    glass.answer(&order, 0, &device).await.unwrap();
    assert_eq!(listed(&glass).await, 0);
    let established = async || {
        let found = glass.store.account(account.id).await.unwrap().unwrap();
        found.value.established
    };
    assert_eq!(established().await, Some(START.plus(7)));
    assert_eq!(glass.engine.count_provisional_accounts().await, Ok(0));
    assert!(glass.read(&order).await.is_proven());
    // Another valid authorization does not change that.
    glass.clock.advance(7);
    glass.ready(&account).await;
    assert_eq!(established().await, Some(START.plus(7)));
}

#[tokio::test]
async fn beyond_the_bound_the_oldest_account_of_the_heaviest_network_gives_way() {
    let glass = Glass::with(accounts(4));
    let light = glass.account_from("198.51.100.7").await.unwrap();
    glass.clock.advance(1);
    let first = glass.account_from("2001:db8:0:1::1").await.unwrap();
    glass.clock.advance(1);
    let second = glass.account_from("2001:db8:0:2::1").await.unwrap();
    let third = glass.account_from("2001:db8:0:3::1").await.unwrap();
    glass.clock.advance(600);
    let newcomer = glass.account_from("203.0.113.9").await.unwrap();
    assert_eq!(listed(&glass).await, 4);
    assert!(!is_there(&glass, &first).await);
    for kept in [&light, &second, &third, &newcomer] {
        assert!(is_there(&glass, kept).await);
    }
    // The key can register again, as another account; the old URL stays
    // invalid.
    let (context, request) = (keyed(first.key.clone()), NewAccount::default());
    let again = (glass.engine).new_account(&context, &request);
    let (again, made) = again.await.unwrap();
    assert!(made && again.id != first.id);
    assert_eq!(listed(&glass).await, 4);
}

#[tokio::test]
async fn an_account_keeps_its_place_for_ten_minutes() {
    let glass = Glass::with(accounts(2));
    let old = glass.account_from("192.0.2.1").await.unwrap();
    glass.account_from("192.0.2.2").await.unwrap();
    glass.clock.advance(599);
    // The address above an equal share is refused, a light network is admitted.
    let error = glass.account_from("192.0.2.1").await.unwrap_err();
    assert_eq!(wait(&error), 1);
    glass.account_from("198.51.100.1").await.unwrap();
    assert!(is_there(&glass, &old).await);
    assert_eq!(listed(&glass).await, 3);
    // Twice the limit is never exceeded while no account is old enough.
    glass.account_from("203.0.113.1").await.unwrap();
    assert_eq!(listed(&glass).await, 4);
    glass.clock.advance(1);
    glass.account_from("192.0.2.3").await.unwrap();
    assert!(!is_there(&glass, &old).await);
    assert_eq!(listed(&glass).await, 3);
}

#[tokio::test]
async fn accounts_of_exempt_networks_are_neither_counted_nor_displaced() {
    let glass = Glass::with(Knobs {
        exempt: vec!["10.0.0.0/8", "fd00::/8"],
        ..accounts(2)
    });
    let mut fleet = Vec::new();
    for address in ["10.0.0.1", "10.0.0.1", "fd00::1"] {
        fleet.push(glass.account_from(address).await.unwrap());
    }
    glass.clock.advance(600);
    for _ in 0..4 {
        glass.account_from("192.0.2.1").await.unwrap();
        glass.clock.advance(600);
    }
    for account in &fleet {
        assert!(is_there(&glass, account).await);
    }
    assert_eq!(listed(&glass).await, 5);
    // The same after a restart.
    let engine = glass.restart(&[&glass.authority], &glass.cas);
    assert_eq!(engine.count_provisional_accounts().await, Ok(2));
}

#[tokio::test]
async fn an_established_account_never_gives_way() {
    let glass = Glass::with(accounts(1));
    let account = glass.account().await;
    glass.ready(&account).await;
    for _ in 0..3 {
        glass.clock.advance(600);
        glass.account().await;
        assert_eq!(listed(&glass).await, 1);
    }
    assert!(is_there(&glass, &account).await);
}

#[tokio::test]
async fn the_bound_holds_over_a_restart() {
    let glass = Glass::with(accounts(2));
    let old = glass.account_from("192.0.2.1").await.unwrap();
    let heavy = glass.account_from("192.0.2.1").await.unwrap();
    glass.clock.advance(600);
    let engine = glass.restart(&[&glass.authority], &glass.cas);
    let from = Request::from("198.51.100.1".parse().unwrap());
    let (context, request) = (Context::new(any_key(), from), NewAccount::default());
    let made = engine.new_account(&context, &request);
    made.await.unwrap();
    assert_eq!(listed(&glass).await, 2);
    let kept = [is_there(&glass, &old).await, is_there(&glass, &heavy).await];
    assert!(kept[0] != kept[1]);
}

/// RFC 8555 section 7.3.6: a deactivated account's key is unusable as long as
/// the account is stored.
#[tokio::test]
async fn a_deactivated_provisional_account_keeps_its_key_until_it_gives_way() {
    let glass = Glass::with(accounts(2));
    let account = glass.account_from("192.0.2.1").await.unwrap();
    let update = AccountUpdate {
        status: Some("deactivated".to_owned()),
        ..AccountUpdate::default()
    };
    let signer = glass.authenticated(&account).await;
    (glass.engine)
        .update_account(&signer, &update)
        .await
        .unwrap();
    let found = glass.store.account(account.id).await.unwrap().unwrap();
    assert!(matches!(
        found.value.state,
        AccountState::Deactivated { .. }
    ));
    assert_eq!(listed(&glass).await, 1, "it counts");
    let again = async || {
        let (context, request) = (keyed(account.key.clone()), NewAccount::default());
        let made = (glass.engine).new_account(&context, &request);
        made.await.map(|(account, _)| account)
    };
    assert_eq!(again().await.unwrap_err(), Error::AccountDeactivated);
    glass.clock.advance(1);
    glass.account_from("192.0.2.1").await.unwrap();
    glass.clock.advance(600);
    assert_eq!(again().await.unwrap_err(), Error::AccountDeactivated);
    glass.account_from("192.0.2.1").await.unwrap();
    assert_eq!(listed(&glass).await, 2);
    assert_ne!(again().await.unwrap().id, account.id);
}

#[tokio::test]
async fn an_account_that_gives_way_takes_its_orders_along() {
    let glass = Glass::with(accounts(1));
    let account = glass.account().await;
    let mut made: Vec<Order> = Vec::new();
    for n in 0..10 {
        made.push(glass.order(&account, &[&format!("D{n}")]).await.unwrap());
    }
    glass.clock.advance(600);
    glass.account().await;
    assert!(!is_there(&glass, &account).await);
    let mut left = Vec::new();
    for (n, order) in made.iter().enumerate() {
        let found = glass.store.order(order.id).await.unwrap();
        let authorization = glass.store.authorization(order.authorizations[0]);
        assert_eq!(authorization.await.unwrap().is_some(), found.is_some());
        left.extend(found.map(|order| (n, order.value)));
    }
    // One commit does bounded work: the rest cannot be reached any more.
    assert_eq!(left.len(), 2);
    let error = glass.order(&account, &[SERIAL]).await;
    assert!(error.is_ok(), "it was authenticated before: {error:?}");
    let (n, order) = &left[0];
    let device = device(&format!("D{n}"));
    let context = glass.authenticated(&account).await;
    let error = glass.answer_as(&context, order, 0, &device).await;
    assert_eq!(error.unwrap_err(), Error::AccountDoesNotExist("kid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_at_once_stay_within_the_bound() {
    let glass = Arc::new(Glass::with(accounts(20)));
    for _ in 0..20 {
        glass.account_from("192.0.2.1").await.unwrap();
    }
    glass.clock.advance(600);
    let many: Vec<_> = (0..64)
        .map(|_| {
            let glass = Arc::clone(&glass);
            tokio::spawn(async move { glass.account_from("192.0.2.1").await })
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
    assert_eq!(listed(&glass).await, 20);
    assert_eq!(glass.engine.count_provisional_accounts().await, Ok(20));
}

#[tokio::test]
async fn a_commit_that_fails_gives_all_places_back() {
    let glass = Glass::with(accounts(2));
    let old = glass.account_from("192.0.2.1").await.unwrap();
    glass.account_from("192.0.2.1").await.unwrap();
    glass.clock.advance(600);
    glass.store.fail_next("new-account", CommitFault::Lost);
    let error = glass.account_from("192.0.2.1").await.unwrap_err();
    assert!(matches!(error, Error::Store(_)));
    assert!(is_there(&glass, &old).await);
    // It is unknown whether the account was created, so it counts until the
    // store is read.
    for _ in 0..4 {
        glass.account_from("192.0.2.1").await.unwrap();
        glass.clock.advance(600);
    }
    assert_eq!(glass.engine.count_provisional_accounts().await, Ok(2));
    assert_eq!(listed(&glass).await, 2);
}

/// If an account changes between the choice and the commit, the choice is
/// repeated.
#[tokio::test]
async fn an_account_that_is_established_meanwhile_does_not_give_way() {
    let glass = Glass::with(accounts(1));
    let account = glass.account().await;
    let found = glass.store.account(account.id).await.unwrap().unwrap();
    glass.clock.advance(600);
    let established = found.value.establish(START);
    let change = assay_engine::ports::Change::UpdateAccount(established, found.version);
    glass.store.overtake_next(
        "new-account",
        assay_engine::ports::ChangeSet::new(START, vec![change]),
    );
    glass.account().await;
    assert!(is_there(&glass, &account).await);
    assert_eq!(glass.engine.count_provisional_accounts().await, Ok(1));
}

#[tokio::test]
async fn below_the_guard_new_accounts_and_orders_are_refused_and_the_rest_goes_on() {
    let disk = Arc::new(Disk(AtomicU64::new(1_000)));
    let limits = Limits {
        free_space: 800,
        ..Limits::default()
    };
    let glass = Glass::with(Knobs {
        limits,
        space: Some(Arc::clone(&disk) as _),
        ..Knobs::default()
    });
    let account = glass.account().await;
    let (ready, its_device) = glass.ready(&account).await;
    let pending = glass.order(&account, &[SERIAL]).await.unwrap();
    let measure = |free| {
        disk.0.store(free, Ordering::SeqCst);
        glass.engine.check_space();
        glass.engine.is_space_low()
    };
    assert!(!measure(800));
    assert!(measure(799));
    // A failed measurement changes nothing.
    assert!(measure(u64::MAX));
    let new_account = async |engine: &Engine| {
        let (context, request) = (keyed(account_key()), NewAccount::default());
        engine.new_account(&context, &request).await
    };
    let signer = glass.authenticated(&account).await;
    let request = new_order(&[SERIAL]);
    let order = (glass.engine).new_order(&signer, &request);
    let contacts = AccountUpdate {
        contact: Some(vec!["mailto:a@example.org".to_owned()]),
        ..AccountUpdate::default()
    };
    let update = (glass.engine).update_account(&signer, &contacts);
    let refused = [
        new_account(&glass.engine).await.map(drop),
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
    let found = (glass.engine).new_account(&context, &request);
    assert_eq!(found.await.unwrap().0.id, account.id);
    glass.answer(&pending, 0, &its_device).await.unwrap();
    glass.finalize(&ready, &its_device).await.unwrap();
    // An eighth above the threshold.
    assert!(measure(899));
    assert!(!measure(900));
    new_account(&glass.engine).await.unwrap();
}
