//! What ends during or before the validation of a challenge.

use super::*;

#[tokio::test]
async fn a_result_for_a_deactivated_authorization_is_dropped() {
    let scene = Scene::begun().await;
    let outcome = scene.attempt_while(async {
        let update = AuthorizationUpdate {
            status: "deactivated".to_owned(),
        };
        let context = scene.glass.by(scene.order.account).await;
        let id = scene.order.authorizations[0];
        let engine = &scene.glass.engine;
        engine
            .update_authorization(&context, id, &update)
            .await
            .unwrap();
    });
    assert_eq!(outcome.await, Ok(()));
    let status = scene.authorization_status().await;
    assert_eq!(status, AuthorizationStatus::Deactivated);
    let order = scene.stored_order().await;
    assert_eq!(order.status(START), OrderStatus::Invalid);
    scene.assert_over().await;
}

#[tokio::test]
async fn a_validation_ends_with_its_order_and_for_its_reason() {
    let scene = Scene::of(&["C02AAA", "C02BBB"], 1).await;
    scene.begin(0, 1).await.unwrap();
    let outcome = scene.attempt_while(async {
        let challenge = scene.glass.challenge(&scene.order, 1).await;
        let context = scene.glass.by(scene.order.account).await;
        let empty = AttestationResponse::default();
        let answered = scene
            .glass
            .engine
            .answer_challenge(&context, challenge, &empty);
        assert!(matches!(answered.await, Err(Error::Attestation(_))));
    });
    assert_eq!(outcome.await, Ok(()));
    assert_eq!(scene.failure().await.reason, "object-empty");
    scene.assert_over().await;
}

#[tokio::test]
async fn evidence_that_comes_meanwhile_counts() {
    let scene = Scene::begun().await;
    let device = device(SERIAL);
    let outcome = scene.attempt_while(async {
        scene.glass.answer(&scene.order, 0, &device).await.unwrap();
    });
    assert_eq!(outcome.await, Ok(()));
    assert!(matches!(
        scene.state(0).await,
        ChallengeState::Valid(Basis::Evidence(_))
    ));
    assert!(matches!(
        scene.state(1).await,
        ChallengeState::Processing(_)
    ));
    scene.assert_over().await;
    let valid = scene.glass.finalize(&scene.order, &device).await.unwrap();
    assert_eq!(valid.status(START), OrderStatus::Valid);
    scene.glass.clock.advance(3_600);
    scene
        .glass
        .engine
        .validate(scene.order.authorizations[0])
        .await
        .unwrap();
    assert_eq!(scene.validator.asked().len(), 1);
}

#[tokio::test]
async fn two_validations_of_one_authorization_do_not_hide_each_other() {
    let scene = Scene::of(&[SERIAL], 2).await;
    scene.begin(0, 1).await.unwrap();
    // The second one is due before the first one's lease ends.
    let outcome = scene.attempt_while(async {
        scene.begin(0, 2).await.unwrap();
    });
    assert_eq!(outcome.await, Ok(()));
    let control = ChallengeState::Valid(Basis::Control { at: START });
    assert_eq!(scene.state(1).await, control);
    assert_eq!(*scene.stored_order().await.state(), OrderState::Ready);
    scene.assert_over().await;
}

#[tokio::test]
async fn an_order_that_expires_meanwhile_stays_as_it_is() {
    let scene = Scene::begun().await;
    let outcome = scene.attempt_while(async {
        scene.glass.clock.move_to(scene.order.expires);
    });
    assert_eq!(outcome.await, Ok(()));
    let failure = scene.failure().await;
    assert_eq!(failure.reason, "order-over");
    assert_eq!(failure.at, scene.order.expires);
    assert_eq!(failure.problem, Problem::from(&Error::OrderOver));
    assert_eq!(*scene.stored_order().await.state(), OrderState::Pending);
    scene.assert_over().await;
}

#[tokio::test]
async fn no_query_leaves_for_what_has_ended() {
    // By expiry.
    let scene = Scene::begun().await;
    scene.glass.clock.move_to(scene.order.expires);
    assert_eq!(scene.validate_due(&scene.glass.engine).await, Ok(1));
    assert_eq!(scene.failure().await.reason, "order-over");
    assert_eq!(scene.validator.asked(), []);
    scene.assert_over().await;
    // With the order, when its account is deactivated.
    let scene = Scene::begun().await;
    scene.deactivate_account().await;
    assert_eq!(scene.failure().await.reason, "account-deactivated");
    scene.assert_over().await;
    // Only with the account, if an order stayed behind.
    let scene = Scene::begun().await;
    let account = scene.glass.by(scene.order.account).await.by;
    let change = Change::UpdateAccount(account.value.deactivate(START), account.version);
    let changes = ChangeSet::new(START, vec![change]);
    scene.glass.store.commit("test", changes).await.unwrap();
    assert_eq!(scene.validate_due(&scene.glass.engine).await, Ok(1));
    assert_eq!(scene.failure().await.reason, "order-over");
    assert_eq!(scene.validator.asked(), []);
    // By the authorization's expiry before its order's.
    let scene = Scene::begun().await;
    let found = scene
        .glass
        .store
        .authorization(scene.order.authorizations[0]);
    let found = found.await.unwrap().unwrap();
    let change = Change::UpdateAuthorization(found.value.end_at(START), found.version);
    let changes = ChangeSet::new(START, vec![change]);
    scene.glass.store.commit("test", changes).await.unwrap();
    assert_eq!(scene.validate_due(&scene.glass.engine).await, Ok(1));
    assert_eq!(scene.failure().await.reason, "order-over");
    assert_eq!(scene.validator.asked(), []);
}

#[tokio::test]
async fn a_validation_that_stayed_behind_ends_without_its_order() {
    let scene = Scene::begun().await;
    let found = scene.glass.store.order(scene.order.id).await;
    let found = found.unwrap().unwrap();
    let other = Scene::new().await;
    other.validator.plan(Err(not_validated(true)));
    other.begin(0, 1).await.unwrap();
    other.validate_due(&other.glass.engine).await.unwrap();
    let ended = found.value.fail(other.failure().await).unwrap();
    let change = Change::UpdateOrder(ended.clone(), found.version);
    let changes = ChangeSet::new(START, vec![change]);
    scene.glass.store.commit("test", changes).await.unwrap();
    assert_eq!(scene.validate_due(&scene.glass.engine).await, Ok(1));
    assert_eq!(scene.failure().await.reason, "order-over");
    assert_eq!(scene.validator.asked(), []);
    assert_eq!(scene.stored_order().await, ended);
}

#[tokio::test]
async fn an_account_that_is_deactivated_meanwhile_has_no_order_made_ready() {
    let scene = Scene::begun().await;
    let outcome = scene.attempt_while(scene.deactivate_account());
    assert_eq!(outcome.await, Ok(()));
    let order = scene.stored_order().await;
    let OrderState::Invalid(failure) = order.state() else {
        panic!("{:?}", order.state());
    };
    assert_eq!(failure.reason, "account-deactivated");
    assert_eq!(scene.failure().await, *failure);
    scene.assert_over().await;
}

#[tokio::test]
async fn a_time_in_doubt_ends_no_validation() {
    let scene = Scene::begun().await;
    scene.glass.clock.move_to(scene.order.expires);
    // Something is recorded at that time; then the clock is set back.
    scene.glass.account().await;
    scene.glass.clock.set(START);
    assert_eq!(scene.glass.engine.now(), scene.order.expires);
    let id = scene.order.authorizations[0];
    let error = scene.glass.engine.validate(id).await.unwrap_err();
    assert!(matches!(error, Error::Clock(_)), "{error:?}");
    assert_eq!(scene.validating().await.attempts, 0);
    scene.glass.clock.set(scene.order.expires);
    scene.glass.engine.validate(id).await.unwrap();
    assert_eq!(scene.failure().await.reason, "order-over");
}

#[tokio::test]
async fn an_authorizations_own_end_is_not_believed_to_a_clock_in_doubt() {
    let scene = Scene::begun().await;
    let id = scene.order.authorizations[0];
    let found = scene.glass.store.authorization(id).await;
    let found = found.unwrap().unwrap();
    let early = found.value.end_at(START.plus(10));
    let changes = vec![Change::UpdateAuthorization(early, found.version)];
    let changes = ChangeSet::new(START, changes);
    scene.glass.store.commit("test", changes).await.unwrap();
    scene.glass.clock.move_to(scene.order.expires.minus(1));
    scene.glass.account().await;
    scene.glass.clock.set(START);
    let error = scene.glass.engine.validate(id).await.unwrap_err();
    assert!(matches!(error, Error::Clock(_)), "{error:?}");
}

/// The validator never returns, or its process dies.
#[tokio::test]
async fn attempts_that_never_end_are_bounded() {
    let scene = Scene::begun().await;
    for _ in 0..5 {
        (scene.glass.store).fail_next("validation-valid", CommitFault::Lost);
        let attempt = scene.validate_due(&scene.glass.engine).await;
        assert!(matches!(attempt, Err(Error::Store(_))), "{attempt:?}");
        scene.glass.clock.advance(Engine::VALIDATION_LEASE);
    }
    assert_eq!(scene.validator.asked().len(), 5);
    assert_eq!(scene.validate_due(&scene.glass.engine).await, Ok(1));
    assert_eq!(scene.validator.asked().len(), 5, "no sixth attempt");
    assert_eq!(scene.failure().await.reason, "validation-unfinished");
    let order = scene.stored_order().await;
    assert_eq!(order.status(START), OrderStatus::Invalid);
    assert_eq!(scene.validate_due(&scene.glass.engine).await, Ok(0));
}

#[tokio::test]
async fn a_validation_ends_when_a_wrong_time_is_taken_back() {
    let scene = Scene::new().await;
    scene.glass.clock.advance(5 * 365 * 86_400);
    let account = scene.glass.account().await;
    let order = scene.glass.order(&account, &[SERIAL]);
    let scene = Scene {
        order: order.await.unwrap(),
        ..scene
    };
    scene.begin(0, 1).await.unwrap();
    reset_clock(scene.glass.store.as_ref(), START, [7; 32])
        .await
        .unwrap();
    assert_eq!(scene.failure().await.reason, "clock-reset");
    assert_eq!(scene.glass.store.validations(9).await, Ok(vec![]));
}
