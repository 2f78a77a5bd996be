//! Background validation of challenges.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

#[path = "validation/ends.rs"]
mod ends;
mod support;

use std::sync::Arc;

use assay_engine::{
    CsrRefusal, Engine, Error,
    domain::{
        AuthorizationStatus, Basis, Challenge, ChallengeState, Failure, Order, OrderState,
        Validating,
    },
    ports::{Change, ChangeSet, Store, ValidationError},
    reset_clock,
};
use assay_proto::{
    AccountUpdate, AttestationResponse, AuthorizationUpdate, ChallengeType, OrderStatus, Problem,
    Timestamp,
};
use support::{
    Harness, SERIAL, START, Settings, device,
    faulty_store::CommitFault,
    validator::{TestValidator, not_validated},
};

/// An engine with one validator, and an order of an account.
struct Fixture {
    harness: Harness,
    validator: Arc<TestValidator>,
    order: Order,
}

impl Fixture {
    async fn new() -> Self {
        Self::of(&[SERIAL], 1).await
    }

    /// An order for these devices; `test-01` is offered `offers` times.
    async fn of(serials: &[&str], offers: usize) -> Self {
        let validator = Arc::new(TestValidator::default());
        let harness = Harness::with(Settings {
            validators: vec![Arc::clone(&validator) as _; offers],
            ..Settings::default()
        });
        let account = harness.account().await;
        let order = harness.order(&account, serials).await.unwrap();
        Self {
            harness,
            validator,
            order,
        }
    }

    /// The same, with its first authorization in validation.
    async fn begun() -> Self {
        let fixture = Self::new().await;
        fixture.begin(0, 1).await.unwrap();
        fixture
    }

    /// Answers a challenge that needs no evidence.
    async fn begin(&self, authorization: usize, challenge: usize) -> Result<Challenge, Error> {
        let id = self.harness.challenges(&self.order, authorization).await[challenge].id();
        let context = self.harness.by(self.order.account).await;
        let answer = AttestationResponse::default();
        let answered = self.harness.engine.answer_challenge(&context, id, &answer);
        Ok(answered.await?.challenge(id).unwrap().clone())
    }

    /// Makes all due attempts.
    async fn validate_due(&self, engine: &Engine) -> Result<usize, Error> {
        let due = engine.due_validations(9).await?;
        for id in &due {
            engine.validate(*id).await?;
        }
        Ok(due.len())
    }

    /// Makes one attempt, and runs `meanwhile` during it.
    async fn attempt_while<F: Future<Output = ()>>(&self, meanwhile: F) -> Result<(), Error> {
        self.validator.hold();
        let asked = self.validator.asked().len();
        let attempt = self.harness.engine.validate(self.order.authorizations[0]);
        let (outcome, ()) = tokio::join!(attempt, async {
            self.validator.until_asked(asked + 1).await;
            meanwhile.await;
            self.validator.release();
        });
        outcome
    }

    async fn state(&self, challenge: usize) -> ChallengeState {
        self.harness.challenges(&self.order, 0).await[challenge]
            .state()
            .clone()
    }

    async fn validating(&self) -> Validating {
        match self.state(1).await {
            ChallengeState::Processing(validating) => validating,
            other => panic!("{other:?}"),
        }
    }

    async fn failure(&self) -> Failure {
        match self.state(1).await {
            ChallengeState::Invalid(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    async fn stored_order(&self) -> Order {
        let found = self.harness.store.order(self.order.id).await;
        found.unwrap().unwrap().value
    }

    async fn authorization_status(&self) -> AuthorizationStatus {
        let found = self
            .harness
            .store
            .authorization(self.order.authorizations[0]);
        found
            .await
            .unwrap()
            .unwrap()
            .value
            .status(self.harness.engine.now())
    }

    /// Checks that no attempt is due any more.
    async fn assert_over(&self) {
        assert_eq!(self.harness.store.validations(9).await.unwrap(), []);
    }

    async fn deactivate_account(&self) {
        let update = AccountUpdate {
            status: Some("deactivated".to_owned()),
            ..AccountUpdate::default()
        };
        let context = self.harness.by(self.order.account).await;
        let engine = &self.harness.engine;
        engine.update_account(&context, &update).await.unwrap();
    }

    /// A change of the account that conflicts with a commit that includes it.
    async fn account_changed(&self) -> ChangeSet {
        let found = self.harness.store.account(self.order.account).await;
        let account = found.unwrap().unwrap();
        let change = Change::UpdateAccount(account.value, account.version);
        ChangeSet::new(START, vec![change])
    }
}

/// Plans `count` failed attempts that may be retried.
fn plan_failures(validator: &TestValidator, count: usize) {
    for _ in 0..count {
        validator.plan(Err(not_validated(false)));
    }
}

#[tokio::test]
async fn each_validator_offers_a_challenge_of_its_own_beside_device_attest() {
    let fixture = Fixture::of(&[SERIAL], 2).await;
    let offered = fixture.harness.challenges(&fixture.order, 0).await;
    let kinds: Vec<_> = offered.iter().map(Challenge::kind).collect();
    let (attest, test) = (ChallengeType::DeviceAttest01, ChallengeType::Test01);
    assert_eq!(kinds, [attest, test, test]);
    let context = fixture.harness.by(fixture.order.account).await;
    for one in &offered {
        assert_eq!(*one.state(), ChallengeState::Pending);
        let found = fixture.harness.engine.challenge(&context, one.id()).await;
        assert_eq!(found.unwrap().value.id, fixture.order.authorizations[0]);
        let same = |other: &&Challenge| other.id() == one.id() || other.token() == one.token();
        assert_eq!(offered.iter().filter(same).count(), 1);
    }
    // Another account sees none of them.
    let another = fixture.harness.by(fixture.harness.account().await.id).await;
    for one in &offered {
        let found = fixture.harness.engine.challenge(&another, one.id()).await;
        assert_eq!(found.unwrap_err(), Error::NotFound("challenge"));
    }
}

#[tokio::test]
async fn an_answer_begins_the_validation_once() {
    let fixture = Fixture::new().await;
    assert!(fixture.harness.engine.has_validators());
    assert!(!Harness::new().engine.has_validators());
    fixture.harness.clock.advance(7);
    let challenge = fixture.begin(0, 1).await.unwrap();
    let begun = Validating {
        since: START.plus(7),
        attempts: 0,
        next_attempt: START.plus(7),
        error: None,
    };
    assert_eq!(*challenge.state(), ChallengeState::Processing(begun));
    fixture.harness.clock.advance(1);
    let commits = fixture.harness.store.commits();
    assert_eq!(fixture.begin(0, 1).await.unwrap(), challenge);
    assert_eq!(fixture.harness.store.commits(), commits);
    assert_eq!(fixture.validator.asked(), []);
    assert_eq!(fixture.state(0).await, ChallengeState::Pending);
    let due = fixture.harness.engine.due_validations(9).await.unwrap();
    assert_eq!(due, fixture.order.authorizations);
    assert_eq!(fixture.harness.engine.due_validations(0).await.unwrap(), []);
}

#[tokio::test]
async fn control_makes_the_order_ready_and_is_no_ground_for_a_certificate() {
    let fixture = Fixture::begun().await;
    fixture.harness.clock.advance(2);
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(1));
    let [asked] = &fixture.validator.asked()[..] else {
        panic!("{:?}", fixture.validator.asked());
    };
    let challenge = fixture.harness.challenges(&fixture.order, 0).await[1].clone();
    let account = fixture.harness.by(fixture.order.account).await.by.value;
    assert_eq!(asked.identifier, fixture.order.identifiers[0]);
    assert_eq!(asked.token, *challenge.token());
    // RFC 8555 section 8.1.
    let key_authorization = format!("{}.{}", asked.token.as_str(), account.key.thumbprint());
    assert_eq!(asked.key_authorization, key_authorization);

    let at = START.plus(2);
    let valid = ChallengeState::Valid(Basis::Control { at });
    assert_eq!(*challenge.state(), valid);
    assert_eq!(account.established, Some(at));
    assert_eq!(*fixture.stored_order().await.state(), OrderState::Ready);
    fixture.assert_over().await;
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(0));
    fixture
        .harness
        .engine
        .validate(fixture.order.authorizations[0])
        .await
        .unwrap();
    assert_eq!(fixture.validator.asked().len(), 1);

    // No key was proven.
    let device = device(SERIAL);
    let refused = fixture.harness.finalize(&fixture.order, &device).await;
    assert_eq!(refused.unwrap_err(), Error::Csr(CsrRefusal::KeyNotAttested));
    assert_eq!(*fixture.stored_order().await.state(), OrderState::Ready);
    // Evidence comes too late.
    let late = fixture.harness.answer(&fixture.order, 0, &device).await;
    assert_eq!(late.unwrap_err(), Error::OrderOver);
}

#[tokio::test]
async fn control_of_one_and_evidence_of_another_are_not_issued_on_either() {
    let fixture = Fixture::of(&["C02AAA", "C02BBB"], 1).await;
    fixture.begin(0, 1).await.unwrap();
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(1));
    let order = fixture.stored_order().await;
    assert_eq!(*order.state(), OrderState::Pending);
    assert!(order.is_proven());
    let device = device("C02BBB");
    fixture
        .harness
        .answer(&fixture.order, 1, &device)
        .await
        .unwrap();
    assert_eq!(*fixture.stored_order().await.state(), OrderState::Ready);
    let refused = fixture.harness.finalize(&fixture.order, &device).await;
    assert_eq!(refused.unwrap_err(), Error::Csr(CsrRefusal::KeyNotAttested));
}

#[tokio::test]
async fn a_final_failure_ends_challenge_and_order() {
    let fixture = Fixture::begun().await;
    fixture.validator.plan(Err(not_validated(true)));
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(1));
    let ValidationError {
        problem,
        reason,
        detail,
        ..
    } = not_validated(true);
    let failure = fixture.failure().await;
    assert_eq!(failure.problem, problem);
    assert_eq!(
        (failure.reason.as_str(), &failure.detail),
        (reason, &detail)
    );
    assert_eq!((failure.at, failure.object_sha256), (START, None));
    let ended = OrderState::Invalid(failure);
    assert_eq!(*fixture.stored_order().await.state(), ended);
    assert_eq!(
        fixture.authorization_status().await,
        AuthorizationStatus::Invalid
    );
    assert_eq!(fixture.validator.asked().len(), 1);
    fixture.assert_over().await;
}

#[tokio::test]
async fn attempts_are_repeated_with_pauses_until_they_are_given_up() {
    let fixture = Fixture::begun().await;
    plan_failures(&fixture.validator, 9);
    let problem = not_validated(false).problem;
    for (made, pause) in [5, 10, 20, 40].into_iter().enumerate() {
        assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(1));
        let now = fixture.harness.engine.now();
        let again = Validating {
            since: START,
            attempts: u32::try_from(made).unwrap() + 1,
            next_attempt: now.plus(pause),
            error: Some(problem.clone()),
        };
        assert_eq!(fixture.validating().await, again);
        assert_eq!(*fixture.stored_order().await.state(), OrderState::Pending);
        fixture.harness.clock.advance(pause - 1);
        assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(0));
        let id = fixture.order.authorizations[0];
        fixture.harness.engine.validate(id).await.unwrap();
        assert_eq!(fixture.validator.asked().len(), made + 1);
        fixture.harness.clock.advance(1);
    }
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(1));
    let failure = fixture.failure().await;
    assert_eq!(failure.problem, problem);
    assert_eq!(fixture.validator.asked().len(), 5);
    let ended = OrderState::Invalid(failure);
    assert_eq!(*fixture.stored_order().await.state(), ended);
    fixture.assert_over().await;
}

#[tokio::test]
async fn an_attempt_that_succeeds_after_others_counts() {
    let fixture = Fixture::begun().await;
    plan_failures(&fixture.validator, 4);
    for pause in [5, 10, 20, 40] {
        fixture.validate_due(&fixture.harness.engine).await.unwrap();
        fixture.harness.clock.advance(pause);
    }
    fixture.validate_due(&fixture.harness.engine).await.unwrap();
    assert_eq!(*fixture.stored_order().await.state(), OrderState::Ready);
}

#[tokio::test]
async fn an_attempt_that_a_crash_interrupts_is_made_again_after_its_lease() {
    let fixture = Fixture::begun().await;
    fixture.validator.hold();
    let id = fixture.order.authorizations[0];
    tokio::select! {
        biased;
        _ = fixture.harness.engine.validate(id) => panic!("it is held"),
        () = fixture.validator.until_asked(1) => {}
    }
    fixture.validator.release();
    let validating = fixture.validating().await;
    let lease = START.plus(Engine::VALIDATION_LEASE);
    assert_eq!((validating.attempts, validating.next_attempt), (1, lease));

    let engine = fixture
        .harness
        .restart(&[&fixture.harness.authority], &fixture.harness.cas);
    fixture.harness.clock.advance(Engine::VALIDATION_LEASE - 1);
    assert_eq!(fixture.validate_due(&engine).await, Ok(0));
    engine.validate(id).await.unwrap();
    assert_eq!(fixture.validator.asked().len(), 1);
    fixture.harness.clock.advance(1);
    assert_eq!(fixture.validate_due(&engine).await, Ok(1));
    assert_eq!(fixture.validator.asked().len(), 2);
    assert_eq!(*fixture.stored_order().await.state(), OrderState::Ready);
}

#[tokio::test]
async fn two_processes_make_one_attempt() {
    let fixture = Fixture::begun().await;
    let other = fixture
        .harness
        .restart(&[&fixture.harness.authority], &fixture.harness.cas);
    let id = fixture.order.authorizations[0];
    for (made, pause) in [5, 10, 20, 40].into_iter().enumerate() {
        plan_failures(&fixture.validator, 1);
        let both = tokio::join!(fixture.harness.engine.validate(id), other.validate(id));
        assert_eq!(both, (Ok(()), Ok(())));
        assert_eq!(fixture.validator.asked().len(), made + 1);
        fixture.harness.clock.advance(pause);
    }
    let both = tokio::join!(fixture.harness.engine.validate(id), other.validate(id));
    assert_eq!(both, (Ok(()), Ok(())));
    assert_eq!(fixture.validator.asked().len(), 5);
    assert_eq!(*fixture.stored_order().await.state(), OrderState::Ready);
}

#[tokio::test]
async fn a_result_that_comes_after_its_lease_is_dropped() {
    let fixture = Fixture::begun().await;
    fixture.validator.plan(Err(not_validated(true)));
    plan_failures(&fixture.validator, 1);
    let other = fixture
        .harness
        .restart(&[&fixture.harness.authority], &fixture.harness.cas);
    let (validator, id) = (&fixture.validator, fixture.order.authorizations[0]);
    validator.hold();
    let late = async {
        fixture.harness.engine.validate(id).await.unwrap();
    };
    let taken_over = async {
        validator.until_asked(1).await;
        fixture.harness.clock.advance(Engine::VALIDATION_LEASE);
        let second = async {
            validator.until_asked(2).await;
            validator.release();
        };
        let (outcome, ()) = tokio::join!(other.validate(id), second);
        outcome.unwrap();
    };
    tokio::join!(late, taken_over);
    let validating = fixture.validating().await;
    assert_eq!(validating.attempts, 2);
    let again = START.plus(Engine::VALIDATION_LEASE + 10);
    assert_eq!(validating.next_attempt, again);
}

#[tokio::test]
async fn what_overtakes_an_attempt_is_seen() {
    // Another commit changes a value that the result changes.
    let fixture = Fixture::begun().await;
    let changes = fixture.account_changed().await;
    fixture
        .harness
        .store
        .overtake_next("validation-valid", changes);
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(1));
    assert_eq!(*fixture.stored_order().await.state(), OrderState::Ready);
    assert_eq!(fixture.validator.asked().len(), 1);
    // The authorization ends before the validation begins.
    let fixture = Fixture::new().await;
    let found = fixture
        .harness
        .store
        .authorization(fixture.order.authorizations[0]);
    let found = found.await.unwrap().unwrap();
    let ended = found.value.deactivate(START).unwrap();
    let change = Change::UpdateAuthorization(ended, found.version);
    let changes = ChangeSet::new(START, vec![change]);
    fixture
        .harness
        .store
        .overtake_next("challenge-processing", changes);
    assert_eq!(fixture.begin(0, 1).await.unwrap_err(), Error::OrderOver);
    assert_eq!(fixture.state(1).await, ChallengeState::Pending);
}

#[tokio::test]
async fn a_challenge_without_its_validator_waits_and_gives_way() {
    let mut fixture = Fixture::begun().await;
    let configured = std::mem::take(&mut fixture.harness.settings.validators);
    let without = fixture
        .harness
        .restart(&[&fixture.harness.authority], &fixture.harness.cas);
    assert_eq!(fixture.validate_due(&without).await, Ok(1));
    let postponed = Validating {
        since: START,
        attempts: 0,
        next_attempt: START.plus(Engine::VALIDATION_LEASE),
        error: None,
    };
    assert_eq!(fixture.validating().await, postponed);
    assert_eq!(fixture.validate_due(&without).await, Ok(0));
    // It ends with its order, or once it can be validated again.
    fixture.harness.settings.validators = configured;
    fixture.harness.clock.advance(Engine::VALIDATION_LEASE);
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(1));
    assert_eq!(*fixture.stored_order().await.state(), OrderState::Ready);
    let mut fixture = Fixture::begun().await;
    fixture.harness.clock.move_to(fixture.order.expires);
    fixture.harness.settings.validators.clear();
    let without = fixture
        .harness
        .restart(&[&fixture.harness.authority], &fixture.harness.cas);
    assert_eq!(fixture.validate_due(&without).await, Ok(1));
    assert_eq!(fixture.failure().await.reason, "order-over");
}

/// Each commit is lost, or made without the process knowing: the challenge
/// still reaches the same state.
#[tokio::test]
async fn a_commit_that_fails_holds_up_and_changes_nothing_else() {
    for fault in [CommitFault::Lost, CommitFault::Unacknowledged] {
        for (commit, outcome, end) in [
            ("challenge-processing", Ok(()), OrderStatus::Ready),
            ("validation-attempt", Ok(()), OrderStatus::Ready),
            ("validation-valid", Ok(()), OrderStatus::Ready),
            (
                "validation-retry",
                Err(not_validated(false)),
                OrderStatus::Ready,
            ),
            (
                "validation-invalid",
                Err(not_validated(true)),
                OrderStatus::Invalid,
            ),
        ] {
            let fixture = Fixture::new().await;
            fixture.validator.plan(outcome.clone());
            if outcome.as_ref().is_err_and(|fault| fault.is_final) {
                fixture.validator.plan(outcome);
            }
            fixture.harness.store.fail_next(commit, fault);
            let begun = fixture.begin(0, 1).await;
            assert_eq!(begun.is_err(), commit == "challenge-processing");
            fixture.begin(0, 1).await.unwrap();
            let first = fixture.validate_due(&fixture.harness.engine).await;
            assert_eq!(first.is_err(), commit != "challenge-processing", "{commit}");
            let engine = fixture
                .harness
                .restart(&[&fixture.harness.authority], &fixture.harness.cas);
            for _ in 0..3 {
                fixture.harness.clock.advance(Engine::VALIDATION_LEASE);
                fixture.validate_due(&engine).await.unwrap();
            }
            let now: Timestamp = engine.now();
            assert_eq!(
                fixture.stored_order().await.status(now),
                end,
                "{commit} {fault:?}"
            );
            fixture.assert_over().await;
        }
    }
}
