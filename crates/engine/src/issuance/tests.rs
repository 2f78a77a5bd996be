mod certificate;
mod names;
mod validity;

use assay_ca::{
    Issuer, LeafTemplate, LeafUsage, PrepareError, RequestedNames, SerialNumber, SubjectAltName,
    SubjectAttribute, authority::BACKDATE,
};
use assay_proto::{Identifier, Timestamp};

use super::{
    certificate::{names, not_prepared, ordered},
    csr::check_names,
    trial::SAMPLE_SPKI,
    *,
};
use crate::{
    domain::samples::{
        EXPIRES, NOW, authorization, challenge_id, evidence, failure, order, valid_by, validating,
    },
    error::Error,
    profile::{CsrNames, TemplateValues},
    sha256,
};

const KEY: [u8; 32] = [0xaa; 32];
const OTHER_KEY: [u8; 32] = [0xbb; 32];

fn attested(key: [u8; 32]) -> Authorization {
    valid_by(Basis::Evidence(evidence(key)))
}

/// An authorization with evidence of a device with these names.
fn of_device(serial: Option<&str>, udid: Option<&str>) -> Authorization {
    let mut record = evidence(KEY);
    record.facts.serial = serial.map(str::to_owned);
    record.facts.udid = udid.map(str::to_owned);
    valid_by(Basis::Evidence(record))
}

fn control() -> Authorization {
    valid_by(Basis::Control { at: NOW })
}

#[test]
fn every_authorization_must_hold_evidence_for_the_key() {
    let refused = Err(CsrRefusal::KeyNotAttested);
    let pending = authorization(1);
    let begun = pending
        .clone()
        .begin(challenge_id(0), validating(NOW))
        .unwrap();
    let failed = pending.clone().fail(challenge_id(0), failure()).unwrap();
    let given_up = attested(KEY).deactivate(NOW).unwrap();
    let ended = attested(KEY).end_at(NOW);
    let others = [
        pending,
        begun,
        failed,
        given_up,
        ended,
        control(),
        attested(OTHER_KEY),
    ];
    let check = |all: &[Authorization]| evidence_for(&KEY, all, NOW).cloned();
    assert_eq!(check(&[]), refused);
    assert_eq!(check(&[attested(KEY)]), Ok(evidence(KEY)));
    assert_eq!(check(&[attested(KEY), attested(KEY)]), Ok(evidence(KEY)));
    for other in others {
        for all in [
            vec![other.clone()],
            vec![other.clone(), attested(KEY)],
            vec![attested(KEY), other.clone()],
            vec![attested(KEY), other.clone(), attested(KEY)],
        ] {
            assert_eq!(check(&all), refused, "{other:?}");
        }
    }
    // Before it expires.
    let one = [attested(KEY)];
    assert!(evidence_for(&KEY, &one, EXPIRES.minus(1)).is_ok());
    assert_eq!(evidence_for(&KEY, &one, EXPIRES).cloned(), refused);
    assert_eq!(evidence_for(&OTHER_KEY, &one, NOW).cloned(), refused);
}

#[test]
fn the_first_evidence_is_the_one_that_counts() {
    let under = |root: u8| {
        let mut record = evidence(KEY);
        record.root_sha256 = [root; 32];
        valid_by(Basis::Evidence(record))
    };
    let all = [under(1), under(2), under(3)];
    let found = evidence_for(&KEY, &all, NOW).unwrap();
    assert_eq!(found.root_sha256, [1; 32]);
}

#[test]
fn all_evidence_is_of_one_device() {
    let disagree = Err(IssuanceRefusal::EvidenceDisagrees);
    let a = || of_device(Some("A"), Some("UA"));
    for (all, expected) in [
        (vec![], Ok(())),
        (vec![a()], Ok(())),
        (vec![a(), a()], Ok(())),
        (vec![a(), of_device(Some("B"), Some("UA"))], disagree),
        (vec![a(), of_device(Some("A"), Some("UB"))], disagree),
        (vec![a(), a(), of_device(Some("B"), Some("UB"))], disagree),
        // A value that is not stated contradicts nothing.
        (vec![a(), of_device(None, None)], Ok(())),
        (
            vec![of_device(Some("A"), None), of_device(None, Some("UA"))],
            Ok(()),
        ),
        (vec![a(), of_device(None, Some("UB"))], disagree),
        (vec![a(), of_device(Some("B"), None)], disagree),
        (vec![a(), control()], Ok(())),
        (vec![a(), authorization(1)], Ok(())),
        // Evidence of an expired authorization does not count.
        (vec![a(), of_device(Some("B"), None).end_at(NOW)], Ok(())),
    ] {
        assert_eq!(check_one_device(&all, NOW), expected, "{all:?}");
    }
}
