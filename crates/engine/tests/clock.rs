//! What a wrong wall clock changes, and what not.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use assay_engine::{
    Error,
    domain::{Account, Order, OrderState},
    ports::{Clock, Store},
    time::{ClockInDoubt, ClockRefusal},
};
use assay_proto::{AuthorizationUpdate, NewOrder, OrderStatus, Problem, ProblemType, Timestamp};
use assay_simulator::Device;
use support::{Harness, SERIAL, START, device, new_order, response};
use x509_parser::time::ASN1Time;

const DAY: u64 = 86_400;

fn in_doubt(harness: &Harness) -> Error {
    let clock = harness.engine.read_clock();
    assert!(clock.in_doubt);
    Error::Clock(ClockInDoubt {
        now: clock.now,
        wall: clock.wall,
    })
}

fn move_wall(harness: &Harness, by: i64) {
    let wall = harness.clock.now().0.saturating_add_signed(by);
    harness.clock.set(Timestamp(wall));
}

/// Advances time, with observations of the clock as often as in `serve`.
fn pass(harness: &Harness, seconds: u64) {
    for _ in 0..seconds / 10 {
        harness.clock.advance(10);
        let _ = harness.engine.read_clock();
    }
}

/// An answer with evidence created at `made`.
async fn answer_made_at(
    harness: &Harness,
    order: &Order,
    device: &Device,
    made: Timestamp,
) -> Result<(), Error> {
    let id = order.authorizations[0];
    let stored = harness
        .store
        .authorization(id)
        .await
        .unwrap()
        .unwrap()
        .value;
    let freshness = assay_engine::sha256(stored.challenges()[0].token().as_str().as_bytes());
    let evidence =
        harness
            .authority
            .attest(&device.properties, &device.spki_der(), &freshness, made.0);
    let object = evidence.unwrap().attestation_object();
    let response = response(&object);
    let context = harness.by(order.account).await;
    let challenge = harness.challenge(order, 0).await;
    let answered = harness
        .engine
        .answer_challenge(&context, challenge, &response);
    answered.await.map(drop)
}

async fn stored(harness: &Harness, order: &Order) -> Order {
    harness.store.order(order.id).await.unwrap().unwrap().value
}

/// The validity of an order's certificate.
async fn validity(harness: &Harness, order: &Order) -> (Timestamp, Timestamp) {
    let stored = stored(harness, order).await;
    let OrderState::Valid { certificate } = stored.state() else {
        panic!("no certificate");
    };
    let certificate = harness
        .store
        .certificate(certificate.clone())
        .await
        .unwrap();
    read_validity(&certificate.unwrap().value.der)
}

fn read_validity(der: &[u8]) -> (Timestamp, Timestamp) {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
    let validity = certificate.validity();
    let time = |time: ASN1Time| Timestamp(u64::try_from(time.timestamp()).unwrap());
    (time(validity.not_before), time(validity.not_after))
}

async fn idle_account(harness: &Harness) -> Account {
    harness.account_of(support::account_key()).await
}

#[tokio::test]
async fn scenario_145_a_clock_400_days_ahead_for_two_seconds_ends_nothing() {
    let harness = Harness::new();
    let account = harness.account().await;
    let (order, device) = harness.ready(&account).await;
    move_wall(&harness, 400 * 86_400);
    harness.clock.advance(1);
    // A request by any client is recorded, but under the server's time.
    idle_account(&harness).await;
    assert_eq!(harness.store.latest_time().await.unwrap(), START.plus(1));
    assert_eq!(harness.read(&order).await.status(START), OrderStatus::Ready);
    harness.clock.advance(1);
    let finalized = harness.finalize(&order, &device).await.unwrap();
    assert_eq!(finalized.status(START), OrderStatus::Valid);
    let (begin, end) = validity(&harness, &order).await;
    assert_eq!(
        (begin, end),
        (START.plus(2).minus(300), START.plus(2 + 90 * DAY))
    );

    move_wall(&harness, -400 * 86_400);
    let engine = harness.restart(&[&harness.authority], &harness.cas);
    assert_eq!(engine.now(), START.plus(2));
    assert!(!engine.read_clock().in_doubt);
}

#[tokio::test]
async fn expired_evidence_is_no_verdict_while_the_clock_is_in_doubt() {
    let harness = Harness::new();
    let order = harness
        .order(&harness.account().await, &[SERIAL])
        .await
        .unwrap();
    let device = device(SERIAL);
    let old = START.minus(400 * DAY);
    move_wall(&harness, -7200);
    let early = harness.engine.now().plus(400 * DAY);
    for made in [old, early] {
        let error = answer_made_at(&harness, &order, &device, made).await;
        assert_eq!(error.unwrap_err(), in_doubt(&harness));
        assert_eq!(stored(&harness, &order).await, order);
    }
    // The same evidence is finally refused once the clock is right.
    move_wall(&harness, 7200);
    let error = answer_made_at(&harness, &order, &device, old).await;
    assert!(matches!(error, Err(Error::Attestation(_))), "{error:?}");
    assert!(matches!(
        stored(&harness, &order).await.state(),
        OrderState::Invalid(_)
    ));
}

#[tokio::test]
async fn evidence_that_is_refused_for_another_reason_is_refused_at_any_time() {
    let harness = Harness::new();
    let order = harness
        .order(&harness.account().await, &[SERIAL])
        .await
        .unwrap();
    move_wall(&harness, -7200);
    let error = harness.answer(&order, 0, &device("C02OTHER")).await;
    assert!(matches!(error, Err(Error::Attestation(_))), "{error:?}");
}

#[tokio::test]
async fn nothing_expires_while_the_clock_is_in_doubt() {
    let harness = Harness::new();
    let account = harness.account().await;
    let (order, device) = harness.ready(&account).await;
    let pending = harness.order(&account, &[SERIAL]).await.unwrap();
    harness.clock.move_to(order.expires);
    move_wall(&harness, -3600);
    let engine = &harness.engine;
    let doubt = in_doubt(&harness);
    assert_eq!(
        engine
            .order(&harness.by(account.id).await, order.id)
            .await
            .unwrap_err(),
        doubt
    );
    assert_eq!(harness.finalize(&order, &device).await.unwrap_err(), doubt);
    let id = pending.authorizations[0];
    assert_eq!(
        engine
            .authorization(&harness.by(account.id).await, id)
            .await
            .unwrap_err(),
        doubt
    );
    let update = AuthorizationUpdate {
        status: "deactivated".to_owned(),
    };
    let deactivated = engine
        .update_authorization(&harness.by(account.id).await, id, &update)
        .await;
    assert_eq!(deactivated.unwrap_err(), doubt);
    let answered = answer_made_at(&harness, &pending, &device, engine.now()).await;
    assert_eq!(answered.unwrap_err(), doubt);

    move_wall(&harness, 3600);
    assert_eq!(
        harness.read(&order).await.status(engine.now()),
        OrderStatus::Invalid
    );
}

#[tokio::test]
async fn a_wanted_validity_is_not_refused_while_the_clock_is_in_doubt() {
    let harness = Harness::new();
    let account = harness.account().await;
    let request = NewOrder {
        not_before: Some(START.minus(3600)),
        ..new_order(&[SERIAL])
    };
    let order = async || {
        let account = harness.authenticated(&account).await;
        harness
            .engine
            .new_order(&account, &request)
            .await
            .unwrap_err()
    };
    assert!(matches!(order().await, Error::Validity(_)));
    move_wall(&harness, 7200);
    assert_eq!(order().await, in_doubt(&harness));
}

#[tokio::test]
async fn an_interrupted_signature_is_not_given_up_while_the_clock_is_in_doubt() {
    let harness = Harness::new();
    let (order, device) = harness.ready(&harness.account().await).await;
    harness.store.fail_next(
        "finalize-complete",
        support::faulty_store::CommitFault::Lost,
    );
    assert!(harness.finalize(&order, &device).await.is_err());
    harness.clock.advance(100 * DAY);
    move_wall(&harness, -3600);
    assert_eq!(
        harness.engine.recover().await.unwrap_err(),
        in_doubt(&harness)
    );
    assert!(matches!(
        stored(&harness, &order).await.state(),
        OrderState::Processing(_)
    ));
    move_wall(&harness, 3600);
    assert_eq!(harness.engine.recover().await.unwrap(), None);
    assert!(matches!(
        stored(&harness, &order).await.state(),
        OrderState::Invalid(_)
    ));
}

#[tokio::test]
async fn no_certificate_begins_in_the_future_of_the_wall_clock() {
    let harness = Harness::new();
    let account = harness.account().await;
    harness.clock.advance(DAY);
    let (order, device) = harness.ready(&account).await;
    move_wall(&harness, -1200);
    let wall = harness.clock.now();
    harness.finalize(&order, &device).await.unwrap();
    let due = (wall.minus(300), wall.plus(90 * DAY));
    assert_eq!(validity(&harness, &order).await, due);

    let spki = device.spki_der();
    let issued = harness.engine.issue_server_certificate(&spki, "localhost");
    let issued = issued.await.unwrap();
    assert_eq!(
        read_validity(&issued.chain[0]),
        (wall.minus(300), wall.plus(30 * DAY))
    );
    assert_eq!(issued.renew_at, harness.engine.now().plus(20 * DAY));
}

#[tokio::test]
async fn a_wall_clock_before_the_ca_issues_nothing_until_it_is_right() {
    let harness = Harness::new();
    let account = harness.account().await;
    let (order, device) = harness.ready(&account).await;
    move_wall(&harness, -3600);
    assert_eq!(
        harness.finalize(&order, &device).await.unwrap_err(),
        in_doubt(&harness)
    );
    assert_eq!(
        harness.order(&account, &[SERIAL]).await.unwrap_err(),
        in_doubt(&harness)
    );
    move_wall(&harness, 3600);
    harness.finalize(&order, &device).await.unwrap();
}

#[tokio::test]
async fn a_small_step_that_holds_is_followed_and_expiry_goes_on() {
    let harness = Harness::new();
    let (order, _) = harness.ready(&harness.account().await).await;
    harness.clock.move_to(order.expires.minus(1000));
    move_wall(&harness, 3600);
    let _ = harness.engine.read_clock();
    pass(&harness, 290);
    assert_eq!(harness.engine.now(), order.expires.minus(710));
    pass(&harness, 10);
    assert_eq!(harness.engine.now(), harness.clock.now());
    assert_eq!(
        harness.read(&order).await.status(harness.engine.now()),
        OrderStatus::Invalid
    );
}

#[tokio::test]
async fn a_large_step_is_followed_when_the_operator_confirms_it_and_recorded() {
    let harness = Harness::new();
    harness.account().await;
    move_wall(&harness, 20 * 86_400);
    pass(&harness, 3600);
    assert_eq!(harness.engine.now(), START.plus(3600));
    let wall = harness.clock.now();
    let refused = harness.engine.accept_clock(wall.minus(3601)).await;
    assert_eq!(
        refused.unwrap_err(),
        Error::ClockRefused(ClockRefusal::NotTheWallClock {
            wall,
            confirmed: wall.minus(3601)
        })
    );
    assert!(harness.engine.read_clock().in_doubt);
    let accepted = harness.engine.accept_clock(wall.minus(3600)).await;
    assert_eq!(accepted.unwrap(), wall);
    assert!(!harness.engine.read_clock().in_doubt);
    assert_eq!(harness.store.latest_time().await.unwrap(), wall);
}

#[tokio::test]
async fn scenario_133_a_clock_that_is_behind_is_not_accepted() {
    let harness = Harness::new();
    harness.account().await;
    move_wall(&harness, -3600);
    let refused = harness.engine.accept_clock(harness.clock.now()).await;
    assert!(
        matches!(
            refused,
            Err(Error::ClockRefused(ClockRefusal::Behind { .. }))
        ),
        "{refused:?}"
    );
    assert_eq!(harness.store.latest_time().await.unwrap(), START);
}

#[tokio::test]
async fn a_server_at_rest_records_its_time() {
    let harness = Harness::new();
    harness.account().await;
    harness.clock.advance(DAY);
    let recorded = harness.engine.record_time("time").await;
    assert_eq!(recorded.unwrap(), START.plus(DAY));
    assert_eq!(harness.store.latest_time().await.unwrap(), START.plus(DAY));
}

#[test]
fn a_clock_in_doubt_is_answered_with_503_and_a_time_to_wait() {
    let error = Error::Clock(ClockInDoubt {
        now: START,
        wall: START.plus(3600),
    });
    let problem = Problem::from(&error);
    assert_eq!(
        (problem.kind, problem.status),
        (ProblemType::ServerInternal, 503)
    );
    assert_eq!(error.retry_after(), Some(60));
    assert!(!problem.detail.contains("2027"), "{}", problem.detail);
}

#[tokio::test]
async fn a_wanted_validity_is_judged_by_the_clock_that_is_behind() {
    let harness = Harness::new();
    let account = harness.account().await;
    harness.clock.advance(DAY);
    let present = harness.engine.now();
    let order = async |not_before, not_after| {
        let account = harness.authenticated(&account).await;
        let request = NewOrder {
            not_before,
            not_after,
            ..new_order(&[SERIAL])
        };
        harness.engine.new_order(&account, &request).await
    };
    let device = device(SERIAL);
    let longest = order(None, Some(present.plus(90 * DAY))).await.unwrap();
    harness.answer(&longest, 0, &device).await.unwrap();
    move_wall(&harness, -1200);
    order(Some(present.minus(1400)), None).await.unwrap();
    // A clock that may be wrong does not break an accepted validity.
    let finalized = harness.finalize(&longest, &device).await;
    assert_eq!(finalized.unwrap_err(), in_doubt(&harness));
    move_wall(&harness, 1200);
    harness.finalize(&longest, &device).await.unwrap();
}

#[tokio::test]
async fn no_ca_has_ended_while_the_clock_is_in_doubt() {
    let harness = Harness::new();
    let account = harness.account().await;
    let spki = device(SERIAL).spki_der();
    let end = [&harness.cas.issuing, &harness.cas.tls].map(|ca| support::issuer(ca).not_after());
    harness.clock.move_to(Timestamp(end[0].max(end[1])));
    let (order, server) = (
        async || harness.order(&account, &[SERIAL]).await.map(drop),
        async || {
            let issued = harness.engine.issue_server_certificate(&spki, "localhost");
            issued.await.map(drop)
        },
    );
    assert!(matches!(order().await, Err(Error::CaEnded(_))));
    assert!(matches!(server().await, Err(Error::CaEnded(_))));
    move_wall(&harness, -7200);
    assert_eq!(order().await, Err(in_doubt(&harness)));
    assert_eq!(server().await, Err(in_doubt(&harness)));
}
