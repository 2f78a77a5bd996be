//! Several nodes on one store.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use assay_engine::{
    Engine, Error, RequestInfo,
    domain::{Account, Lease, Order, ServerIntent, Work},
    nonce::{Genuine, NonceError, Nonces},
    ports::{NonceService, NotRedeemed, Redemption, Store, StoreError},
};
use assay_proto::{OrderStatus, Timestamp};
use assay_simulator::{AccountKey, Algorithm, Jws};
use async_trait::async_trait;
use support::{Harness, Settings, SystemRandom, faulty_store::CommitFault};

/// An engine that started at a time before the recorded one would revive what
/// has expired.
#[tokio::test]
async fn no_engine_starts_without_the_recorded_time() {
    let harness = Harness::new();
    harness.store.timeless.store(true, Ordering::Relaxed);
    let refused = harness.start(&[&harness.authority], &harness.cas);
    let fault = StoreError("no route".to_owned());
    assert_eq!(refused.err(), Some(Error::Store(fault)));
    harness.store.timeless.store(false, Ordering::Relaxed);
    let engine = harness.restart(&[&harness.authority], &harness.cas);
    assert_eq!(engine.now(), harness.engine.now());
}

/// The state that nodes share: the redeemed nonces.
#[derive(Default)]
struct Redeemed {
    nonces: Mutex<HashSet<Redemption>>,
    unreachable: AtomicBool,
}

/// The nonces of one node among several.
struct SharedNonces {
    own: Nonces,
    redeemed: Arc<Redeemed>,
}

impl SharedNonces {
    fn of(redeemed: &Arc<Redeemed>) -> Option<Arc<dyn NonceService>> {
        Some(Arc::new(Self {
            own: Nonces::new(Some([7; 32]), [], &SystemRandom),
            redeemed: Arc::clone(redeemed),
        }))
    }
}

#[async_trait]
impl NonceService for SharedNonces {
    fn issue(&self, now: Timestamp) -> String {
        self.own.issue(now)
    }

    fn check(&self, nonce: &str, now: Timestamp) -> Result<Genuine, NonceError> {
        self.own.check(nonce, now)
    }

    fn fail(&self, nonce: Genuine) {
        self.own.fail(nonce);
    }

    async fn redeem(&self, nonce: Genuine, _: Timestamp) -> Result<Redemption, NotRedeemed> {
        tokio::task::yield_now().await;
        if self.redeemed.unreachable.load(Ordering::Relaxed) {
            return Err(StoreError("no route".to_owned()).into());
        }
        let redemption = nonce.redemption();
        match self.redeemed.nonces.lock().unwrap().insert(redemption) {
            true => Ok(redemption),
            false => Err(NonceError::Used.into()),
        }
    }

    fn recorded(&self, _: &[Redemption]) {}

    fn unrecorded(&self, _: Timestamp) -> Vec<Vec<Redemption>> {
        Vec::new()
    }
}

/// A request that `engine` authenticates, with this nonce.
async fn authenticate(engine: &Engine, key: &AccountKey, nonce: &str) -> Result<(), Error> {
    let url = engine.urls().directory();
    let body = Jws::post_as_get(&url).sign(key, None, Some(nonce));
    let body = body.unwrap().to_string();
    let authenticated = engine
        .authenticate_key(body.as_bytes(), &url, RequestInfo::default())
        .await;
    authenticated.map(drop).map_err(Error::from)
}

#[tokio::test]
async fn a_nonce_of_one_node_is_good_once_at_any() {
    let redeemed = Arc::<Redeemed>::default();
    let settings = Settings {
        nonces: SharedNonces::of(&redeemed),
        ..Settings::default()
    };
    let mut harness = Harness::with(settings);
    harness.settings.nonces = SharedNonces::of(&redeemed);
    let other = harness.restart(&[&harness.authority], &harness.cas);
    let key = AccountKey::generate(Algorithm::Es256).unwrap();

    let nonce = harness.engine.nonce();
    let answers: [_; 2] = tokio::join!(
        authenticate(&harness.engine, &key, &nonce),
        authenticate(&other, &key, &nonce)
    )
    .into();
    let used = Err(Error::Nonce(NonceError::Used));
    assert!(answers.contains(&Ok(())), "{answers:?}");
    assert!(answers.contains(&used), "{answers:?}");
    assert_eq!(authenticate(&harness.engine, &key, &nonce).await, used);
}

/// If the redemption of a nonce cannot be recorded, the request fails and the
/// nonce is not spent.
#[tokio::test]
async fn a_redemption_that_fails_is_a_fault_and_spends_nothing() {
    let redeemed = Arc::<Redeemed>::default();
    let settings = Settings {
        nonces: SharedNonces::of(&redeemed),
        ..Settings::default()
    };
    let harness = Harness::with(settings);
    let key = AccountKey::generate(Algorithm::Es256).unwrap();
    let nonce = harness.engine.nonce();
    redeemed.unreachable.store(true, Ordering::Relaxed);
    for _ in 0..4 {
        let refused = authenticate(&harness.engine, &key, &nonce).await;
        assert!(refused.unwrap_err().is_fault());
    }
    redeemed.unreachable.store(false, Ordering::Relaxed);
    assert_eq!(authenticate(&harness.engine, &key, &nonce).await, Ok(()));
}

/// Three orders that a dead node left in processing; their leases are over.
async fn three_interrupted(harness: &Harness) -> Vec<Order> {
    let account = harness.account().await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        orders.push(interrupted(harness, &account).await);
    }
    harness.clock.advance(Order::LEASE);
    orders
}

async fn interrupted(harness: &Harness, account: &Account) -> Order {
    let (order, device) = harness.ready(account).await;
    (harness.store).fail_next("finalize-complete", CommitFault::Lost);
    harness.finalize(&order, &device).await.unwrap_err();
    order
}

async fn status(harness: &Harness, order: &Order) -> OrderStatus {
    let found = harness.store.order(order.id).await.unwrap().unwrap();
    found.value.status(harness.engine.now())
}

#[tokio::test]
async fn of_two_nodes_that_recover_at_once_one_does_each_piece() {
    let harness = Harness::new();
    let other = harness.restart(&[&harness.authority], &harness.cas);
    let orders = three_interrupted(&harness).await;
    let lease = harness.engine.now().plus(Lease::TERM);
    let ends = tokio::join!(harness.engine.recover(), other.recover());
    // One of them resolved all; the other retries when that node's lease is
    // over.
    let mut ends = [ends.0.unwrap(), ends.1.unwrap()];
    ends.sort();
    assert_eq!(ends, [None, Some(lease)]);
    for order in &orders {
        assert_eq!(status(&harness, order).await, OrderStatus::Valid);
    }
    for name in ["finalize-resume", "finalize-complete"] {
        assert_eq!(harness.store.committed(name), 3, "{name}");
    }
    assert_eq!(harness.store.committed("take-lease"), 1);
    harness.clock.advance(Lease::TERM);
    assert_eq!(other.recover().await.unwrap(), None);
}

#[tokio::test]
async fn what_a_node_left_that_died_while_it_recovered_another_finishes() {
    let harness = Harness::new();
    let other = harness.restart(&[&harness.authority], &harness.cas);
    let orders = three_interrupted(&harness).await;
    (harness.store).fail_next("finalize-complete", CommitFault::Lost);
    harness.engine.recover().await.unwrap_err();
    let began = harness.engine.now();
    // It completed two, and left one with a new lease.
    assert_eq!(harness.store.orders_in_processing().await.unwrap().len(), 1);

    let lease = began.plus(Lease::TERM);
    assert_eq!(other.recover().await.unwrap(), Some(lease));
    assert_eq!(harness.store.committed("finalize-resume"), 3);
    harness.clock.move_to(lease);
    assert_eq!(other.recover().await.unwrap(), None);
    for order in &orders {
        assert_eq!(status(&harness, order).await, OrderStatus::Valid);
    }
    assert_eq!(harness.store.committed("finalize-complete"), 3);
}

#[tokio::test]
async fn another_node_waits_for_the_lease_unless_its_holder_ends_in_order() {
    let harness = Harness::new();
    let other = harness.restart(&[&harness.authority], &harness.cas);
    three_interrupted(&harness).await;
    let late = interrupted(&harness, &harness.account().await).await;
    harness.engine.recover().await.unwrap();
    harness.clock.advance(Order::LEASE - 1);
    // The holder renews its lease while it works, before it expires.
    three_interrupted(&harness).await;
    harness.engine.recover().await.unwrap();
    assert_eq!(harness.store.committed("take-lease"), 2);
    assert_eq!(status(&harness, &late).await, OrderStatus::Valid);

    let last = interrupted(&harness, &harness.account().await).await;
    harness.clock.advance(Order::LEASE - 1);
    let lease = harness.store.lease(Work::Recovery).await.unwrap().unwrap();
    let until = lease.value.until();
    assert_eq!(until, harness.engine.now().plus(1));
    harness.engine.close().await.unwrap();
    let lease = harness.store.lease(Work::Recovery).await.unwrap().unwrap();
    assert_eq!(lease.value.until(), harness.engine.now());
    harness.clock.advance(1);
    assert_eq!(other.recover().await.unwrap(), None);
    assert_eq!(status(&harness, &last).await, OrderStatus::Valid);
    // The lease is the other node's now: the first node does not release it.
    let lease = harness.store.lease(Work::Recovery).await.unwrap();
    harness.engine.close().await.unwrap();
    assert_eq!(harness.store.lease(Work::Recovery).await.unwrap(), lease);
}

#[tokio::test]
async fn a_node_at_rest_commits_nothing() {
    let harness = Harness::new();
    let account = harness.account().await;
    let before = harness.store.commits();
    for _ in 0..3 {
        harness.clock.advance(60);
        assert_eq!(harness.engine.recover().await.unwrap(), None);
        let dropped = harness.engine.drop_unfinished_server_intents().await;
        assert_eq!(dropped.unwrap(), None);
    }
    assert_eq!(harness.store.commits(), before);
    // Nor while the lease of an order runs: there is nothing to do yet.
    interrupted(&harness, &account).await;
    let before = harness.store.commits();
    assert!(harness.engine.recover().await.unwrap().is_some());
    assert_eq!(harness.store.commits(), before);
}

#[tokio::test]
async fn the_intent_of_a_node_that_lives_is_not_dropped() {
    let harness = Harness::new();
    let other = harness.restart(&[&harness.authority], &harness.cas);
    let spki = support::device(support::SERIAL).spki_der();
    (harness.store).fail_next("server-certificate", CommitFault::Lost);
    let issued = harness.engine.issue_server_certificate(&spki, "localhost");
    issued.await.unwrap_err();
    let lease = harness.engine.now().plus(ServerIntent::LEASE);
    let dropped = other.drop_unfinished_server_intents().await;
    assert_eq!(dropped.unwrap(), Some(lease));
    assert_eq!(harness.store.server_intents().await.unwrap().len(), 1);
    harness.clock.move_to(lease);
    let (here, there) = tokio::join!(
        harness.engine.drop_unfinished_server_intents(),
        other.drop_unfinished_server_intents()
    );
    assert_eq!((here.unwrap(), there.unwrap()), (None, None));
    assert_eq!(harness.store.committed("drop-server-intent"), 1);
}
