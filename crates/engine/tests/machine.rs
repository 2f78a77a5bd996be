//! Random walks through the engine: orders are made, answered, finalized,
//! given up and forgotten, commits fail, time passes and jumps, processes die.
//! After every step the promises are checked.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use assay_engine::{
    Engine,
    domain::{Account, CertificateHolder, ChallengeState, Order, OrderState},
    ids::OrderId,
    ports::Store,
};
use assay_proto::{AuthorizationUpdate, OrderStatus};
use assay_simulator::Device;
use proptest::{collection::vec, prelude::*};
use support::{CommitFault, Glass, SERIAL, START, csr, device, new_order, response};

/// One step. Numbers choose among the orders that there are.
#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Answer {
        order: usize,
        device: usize,
        good: bool,
    },
    Deactivate {
        order: usize,
    },
    Fail {
        commit: usize,
        unacknowledged: bool,
    },
    Finalize {
        order: usize,
        device: usize,
    },
    JumpBack(u64),
    NewOrder,
    Read {
        order: usize,
    },
    Recover,
    Restart,
}

const COMMITS: [&str; 6] = [
    "new-order",
    "challenge-valid",
    "challenge-invalid",
    "finalize-begin",
    "finalize-complete",
    "deactivate-authorization",
];

fn step() -> impl Strategy<Value = Step> {
    let order = 0..4_usize;
    prop_oneof![
        1 => (1..3600_u64).prop_map(Step::Advance),
        1 => (1..20_000_u64).prop_map(Step::Advance),
        6 => (order.clone(), 0..2_usize, prop::bool::weighted(0.85))
            .prop_map(|(order, device, good)| Step::Answer { order, device, good }),
        1 => order.clone().prop_map(|order| Step::Deactivate { order }),
        2 => (0..COMMITS.len(), any::<bool>())
            .prop_map(|(commit, unacknowledged)| Step::Fail { commit, unacknowledged }),
        6 => (order.clone(), 0..2_usize).prop_map(|(order, device)| Step::Finalize { order, device }),
        1 => (1..20_000_u64).prop_map(Step::JumpBack),
        4 => Just(Step::NewOrder),
        2 => order.prop_map(|order| Step::Read { order }),
        1 => Just(Step::Recover),
        1 => Just(Step::Restart),
    ]
}

struct Walk {
    account: Account,
    devices: [Device; 2],
    engine: Engine,
    glass: Glass,
    orders: Vec<OrderId>,
    /// Orders that came to an end, and how they looked then.
    finished: BTreeMap<OrderId, Order>,
    latest: u64,
}

impl Walk {
    async fn new() -> Self {
        let glass = Glass::new();
        Self {
            account: glass.account().await,
            devices: [device(SERIAL), device(SERIAL)],
            engine: glass.restart(&[&glass.authority], &glass.cas),
            glass,
            orders: Vec::new(),
            finished: BTreeMap::new(),
            latest: START.0,
        }
    }

    async fn take(&mut self, step: &Step) {
        let chosen = |index: usize| {
            let count = self.orders.len().max(1);
            self.orders.get(index % count).copied()
        };
        // Refusals and faults are part of the walk: what counts is what is
        // true afterwards.
        match *step {
            Step::Advance(seconds) => self.glass.clock.advance(seconds),
            Step::JumpBack(seconds) => {
                let now = assay_engine::ports::Clock::now(&self.glass.clock);
                self.glass.clock.set(now.minus(seconds));
            }
            Step::Restart => {
                // What was never recorded, a new process cannot know of.
                self.latest = self.glass.store.latest_time().0;
                self.engine = self
                    .glass
                    .restart(&[&self.glass.authority], &self.glass.cas);
            }
            Step::Recover => {
                let _ = self.engine.recover().await;
            }
            Step::NewOrder => {
                if let Ok(order) = self
                    .engine
                    .new_order(
                        self.glass.authenticated(&self.account).await,
                        &new_order(&[SERIAL]),
                    )
                    .await
                {
                    self.orders.push(order.id);
                }
            }
            Step::Fail {
                commit,
                unacknowledged,
            } => {
                let fault = if unacknowledged {
                    CommitFault::Unacknowledged
                } else {
                    CommitFault::Lost
                };
                self.glass.store.fail_next(COMMITS[commit], fault);
            }
            Step::Read { order } => {
                if let Some(id) = chosen(order) {
                    let _ = self.engine.order(self.account.id, id).await;
                }
            }
            Step::Finalize { order, device } => {
                if let Some(id) = chosen(order) {
                    let csr = csr(&self.devices[device]);
                    let _ = self.engine.finalize(self.account.id, id, &csr).await;
                }
            }
            Step::Deactivate { order } => {
                if let Some(id) = chosen(order) {
                    let authorization = self.stored(id).await.authorizations[0];
                    let update = AuthorizationUpdate {
                        status: "deactivated".to_owned(),
                    };
                    let _ = self
                        .engine
                        .update_authorization(self.account.id, authorization, &update)
                        .await;
                }
            }
            Step::Answer {
                order,
                device,
                good,
            } => {
                if let Some(id) = chosen(order) {
                    self.answer(id, device, good).await;
                }
            }
        }
    }

    async fn answer(&self, id: OrderId, device: usize, good: bool) {
        let authorization = self.stored(id).await.authorizations[0];
        let stored = self
            .glass
            .store
            .authorization(authorization)
            .await
            .unwrap()
            .unwrap();
        let device = &self.devices[device];
        let mut freshness = assay_engine::sha256(stored.value.challenge.token.as_str().as_bytes());
        freshness[0] ^= u8::from(!good);
        let evidence = self
            .glass
            .authority
            .attest(
                &device.properties,
                &device.spki_der(),
                &freshness,
                self.engine.now().0,
            )
            .unwrap();
        let _ = self
            .engine
            .answer_challenge(
                self.account.id,
                authorization,
                &response(&evidence.attestation_object()),
            )
            .await;
    }

    async fn stored(&self, id: OrderId) -> Order {
        self.glass.store.order(id).await.unwrap().unwrap().value
    }

    async fn check(&mut self) {
        let now = self.engine.now();
        assert!(now.0 >= self.latest, "time ran backwards");
        self.latest = now.0;
        let mut serials = BTreeSet::new();
        for id in self.orders.clone() {
            let order = self.stored(id).await;
            let authorization = self
                .glass
                .store
                .authorization(order.authorizations[0])
                .await
                .unwrap()
                .unwrap()
                .value;
            match &order.state {
                OrderState::Pending(_) => {
                    assert_eq!(authorization.challenge.state, ChallengeState::Pending);
                    assert_eq!(authorization.deactivated, None);
                }
                OrderState::Ready(_) => {
                    assert!(matches!(
                        authorization.challenge.state,
                        ChallengeState::Valid(_)
                    ));
                    assert_eq!(authorization.deactivated, None);
                }
                OrderState::Processing(processing) => {
                    assert!(serials.insert(processing.serial.to_string()));
                    let unissued = self
                        .glass
                        .store
                        .certificate(processing.serial.clone())
                        .await
                        .unwrap();
                    assert_eq!(unissued, None, "issued without the order being valid");
                }
                OrderState::Valid(valid) => {
                    assert!(
                        serials.insert(valid.certificate.to_string()),
                        "one serial, two orders"
                    );
                    let certificate = self
                        .glass
                        .store
                        .certificate(valid.certificate.clone())
                        .await
                        .unwrap();
                    let certificate = certificate
                        .expect("a valid order has its certificate")
                        .value;
                    let ChallengeState::Valid(validated) = &authorization.challenge.state else {
                        panic!("issued without evidence");
                    };
                    assert_eq!(certificate.spki_sha256, validated.evidence().spki_sha256);
                    assert!(matches!(
                        certificate.holder,
                        CertificateHolder::Device { order, .. } if order == id
                    ));
                    assert!(validated.evidence().at < order.expires);
                }
                OrderState::Invalid(invalid) => {
                    assert!(!invalid.failure.reason.is_empty());
                }
            }
            if let OrderState::Valid(_) | OrderState::Invalid(_) = &order.state {
                let first = self.finished.entry(id).or_insert_with(|| order.clone());
                assert_eq!(*first, order, "a final order changed");
            }
        }
    }

    /// However the walk went: nothing is left processing once leases are over.
    async fn finish(&mut self) {
        self.glass.store.fail_next("nothing", CommitFault::Lost);
        self.glass.clock.set(self.engine.now().plus(Order::LEASE));
        assert_eq!(self.engine.recover().await.unwrap(), None);
        for id in &self.orders {
            assert_ne!(
                self.stored(*id).await.status(START),
                OrderStatus::Processing
            );
        }
        self.check().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn promises_are_kept_on_every_walk(steps in vec(step(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let mut walk = Walk::new().await;
            for step in &steps {
                walk.take(step).await;
                walk.check().await;
            }
            walk.finish().await;
        });
    }
}
