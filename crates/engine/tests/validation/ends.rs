//! What ends during or before the validation of a challenge.

use super::*;

#[tokio::test]
async fn a_result_for_a_deactivated_authorization_is_dropped() {
    let fixture = Fixture::begun().await;
    let outcome = fixture.attempt_while(async {
        let update = AuthorizationUpdate {
            status: "deactivated".to_owned(),
        };
        let context = fixture.harness.by(fixture.order.account).await;
        let id = fixture.order.authorizations[0];
        let engine = &fixture.harness.engine;
        engine
            .update_authorization(&context, id, &update)
            .await
            .unwrap();
    });
    assert_eq!(outcome.await, Ok(()));
    let status = fixture.authorization_status().await;
    assert_eq!(status, AuthorizationStatus::Deactivated);
    let order = fixture.stored_order().await;
    assert_eq!(order.status(START), OrderStatus::Invalid);
    fixture.assert_over().await;
}

#[tokio::test]
async fn a_validation_ends_with_its_order_and_for_its_reason() {
    let fixture = Fixture::of(&["C02AAA", "C02BBB"], 1).await;
    fixture.begin(0, 1).await.unwrap();
    let outcome = fixture.attempt_while(async {
        let challenge = fixture.harness.challenge(&fixture.order, 1).await;
        let context = fixture.harness.by(fixture.order.account).await;
        let empty = AttestationResponse::default();
        let answered = fixture
            .harness
            .engine
            .answer_challenge(&context, challenge, &empty);
        assert!(matches!(answered.await, Err(Error::Attestation(_))));
    });
    assert_eq!(outcome.await, Ok(()));
    assert_eq!(fixture.failure().await.reason, "object-empty");
    fixture.assert_over().await;
}

#[tokio::test]
async fn evidence_that_comes_meanwhile_counts() {
    let fixture = Fixture::begun().await;
    let device = device(SERIAL);
    let outcome = fixture.attempt_while(async {
        fixture
            .harness
            .answer(&fixture.order, 0, &device)
            .await
            .unwrap();
    });
    assert_eq!(outcome.await, Ok(()));
    assert!(matches!(
        fixture.state(0).await,
        ChallengeState::Valid(Basis::Evidence(_))
    ));
    assert!(matches!(
        fixture.state(1).await,
        ChallengeState::Processing(_)
    ));
    fixture.assert_over().await;
    let valid = fixture
        .harness
        .finalize(&fixture.order, &device)
        .await
        .unwrap();
    assert_eq!(valid.status(START), OrderStatus::Valid);
    fixture.harness.clock.advance(3_600);
    fixture
        .harness
        .engine
        .validate(fixture.order.authorizations[0])
        .await
        .unwrap();
    assert_eq!(fixture.validator.asked().len(), 1);
}

#[tokio::test]
async fn two_validations_of_one_authorization_do_not_hide_each_other() {
    let fixture = Fixture::of(&[SERIAL], 2).await;
    fixture.begin(0, 1).await.unwrap();
    // The second one is due before the first one's lease ends.
    let outcome = fixture.attempt_while(async {
        fixture.begin(0, 2).await.unwrap();
    });
    assert_eq!(outcome.await, Ok(()));
    let control = ChallengeState::Valid(Basis::Control { at: START });
    assert_eq!(fixture.state(1).await, control);
    assert_eq!(*fixture.stored_order().await.state(), OrderState::Ready);
    fixture.assert_over().await;
}

#[tokio::test]
async fn an_order_that_expires_meanwhile_stays_as_it_is() {
    let fixture = Fixture::begun().await;
    let outcome = fixture.attempt_while(async {
        fixture.harness.clock.move_to(fixture.order.expires);
    });
    assert_eq!(outcome.await, Ok(()));
    let failure = fixture.failure().await;
    assert_eq!(failure.reason, "order-over");
    assert_eq!(failure.at, fixture.order.expires);
    assert_eq!(failure.problem, Problem::from(&Error::OrderOver));
    assert_eq!(*fixture.stored_order().await.state(), OrderState::Pending);
    fixture.assert_over().await;
}

#[tokio::test]
async fn no_query_leaves_for_what_has_ended() {
    // By expiry.
    let fixture = Fixture::begun().await;
    fixture.harness.clock.move_to(fixture.order.expires);
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(1));
    assert_eq!(fixture.failure().await.reason, "order-over");
    assert_eq!(fixture.validator.asked(), []);
    fixture.assert_over().await;
    // With the order, when its account is deactivated.
    let fixture = Fixture::begun().await;
    fixture.deactivate_account().await;
    assert_eq!(fixture.failure().await.reason, "account-deactivated");
    fixture.assert_over().await;
    // Only with the account, if an order stayed behind.
    let fixture = Fixture::begun().await;
    let account = fixture.harness.by(fixture.order.account).await.by;
    let change = Change::UpdateAccount(account.value.deactivate(START), account.version);
    let changes = ChangeSet::new(START, vec![change]);
    fixture.harness.store.commit("test", changes).await.unwrap();
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(1));
    assert_eq!(fixture.failure().await.reason, "order-over");
    assert_eq!(fixture.validator.asked(), []);
    // By the authorization's expiry before its order's.
    let fixture = Fixture::begun().await;
    let found = fixture
        .harness
        .store
        .authorization(fixture.order.authorizations[0]);
    let found = found.await.unwrap().unwrap();
    let change = Change::UpdateAuthorization(found.value.end_at(START), found.version);
    let changes = ChangeSet::new(START, vec![change]);
    fixture.harness.store.commit("test", changes).await.unwrap();
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(1));
    assert_eq!(fixture.failure().await.reason, "order-over");
    assert_eq!(fixture.validator.asked(), []);
}

#[tokio::test]
async fn a_validation_that_stayed_behind_ends_without_its_order() {
    let fixture = Fixture::begun().await;
    let found = fixture.harness.store.order(fixture.order.id).await;
    let found = found.unwrap().unwrap();
    let other = Fixture::new().await;
    other.validator.plan(Err(not_validated(true)));
    other.begin(0, 1).await.unwrap();
    other.validate_due(&other.harness.engine).await.unwrap();
    let ended = found.value.fail(other.failure().await).unwrap();
    let change = Change::UpdateOrder(ended.clone(), found.version);
    let changes = ChangeSet::new(START, vec![change]);
    fixture.harness.store.commit("test", changes).await.unwrap();
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(1));
    assert_eq!(fixture.failure().await.reason, "order-over");
    assert_eq!(fixture.validator.asked(), []);
    assert_eq!(fixture.stored_order().await, ended);
}

#[tokio::test]
async fn an_account_that_is_deactivated_meanwhile_has_no_order_made_ready() {
    let fixture = Fixture::begun().await;
    let outcome = fixture.attempt_while(fixture.deactivate_account());
    assert_eq!(outcome.await, Ok(()));
    let order = fixture.stored_order().await;
    let OrderState::Invalid(failure) = order.state() else {
        panic!("{:?}", order.state());
    };
    assert_eq!(failure.reason, "account-deactivated");
    assert_eq!(fixture.failure().await, *failure);
    fixture.assert_over().await;
}

#[tokio::test]
async fn a_time_in_doubt_ends_no_validation() {
    let fixture = Fixture::begun().await;
    fixture.harness.clock.move_to(fixture.order.expires);
    // Something is recorded at that time; then the clock is set back.
    fixture.harness.account().await;
    fixture.harness.clock.set(START);
    assert_eq!(fixture.harness.engine.now(), fixture.order.expires);
    let id = fixture.order.authorizations[0];
    let error = fixture.harness.engine.validate(id).await.unwrap_err();
    assert!(matches!(error, Error::Clock(_)), "{error:?}");
    assert_eq!(fixture.validating().await.attempts, 0);
    fixture.harness.clock.set(fixture.order.expires);
    fixture.harness.engine.validate(id).await.unwrap();
    assert_eq!(fixture.failure().await.reason, "order-over");
}

#[tokio::test]
async fn an_authorizations_own_end_is_not_believed_to_a_clock_in_doubt() {
    let fixture = Fixture::begun().await;
    let id = fixture.order.authorizations[0];
    let found = fixture.harness.store.authorization(id).await;
    let found = found.unwrap().unwrap();
    let early = found.value.end_at(START.plus(10));
    let changes = vec![Change::UpdateAuthorization(early, found.version)];
    let changes = ChangeSet::new(START, changes);
    fixture.harness.store.commit("test", changes).await.unwrap();
    fixture
        .harness
        .clock
        .move_to(fixture.order.expires.minus(1));
    fixture.harness.account().await;
    fixture.harness.clock.set(START);
    let error = fixture.harness.engine.validate(id).await.unwrap_err();
    assert!(matches!(error, Error::Clock(_)), "{error:?}");
}

/// The validator never returns, or its process dies.
#[tokio::test]
async fn attempts_that_never_end_are_bounded() {
    let fixture = Fixture::begun().await;
    for _ in 0..5 {
        (fixture.harness.store).fail_next("validation-valid", CommitFault::Lost);
        let attempt = fixture.validate_due(&fixture.harness.engine).await;
        assert!(matches!(attempt, Err(Error::Store(_))), "{attempt:?}");
        fixture.harness.clock.advance(Engine::VALIDATION_LEASE);
    }
    assert_eq!(fixture.validator.asked().len(), 5);
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(1));
    assert_eq!(fixture.validator.asked().len(), 5, "no sixth attempt");
    assert_eq!(fixture.failure().await.reason, "validation-unfinished");
    let order = fixture.stored_order().await;
    assert_eq!(order.status(START), OrderStatus::Invalid);
    assert_eq!(fixture.validate_due(&fixture.harness.engine).await, Ok(0));
}

#[tokio::test]
async fn a_validation_ends_when_a_wrong_time_is_taken_back() {
    let fixture = Fixture::new().await;
    fixture.harness.clock.advance(5 * 365 * 86_400);
    let account = fixture.harness.account().await;
    let order = fixture.harness.order(&account, &[SERIAL]);
    let fixture = Fixture {
        order: order.await.unwrap(),
        ..fixture
    };
    fixture.begin(0, 1).await.unwrap();
    reset_clock(fixture.harness.store.as_ref(), START, [7; 32])
        .await
        .unwrap();
    assert_eq!(fixture.failure().await.reason, "clock-reset");
    assert_eq!(fixture.harness.store.validations(9).await, Ok(vec![]));
}
