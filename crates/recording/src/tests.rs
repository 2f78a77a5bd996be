mod differences;
mod enrolment;
mod fields;
mod values;
mod versions;

use assay_attest::{Attribute, Freshness, SentNonce};
use assay_proto::WireIdentifier;
use serde_json::{Value, json};

use super::*;

const OTHER_SHAPE: &str = "somewhere a value is null, or an array where an object is required";

/// 2026-11-18T12:26:40Z
const TIME: u64 = 1_795_004_800;

fn acme() -> Contents {
    Contents {
        time: Time::from_seconds(TIME).unwrap(),
        evidence: Evidence::Acme(Box::new(Acme {
            token: "nZ0tfg9vFLhUpmzoZr2Kf0Tn1WFHzSR3X4WbmSbYzzw".to_owned(),
            account: Some([7; 32]),
            identifier: WireIdentifier {
                kind: "hardware-module".to_owned(),
                value: "C02XK0AAJHD2/1.2.840.113635.100.8.9.1".to_owned(),
            },
            admission: Admission {
                rule: Rule::Listed,
                rule_name: Some("fleet".to_owned()),
                attribute: Attribute::Serial,
                value: "C02XK0AAJHD2".to_owned(),
            },
            profile: Some(profile()),
            answer: Answer::Object(vec![0xa0, 0xff]),
            csr: Some(vec![0x30, 0x00]),
            issuance: Some(Issuance::issued(Some(certificate()))),
        })),
        claims: Claims {
            verdict: Verdict::accepted(),
            facts: Some(Facts {
                serial: Some("C02XK0AAJHD2".to_owned()),
                udid: Some("00008112-000A1B2C3D4E5F60".to_owned()),
                model: Some("J413AP".to_owned()),
                os_version: Some("15.5".to_owned()),
                sepos_version: Some("15.5".to_owned()),
                llb_version: Some("11881.1.1".to_owned()),
                sip: Some("enabled".to_owned()),
                secure_boot: Some("Full Security".to_owned()),
                kernel_extensions: Some("not allowed".to_owned()),
                unknown_extensions: vec![RecordedExtension {
                    oid: "1.2.840.113635.100.8.9.3".to_owned(),
                    value: "AQ".to_owned(),
                }],
                spki_sha256: "07".repeat(32),
                key: "p256".to_owned(),
                not_before: "2026-11-18T12:00:00Z".to_owned(),
                not_after: "2027-02-18T12:00:00Z".to_owned(),
            }),
            root_sha256: Some("0a".repeat(32)),
        },
        embedded_root: Some(vec![0x30, 0x00]),
        note: Some("the first one".to_owned()),
        labels: vec!["macOS 15".to_owned()],
    }
}

fn profile() -> RecordedProfile {
    let san = vec!["hardware-module".to_owned()];
    let settings = ProfileSettings::new("CN={spki-sha256}", san, 7_776_000, "ignore");
    RecordedProfile::new("default", Some(settings))
}

fn certificate() -> CertificateFacts {
    CertificateFacts {
        subject: format!("CN={}", "07".repeat(32)),
        names: vec!["hardware-module:C02XK0AAJHD2/1.2.840.113635.100.8.9.1".to_owned()],
        spki_sha256: "07".repeat(32),
        key_usage: vec!["digitalSignature".to_owned()],
        extended_key_usage: vec!["clientAuth".to_owned()],
        lifetime: 7_776_300,
    }
}

fn device_information() -> Contents {
    let nonce = |bytes: &[u8], sent| SentNonce::new(bytes, sent).unwrap();
    Contents {
        evidence: Evidence::DeviceInformation(DeviceInformationAnswer {
            nonces: vec![nonce(&[1], TIME - 60), nonce(&[2; 32], TIME)],
            certificates: vec![vec![0x30, 0x00], vec![0x30, 0x01]],
        }),
        claims: Claims::refused("expired"),
        embedded_root: None,
        ..acme()
    }
}

fn file(contents: Contents) -> String {
    Recording::new(contents).unwrap().to_json()
}

fn parse(file: &str) -> Result<Recording, RecordingError> {
    Recording::parse(file.as_bytes())
}

/// What becomes of a good file of this source after a change.
fn changed(
    contents: Contents,
    change: impl FnOnce(&mut Value),
) -> Result<Recording, RecordingError> {
    let mut value = serde_json::from_str(&file(contents)).unwrap();
    change(&mut value);
    parse(&value.to_string())
}

fn field(field: &str, fault: Fault) -> Result<Recording, RecordingError> {
    Err(RecordingError::field(field, fault))
}

#[test]
fn a_file_is_pretty_and_its_keys_have_their_order() {
    let mut contents = acme();
    contents.claims.facts = None;
    contents.claims.verdict = Verdict::refused("expired");
    let problem = RecordedProblem::new("urn:ietf:params:acme:error:badCSR", "no")
        .with_subproblems(vec!["urn:x".to_owned()]);
    if let Evidence::Acme(acme) = &mut contents.evidence {
        let refused = Issuance::refused(problem);
        acme.issuance = Some(Issuance {
            reason: Some("csr-unreadable".to_owned()),
            ..refused
        });
    }
    assert_eq!(
        file(contents),
        r#"{
  "assay_recording": 2,
  "source": "acme",
  "time": "2026-11-18T12:26:40Z",
  "token": "nZ0tfg9vFLhUpmzoZr2Kf0Tn1WFHzSR3X4WbmSbYzzw",
  "account": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc",
  "identifier": {
    "type": "hardware-module",
    "value": "C02XK0AAJHD2/1.2.840.113635.100.8.9.1"
  },
  "admission": {
    "rule": "listed",
    "rule_name": "fleet",
    "attribute": "serial",
    "value": "C02XK0AAJHD2"
  },
  "profile": {
    "name": "default",
    "settings": {
      "subject": "CN={spki-sha256}",
      "san": [
        "hardware-module"
      ],
      "lifetime": 7776000,
      "csr_names": "ignore"
    }
  },
  "attestation_object": "oP8",
  "csr": "MAA",
  "verdict": {
    "outcome": "refused",
    "reason": "expired"
  },
  "root_sha256": "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
  "issuance": {
    "end": "refused",
    "reason": "csr-unreadable",
    "problem": {
      "type": "urn:ietf:params:acme:error:badCSR",
      "detail": "no",
      "subproblems": [
        "urn:x"
      ]
    }
  },
  "embedded_root": "MAA",
  "note": "the first one",
  "labels": [
    "macOS 15"
  ]
}
"#
    );
}

#[test]
fn what_is_written_is_read_and_written_again_the_same() {
    let mut error = acme();
    if let Evidence::Acme(acme) = &mut error.evidence {
        acme.answer = Answer::DeviceError("no\u{fffd}way \"\u{202e}".to_owned());
        acme.csr = None;
        acme.admission.rule = Rule::AnyAttested;
        acme.admission.attribute = Attribute::Udid;
    }
    error.claims = Claims::refused("device-could-not-attest");
    let mut empty = acme();
    if let Evidence::Acme(acme) = &mut empty.evidence {
        acme.answer = Answer::Object(Vec::new());
    }
    let mut cached = device_information();
    cached.claims = Claims {
        verdict: Verdict::accepted_as(Freshness::Cached),
        ..acme().claims
    };
    for contents in [acme(), device_information(), error, empty, cached] {
        let recording = Recording::new(contents.clone()).unwrap();
        let text = recording.to_json();
        let again = parse(&text).unwrap();
        assert_eq!(again, recording);
        assert_eq!(again.to_json(), text);
        assert_eq!(again.into_contents(), contents);
    }
}

#[test]
fn a_file_of_another_shape_is_no_recording() {
    let json = |text: &str| Err(RecordingError::Json(text.to_owned()));
    for (file, expected) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[]", "not a JSON object"),
        ("{}", "missing field `assay_recording` at line 1 column 2"),
        ("{} x", "trailing characters at line 1 column 4"),
        (
            "{\"a\":\"\u{0}\"}",
            "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 7",
        ),
    ] {
        assert_eq!(parse(file), json(expected), "{file}");
    }
    let good = file(acme());
    let twice = good.replacen('{', "{\n  \"token\": \"x\",", 1);
    assert_eq!(
        parse(&twice),
        json("duplicate field `token` at line 6 column 9")
    );
    let escaped = good.replacen('{', "{\n  \"t\\u006fken\": \"x\",", 1);
    assert_eq!(
        parse(&escaped),
        json("duplicate field `token` at line 6 column 9")
    );
    let inner = good.replace(
        "\"rule\": \"listed\",",
        "\"rule\": \"listed\", \"rule\": \"listed\",",
    );
    assert_eq!(
        parse(&inner),
        json("duplicate field `rule` at line 12 column 28")
    );
    let unknown = good.replacen('{', "{\n  \"tokens\": \"x\",", 1);
    assert!(
        matches!(parse(&unknown), Err(RecordingError::Json(text)) if text.starts_with("unknown field `tokens`, expected one of `assay_recording`, `source`"))
    );
    let number = good.replace("\"2026-11-18T12:26:40Z\"", "7");
    assert_eq!(
        parse(&number),
        json("invalid type: integer `7`, expected a string at line 4 column 11")
    );
    let null = good.replace("\"MAA\",\n  \"verdict\"", "null,\n  \"verdict\"");
    assert_ne!(null, good);
    assert_eq!(parse(&null), json(OTHER_SHAPE));
    let list = changed(acme(), |file| {
        file["identifier"] = json!(["permanent-identifier", "C02XK0AAJHD2"]);
    });
    assert_eq!(list, json(OTHER_SHAPE));
    let deep = good.replacen('{', &format!("{{\"x\":{}", "[".repeat(200)), 1);
    assert!(
        matches!(parse(&deep), Err(RecordingError::Json(text)) if text.starts_with("recursion limit exceeded"))
    );
    let mut bytes = good.into_bytes();
    bytes[20] = 0xff;
    assert!(matches!(
        Recording::parse(&bytes),
        Err(RecordingError::Json(_))
    ));
}

#[test]
fn another_version_is_told_before_its_keys() {
    let later = changed(acme(), |value| {
        value["assay_recording"] = json!(3);
        value["novelty"] = json!(true);
    });
    assert_eq!(later, Err(RecordingError::Version(3)));
    assert_eq!(
        RecordingError::Version(3).to_string(),
        "\"assay_recording\": version 3 is not known here, only 1 to 2 are: use a newer Assay"
    );
    let none = changed(acme(), |value| value["assay_recording"] = json!(0));
    assert_eq!(none, Err(RecordingError::Version(0)));
}

#[test]
fn a_file_has_at_most_256_kib() {
    let mut good = file(acme());
    good.push_str(&" ".repeat(MAX_RECORDING_BYTES - good.len()));
    assert!(parse(&good).is_ok());
    good.push(' ');
    assert_eq!(
        parse(&good),
        Err(RecordingError::TooLarge(MAX_RECORDING_BYTES + 1))
    );
}

#[test]
fn what_could_not_be_read_again_is_no_recording() {
    let mut many = device_information();
    if let Evidence::DeviceInformation(answer) = &mut many.evidence {
        answer.nonces = vec![SentNonce::new(&[1], TIME).unwrap(); 4000];
    }
    let refused = Recording::new(many.clone()).unwrap_err();
    let RecordingError::TooLarge(bytes) = refused else {
        panic!("{refused}");
    };
    // The same without white space is small enough, but would not be written so.
    let value = serde_json::to_value(Wire::of(VERSION, &many)).unwrap();
    assert!(value.to_string().len() < MAX_RECORDING_BYTES && bytes > MAX_RECORDING_BYTES);
    assert_eq!(parse(&value.to_string()), Err(refused));
}

#[test]
fn the_schema_knows_the_keys_of_the_format() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/recording.schema.json")).unwrap();
    let mut expected: Vec<String> = Vec::new();
    for contents in [acme(), device_information()] {
        let value: Value = serde_json::from_str(&file(contents)).unwrap();
        expected.extend(value.as_object().unwrap().keys().cloned());
    }
    expected.push("device_error".to_owned());
    expected.sort();
    expected.dedup();
    let keys = |value: &Value| -> Vec<String> {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&schema["properties"]), expected);
    let example: Value = serde_json::from_str(&file(acme())).unwrap();
    let facts = &schema["properties"]["facts"];
    assert_eq!(keys(&facts["properties"]), keys(&example["facts"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(facts["additionalProperties"], json!(false));
}
