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
    Engine, Error, Request,
    nonce::{Genuine, NonceError, Nonces},
    ports::{NonceService, NotRedeemed, Redemption, StoreError},
};
use assay_proto::Timestamp;
use assay_simulator::{AccountKey, Algorithm, Jws};
use async_trait::async_trait;
use support::{Glass, Knobs, SystemRandom};

/// An engine that began at another time than the recorded one would revive
/// what has expired.
#[tokio::test]
async fn no_engine_starts_without_the_recorded_time() {
    let glass = Glass::new();
    glass.store.timeless.store(true, Ordering::Relaxed);
    let refused = glass.start(&[&glass.authority], &glass.cas);
    let fault = StoreError("no route".to_owned());
    assert_eq!(refused.err(), Some(Error::Store(fault)));
    glass.store.timeless.store(false, Ordering::Relaxed);
    let engine = glass.restart(&[&glass.authority], &glass.cas);
    assert_eq!(engine.now(), glass.engine.now());
}

/// What nodes share: the nonces that were redeemed.
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
        .authenticate_key(body.as_bytes(), &url, Request::default())
        .await;
    authenticated.map(drop).map_err(Error::from)
}

#[tokio::test]
async fn a_nonce_of_one_node_is_good_once_at_any() {
    let redeemed = Arc::<Redeemed>::default();
    let knobs = Knobs {
        nonces: SharedNonces::of(&redeemed),
        ..Knobs::default()
    };
    let mut glass = Glass::with(knobs);
    glass.knobs.nonces = SharedNonces::of(&redeemed);
    let other = glass.restart(&[&glass.authority], &glass.cas);
    let key = AccountKey::generate(Algorithm::Es256).unwrap();

    let nonce = glass.engine.nonce();
    let answers: [_; 2] = tokio::join!(
        authenticate(&glass.engine, &key, &nonce),
        authenticate(&other, &key, &nonce)
    )
    .into();
    let used = Err(Error::Nonce(NonceError::Used));
    assert!(answers.contains(&Ok(())), "{answers:?}");
    assert!(answers.contains(&used), "{answers:?}");
    assert_eq!(authenticate(&glass.engine, &key, &nonce).await, used);
}

/// A nonce whose use cannot be recorded lets no request through, and is not
/// spent.
#[tokio::test]
async fn a_redemption_that_fails_is_a_fault_and_spends_nothing() {
    let redeemed = Arc::<Redeemed>::default();
    let knobs = Knobs {
        nonces: SharedNonces::of(&redeemed),
        ..Knobs::default()
    };
    let glass = Glass::with(knobs);
    let key = AccountKey::generate(Algorithm::Es256).unwrap();
    let nonce = glass.engine.nonce();
    redeemed.unreachable.store(true, Ordering::Relaxed);
    for _ in 0..4 {
        let refused = authenticate(&glass.engine, &key, &nonce).await;
        assert!(refused.unwrap_err().is_fault());
    }
    redeemed.unreachable.store(false, Ordering::Relaxed);
    assert_eq!(authenticate(&glass.engine, &key, &nonce).await, Ok(()));
}
