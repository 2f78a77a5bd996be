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
use support::{Glass, SERIAL, START, faulty_store::CommitFault};

const YEARS: u64 = 5 * 365 * 86_400;
const KEY: [u8; 32] = [7; 32];

/// The contents of a store whose clock was once years ahead.
struct Wrong {
    glass: Glass,
    open: Vec<Order>,
    valid: Order,
    valid_in_future: Order,
    idle: assay_engine::domain::Account,
}

impl Wrong {
    /// Orders in every state, created before the clock was wrong and while it
    /// was.
    async fn new() -> Self {
        let glass = Glass::new();
        let account = glass.account().await;
        let (valid, device) = glass.ready(&account).await;
        glass.finalize(&valid, &device).await.unwrap();
        let early = glass.order(&account, &[SERIAL]).await.unwrap();
        glass.clock.advance(YEARS);
        let pending = glass.order(&account, &[SERIAL]).await.unwrap();
        let (ready, _) = glass.ready(&account).await;
        let (valid_in_future, device) = glass.ready(&account).await;
        glass.finalize(&valid_in_future, &device).await.unwrap();
        let (processing, device) = glass.ready(&account).await;
        glass
            .store
            .fail_next("finalize-complete", CommitFault::Lost);
        assert!(glass.finalize(&processing, &device).await.is_err());
        let lease = Lease::first(
            Work::Recovery,
            NodeId::from_bytes([1; 16]),
            glass.clock.now(),
        );
        let lease = ChangeSet::new(glass.clock.now(), vec![Change::InsertLease(lease)]);
        glass.store.commit("test", lease).await.unwrap();
        let spki = device.spki_der();
        (glass.store).fail_next("server-certificate", CommitFault::Lost);
        let issued = glass.engine.issue_server_certificate(&spki, "localhost");
        assert!(issued.await.is_err());
        let idle = glass.account_of(support::account_key()).await;
        glass.clock.set(START.plus(60));
        Self {
            glass,
            open: vec![early, pending, ready, processing],
            valid,
            valid_in_future,
            idle,
        }
    }

    async fn stored(&self, order: &Order) -> Order {
        let order = self.glass.store.order(order.id).await.unwrap();
        order.unwrap().value
    }
}

#[tokio::test]
async fn scenario_145_after_reset_clock_the_time_is_right_and_nothing_is_lost() {
    let wrong = Wrong::new().await;
    let (glass, wall) = (&wrong.glass, wrong.glass.clock.now());
    let reset = reset_clock(glass.store.as_ref(), wall, KEY).await.unwrap();
    assert_eq!((reset.before, reset.orders), (START.plus(YEARS), 4));
    assert_eq!(glass.store.latest_time().await.unwrap(), wall);
    let engine = glass.restart(&[&glass.authority], &glass.cas);
    assert_eq!(engine.now(), wall);
    assert!(!engine.read_clock().in_doubt);
    // The certificate, its order and the accounts still exist.
    let valid = wrong.stored(&wrong.valid).await;
    let OrderState::Valid { certificate } = valid.state() else {
        panic!("a valid order ended");
    };
    let certificate = glass.store.certificate(certificate.clone()).await.unwrap();
    assert!(certificate.is_some());
    assert!(glass.store.account(wrong.idle.id).await.unwrap().is_some());
}

/// Checks each member of the list in the code.
#[tokio::test]
async fn scenario_145_all_that_expires_by_the_recorded_time_ends_with_it() {
    let wrong = Wrong::new().await;
    let (glass, wall) = (&wrong.glass, wrong.glass.clock.now());
    reset_clock(glass.store.as_ref(), wall, KEY).await.unwrap();
    for expiring in Expiring::ALL {
        match expiring {
            Expiring::ProvisionalAccounts => {
                let idle = glass.store.account(wrong.idle.id).await.unwrap();
                assert_eq!(idle.unwrap().value.created, wall);
                let found = glass.store.provisional_accounts(None, 10).await.unwrap();
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
                    let one = glass.store.authorization(id).await.unwrap().unwrap();
                    assert_eq!(one.value.status(wall), AuthorizationStatus::Expired);
                }
                for order in [&wrong.valid, &wrong.valid_in_future] {
                    assert_eq!(wrong.stored(order).await.status(wall), OrderStatus::Valid);
                }
                // Created under the right clock, it ends at the right time.
                let id = wrong.valid.authorizations[0];
                let one = glass.store.authorization(id).await.unwrap().unwrap();
                assert!(one.value.expires() <= wall.plus(8 * 3600));
                let open = glass
                    .store
                    .open_orders(wrong.valid.account, Timestamp(0), 10);
                assert_eq!(open.await.unwrap(), []);
                assert_eq!(glass.store.orders_in_processing().await.unwrap(), []);
            }
            Expiring::Nonces => {
                assert_eq!(glass.store.replaced_nonce_key(), Some(KEY));
            }
            Expiring::Leases => {
                for work in Work::ALL {
                    let lease = glass.store.lease(work).await.unwrap().unwrap();
                    assert_eq!(lease.value.until(), wall);
                }
            }
            Expiring::ServerIntents => {
                assert_eq!(glass.store.server_intents().await.unwrap(), []);
            }
        }
    }
}

/// A database may keep every order ever made: a reset that read them all took
/// seven minutes for a million.
#[tokio::test]
async fn a_reset_looks_at_open_orders_and_at_those_from_the_future_only() {
    let glass = Glass::new();
    let account = glass.account().await;
    for _ in 0..5 {
        let (order, device) = glass.ready(&account).await;
        glass.finalize(&order, &device).await.unwrap();
    }
    glass.order(&account, &[SERIAL]).await.unwrap();
    glass.clock.advance(YEARS);
    glass.order(&account, &[SERIAL]).await.unwrap();
    glass.clock.set(START.plus(60));
    let before = glass.store.orders_read();
    let wall = glass.clock.now();
    let reset = reset_clock(glass.store.as_ref(), wall, KEY).await.unwrap();
    assert_eq!(reset.orders, 2);
    // Both lists contain the second one.
    assert_eq!(glass.store.orders_read() - before, 3);
}

#[tokio::test]
async fn a_reset_that_breaks_off_is_done_again() {
    let wrong = Wrong::new().await;
    let (glass, wall) = (&wrong.glass, wrong.glass.clock.now());
    glass.store.fail_next("reset-clock", CommitFault::Lost);
    assert!(reset_clock(glass.store.as_ref(), wall, KEY).await.is_err());
    assert_eq!(glass.store.latest_time().await.unwrap(), START.plus(YEARS));
    reset_clock(glass.store.as_ref(), wall, KEY).await.unwrap();
    assert_eq!(glass.store.latest_time().await.unwrap(), wall);
    for order in &wrong.open {
        assert_eq!(wrong.stored(order).await.status(wall), OrderStatus::Invalid);
    }
}
