//! Which events observers see, and when.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

mod support;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use assay_engine::{
    CsrRefusal, Error, IssuanceRefusal,
    domain::{Attribute, Authorization, Gate, Order, ServerIntent},
    events::{Event, Judged, Kind},
    ports::{Answer, Observer},
};
use assay_proto::{AttestationResponse, OrderStatus, ProblemType};
use support::{
    Harness, SERIAL, START, Settings, csr, device, eventful,
    faulty_store::CommitFault,
    observer::{Seen, TestObserver},
    response,
};

async fn authorization(harness: &Harness, order: &Order) -> Authorization {
    let id = order.authorizations[0];
    let read = harness
        .engine
        .authorization(&harness.by(order.account).await, id)
        .await;
    read.unwrap().value
}

/// The only verdict seen.
fn judged(harness: &Harness) -> Judged<'static> {
    match harness.observer.take_recorded().as_slice() {
        [Seen::Judged(judged)] => (**judged).clone(),
        other => panic!("not one verdict: {other:?}"),
    }
}

#[tokio::test]
async fn scenario_122_an_accepted_answer_is_told_with_all_that_it_was_held_against() {
    let harness = Harness::new();
    let account = harness.account().await;
    let order = harness.order(&account, &[SERIAL]).await.unwrap();
    assert_eq!(harness.observer.take_recorded(), []);
    let device = device(SERIAL);
    harness.answer(&order, 0, &device).await.unwrap();

    let authorization = authorization(&harness, &order).await;
    let judged = judged(&harness);
    assert_eq!(
        (judged.order, judged.authorization),
        (order.id, authorization.id)
    );
    assert_eq!(*judged.token, *authorization.challenges()[0].token());
    assert_eq!(judged.account_key, *account.key.thumbprint());
    assert_eq!(*judged.identifier, order.identifiers[0]);
    assert_eq!(judged.attribute, Attribute::Serial);
    assert_eq!((judged.refused, judged.at), (None, START));
    let found = judged.device.unwrap();
    assert_eq!(found.attribute(Attribute::Serial), Some(SERIAL));
    assert_eq!(found.spki_der, device.spki_der());
    assert!(matches!(&*judged.answer, Answer::Object(object) if !object.is_empty()));

    // A challenge is judged once.
    harness.answer(&order, 0, &device).await.unwrap();
    assert_eq!(harness.observer.take_recorded(), []);

    let request = csr(&device);
    let finalized = harness
        .engine
        .finalize(&harness.by(account.id).await, order.id, &request)
        .await;
    assert_eq!(finalized.unwrap().status(START), OrderStatus::Valid);
    let seen = Seen::Csr(order.id, order.authorizations.clone(), request);
    assert_eq!(harness.observer.take_recorded(), [seen]);
}

#[tokio::test]
async fn scenario_122_a_refused_answer_is_told_with_its_reason() {
    let harness = Harness::new();
    let account = harness.account().await;
    let order = harness.order(&account, &[SERIAL]).await.unwrap();
    let other = device("C02OTHER");
    let refused = harness.answer(&order, 0, &other).await;
    assert!(matches!(refused, Err(Error::Attestation(_))));
    let seen = judged(&harness);
    assert_eq!(seen.refused.as_deref(), Some("identifier-mismatch"));
    let found = seen.device.unwrap();
    assert_eq!(found.attribute(Attribute::Serial), Some("C02OTHER"));

    let order = harness.order(&account, &[SERIAL]).await.unwrap();
    let id = harness.challenge(&order, 0).await;
    let junk = response(b"junk");
    let context = harness.authenticated(&account).await;
    let junk = harness.engine.answer_challenge(&context, id, &junk);
    assert!(matches!(junk.await, Err(Error::Attestation(_))));
    let seen = judged(&harness);
    assert_eq!(seen.refused.as_deref(), Some("object-not-map"));
    assert_eq!(*seen.answer, Answer::Object(b"junk".to_vec()));
    assert_eq!(seen.device, None);

    let order = harness.order(&account, &[SERIAL]).await.unwrap();
    let id = harness.challenge(&order, 0).await;
    let sorry = AttestationResponse {
        att_obj: None,
        error: Some("sorry".into()),
    };
    let context = harness.authenticated(&account).await;
    let answer = harness.engine.answer_challenge(&context, id, &sorry);
    assert!(matches!(answer.await, Err(Error::Attestation(_))));
    let seen = judged(&harness);
    assert_eq!(seen.refused.as_deref(), Some("device-could-not-attest"));
    assert_eq!(*seen.answer, Answer::Error("sorry".to_owned()));
}

#[tokio::test]
async fn no_event_precedes_its_commit() {
    let harness = Harness::new();
    let account = harness.account().await;
    let order = harness.order(&account, &[SERIAL]).await.unwrap();
    harness
        .store
        .fail_next("challenge-valid", CommitFault::Lost);
    let device = device(SERIAL);
    assert!(harness.answer(&order, 0, &device).await.is_err());
    assert_eq!(harness.observer.take_recorded(), []);
    // A CSR for an order that is not ready is ignored.
    assert!(harness.finalize(&order, &device).await.is_err());
    assert_eq!(harness.observer.take_recorded(), []);
    harness.answer(&order, 0, &device).await.unwrap();
    assert_eq!(judged(&harness).refused, None);
}

#[tokio::test]
async fn every_event_is_seen_once() {
    use Kind::*;
    let observer = Arc::new(TestObserver::default());
    eventful::everything(&Settings {
        observers: vec![Arc::clone(&observer) as _],
        ..Settings::default()
    })
    .await;
    let seen = observer.kinds();
    let all: BTreeSet<Kind> = seen.iter().copied().collect();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), Kind::ALL);
    let expected = [
        // An account is created, changed and deactivated.
        &[AccountCreated, AccountChanged, AccountDeactivated][..],
        &[AccountCreated, AccountKeyChanged],
        &[PaddedSignature],
        &[AccountCreated, AuthorizationDeactivated],
        // Admission and a limit; evidence; a CSR.
        &[AccountCreated, Refused, Refused, Refused, ChallengeJudged],
        &[ChallengeJudged, CsrReceived, Refused],
        &[
            AccountCreated,
            ChallengeJudged,
            CsrReceived,
            Issued,
            Revoked,
        ],
        &[AccountCreated, ChallengeJudged, CsrReceived, IssuanceFailed],
        &[
            AccountCreated,
            ChallengeJudged,
            CsrReceived,
            IssuancePostponed,
        ],
        &[ServerIntentDropped],
        // Three devices with one serial number.
        &[
            AccountCreated,
            ChallengeJudged,
            UdidDiffers,
            ChallengeJudged,
        ],
        &[EarlierOrdersUnread, ChallengeJudged],
        &[ClockDeparted, ClockReturned],
        &[ClockDeparted, ClockFollowed],
        &[FreeSpaceLow, FreeSpaceUnknown, FreeSpaceBack],
        &[
            AccountCreated,
            AccountCreated,
            AccountCreated,
            ProvisionalAccountsDropped,
        ],
        &[AccountCreated, ProvisionalAccountsDropped, OrdersDisplaced],
    ]
    .concat();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn two_observers_see_the_same() {
    let second = Arc::new(TestObserver::default());
    let harness = Harness::with(Settings {
        observers: vec![Arc::clone(&second) as _],
        ..Settings::default()
    });
    eventful::issuance(&harness).await;
    let first = harness.observer.take();
    assert_eq!(first.len(), 5);
    assert_eq!(second.take(), first);
}

/// More events than the log's rate per address allows: observers have no rate
/// limit.
#[tokio::test]
async fn a_flood_is_seen_whole() {
    let harness = Harness::new();
    eventful::many_accounts(&harness).await;
    assert_eq!(harness.observer.kinds(), [Kind::AccountCreated; 60]);
}

#[tokio::test]
async fn a_change_that_was_not_committed_is_no_event() {
    let device = device(SERIAL);
    for (commit, seen) in [
        ("challenge-valid", &[Kind::AccountCreated][..]),
        (
            "finalize-begin",
            &[
                Kind::AccountCreated,
                Kind::ChallengeJudged,
                // The CSR was received, whether or not it is accepted.
                Kind::CsrReceived,
            ],
        ),
        (
            "finalize-complete",
            &[
                Kind::AccountCreated,
                Kind::ChallengeJudged,
                Kind::CsrReceived,
            ],
        ),
    ] {
        let harness = Harness::new();
        let account = harness.account().await;
        let order = harness.order(&account, &[SERIAL]).await.unwrap();
        harness.store.fail_next(commit, CommitFault::Lost);
        let answered = harness.answer(&order, 0, &device).await;
        let finalized = harness.finalize(&order, &device).await;
        assert!(answered.is_err() || finalized.is_err(), "{commit}");
        assert_eq!(harness.observer.kinds(), seen, "{commit}");
    }
}

/// Each walk stops at the failing commit, and its events are not seen.
#[tokio::test]
async fn what_a_failed_commit_would_have_made_true_is_not_seen() {
    for (commit, missing) in [
        ("new-account", Kind::AccountCreated),
        ("update-account", Kind::AccountChanged),
        ("key-change", Kind::AccountKeyChanged),
        ("deactivate-authorization", Kind::AuthorizationDeactivated),
        ("revoke", Kind::Revoked),
        ("drop-server-intent", Kind::ServerIntentDropped),
        ("finalize-abandon", Kind::IssuanceFailed),
    ] {
        let harness = Arc::new(Harness::new());
        let walking = Arc::clone(&harness);
        let walk = tokio::spawn(async move {
            let harness = &*walking;
            harness.store.fail_next(commit, CommitFault::Lost);
            match missing {
                Kind::AccountCreated | Kind::AccountChanged => eventful::accounts(harness).await,
                Kind::AccountKeyChanged => eventful::key_change(harness).await,
                Kind::AuthorizationDeactivated => eventful::authorizations(harness).await,
                Kind::Revoked => eventful::issuance(harness).await,
                Kind::ServerIntentDropped => {
                    let spki = device(SERIAL).spki_der();
                    harness
                        .store
                        .fail_next("server-certificate", CommitFault::Lost);
                    let issued = harness.engine.issue_server_certificate(&spki, "localhost");
                    issued.await.unwrap_err();
                    harness.clock.advance(ServerIntent::LEASE);
                    harness.store.fail_next(commit, CommitFault::Lost);
                    let dropped = harness.engine.drop_unfinished_server_intents();
                    dropped.await.unwrap();
                }
                Kind::IssuanceFailed => {
                    eventful::interrupted(harness).await;
                    harness.store.fail_next(commit, CommitFault::Lost);
                    eventful::recovered_by_another_ca(harness).await;
                }
                _ => unreachable!(),
            }
        });
        assert!(walk.await.is_err(), "{commit} did not fail");
        assert!(!harness.store.will_fail(), "{commit} was not made");
        let seen = harness.observer.kinds();
        assert!(!seen.contains(&missing), "{commit}: {seen:?}");
    }
}

/// What was refused: the gate, the problem, the identifiers and the reason.
#[derive(Default)]
struct Refusals(Mutex<Vec<(Gate, ProblemType, String, String)>>);

impl Observer for Refusals {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Refused(refused) = event {
            self.0.lock().unwrap().push((
                refused.gate,
                refused.kind,
                refused.identifier.to_owned(),
                refused.reason.to_owned(),
            ));
        }
    }
}

#[tokio::test]
async fn a_refusal_at_finalize_is_seen_with_the_devices_and_the_reason() {
    let refusals = Arc::new(Refusals::default());
    let harness = Harness::with(Settings {
        observers: vec![Arc::clone(&refusals) as _],
        ..Settings::default()
    });
    let account = harness.account().await;
    let (order, own) = harness.ready(&account).await;
    let of_two = harness.order(&account, &["D1", "D2"]).await.unwrap();
    for (index, serial) in ["D1", "D2"].into_iter().enumerate() {
        harness
            .answer(&of_two, index, &device(serial))
            .await
            .unwrap();
    }
    let refused = harness.finalize(&of_two, &own).await.unwrap_err();
    assert_eq!(refused, Error::Csr(CsrRefusal::KeyNotAttested));
    harness.inventory.serials.lock().unwrap().clear();
    let refused = harness.finalize(&order, &own).await.unwrap_err();
    let no_longer = IssuanceRefusal::NoLongerAdmitted;
    assert_eq!(refused, Error::Issuance(no_longer));
    let seen = |kind, identifiers: &str, reason: &str| {
        let (identifiers, reason) = (identifiers.to_owned(), reason.to_owned());
        (Gate::Issuance, kind, identifiers, reason)
    };
    assert_eq!(
        *refusals.0.lock().unwrap(),
        [
            seen(
                ProblemType::BadCsr,
                "D1, D2",
                CsrRefusal::KeyNotAttested.as_str()
            ),
            seen(ProblemType::Unauthorized, SERIAL, no_longer.as_str()),
        ]
    );
}
