//! Resetting the recorded time.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use assay_engine::{
    Expiring,
    domain::{AuthorizationStatus, Lease, Order, OrderState, Work},
    ids::NodeId,
    ports::{Change, ChangeSet, Clock, Store},
    reset_clock,
};
use assay_proto::{OrderStatus, Timestamp};
use support::{Harness, SERIAL, START, faulty_store::CommitFault};

const YEARS: u64 = 5 * 365 * 86_400;
const KEY: [u8; 32] = [7; 32];

/// The contents of a store whose clock was once years ahead.
struct Wrong {
    harness: Harness,
    open: Vec<Order>,
    valid: Order,
    valid_in_future: Order,
    idle: assay_engine::domain::Account,
}

impl Wrong {
    /// Orders in every state, created before the clock was wrong and while it
    /// was.
    async fn new() -> Self {
        let harness = Harness::new();
        let account = harness.account().await;
        let (valid, device) = harness.ready(&account).await;
        harness.finalize(&valid, &device).await.unwrap();
        let early = harness.order(&account, &[SERIAL]).await.unwrap();
        harness.clock.advance(YEARS);
        let pending = harness.order(&account, &[SERIAL]).await.unwrap();
        let (ready, _) = harness.ready(&account).await;
        let (valid_in_future, device) = harness.ready(&account).await;
        harness.finalize(&valid_in_future, &device).await.unwrap();
        let (processing, device) = harness.ready(&account).await;
        harness
            .store
            .fail_next("finalize-complete", CommitFault::Lost);
        assert!(harness.finalize(&processing, &device).await.is_err());
        let lease = Lease::first(
            Work::Recovery,
            NodeId::from_bytes([1; 16]),
            harness.clock.now(),
        );
        let lease = ChangeSet::new(harness.clock.now(), vec![Change::InsertLease(lease)]);
        harness.store.commit("test", lease).await.unwrap();
        let spki = device.spki_der();
        (harness.store).fail_next("server-certificate", CommitFault::Lost);
        let issued = harness.engine.issue_server_certificate(&spki, "localhost");
        assert!(issued.await.is_err());
        let idle = harness.account_of(support::account_key()).await;
        harness.clock.set(START.plus(60));
        Self {
            harness,
            open: vec![early, pending, ready, processing],
            valid,
            valid_in_future,
            idle,
        }
    }

    async fn stored(&self, order: &Order) -> Order {
        let order = self.harness.store.order(order.id).await.unwrap();
        order.unwrap().value
    }
}

#[tokio::test]
async fn scenario_145_after_reset_clock_the_time_is_right_and_nothing_is_lost() {
    let wrong = Wrong::new().await;
    let (harness, wall) = (&wrong.harness, wrong.harness.clock.now());
    let reset = reset_clock(harness.store.as_ref(), wall, KEY)
        .await
        .unwrap();
    assert_eq!((reset.before, reset.orders), (START.plus(YEARS), 4));
    assert_eq!(harness.store.latest_time().await.unwrap(), wall);
    let engine = harness.restart(&[&harness.authority], &harness.cas);
    assert_eq!(engine.now(), wall);
    assert!(!engine.read_clock().in_doubt);
    // The certificate, its order and the accounts still exist.
    let valid = wrong.stored(&wrong.valid).await;
    let OrderState::Valid { certificate } = valid.state() else {
        panic!("a valid order ended");
    };
    let certificate = harness
        .store
        .certificate(certificate.clone())
        .await
        .unwrap();
    assert!(certificate.is_some());
    assert!(
        harness
            .store
            .account(wrong.idle.id)
            .await
            .unwrap()
            .is_some()
    );
}

/// Checks each member of the list in the code.
#[tokio::test]
async fn scenario_145_all_that_expires_by_the_recorded_time_ends_with_it() {
    let wrong = Wrong::new().await;
    let (harness, wall) = (&wrong.harness, wrong.harness.clock.now());
    reset_clock(harness.store.as_ref(), wall, KEY)
        .await
        .unwrap();
    for expiring in Expiring::ALL {
        match expiring {
            Expiring::ProvisionalAccounts => {
                let idle = harness.store.account(wrong.idle.id).await.unwrap();
                assert_eq!(idle.unwrap().value.created, wall);
                let found = harness.store.provisional_accounts(None, 10).await.unwrap();
                let idle: Vec<_> = (found.iter())
                    .filter(|account| account.cursor.id == wrong.idle.id)
                    .collect();
                assert_eq!(idle.len(), 1);
                assert!(found.iter().all(|account| account.cursor.created <= wall));
            }
            Expiring::Orders => {
                for order in &wrong.open {
                    let ended = wrong.stored(order).await;
                    let OrderState::Invalid(failure) = ended.state() else {
                        panic!("an open order did not end");
                    };
                    assert_eq!(failure.reason, "clock-reset");
                }
                for order in wrong.open.iter().chain([&wrong.valid_in_future]) {
                    let id = order.authorizations[0];
                    let one = harness.store.authorization(id).await.unwrap().unwrap();
                    assert_eq!(one.value.status(wall), AuthorizationStatus::Expired);
                }
                for order in [&wrong.valid, &wrong.valid_in_future] {
                    assert_eq!(wrong.stored(order).await.status(wall), OrderStatus::Valid);
                }
                // Created under the right clock, it ends at the right time.
                let id = wrong.valid.authorizations[0];
                let one = harness.store.authorization(id).await.unwrap().unwrap();
                assert!(one.value.expires() <= wall.plus(8 * 3600));
                let open = harness
                    .store
                    .open_orders(wrong.valid.account, Timestamp(0), 10);
                assert_eq!(open.await.unwrap(), []);
                assert_eq!(harness.store.orders_in_processing().await.unwrap(), []);
            }
            Expiring::Nonces => {
                assert_eq!(harness.store.replaced_nonce_key(), Some(KEY));
            }
            Expiring::Leases => {
                for work in Work::ALL {
                    let lease = harness.store.lease(work).await.unwrap().unwrap();
                    assert_eq!(lease.value.until(), wall);
                }
            }
            Expiring::ServerIntents => {
                assert_eq!(harness.store.server_intents().await.unwrap(), []);
            }
        }
    }
}

/// A database may keep every order ever made: a reset that read them all took
/// seven minutes for a million.
#[tokio::test]
async fn a_reset_looks_at_open_orders_and_at_those_from_the_future_only() {
    let harness = Harness::new();
    let account = harness.account().await;
    for _ in 0..5 {
        let (order, device) = harness.ready(&account).await;
        harness.finalize(&order, &device).await.unwrap();
    }
    harness.order(&account, &[SERIAL]).await.unwrap();
    harness.clock.advance(YEARS);
    harness.order(&account, &[SERIAL]).await.unwrap();
    harness.clock.set(START.plus(60));
    let before = harness.store.orders_read();
    let wall = harness.clock.now();
    let reset = reset_clock(harness.store.as_ref(), wall, KEY)
        .await
        .unwrap();
    assert_eq!(reset.orders, 2);
    // Both lists contain the second one.
    assert_eq!(harness.store.orders_read() - before, 3);
}

#[tokio::test]
async fn a_reset_that_breaks_off_is_done_again() {
    let wrong = Wrong::new().await;
    let (harness, wall) = (&wrong.harness, wrong.harness.clock.now());
    harness.store.fail_next("reset-clock", CommitFault::Lost);
    assert!(
        reset_clock(harness.store.as_ref(), wall, KEY)
            .await
            .is_err()
    );
    assert_eq!(
        harness.store.latest_time().await.unwrap(),
        START.plus(YEARS)
    );
    reset_clock(harness.store.as_ref(), wall, KEY)
        .await
        .unwrap();
    assert_eq!(harness.store.latest_time().await.unwrap(), wall);
    for order in &wrong.open {
        assert_eq!(wrong.stored(order).await.status(wall), OrderStatus::Invalid);
    }
}
