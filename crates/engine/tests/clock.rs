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
use support::{Glass, SERIAL, START, device, new_order, response};
use x509_parser::time::ASN1Time;

const DAY: u64 = 86_400;

fn in_doubt(glass: &Glass) -> Error {
    let clock = glass.engine.read_clock();
    assert!(clock.in_doubt);
    Error::Clock(ClockInDoubt {
        now: clock.now,
        wall: clock.wall,
    })
}

fn move_wall(glass: &Glass, by: i64) {
    let wall = glass.clock.now().0.saturating_add_signed(by);
    glass.clock.set(Timestamp(wall));
}

/// Advances time, with observations of the clock as often as in `serve`.
fn pass(glass: &Glass, seconds: u64) {
    for _ in 0..seconds / 10 {
        glass.clock.advance(10);
        let _ = glass.engine.read_clock();
    }
}

/// An answer with evidence created at `made`.
async fn answer_made_at(
    glass: &Glass,
    order: &Order,
    device: &Device,
    made: Timestamp,
) -> Result<(), Error> {
    let id = order.authorizations[0];
    let stored = glass.store.authorization(id).await.unwrap().unwrap().value;
    let freshness = assay_engine::sha256(stored.challenges()[0].token().as_str().as_bytes());
    let evidence =
        glass
            .authority
            .attest(&device.properties, &device.spki_der(), &freshness, made.0);
    let object = evidence.unwrap().attestation_object();
    let response = response(&object);
    let context = glass.by(order.account).await;
    let challenge = glass.challenge(order, 0).await;
    let answered = glass
        .engine
        .answer_challenge(&context, challenge, &response);
    answered.await.map(drop)
}

async fn stored(glass: &Glass, order: &Order) -> Order {
    glass.store.order(order.id).await.unwrap().unwrap().value
}

/// The validity of an order's certificate.
async fn validity(glass: &Glass, order: &Order) -> (Timestamp, Timestamp) {
    let stored = stored(glass, order).await;
    let OrderState::Valid { certificate } = stored.state() else {
        panic!("no certificate");
    };
    let certificate = glass.store.certificate(certificate.clone()).await.unwrap();
    read_validity(&certificate.unwrap().value.der)
}

fn read_validity(der: &[u8]) -> (Timestamp, Timestamp) {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
    let validity = certificate.validity();
    let time = |time: ASN1Time| Timestamp(u64::try_from(time.timestamp()).unwrap());
    (time(validity.not_before), time(validity.not_after))
}

async fn idle_account(glass: &Glass) -> Account {
    glass.account_of(support::account_key()).await
}

#[tokio::test]
async fn scenario_145_a_clock_400_days_ahead_for_two_seconds_ends_nothing() {
    let glass = Glass::new();
    let account = glass.account().await;
    let (order, device) = glass.ready(&account).await;
    move_wall(&glass, 400 * 86_400);
    glass.clock.advance(1);
    // A request by any client is recorded, but under the server's time.
    idle_account(&glass).await;
    assert_eq!(glass.store.latest_time().await.unwrap(), START.plus(1));
    assert_eq!(glass.read(&order).await.status(START), OrderStatus::Ready);
    glass.clock.advance(1);
    let finalized = glass.finalize(&order, &device).await.unwrap();
    assert_eq!(finalized.status(START), OrderStatus::Valid);
    let (begin, end) = validity(&glass, &order).await;
    assert_eq!(
        (begin, end),
        (START.plus(2).minus(300), START.plus(2 + 90 * DAY))
    );

    move_wall(&glass, -400 * 86_400);
    let engine = glass.restart(&[&glass.authority], &glass.cas);
    assert_eq!(engine.now(), START.plus(2));
    assert!(!engine.read_clock().in_doubt);
}

#[tokio::test]
async fn expired_evidence_is_no_verdict_while_the_clock_is_in_doubt() {
    let glass = Glass::new();
    let order = glass
        .order(&glass.account().await, &[SERIAL])
        .await
        .unwrap();
    let device = device(SERIAL);
    let old = START.minus(400 * DAY);
    move_wall(&glass, -7200);
    let early = glass.engine.now().plus(400 * DAY);
    for made in [old, early] {
        let error = answer_made_at(&glass, &order, &device, made).await;
        assert_eq!(error.unwrap_err(), in_doubt(&glass));
        assert_eq!(stored(&glass, &order).await, order);
    }
    // The same evidence is finally refused once the clock is right.
    move_wall(&glass, 7200);
    let error = answer_made_at(&glass, &order, &device, old).await;
    assert!(matches!(error, Err(Error::Attestation(_))), "{error:?}");
    assert!(matches!(
        stored(&glass, &order).await.state(),
        OrderState::Invalid(_)
    ));
}

#[tokio::test]
async fn evidence_that_is_refused_for_another_reason_is_refused_at_any_time() {
    let glass = Glass::new();
    let order = glass
        .order(&glass.account().await, &[SERIAL])
        .await
        .unwrap();
    move_wall(&glass, -7200);
    let error = glass.answer(&order, 0, &device("C02OTHER")).await;
    assert!(matches!(error, Err(Error::Attestation(_))), "{error:?}");
}

#[tokio::test]
async fn nothing_expires_while_the_clock_is_in_doubt() {
    let glass = Glass::new();
    let account = glass.account().await;
    let (order, device) = glass.ready(&account).await;
    let pending = glass.order(&account, &[SERIAL]).await.unwrap();
    glass.clock.move_to(order.expires);
    move_wall(&glass, -3600);
    let engine = &glass.engine;
    let doubt = in_doubt(&glass);
    assert_eq!(
        engine
            .order(&glass.by(account.id).await, order.id)
            .await
            .unwrap_err(),
        doubt
    );
    assert_eq!(glass.finalize(&order, &device).await.unwrap_err(), doubt);
    let id = pending.authorizations[0];
    assert_eq!(
        engine
            .authorization(&glass.by(account.id).await, id)
            .await
            .unwrap_err(),
        doubt
    );
    let update = AuthorizationUpdate {
        status: "deactivated".to_owned(),
    };
    let deactivated = engine
        .update_authorization(&glass.by(account.id).await, id, &update)
        .await;
    assert_eq!(deactivated.unwrap_err(), doubt);
    let answered = answer_made_at(&glass, &pending, &device, engine.now()).await;
    assert_eq!(answered.unwrap_err(), doubt);

    move_wall(&glass, 3600);
    assert_eq!(
        glass.read(&order).await.status(engine.now()),
        OrderStatus::Invalid
    );
}

#[tokio::test]
async fn a_wanted_validity_is_not_refused_while_the_clock_is_in_doubt() {
    let glass = Glass::new();
    let account = glass.account().await;
    let request = NewOrder {
        not_before: Some(START.minus(3600)),
        ..new_order(&[SERIAL])
    };
    let order = async || {
        let account = glass.authenticated(&account).await;
        glass
            .engine
            .new_order(&account, &request)
            .await
            .unwrap_err()
    };
    assert!(matches!(order().await, Error::Validity(_)));
    move_wall(&glass, 7200);
    assert_eq!(order().await, in_doubt(&glass));
}

#[tokio::test]
async fn an_interrupted_signature_is_not_given_up_while_the_clock_is_in_doubt() {
    let glass = Glass::new();
    let (order, device) = glass.ready(&glass.account().await).await;
    glass.store.fail_next(
        "finalize-complete",
        support::faulty_store::CommitFault::Lost,
    );
    assert!(glass.finalize(&order, &device).await.is_err());
    glass.clock.advance(100 * DAY);
    move_wall(&glass, -3600);
    assert_eq!(glass.engine.recover().await.unwrap_err(), in_doubt(&glass));
    assert!(matches!(
        stored(&glass, &order).await.state(),
        OrderState::Processing(_)
    ));
    move_wall(&glass, 3600);
    assert_eq!(glass.engine.recover().await.unwrap(), None);
    assert!(matches!(
        stored(&glass, &order).await.state(),
        OrderState::Invalid(_)
    ));
}

#[tokio::test]
async fn no_certificate_begins_in_the_future_of_the_wall_clock() {
    let glass = Glass::new();
    let account = glass.account().await;
    glass.clock.advance(DAY);
    let (order, device) = glass.ready(&account).await;
    move_wall(&glass, -1200);
    let wall = glass.clock.now();
    glass.finalize(&order, &device).await.unwrap();
    let due = (wall.minus(300), wall.plus(90 * DAY));
    assert_eq!(validity(&glass, &order).await, due);

    let spki = device.spki_der();
    let issued = glass.engine.issue_server_certificate(&spki, "localhost");
    let issued = issued.await.unwrap();
    assert_eq!(
        read_validity(&issued.chain[0]),
        (wall.minus(300), wall.plus(30 * DAY))
    );
    assert_eq!(issued.renew_at, glass.engine.now().plus(20 * DAY));
}

#[tokio::test]
async fn a_wall_clock_before_the_ca_issues_nothing_until_it_is_right() {
    let glass = Glass::new();
    let account = glass.account().await;
    let (order, device) = glass.ready(&account).await;
    move_wall(&glass, -3600);
    assert_eq!(
        glass.finalize(&order, &device).await.unwrap_err(),
        in_doubt(&glass)
    );
    assert_eq!(
        glass.order(&account, &[SERIAL]).await.unwrap_err(),
        in_doubt(&glass)
    );
    move_wall(&glass, 3600);
    glass.finalize(&order, &device).await.unwrap();
}

#[tokio::test]
async fn a_small_step_that_holds_is_followed_and_expiry_goes_on() {
    let glass = Glass::new();
    let (order, _) = glass.ready(&glass.account().await).await;
    glass.clock.move_to(order.expires.minus(1000));
    move_wall(&glass, 3600);
    let _ = glass.engine.read_clock();
    pass(&glass, 290);
    assert_eq!(glass.engine.now(), order.expires.minus(710));
    pass(&glass, 10);
    assert_eq!(glass.engine.now(), glass.clock.now());
    assert_eq!(
        glass.read(&order).await.status(glass.engine.now()),
        OrderStatus::Invalid
    );
}

#[tokio::test]
async fn a_large_step_is_followed_when_the_operator_confirms_it_and_recorded() {
    let glass = Glass::new();
    glass.account().await;
    move_wall(&glass, 20 * 86_400);
    pass(&glass, 3600);
    assert_eq!(glass.engine.now(), START.plus(3600));
    let wall = glass.clock.now();
    let refused = glass.engine.accept_clock(wall.minus(3601)).await;
    assert_eq!(
        refused.unwrap_err(),
        Error::ClockRefused(ClockRefusal::NotTheWallClock {
            wall,
            confirmed: wall.minus(3601)
        })
    );
    assert!(glass.engine.read_clock().in_doubt);
    let accepted = glass.engine.accept_clock(wall.minus(3600)).await;
    assert_eq!(accepted.unwrap(), wall);
    assert!(!glass.engine.read_clock().in_doubt);
    assert_eq!(glass.store.latest_time().await.unwrap(), wall);
}

#[tokio::test]
async fn scenario_133_a_clock_that_is_behind_is_not_accepted() {
    let glass = Glass::new();
    glass.account().await;
    move_wall(&glass, -3600);
    let refused = glass.engine.accept_clock(glass.clock.now()).await;
    assert!(
        matches!(
            refused,
            Err(Error::ClockRefused(ClockRefusal::Behind { .. }))
        ),
        "{refused:?}"
    );
    assert_eq!(glass.store.latest_time().await.unwrap(), START);
}

#[tokio::test]
async fn a_server_at_rest_records_its_time() {
    let glass = Glass::new();
    glass.account().await;
    glass.clock.advance(DAY);
    let recorded = glass.engine.record_time("time").await;
    assert_eq!(recorded.unwrap(), START.plus(DAY));
    assert_eq!(glass.store.latest_time().await.unwrap(), START.plus(DAY));
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
    let glass = Glass::new();
    let account = glass.account().await;
    glass.clock.advance(DAY);
    let present = glass.engine.now();
    let order = async |not_before, not_after| {
        let account = glass.authenticated(&account).await;
        let request = NewOrder {
            not_before,
            not_after,
            ..new_order(&[SERIAL])
        };
        glass.engine.new_order(&account, &request).await
    };
    let device = device(SERIAL);
    let longest = order(None, Some(present.plus(90 * DAY))).await.unwrap();
    glass.answer(&longest, 0, &device).await.unwrap();
    move_wall(&glass, -1200);
    order(Some(present.minus(1400)), None).await.unwrap();
    // A clock that may be wrong does not break an accepted validity.
    let finalized = glass.finalize(&longest, &device).await;
    assert_eq!(finalized.unwrap_err(), in_doubt(&glass));
    move_wall(&glass, 1200);
    glass.finalize(&longest, &device).await.unwrap();
}

#[tokio::test]
async fn no_ca_has_ended_while_the_clock_is_in_doubt() {
    let glass = Glass::new();
    let account = glass.account().await;
    let spki = device(SERIAL).spki_der();
    let end = [&glass.cas.issuing, &glass.cas.tls].map(|ca| support::issuer(ca).not_after());
    glass.clock.move_to(Timestamp(end[0].max(end[1])));
    let (order, server) = (
        async || glass.order(&account, &[SERIAL]).await.map(drop),
        async || {
            let issued = glass.engine.issue_server_certificate(&spki, "localhost");
            issued.await.map(drop)
        },
    );
    assert!(matches!(order().await, Err(Error::CaEnded(_))));
    assert!(matches!(server().await, Err(Error::CaEnded(_))));
    move_wall(&glass, -7200);
    assert_eq!(order().await, Err(in_doubt(&glass)));
    assert_eq!(server().await, Err(in_doubt(&glass)));
}
