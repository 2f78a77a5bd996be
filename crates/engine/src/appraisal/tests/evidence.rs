//! Evidence of a simulated authority, compared with an authorization.

use std::sync::LazyLock;

use assay_attest::{AwsLc, TrustAnchor};
use assay_simulator::{
    Device, KeyType, authority::AttestationAuthority, evidence::DeviceProperties,
};
use serde_json::json;

use super::super::*;
use crate::domain::{
    AuthorizationDetails,
    samples::{self, NOW, identifier},
};

static AUTHORITY: LazyLock<AttestationAuthority> =
    LazyLock::new(|| AttestationAuthority::create(NOW.0).unwrap());

const SERIAL: &str = "C02ABCDEFGHJ";
const UDID: &str = "00008112-001A2B3C4D5E6F70";

fn verifier() -> Verifier {
    let anchor = TrustAnchor::laboratory(AUTHORITY.root_der(), "test").unwrap();
    Verifier::new(vec![anchor], Box::new(AwsLc))
}

fn token() -> Token {
    Token::from_stored("token-of-this-challenge".to_owned())
}

/// An authorization for a device with this name.
fn ordered(name: &str, attribute: Attribute) -> Authorization {
    let (details, state) = samples::authorization(1).into_parts();
    let details = AuthorizationDetails {
        identifier: identifier("permanent-identifier", name),
        admitted: crate::domain::Admitted {
            attribute,
            rule: None,
        },
        ..details
    };
    Authorization::restore(details, state)
}

fn properties() -> DeviceProperties {
    DeviceProperties::mac(SERIAL, UDID)
}

/// The object for a device's key and these properties, in answer to `token`.
fn object(properties: &DeviceProperties, key: KeyType, token: &str) -> (Vec<u8>, [u8; 32]) {
    let device = Device::new(properties.clone(), key).unwrap();
    let freshness = sha256(token.as_bytes());
    let spki = device.spki_der();
    let evidence = AUTHORITY.attest(properties, &spki, &freshness, NOW.0);
    (evidence.unwrap().attestation_object(), sha256(&spki))
}

fn good_object() -> Vec<u8> {
    object(&properties(), KeyType::P256, token().as_str()).0
}

fn judged(object: Vec<u8>, authorization: &Authorization) -> Appraisal {
    let answer = Answer::Object(object);
    appraise(&verifier(), answer, authorization, &token(), NOW)
}

fn failure(appraisal: &Appraisal) -> &Failure {
    match &appraisal.verdict {
        Err(failure) => failure,
        Ok(record) => panic!("{record:?}"),
    }
}

#[test]
fn good_evidence_is_recorded_with_all_that_it_attests() {
    for (key, kind) in [
        (KeyType::P256, KeyKind::P256),
        (KeyType::P384, KeyKind::P384),
    ] {
        let properties = DeviceProperties {
            serial: Some(SERIAL.to_owned()),
            udid: Some(UDID.to_owned()),
            model: Some("J413AP".to_owned()),
            os_version: Some("15.5".to_owned()),
            sepos_version: Some("15.4".to_owned()),
            llb_version: Some("15.3".to_owned()),
            sip: Some(0),
            secure_boot: Some("Full Security".to_owned()),
            kernel_extensions: Some(0),
        };
        let (object, spki_sha256) = object(&properties, key, token().as_str());
        let appraisal = judged(object.clone(), &ordered(SERIAL, Attribute::Serial));
        let text = |text: &str| Some(text.to_owned());
        let expected = EvidenceRecord {
            spki_sha256,
            key: kind,
            facts: DeviceFacts {
                serial: text(SERIAL),
                udid: text(UDID),
                model: text("J413AP"),
                os_version: text("15.5"),
                sepos_version: text("15.4"),
                llb_version: text("15.3"),
                sip_enabled: Some(true),
                secure_boot: text("Full Security"),
                kernel_extensions_allowed: Some(false),
            },
            root_sha256: sha256(AUTHORITY.root_der()),
            object_sha256: sha256(&object),
            at: NOW,
        };
        assert_eq!(appraisal.verdict, Ok(expected));
        assert_eq!(appraisal.answer, Answer::Object(object));
        assert_eq!(appraisal.device.unwrap().spki_sha256, spki_sha256);
        // With the attribute's other name.
        let (object, _) = self::object(&properties, key, token().as_str());
        assert!(
            judged(object, &ordered(UDID, Attribute::Udid))
                .verdict
                .is_ok()
        );
    }
}

#[test]
fn a_bad_state_of_a_mac_is_a_fact_and_no_refusal() {
    let properties = DeviceProperties {
        sip: Some(1),
        kernel_extensions: Some(1),
        ..properties()
    };
    let (object, _) = object(&properties, KeyType::P256, token().as_str());
    let facts = judged(object, &ordered(SERIAL, Attribute::Serial))
        .verdict
        .unwrap()
        .facts;
    assert_eq!(facts.sip_enabled, Some(false));
    assert_eq!(facts.kernel_extensions_allowed, Some(true));
    let properties = DeviceProperties {
        serial: Some(SERIAL.to_owned()),
        ..DeviceProperties::default()
    };
    let (object, _) = self::object(&properties, KeyType::P256, token().as_str());
    let facts = judged(object, &ordered(SERIAL, Attribute::Serial))
        .verdict
        .unwrap()
        .facts;
    let expected = DeviceFacts {
        serial: Some(SERIAL.to_owned()),
        ..DeviceFacts::default()
    };
    assert_eq!(facts, expected);
}

#[test]
fn evidence_for_another_challenge_is_refused_whatever_it_attests() {
    for other in ["token-of-this-challengf", "", "TOKEN-OF-THIS-CHALLENGE"] {
        let (object, _) = object(&properties(), KeyType::P256, other);
        let appraisal = judged(object.clone(), &ordered(SERIAL, Attribute::Serial));
        let refused = failure(&appraisal);
        assert_eq!(refused.reason, Reason::FreshnessMismatch.as_str());
        assert_eq!(refused.object_sha256, Some(sha256(&object)));
        assert_eq!((refused.at, refused.gate), (NOW, Gate::Appraisal));
        assert_eq!(refused.problem.kind, ProblemType::BadAttestationStatement);
        assert_eq!(refused.problem.subproblems, []);
        assert_eq!(appraisal.device, None);
    }
}

#[test]
fn evidence_of_another_device_is_refused_without_an_attested_value() {
    let ordered = ordered("C02ZZZZZZZZZ", Attribute::Serial);
    let appraisal = judged(good_object(), &ordered);
    let refused = failure(&appraisal);
    assert_eq!(refused.reason, IdentityFault::Mismatch.as_str());
    let subproblem = Subproblem::with(
        ProblemType::RejectedIdentifier,
        "the attestation does not prove this identifier",
        &ordered.identifier.to_wire(),
    );
    assert_eq!(refused.problem.subproblems, [subproblem]);
    assert!(!format!("{:?}", refused.problem).contains(SERIAL));
    let detail =
        format!("the order is for \"C02ZZZZZZZZZ\", the evidence attests the serial {SERIAL:?}");
    assert_eq!(refused.detail, detail);
    // The evidence is genuine, and the operator sees which device it is of.
    let device = appraisal.device.as_ref().unwrap();
    assert_eq!(device.attribute(Attribute::Serial), Some(SERIAL));
}

#[test]
fn a_name_that_is_the_other_attribute_hints_at_the_list() {
    for (name, attribute, is_other) in [
        (UDID, Attribute::Serial, "udid"),
        (SERIAL, Attribute::Udid, "serial"),
    ] {
        let appraisal = judged(good_object(), &ordered(name, attribute));
        let refused = failure(&appraisal);
        assert_eq!(refused.reason, IdentityFault::Mismatch.as_str());
        let begin = format!("the ordered name is attested as the {is_other}: the list's columns");
        assert!(refused.detail.starts_with(&begin), "{}", refused.detail);
    }
}

#[test]
fn what_is_not_attested_proves_no_identifier() {
    let properties = DeviceProperties {
        udid: Some(UDID.to_owned()),
        ..DeviceProperties::default()
    };
    let (object, _) = object(&properties, KeyType::P256, token().as_str());
    let appraisal = judged(object.clone(), &ordered(SERIAL, Attribute::Serial));
    let refused = failure(&appraisal);
    assert_eq!(
        refused.reason,
        IdentityFault::NotAttested(Attribute::Serial).as_str()
    );
    assert_eq!(refused.problem.subproblems, []);
    let text = "the evidence is genuine but does not attest the serial";
    assert!(refused.detail.starts_with(text), "{}", refused.detail);
    assert!(
        judged(object, &ordered(UDID, Attribute::Udid))
            .verdict
            .is_ok()
    );
}

#[test]
fn a_devices_error_is_a_refusal_without_an_object() {
    let answer = Answer::Error("no service".to_owned());
    let ordered = ordered(SERIAL, Attribute::Serial);
    let appraisal = appraise(&verifier(), answer, &ordered, &token(), NOW);
    let refused = failure(&appraisal);
    assert_eq!(refused.reason, DEVICE_COULD_NOT_ATTEST);
    assert_eq!(refused.object_sha256, None);
    assert_eq!(refused.problem.detail, "the device could not attest");
    assert!(
        refused.detail.ends_with("evidence: no service"),
        "{}",
        refused.detail
    );
}

#[test]
fn the_usual_causes_of_empty_answers_are_for_the_operator_alone() {
    for (object, reason, detail) in [
        (&b""[..], Reason::ObjectEmpty, NO_ATTESTATION),
        (
            b"\xa2\x63fmt\x65apple\x67attStmt\xa1\x63x5c\x80",
            Reason::ChainEmpty,
            NO_CERTIFICATES,
        ),
    ] {
        let appraisal = judged(object.to_vec(), &ordered(SERIAL, Attribute::Serial));
        let refused = failure(&appraisal);
        assert_eq!(refused.reason, reason.as_str());
        assert_eq!(refused.detail, detail);
        assert_eq!(refused.problem.detail, reason.client_detail());
    }
    // The format's name comes from the client.
    let other = b"\xa2\x63fmt\x64none\x67attStmt\xa0";
    let appraisal = judged(other.to_vec(), &ordered(SERIAL, Attribute::Serial));
    let refused = failure(&appraisal);
    assert_eq!(refused.reason, Reason::FormatNotSupported.as_str());
    assert!(
        refused.problem.detail.contains("none"),
        "{}",
        refused.problem.detail
    );
}

/// The appraisal with its explanation, under a budget of `looks` examinations.
fn explained(object: Vec<u8>, error: Option<&str>, looks: usize) -> Appraisal {
    let response = AttestationResponse {
        att_obj: Some(Base64Url::encode(&object)),
        error: error.map(|error| json!(error)),
    };
    let budget = SecondLooks::default();
    while budget.take(NOW) {}
    let now = NOW.plus(looks as u64 * 2);
    let mut appraisal = judged(object, &ordered(SERIAL, Attribute::Serial));
    appraisal.explain(&response, &verifier(), &budget, now);
    appraisal
}

#[test]
fn an_operator_reads_of_stale_evidence_whether_it_is_genuine() {
    let stale = || object(&properties(), KeyType::P256, "another").0;
    let looked = explained(stale(), None, 1);
    let detail = &failure(&looked).detail;
    assert!(detail.starts_with("stale but genuine"), "{detail}");
    let unexamined = explained(stale(), None, 0);
    let detail = &failure(&unexamined).detail;
    assert!(detail.ends_with(stale::NOT_EXAMINED), "{detail}");
    assert!(!detail.starts_with(stale::NOT_EXAMINED), "{detail}");
    // The client sees neither.
    assert_eq!(failure(&looked).problem, failure(&unexamined).problem);
}

#[test]
fn an_error_beside_evidence_is_added_for_the_operator() {
    let text = format!("x\n{}", "y".repeat(100));
    let plain = explained(b"junk".to_vec(), None, 1);
    let beside = explained(b"junk".to_vec(), Some(&text), 1);
    let error: String = format!("x\u{fffd}{}", "y".repeat(58));
    let plain_detail = &failure(&plain).detail;
    let expected = format!("{plain_detail}; the device sent an error beside it: {error}");
    assert_eq!(failure(&beside).detail, expected);
    assert_eq!(failure(&beside).problem, failure(&plain).problem);
    // Good evidence stays good.
    let good = explained(good_object(), Some("no"), 1);
    assert!(good.verdict.is_ok());
}

#[test]
fn only_the_time_of_evidence_is_judged_by_time() {
    let ordered = ordered(SERIAL, Attribute::Serial);
    let at = |now: Timestamp| {
        let answer = Answer::Object(good_object());
        appraise(&verifier(), answer, &ordered, &token(), now)
    };
    for (now, reason) in [
        (NOW.plus(10 * 365 * 86_400), Reason::Expired),
        (NOW.minus(365 * 86_400), Reason::NotYetValid),
    ] {
        let appraisal = at(now);
        assert_eq!(failure(&appraisal).reason, reason.as_str());
        assert!(appraisal.refused_by_time());
        assert_eq!(failure(&appraisal).at, now);
    }
    assert!(!at(NOW).refused_by_time());
    assert!(!judged(b"junk".to_vec(), &ordered).refused_by_time());
}
