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
use support::{Harness, SERIAL, START, csr, device, faulty_store::CommitFault};

const DAY: u64 = 86_400;

/// An order for two identifiers of one device.
async fn order_of_two(harness: &Harness) -> Order {
    let account = harness.account().await;
    let account = harness.authenticated(&account).await;
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
    harness.engine.new_order(&account, &order).await.unwrap()
}

/// Answers challenge `index` with evidence of this authority for `token`, by
/// default the challenge's own.
async fn answer(
    (harness, engine): (&Harness, &Engine),
    authority: &AttestationAuthority,
    order: &Order,
    index: usize,
    device: &Device,
    token: Option<&str>,
    change: impl FnOnce(&mut CertificateTemplate),
) -> Result<(), Error> {
    let challenges = harness.challenges(order, index).await;
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
    let context = harness.by(order.account).await;
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
    let harness = Harness::new();
    let second = AttestationAuthority::create(START.0).unwrap();
    let first = harness.authority.as_ref();
    let device = device(SERIAL);
    let both = harness.restart(&[first, &second], &harness.cas);
    for (left, gone) in [(vec![first], "the second"), (vec![&second], "the first")] {
        let order = order_of_two(&harness).await;
        for (index, authority) in [first, &second].into_iter().enumerate() {
            let answered = answer(
                (&harness, &both),
                authority,
                &order,
                index,
                &device,
                None,
                |_| {},
            );
            answered.await.unwrap();
        }
        let engine = harness.restart(&left, &harness.cas);
        assert_eq!(
            finalize(&harness, &engine, &order, &device)
                .await
                .unwrap_err(),
            Error::Issuance(IssuanceRefusal::RootNoLongerTrusted),
            "{gone}"
        );

        // The order is still ready. Finalize begins while both roots are
        // trusted, and recovery runs when one is not.
        harness
            .store
            .fail_next("finalize-complete", CommitFault::Lost);
        let error = finalize(&harness, &both, &order, &device)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Store(_)), "{error:?}");
        harness.clock.advance(Order::LEASE);
        let engine = harness.restart(&left, &harness.cas);
        assert_eq!(engine.recover().await.unwrap(), None);
        let read = harness.read_by(&engine, &order).await;
        let OrderState::Invalid(failure) = read.state() else {
            panic!("{gone}: {:?}", read.state());
        };
        assert_eq!(failure.reason, "root-no-longer-trusted", "{gone}");
    }
    // With both roots the certificate is issued.
    let order = order_of_two(&harness).await;
    for (index, authority) in [first, &second].into_iter().enumerate() {
        let answered = answer(
            (&harness, &both),
            authority,
            &order,
            index,
            &device,
            None,
            |_| {},
        );
        answered.await.unwrap();
    }
    finalize(&harness, &both, &order, &device).await.unwrap();
}

async fn finalize(
    harness: &Harness,
    engine: &Engine,
    order: &Order,
    device: &Device,
) -> Result<Order, Error> {
    let csr = csr(device);
    engine
        .finalize(&harness.by(order.account).await, order.id, &csr)
        .await
}

async fn stale(
    harness: &Harness,
    authority: &AttestationAuthority,
    change: impl FnOnce(&mut CertificateTemplate),
) -> Failure {
    let order = harness
        .order(&harness.account().await, &[SERIAL])
        .await
        .unwrap();
    let device = device(SERIAL);
    let token = Some("another-token");
    let refused = answer(
        (harness, &harness.engine),
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
    let harness = Harness::new();
    let detail = stale(&harness, &harness.authority, |_| {}).await.detail;
    let genuine = "stale but genuine: the chain verifies under the laboratory root \"laboratory\" \
                   and attests serial \"C02AAA\", UDID \"UDID\"; made for another challenge; leaf \
                   valid from ";
    assert!(detail.starts_with(genuine), "{detail}");
    assert!(!detail.contains("expired"), "{detail}");
    // The longest finding that the store keeps.
    assert!(detail.len() < 400, "{detail}");

    let detail = stale(&harness, &harness.authority, |leaf| {
        leaf.not_before = START.0 - 30 * DAY;
        leaf.not_after = START.0 - DAY;
    });
    let detail = detail.await.detail;
    assert!(detail.starts_with(genuine), "{detail}");
    assert!(
        detail.ends_with("valid from 2026-12-16T08:00:00Z until 2027-01-14T08:00:00Z (expired)"),
        "{detail}"
    );

    let forger = AttestationAuthority::create(START.0).unwrap();
    let detail = stale(&harness, &forger, |_| {}).await.detail;
    assert_eq!(
        detail.split(": ").next(),
        Some("the freshness code belongs to another challenge, and the chain does not verify"),
        "{detail}"
    );
    assert!(!detail.contains(SERIAL), "{detail}");
}

/// A forged chain that contains the real intermediate.
#[tokio::test]
async fn stale_evidence_with_a_bad_signature_is_no_genuine_one() {
    let harness = Harness::new();
    let order = harness
        .order(&harness.account().await, &[SERIAL])
        .await
        .unwrap();
    let device = device(SERIAL);
    let evidence = harness.authority.attest(
        &device.properties,
        &device.spki_der(),
        &sha256(b"another-token"),
        START.0,
    );
    let mut chain = evidence.unwrap().chain;
    *chain[0].last_mut().unwrap() ^= 1;
    UnverifiedCertificate::decode(&chain[0]).unwrap();
    let object = assay_simulator::evidence::Evidence { chain }.attestation_object();
    let refused = harness
        .engine
        .answer_challenge(
            &harness.by(order.account).await,
            harness.challenge(&order, 0).await,
            &support::response(&object),
        )
        .await;
    let detail = failure(refused.map(drop)).detail;
    assert!(
        detail.contains("does not verify: bad-signature: certificate 0"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_flood_of_stale_evidence_is_not_examined_without_end() {
    let harness = Harness::new();
    let mut examined = 0;
    for _ in 0..40 {
        let detail = stale(&harness, &harness.authority, |_| {}).await.detail;
        if detail.contains("stale but genuine") {
            examined += 1;
        } else {
            assert!(detail.contains("was not examined"), "{detail}");
        }
    }
    assert_eq!(examined, 20);
    harness.clock.advance(2);
    let detail = stale(&harness, &harness.authority, |_| {}).await.detail;
    assert!(detail.contains("stale but genuine"), "{detail}");
}

async fn refused(harness: &Harness, payload: serde_json::Value) -> Failure {
    let order = harness
        .order(&harness.account().await, &[SERIAL])
        .await
        .unwrap();
    let response: AttestationResponse = serde_json::from_value(payload).unwrap();
    let context = harness.by(order.account).await;
    let challenge = harness.challenge(&order, 0).await;
    let answered = harness
        .engine
        .answer_challenge(&context, challenge, &response);
    failure(answered.await.map(drop))
}

#[tokio::test]
async fn scenario_49_a_devices_error_beside_an_empty_chain_reaches_the_operator() {
    let harness = Harness::new();
    let empty = Base64Url::encode(b"\xa2\x63fmt\x65apple\x67attStmt\xa1\x63x5c\x80");
    let error = "Attestierung fehlgeschlagen";
    let failed = refused(&harness, json!({"attObj": empty, "error": error})).await;
    assert_eq!(failed.reason, "device-could-not-attest");
    assert!(failed.detail.ends_with(error), "{}", failed.detail);
    assert!(!failed.problem.detail.contains(error));

    // Without the error, the object determines the reason.
    let failed = refused(&harness, json!({"attObj": empty})).await;
    assert_eq!(failed.reason, "chain-empty");
    assert!(failed.detail.contains("Apple's"), "{}", failed.detail);
}

/// The draft, section 5: "Servers MUST ignore unrecognized fields in the
/// challenge response." An error field does not change the verdict.
#[tokio::test]
async fn scenario_49_an_error_beside_evidence_helps_it_in_nothing_and_harms_it_in_nothing() {
    let harness = Harness::new();
    let device = device(SERIAL);
    for good in [true, false] {
        let order = harness
            .order(&harness.account().await, &[SERIAL])
            .await
            .unwrap();
        let challenges = harness.challenges(&order, 0).await;
        let challenge = &challenges[0];
        let token = match good {
            true => challenge.token().as_str().to_owned(),
            false => "another-token".to_owned(),
        };
        let spki = device.spki_der();
        let freshness = sha256(token.as_bytes());
        let evidence = harness
            .authority
            .attest(&device.properties, &spki, &freshness, START.0);
        let response = AttestationResponse {
            error: Some(json!("no service")),
            ..support::response(&evidence.unwrap().attestation_object())
        };
        let answered = harness
            .engine
            .answer_challenge(&harness.by(order.account).await, challenge.id(), &response)
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
    let harness = Harness::new();
    for payload in [json!({}), json!({"attObj": ""}), json!({"attObj": null})] {
        let failed = refused(&harness, payload).await;
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
