//! Walks through the engine: orders are created, answered, finalized,
//! deactivated and deleted; commits fail, time advances and jumps, processes
//! die. The fuzz target `order_machine` uses this too.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
};

use assay_engine::{
    Engine,
    domain::{Account, Authorization, Basis, CertificateHolder, ChallengeState, Order, OrderState},
    ids::OrderId,
    ports::{Store, Versioned},
};
use assay_jws::PublicKey;
use assay_proto::{AttestationResponse, AuthorizationUpdate, OrderStatus};
use assay_simulator::Device;

use super::{
    Harness, SERIAL, START, account_key, csr, device,
    faulty_store::CommitFault,
    new_order, response,
    validator::{TestValidator, not_validated},
};

/// One step. Numbers select among the existing orders.
#[derive(Clone, Debug)]
pub enum Step {
    Advance(u64),
    Answer {
        order: usize,
        device: usize,
        good: bool,
    },
    /// Answers the challenge that is validated in the background.
    Begin {
        order: usize,
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
    JumpForward(u64),
    NewOrder,
    Read {
        order: usize,
    },
    Recover,
    Restart,
    /// The wall clock is set to the server's time.
    SetRight,
    /// Makes the due attempts.
    Validate(Attempt),
}

/// The outcome of a validation attempt.
#[derive(Clone, Copy, Debug)]
pub enum Attempt {
    Succeeds,
    Fails,
    FailsFinally,
    /// The process ends during the attempt.
    IsInterrupted,
}

impl Attempt {
    pub const ALL: [Self; 4] = [
        Self::Succeeds,
        Self::Fails,
        Self::FailsFinally,
        Self::IsInterrupted,
    ];
}

/// The commits that can fail.
pub const COMMITS: [&str; 14] = [
    "new-order",
    "challenge-valid",
    "challenge-invalid",
    "finalize-begin",
    "finalize-complete",
    "finalize-resume",
    "take-lease",
    "deactivate-authorization",
    "challenge-processing",
    "validation-attempt",
    "validation-valid",
    "validation-invalid",
    "validation-retry",
    "validation-over",
];

/// The accounts and devices: costly to create, and shared by all walks.
pub struct Fixtures {
    account_key: PublicKey,
    devices: [Device; 2],
    /// One per device.
    csrs: [Vec<u8>; 2],
}

impl Fixtures {
    pub fn new() -> Self {
        let devices = [device(SERIAL), device(SERIAL)];
        Self {
            account_key: account_key(),
            csrs: devices.each_ref().map(csr),
            devices,
        }
    }
}

/// An engine, and what was seen of it so far.
pub struct Walk<'a> {
    account: Account,
    fixtures: &'a Fixtures,
    engine: Engine,
    harness: Harness,
    orders: Vec<OrderId>,
    /// Orders that ended, in their final state.
    finished: BTreeMap<OrderId, Order>,
    latest: u64,
    validator: Arc<TestValidator>,
}

impl<'a> Walk<'a> {
    pub async fn new(mut harness: Harness, fixtures: &'a Fixtures) -> Self {
        let validator = Arc::new(TestValidator::default());
        harness.settings.validators = vec![Arc::clone(&validator) as _];
        Self {
            validator,
            account: harness.account_of(fixtures.account_key.clone()).await,
            fixtures,
            engine: harness.restart(&[&harness.authority], &harness.cas),
            harness,
            orders: Vec::new(),
            finished: BTreeMap::new(),
            latest: START.0,
        }
    }

    pub async fn take(&mut self, step: &Step) {
        let chosen = |index: usize| {
            let count = self.orders.len().max(1);
            self.orders.get(index % count).copied()
        };
        // A step may be refused or fail; the checks afterwards decide.
        match *step {
            Step::Advance(seconds) => self.harness.clock.advance(seconds),
            Step::JumpBack(seconds) => {
                let now = assay_engine::ports::Clock::now(&self.harness.clock);
                self.harness.clock.set(now.minus(seconds));
            }
            Step::JumpForward(seconds) => {
                let now = assay_engine::ports::Clock::now(&self.harness.clock);
                self.harness.clock.set(now.plus(seconds));
            }
            Step::SetRight => self.harness.clock.set(self.engine.now()),
            Step::Restart => {
                // A new process only knows what was recorded.
                self.latest = self.harness.store.latest_time().await.unwrap().0;
                self.engine = self
                    .harness
                    .restart(&[&self.harness.authority], &self.harness.cas);
            }
            Step::Recover => {
                let _ = self.engine.recover().await;
            }
            Step::NewOrder => {
                if let Ok(order) = self
                    .engine
                    .new_order(
                        &self.harness.authenticated(&self.account).await,
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
                self.harness.store.fail_next(COMMITS[commit], fault);
            }
            Step::Read { order } => {
                if let Some(id) = chosen(order) {
                    let _ = self
                        .engine
                        .order(&self.harness.by(self.account.id).await, id)
                        .await;
                }
            }
            Step::Finalize { order, device } => {
                if let Some(id) = chosen(order) {
                    let csr = &self.fixtures.csrs[device];
                    let _ = self
                        .engine
                        .finalize(&self.harness.by(self.account.id).await, id, csr)
                        .await;
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
                        .update_authorization(
                            &self.harness.by(self.account.id).await,
                            authorization,
                            &update,
                        )
                        .await;
                }
            }
            Step::Begin { order } => {
                if let Some(id) = chosen(order) {
                    self.begin(id).await;
                }
            }
            Step::Validate(attempt) => self.validate(attempt).await,
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

    async fn begin(&self, id: OrderId) {
        let authorization = self.authorization(&self.stored(id).await).await;
        let challenge = authorization.challenges()[1].id();
        let context = self.harness.by(self.account.id).await;
        let empty = AttestationResponse::default();
        let answered = self.engine.answer_challenge(&context, challenge, &empty);
        let _ = answered.await;
    }

    async fn validate(&self, attempt: Attempt) {
        for id in self.engine.due_validations(9).await.unwrap() {
            let asked = self.validator.asked().len();
            match attempt {
                Attempt::Succeeds => self.validator.plan(Ok(())),
                Attempt::Fails => self.validator.plan(Err(not_validated(false))),
                Attempt::FailsFinally => self.validator.plan(Err(not_validated(true))),
                Attempt::IsInterrupted => self.validator.hold(),
            }
            let mut attempt = pin!(self.engine.validate(id));
            poll_fn(|context| {
                let ended = attempt.as_mut().poll(context).is_ready();
                match ended || self.validator.is_holding(asked + 1) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
            self.validator.reset();
        }
    }

    async fn answer(&self, id: OrderId, device: usize, good: bool) {
        let stored = self.authorization(&self.stored(id).await).await;
        let device = &self.fixtures.devices[device];
        let mut freshness =
            assay_engine::sha256(stored.challenges()[0].token().as_str().as_bytes());
        freshness[0] ^= u8::from(!good);
        let evidence = self
            .harness
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
                &self.harness.by(self.account.id).await,
                stored.challenges()[0].id(),
                &response(&evidence.attestation_object()),
            )
            .await;
    }

    async fn authorization(&self, order: &Order) -> Authorization {
        let found = self.harness.store.authorization(order.authorizations[0]);
        found.await.unwrap().unwrap().value
    }

    async fn stored(&self, id: OrderId) -> Order {
        self.harness.store.order(id).await.unwrap().unwrap().value
    }

    /// Removes deleted orders: only ended ones without evidence may be deleted.
    async fn forget_removed(&mut self) {
        let mut left = Vec::new();
        for id in &self.orders {
            match self.harness.store.order(*id).await.unwrap() {
                Some(_) => left.push(*id),
                None => {
                    let last = self.finished.remove(id);
                    assert!(
                        last.is_none_or(|order| !order.is_proven()),
                        "evidence was removed"
                    );
                }
            }
        }
        self.orders = left;
    }

    pub async fn check(&mut self) {
        let now = self.engine.now();
        assert!(now.0 >= self.latest, "time ran backwards");
        self.latest = now.0;
        self.forget_removed().await;
        let mut serials = BTreeSet::new();
        for id in self.orders.clone() {
            let order = self.stored(id).await;
            let authorization = self.authorization(&order).await;
            match order.state() {
                OrderState::Pending => {
                    let states = authorization.challenges().iter().map(|one| one.state());
                    assert!(
                        states.clone().all(|state| matches!(
                            state,
                            // A validation may outlast its order's expiry.
                            ChallengeState::Pending | ChallengeState::Processing(_)
                        )) || order.is_expired(now)
                    );
                    assert_eq!(authorization.deactivated(), None);
                }
                OrderState::Ready => {
                    let is_valid = |one: &&ChallengeState| matches!(one, ChallengeState::Valid(_));
                    let states = authorization.challenges().iter().map(|one| one.state());
                    assert_eq!(states.clone().filter(is_valid).count(), 1);
                    assert_eq!(authorization.deactivated(), None);
                }
                OrderState::Processing(processing) => {
                    assert!(serials.insert(processing.serial.to_string()));
                    let unissued = self
                        .harness
                        .store
                        .certificate(processing.serial.clone())
                        .await
                        .unwrap();
                    assert_eq!(unissued, None, "issued without the order being valid");
                }
                OrderState::Valid {
                    certificate: serial,
                } => {
                    assert!(serials.insert(serial.to_string()), "one serial, two orders");
                    let certificate = self
                        .harness
                        .store
                        .certificate(serial.clone())
                        .await
                        .unwrap();
                    let Some(Versioned {
                        value: certificate, ..
                    }) = certificate
                    else {
                        panic!("a valid order has no certificate");
                    };
                    let Some(evidence) = authorization.evidence() else {
                        panic!("issued without evidence");
                    };
                    assert!(matches!(
                        authorization.challenges()[0].state(),
                        ChallengeState::Valid(Basis::Evidence(_))
                    ));
                    assert_eq!(certificate.spki_sha256, evidence.spki_sha256);
                    assert!(matches!(
                        certificate.holder,
                        CertificateHolder::Device { order, .. } if order == id
                    ));
                    assert!(evidence.at < order.expires);
                }
                OrderState::Invalid(failure) => {
                    assert!(!failure.reason.is_empty());
                }
            }
            if let OrderState::Valid { .. } | OrderState::Invalid(_) = order.state() {
                let first = self.finished.entry(id).or_insert_with(|| order.clone());
                assert_eq!(*first, order, "a final order changed");
            }
        }
    }

    /// After any walk, no order is left in processing once leases are over.
    pub async fn finish(&mut self) {
        self.harness.store.fail_next("nothing", CommitFault::Lost);
        self.harness.clock.set(self.engine.now());
        self.harness.clock.advance(Order::LEASE);
        assert_eq!(self.engine.recover().await.unwrap(), None);
        // Each validation ends, after its attempts or with its order.
        for _ in 0..COMMITS.len() {
            self.validate(Attempt::Fails).await;
            self.harness.clock.advance(Engine::VALIDATION_LEASE);
        }
        assert_eq!(self.harness.store.validations(9).await.unwrap(), []);
        for id in &self.orders {
            assert_ne!(
                self.stored(*id).await.status(START),
                OrderStatus::Processing
            );
        }
        self.check().await;
    }
}
