//! What the recorder is told, and when.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

mod support;

use assay_engine::{
    Error,
    domain::{Attribute, Authorization, Order},
    ports::{Answer, Judged},
};
use assay_proto::{AttestationResponse, OrderStatus};
use support::{
    Glass, SERIAL, START, csr, device, faulty_store::CommitFault, recorder::Told, response,
};

async fn authorization(glass: &Glass, order: &Order) -> Authorization {
    let id = order.authorizations[0];
    let read = glass
        .engine
        .authorization(&glass.by(order.account).await, id)
        .await;
    read.unwrap().value
}

/// The one thing that the recorder was told, which is a verdict.
fn judged(glass: &Glass) -> Judged {
    match glass.recorder.take().as_slice() {
        [Told::Judged(judged)] => (**judged).clone(),
        other => panic!("not one verdict: {other:?}"),
    }
}

#[tokio::test]
async fn scenario_122_an_accepted_answer_is_told_with_all_that_it_was_held_against() {
    let glass = Glass::new();
    let account = glass.account().await;
    let order = glass.order(&account, &[SERIAL]).await.unwrap();
    assert_eq!(glass.recorder.take(), []);
    let device = device(SERIAL);
    glass.answer(&order, 0, &device).await.unwrap();

    let authorization = authorization(&glass, &order).await;
    let judged = judged(&glass);
    assert_eq!(
        (judged.order, judged.authorization),
        (order.id, authorization.id)
    );
    assert_eq!(judged.token, *authorization.challenges()[0].token());
    assert_eq!(judged.account_key, *account.key.thumbprint());
    assert_eq!(judged.identifier, order.identifiers[0]);
    assert_eq!(judged.attribute, Attribute::Serial);
    assert_eq!((judged.refused, judged.at), (None, START));
    let found = judged.device.unwrap();
    assert_eq!(found.attribute(Attribute::Serial), Some(SERIAL));
    assert_eq!(found.spki_der, device.spki_der());
    assert!(matches!(judged.answer, Answer::Object(object) if !object.is_empty()));

    // A challenge is judged once.
    glass.answer(&order, 0, &device).await.unwrap();
    assert_eq!(glass.recorder.take(), []);

    let request = csr(&device);
    let finalized = glass
        .engine
        .finalize(&glass.by(account.id).await, order.id, &request)
        .await;
    assert_eq!(finalized.unwrap().status(START), OrderStatus::Valid);
    let told = Told::Csr(order.id, order.authorizations.clone(), request);
    assert_eq!(glass.recorder.take(), [told]);
}

#[tokio::test]
async fn scenario_122_a_refused_answer_is_told_with_its_reason() {
    let glass = Glass::new();
    let account = glass.account().await;
    let order = glass.order(&account, &[SERIAL]).await.unwrap();
    let other = device("C02OTHER");
    let refused = glass.answer(&order, 0, &other).await;
    assert!(matches!(refused, Err(Error::Attestation(_))));
    let told = judged(&glass);
    assert_eq!(told.refused.as_deref(), Some("identifier-mismatch"));
    let found = told.device.unwrap();
    assert_eq!(found.attribute(Attribute::Serial), Some("C02OTHER"));

    let order = glass.order(&account, &[SERIAL]).await.unwrap();
    let id = glass.challenge(&order, 0).await;
    let junk = response(b"junk");
    let context = glass.authenticated(&account).await;
    let junk = glass.engine.answer_challenge(&context, id, &junk);
    assert!(matches!(junk.await, Err(Error::Attestation(_))));
    let told = judged(&glass);
    assert_eq!(told.refused.as_deref(), Some("object-not-map"));
    assert_eq!(told.answer, Answer::Object(b"junk".to_vec()));
    assert_eq!(told.device, None);

    let order = glass.order(&account, &[SERIAL]).await.unwrap();
    let id = glass.challenge(&order, 0).await;
    let sorry = AttestationResponse {
        att_obj: None,
        error: Some("sorry".into()),
    };
    let context = glass.authenticated(&account).await;
    let answer = glass.engine.answer_challenge(&context, id, &sorry);
    assert!(matches!(answer.await, Err(Error::Attestation(_))));
    let told = judged(&glass);
    assert_eq!(told.refused.as_deref(), Some("device-could-not-attest"));
    assert_eq!(told.answer, Answer::Error("sorry".to_owned()));
}

#[tokio::test]
async fn nothing_is_told_that_was_not_committed() {
    let glass = Glass::new();
    let account = glass.account().await;
    let order = glass.order(&account, &[SERIAL]).await.unwrap();
    glass.store.fail_next("challenge-valid", CommitFault::Lost);
    let device = device(SERIAL);
    assert!(glass.answer(&order, 0, &device).await.is_err());
    assert_eq!(glass.recorder.take(), []);
    // An order that is not ready has no use for a CSR.
    assert!(glass.finalize(&order, &device).await.is_err());
    assert_eq!(glass.recorder.take(), []);
    glass.answer(&order, 0, &device).await.unwrap();
    assert_eq!(judged(&glass).refused, None);
}
