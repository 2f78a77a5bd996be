//! `assay recording anonymise`: another device, the same decision.

mod laboratory;

use std::fs;

use assay_attest::Attribute;
use assay_recording::{Acme, Answer, Evidence, Recording};
use assay_simulator::{
    KeyType,
    evidence::{CertificateTemplate, DeviceProperties, oids},
};
use serde_json::Value;

use crate::support::{assay, assert_exit, json_of, message};

use self::laboratory::*;

fn acme_of(recording: &Recording) -> &Acme {
    match &recording.contents().evidence {
        Evidence::Acme(acme) => acme,
        Evidence::DeviceInformation(_) => panic!("not of ACME"),
    }
}

/// The checks that mean this.
fn checks<'v>(told: &'v Value, means: &str) -> Vec<&'v str> {
    let checks = told["checks"].as_array().unwrap().iter();
    checks
        .filter(|check| check["means"] == means)
        .map(|check| check["check"].as_str().unwrap())
        .collect()
}

#[test]
fn scenario_124_accepted_by_serial_number_with_and_without_csr() {
    for csr in [true, false] {
        let laboratory = Laboratory::mac();
        let claims = laboratory.acme(Attribute::Serial, SERIAL, laboratory.object(|_| {}), csr);
        let (told, made) = laboratory.anonymise(&claims, "accepted");
        let acme = acme_of(&made);
        let facts = made.contents().claims.facts.clone().unwrap();
        assert_eq!(facts.serial.as_ref(), Some(&acme.admission.value));
        assert_eq!(acme.identifier.value, acme.admission.value);
        assert_eq!(acme.csr.is_some(), csr);
        let same = [
            "chain",
            "properties",
            "key",
            "freshness",
            "validity",
            "path",
            "identity",
        ];
        assert_eq!(checks(&told, "same"), same);
        let mut other = vec!["object", "certificates", "anchor", "signatures"];
        other.extend(["csr", "issuance"].into_iter().filter(|_| csr));
        assert_eq!(checks(&told, "else"), other);
        assert_eq!(told["fault"], Value::Null);

        let mut replay = assay();
        replay.args(["replay", "--end-to-end", "--json", "--trust-embedded-roots"]);
        let played = json_of(&replay.arg(laboratory.path("out.json")).output().unwrap());
        let end = if csr { "certificate" } else { "no-csr" };
        assert_eq!(played["results"][0]["end"], end);
    }
}

#[test]
fn scenario_124_accepted_by_udid_under_a_p384_key() {
    let properties = DeviceProperties::mac(SERIAL, UDID);
    let laboratory = Laboratory::of(properties, KeyType::P384);
    let claims = laboratory.acme(Attribute::Udid, UDID, laboratory.object(|_| {}), true);
    let (_, made) = laboratory.anonymise(&claims, "accepted");
    let facts = made.contents().claims.facts.clone().unwrap();
    assert_eq!(facts.key, "p384");
    assert_eq!(facts.udid.as_ref(), Some(&acme_of(&made).admission.value));
    assert_ne!(facts.serial, None);
}

#[test]
fn scenario_124_a_difference_of_case_or_of_device_stays_one() {
    let lower = SERIAL.to_lowercase();
    for (ordered, case_only) in [(lower.as_str(), true), ("C02XK0AAJHD3", false)] {
        let laboratory = Laboratory::mac();
        let claims = laboratory.acme(Attribute::Serial, ordered, laboratory.object(|_| {}), false);
        let (told, made) = laboratory.anonymise(&claims, "refused: identifier-mismatch");
        let facts = made.contents().claims.facts.clone().unwrap();
        let (attested, ordered) = (facts.serial.unwrap(), &acme_of(&made).admission.value);
        assert_ne!(&attested, ordered);
        assert_eq!(attested.eq_ignore_ascii_case(ordered), case_only);
        assert!(checks(&told, "same").contains(&"identity"));
    }
}

#[test]
fn scenario_124_user_enrolment_still_has_no_serial_number() {
    let laboratory = Laboratory::of(DeviceProperties::user_enrolment(), KeyType::P256);
    let claims = laboratory.acme(Attribute::Serial, SERIAL, laboratory.object(|_| {}), false);
    let (_, made) = laboratory.anonymise(&claims, "refused: serial-not-attested");
    let facts = made.contents().claims.facts.clone().unwrap();
    assert_eq!((facts.serial, facts.udid), (None, None));
}

#[test]
fn scenario_124_evidence_that_was_refused_is_refused_for_the_same() {
    type Change = fn(&mut CertificateTemplate);
    let spoil: [(&str, Change); 4] = [
        ("expired", |leaf| leaf.not_after = TIME - 60),
        ("not-yet-valid", |leaf| leaf.not_before = TIME + 60),
        ("freshness-missing", |leaf| {
            leaf.remove_extension(oids::FRESHNESS);
        }),
        ("property-malformed", |leaf| {
            leaf.set_extension(oids::SIP, b"0");
        }),
    ];
    for (reason, change) in spoil {
        let laboratory = Laboratory::mac();
        let claims = laboratory.acme(Attribute::Serial, SERIAL, laboratory.object(change), false);
        let (told, _) = laboratory.anonymise(&claims, &format!("refused: {reason}"));
        let forged = reason == "property-malformed";
        assert_eq!(told["fault"].is_string(), forged, "{reason}");
        assert!(checks(&told, "not-reached").contains(&"signatures"));
    }
}

#[test]
fn scenario_124_a_device_that_could_not_attest_still_cannot() {
    let laboratory = Laboratory::mac();
    let sorry = Answer::DeviceError(SORRY.to_owned());
    let claims = laboratory.acme(Attribute::Serial, SERIAL, sorry, false);
    let (told, made) = laboratory.anonymise(&claims, "refused: device-could-not-attest");
    let neutral = Answer::DeviceError("anonymised".to_owned());
    assert_eq!(acme_of(&made).answer, neutral);
    assert_eq!(checks(&told, "same"), ["device-error"]);

    let laboratory = Laboratory::mac();
    let empty = Answer::Object(Vec::new());
    let claims = laboratory.acme(Attribute::Serial, SERIAL, empty.clone(), false);
    let (_, made) = laboratory.anonymise(&claims, "refused: object-empty");
    assert_eq!(acme_of(&made).answer, empty);
}

#[test]
fn scenario_124_device_information_stays_as_fresh_as_it_was() {
    for (code, verdict) in [
        (TUESDAY, "accepted, fresh"),
        (&MONDAY[..32], "accepted, cached"),
        (b"yet another", "refused: freshness-mismatch"),
    ] {
        let laboratory = Laboratory::mac();
        let claims = laboratory.information(code);
        let (told, made) = laboratory.anonymise(&claims, verdict);
        let Evidence::DeviceInformation(answer) = &made.contents().evidence else {
            panic!("another source");
        };
        let nonces: Vec<_> = (answer.nonces.iter())
            .map(|nonce| (nonce.nonce().len(), nonce.sent()))
            .collect();
        assert_eq!(nonces, [(32, TIME - DAY), (TUESDAY.len(), TIME - 60)]);
        assert!(checks(&told, "same").contains(&"properties"));
        // Freshness failed or passed: it is the same question.
        assert!(checks(&told, "same").contains(&"freshness"));
    }
}

#[test]
fn scenario_124_the_words_say_what_means_something_else() {
    let laboratory = Laboratory::mac();
    laboratory.acme(Attribute::Serial, SERIAL, laboratory.object(|_| {}), true);
    let output = laboratory.run(&["--trust-embedded-roots", "in.json", "out.json"]);
    assert_exit(&output, 0);
    let shown = String::from_utf8(output.stdout).unwrap();
    for line in [
        "Wrote out.json: about an invented device, under a laboratory's root of its own, and judged the same: accepted.\n",
        "\nThese mean the same, of other values:\n",
        "\n  freshness     passed       invented tokens",
        "\nThese mean something else now:\n",
        "\n  anchor        passed       the root is a laboratory's",
        "\n  csr                        a new one",
        "\nATTENTION: the original was judged under a root that it brings itself",
        "\nKept as they were: times, model, versions",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    for original in [SERIAL, UDID, TOKEN] {
        assert!(!shown.contains(original), "{shown}");
    }
}

#[test]
fn what_is_there_is_not_overwritten_and_what_is_not_true_not_anonymised() {
    let laboratory = Laboratory::mac();
    laboratory.acme(Attribute::Serial, SERIAL, laboratory.object(|_| {}), false);
    fs::write(laboratory.path("there.json"), "kept").unwrap();
    assert_eq!(
        message(&laboratory.run(&["in.json", "there.json"]), 2),
        "there.json is there already, and nothing is overwritten: name another file"
    );
    assert_eq!(fs::read(laboratory.path("there.json")).unwrap(), b"kept");
    // Nobody trusts the laboratory's root unless asked to.
    assert_eq!(
        message(&laboratory.run(&["in.json", "out.json"]), 1),
        "in.json: its replay differs from its recorded verdict, and only a true one is anonymised: \
         verdict.outcome: recorded \"accepted\", replayed \"refused\""
    );
    fs::write(laboratory.path("junk.json"), "{}").unwrap();
    let error = message(&laboratory.run(&["junk.json", "out.json"]), 2);
    assert!(error.starts_with("junk.json: not a recording: "), "{error}");
    assert!(!laboratory.path("out.json").exists());
}
