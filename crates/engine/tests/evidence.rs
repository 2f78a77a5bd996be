//! Evidence under several roots, stale evidence, and devices without evidence.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use assay_attest::UnverifiedCertificate;
use assay_engine::{
    Engine, Error, IssuanceRefusal,
    domain::{Failure, Order, OrderState},
    sha256,
};
use assay_proto::{AttestationResponse, Base64Url, NewOrder, WireIdentifier};
use assay_simulator::{Device, authority::AttestationAuthority, evidence::CertificateTemplate};
use serde_json::json;
use support::{Glass, SERIAL, START, csr, device, faulty_store::CommitFault};

const DAY: u64 = 86_400;

/// An order for two identifiers of one device.
async fn order_of_two(glass: &Glass) -> Order {
    let account = glass.account().await;
    let account = glass.authenticated(&account).await;
    let identifier = |kind: &str, value: String| WireIdentifier {
        kind: kind.to_owned(),
        value,
    };
    let order = NewOrder {
        identifiers: vec![
            identifier("permanent-identifier", SERIAL.to_owned()),
            identifier(
                "hardware-module",
                format!("{SERIAL}/1.2.840.113635.100.8.9.1"),
            ),
        ],
        not_before: None,
        not_after: None,
    };
    glass.engine.new_order(&account, &order).await.unwrap()
}

/// Answers challenge `index` with evidence of this authority for `token`, by
/// default the challenge's own.
async fn answer(
    (glass, engine): (&Glass, &Engine),
    authority: &AttestationAuthority,
    order: &Order,
    index: usize,
    device: &Device,
    token: Option<&str>,
    change: impl FnOnce(&mut CertificateTemplate),
) -> Result<(), Error> {
    let challenges = glass.challenges(order, index).await;
    let challenge = &challenges[0];
    let token = token.unwrap_or(challenge.token().as_str());
    let freshness = sha256(token.as_bytes());
    let spki = device.spki_der();
    let now = engine.now().0;
    let mut leaf = authority.leaf_template(&device.properties, &spki, &freshness, now);
    change(&mut leaf);
    let chain = vec![
        leaf.sign(authority.sub_key()).unwrap(),
        authority.sub_der().to_vec(),
    ];
    let object = assay_simulator::evidence::Evidence { chain }.attestation_object();
    let response = support::response(&object);
    let context = glass.by(order.account).await;
    let answered = engine.answer_challenge(&context, challenge.id(), &response);
    answered.await.map(drop)
}

/// Why the evidence was refused.
fn failure(refused: Result<(), Error>) -> Failure {
    match refused {
        Err(Error::Attestation(failure)) => *failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn finalize_and_recovery_ask_for_the_root_of_every_authorization() {
    let glass = Glass::new();
    let second = AttestationAuthority::create(START.0).unwrap();
    let first = glass.authority.as_ref();
    let device = device(SERIAL);
    let both = glass.restart(&[first, &second], &glass.cas);
    for (left, gone) in [(vec![first], "the second"), (vec![&second], "the first")] {
        let order = order_of_two(&glass).await;
        for (index, authority) in [first, &second].into_iter().enumerate() {
            let answered = answer(
                (&glass, &both),
                authority,
                &order,
                index,
                &device,
                None,
                |_| {},
            );
            answered.await.unwrap();
        }
        let engine = glass.restart(&left, &glass.cas);
        assert_eq!(
            finalize(&glass, &engine, &order, &device)
                .await
                .unwrap_err(),
            Error::Issuance(IssuanceRefusal::RootNoLongerTrusted),
            "{gone}"
        );

        // The order is still ready. Finalize begins while both roots are
        // trusted, and recovery runs when one is not.
        glass
            .store
            .fail_next("finalize-complete", CommitFault::Lost);
        let error = finalize(&glass, &both, &order, &device).await.unwrap_err();
        assert!(matches!(error, Error::Store(_)), "{error:?}");
        glass.clock.advance(Order::LEASE);
        let engine = glass.restart(&left, &glass.cas);
        assert_eq!(engine.recover().await.unwrap(), None);
        let read = glass.read_by(&engine, &order).await;
        let OrderState::Invalid(failure) = read.state() else {
            panic!("{gone}: {:?}", read.state());
        };
        assert_eq!(failure.reason, "root-no-longer-trusted", "{gone}");
    }
    // With both roots the certificate is issued.
    let order = order_of_two(&glass).await;
    for (index, authority) in [first, &second].into_iter().enumerate() {
        let answered = answer(
            (&glass, &both),
            authority,
            &order,
            index,
            &device,
            None,
            |_| {},
        );
        answered.await.unwrap();
    }
    finalize(&glass, &both, &order, &device).await.unwrap();
}

async fn finalize(
    glass: &Glass,
    engine: &Engine,
    order: &Order,
    device: &Device,
) -> Result<Order, Error> {
    let csr = csr(device);
    engine
        .finalize(&glass.by(order.account).await, order.id, &csr)
        .await
}

async fn stale(
    glass: &Glass,
    authority: &AttestationAuthority,
    change: impl FnOnce(&mut CertificateTemplate),
) -> Failure {
    let order = glass
        .order(&glass.account().await, &[SERIAL])
        .await
        .unwrap();
    let device = device(SERIAL);
    let token = Some("another-token");
    let refused = answer(
        (glass, &glass.engine),
        authority,
        &order,
        0,
        &device,
        token,
        change,
    )
    .await;
    let failure = failure(refused);
    assert_eq!(failure.reason, "freshness-mismatch");
    // The client sees only the failed check.
    assert_eq!(
        failure.problem.detail,
        "the attestation's freshness code is not the one that was asked for"
    );
    failure
}

#[tokio::test]
async fn stale_but_genuine_evidence_is_told_from_a_forgery() {
    let glass = Glass::new();
    let told = stale(&glass, &glass.authority, |_| {}).await.detail;
    let genuine = "stale but genuine: the chain verifies under the laboratory root \"laboratory\" \
                   and attests serial \"C02AAA\", UDID \"UDID\"; made for another challenge; leaf \
                   valid from ";
    assert!(told.starts_with(genuine), "{told}");
    assert!(!told.contains("expired"), "{told}");
    // The longest finding that the store keeps.
    assert!(told.len() < 400, "{told}");

    let told = stale(&glass, &glass.authority, |leaf| {
        leaf.not_before = START.0 - 30 * DAY;
        leaf.not_after = START.0 - DAY;
    });
    let told = told.await.detail;
    assert!(told.starts_with(genuine), "{told}");
    assert!(
        told.ends_with("valid from 2026-12-16T08:00:00Z until 2027-01-14T08:00:00Z (expired)"),
        "{told}"
    );

    let forger = AttestationAuthority::create(START.0).unwrap();
    let told = stale(&glass, &forger, |_| {}).await.detail;
    assert_eq!(
        told.split(": ").next(),
        Some("the freshness code belongs to another challenge, and the chain does not verify"),
        "{told}"
    );
    assert!(!told.contains(SERIAL), "{told}");
}

/// A forged chain that contains the real intermediate.
#[tokio::test]
async fn stale_evidence_with_a_bad_signature_is_no_genuine_one() {
    let glass = Glass::new();
    let order = glass
        .order(&glass.account().await, &[SERIAL])
        .await
        .unwrap();
    let device = device(SERIAL);
    let evidence = glass.authority.attest(
        &device.properties,
        &device.spki_der(),
        &sha256(b"another-token"),
        START.0,
    );
    let mut chain = evidence.unwrap().chain;
    *chain[0].last_mut().unwrap() ^= 1;
    UnverifiedCertificate::decode(&chain[0]).unwrap();
    let object = assay_simulator::evidence::Evidence { chain }.attestation_object();
    let refused = glass
        .engine
        .answer_challenge(
            &glass.by(order.account).await,
            glass.challenge(&order, 0).await,
            &support::response(&object),
        )
        .await;
    let told = failure(refused.map(drop)).detail;
    assert!(
        told.contains("does not verify: bad-signature: certificate 0"),
        "{told}"
    );
}

#[tokio::test]
async fn a_flood_of_stale_evidence_is_not_examined_without_end() {
    let glass = Glass::new();
    let mut examined = 0;
    for _ in 0..40 {
        let told = stale(&glass, &glass.authority, |_| {}).await.detail;
        if told.contains("stale but genuine") {
            examined += 1;
        } else {
            assert!(told.contains("was not examined"), "{told}");
        }
    }
    assert_eq!(examined, 20);
    glass.clock.advance(2);
    let told = stale(&glass, &glass.authority, |_| {}).await.detail;
    assert!(told.contains("stale but genuine"), "{told}");
}

async fn refused(glass: &Glass, payload: serde_json::Value) -> Failure {
    let order = glass
        .order(&glass.account().await, &[SERIAL])
        .await
        .unwrap();
    let response: AttestationResponse = serde_json::from_value(payload).unwrap();
    let context = glass.by(order.account).await;
    let challenge = glass.challenge(&order, 0).await;
    let answered = glass
        .engine
        .answer_challenge(&context, challenge, &response);
    failure(answered.await.map(drop))
}

#[tokio::test]
async fn scenario_49_a_devices_error_beside_an_empty_chain_reaches_the_operator() {
    let glass = Glass::new();
    let empty = Base64Url::encode(b"\xa2\x63fmt\x65apple\x67attStmt\xa1\x63x5c\x80");
    let error = "Attestierung fehlgeschlagen";
    let failed = refused(&glass, json!({"attObj": empty, "error": error})).await;
    assert_eq!(failed.reason, "device-could-not-attest");
    assert!(failed.detail.ends_with(error), "{}", failed.detail);
    assert!(!failed.problem.detail.contains(error));

    // Without the error, the object determines the reason.
    let failed = refused(&glass, json!({"attObj": empty})).await;
    assert_eq!(failed.reason, "chain-empty");
    assert!(failed.detail.contains("Apple's"), "{}", failed.detail);
}

/// The draft, section 5: "Servers MUST ignore unrecognized fields in the
/// challenge response." An error field does not change the verdict.
#[tokio::test]
async fn scenario_49_an_error_beside_evidence_helps_it_in_nothing_and_harms_it_in_nothing() {
    let glass = Glass::new();
    let device = device(SERIAL);
    for good in [true, false] {
        let order = glass
            .order(&glass.account().await, &[SERIAL])
            .await
            .unwrap();
        let challenges = glass.challenges(&order, 0).await;
        let challenge = &challenges[0];
        let token = match good {
            true => challenge.token().as_str().to_owned(),
            false => "another-token".to_owned(),
        };
        let spki = device.spki_der();
        let freshness = sha256(token.as_bytes());
        let evidence = glass
            .authority
            .attest(&device.properties, &spki, &freshness, START.0);
        let response = AttestationResponse {
            error: Some(json!("no service")),
            ..support::response(&evidence.unwrap().attestation_object())
        };
        let answered = glass
            .engine
            .answer_challenge(&glass.by(order.account).await, challenge.id(), &response)
            .await;
        if good {
            answered.unwrap();
        } else {
            let failure = failure(answered.map(drop));
            assert_eq!(failure.reason, "freshness-mismatch");
            let end = "; the device sent an error beside it: no service";
            assert!(failure.detail.ends_with(end), "{}", failure.detail);
        }
    }
}

#[tokio::test]
async fn scenario_43_an_answer_without_evidence_names_the_usual_causes() {
    let glass = Glass::new();
    for payload in [json!({}), json!({"attObj": ""}), json!({"attObj": null})] {
        let failed = refused(&glass, payload).await;
        assert_eq!(failed.reason, "object-empty");
        for cause in [
            "the device sent no attestation: Attest is false or not supported",
            "Attest is missing or false",
            "HardwareBound is false",
            "KeyType is RSA",
            "T2 or older",
        ] {
            assert!(failed.detail.contains(cause), "{}", failed.detail);
        }
        assert!(failed.detail.len() < 400);
    }
}
