use serde_json::{Value, json};

use super::*;
use crate::{Attribute, SentNonce};

const OTHER_SHAPE: &str = "null, or a list in the place of an object, stands somewhere";

/// 2026-11-18T12:26:40Z
const TIME: u64 = 1_795_004_800;

fn acme() -> Contents {
    Contents {
        time: Time::from_seconds(TIME).unwrap(),
        evidence: Evidence::Acme(Box::new(Acme {
            token: "nZ0tfg9vFLhUpmzoZr2Kf0Tn1WFHzSR3X4WbmSbYzzw".to_owned(),
            account: [7; 32],
            identifier: Identifier {
                kind: "hardware-module".to_owned(),
                value: "C02XK0AAJHD2/1.2.840.113635.100.8.9.1".to_owned(),
            },
            admission: Admission {
                rule: Rule::Listed,
                attribute: Attribute::Serial,
                value: "C02XK0AAJHD2".to_owned(),
            },
            answer: Answer::Object(vec![0xa0, 0xff]),
            csr: Some(vec![0x30, 0x00]),
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
    assert_eq!(
        file(contents),
        r#"{
  "assay_recording": 1,
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
    "attribute": "serial",
    "value": "C02XK0AAJHD2"
  },
  "attestation_object": "oP8",
  "csr": "MAA",
  "verdict": {
    "outcome": "refused",
    "reason": "expired"
  },
  "root_sha256": "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
  "embedded_root": "MAA"
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
        verdict: Verdict::accepted_as(crate::Freshness::Cached),
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
        value["assay_recording"] = json!(2);
        value["novelty"] = json!(true);
    });
    assert_eq!(later, Err(RecordingError::Version(2)));
    assert_eq!(
        RecordingError::Version(2).to_string(),
        "\"assay_recording\": version 2 is not known here, only 1 is"
    );
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
fn every_value_is_checked() {
    let long = "x".repeat(257);
    let known = |words| Fault::Word(words);
    for (path, value, fault) in [
        (
            "source",
            json!("mdm"),
            known("\"acme\" or \"device-information\""),
        ),
        ("time", json!("2026-11-18 12:26:40Z"), Fault::NotTime),
        ("time", json!("2026-11-18T12:26:40+00:00"), Fault::NotTime),
        ("time", json!("2026-11-18T12:26:40.5Z"), Fault::NotTime),
        ("time", json!("2026-02-30T12:26:40Z"), Fault::NotTime),
        ("token", json!(""), Fault::Length("1 to 256")),
        ("token", json!("a=b"), Fault::NotBase64Url),
        ("token", json!(long), Fault::Length("1 to 256")),
        ("account", json!("BwcH"), Fault::Length("32")),
        (
            "account",
            json!("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwd"),
            Fault::NotBase64Url,
        ),
        ("identifier.type", json!(""), Fault::Length("1 to 64")),
        ("identifier.value", json!(""), Fault::Length("1 to 256")),
        ("identifier.value", json!(long), Fault::Length("1 to 256")),
        (
            "admission.rule",
            json!("all"),
            known("\"listed\" or \"any-attested\""),
        ),
        (
            "admission.attribute",
            json!("imei"),
            known("\"serial\" or \"udid\""),
        ),
        ("admission.value", json!(long), Fault::Length("1 to 256")),
        ("attestation_object", json!("oA=="), Fault::NotBase64Url),
        ("attestation_object", json!("oB"), Fault::NotBase64Url),
        ("attestation_object", json!("o+A"), Fault::NotBase64Url),
        ("csr", json!("?"), Fault::NotBase64Url),
        ("embedded_root", json!("?"), Fault::NotBase64Url),
    ] {
        let shown = value.to_string();
        let result = changed(acme(), |file| {
            let place = path.split('.').fold(file, |value, key| &mut value[key]);
            *place = value;
        });
        assert_eq!(result, field(path, fault), "{path}: {shown}");
    }
    let long_error = changed(acme(), |file| {
        file.as_object_mut().unwrap().remove("attestation_object");
        file["device_error"] = json!("x".repeat(1025));
    });
    assert_eq!(
        long_error,
        field("device_error", Fault::Length("at most 1024"))
    );
}

#[test]
fn every_value_of_device_information_is_checked() {
    let sent = json!("2026-11-18T12:26:40Z");
    let nonce = |nonce: &str| json!({"nonce": nonce, "sent": sent});
    let thirty_three = data_encoding::BASE64URL_NOPAD.encode(&[1; 33]);
    for (key, value, path, fault) in [
        ("nonces", json!([]), "nonces", Fault::NoNonce),
        (
            "nonces",
            json!([nonce("")]),
            "nonces[0].nonce",
            Fault::Length("1 to 32"),
        ),
        (
            "nonces",
            json!([nonce("AQ"), nonce(&thirty_three)]),
            "nonces[1].nonce",
            Fault::Length("1 to 32"),
        ),
        (
            "nonces",
            json!([nonce("AQ=")]),
            "nonces[0].nonce",
            Fault::NotBase64Url,
        ),
        (
            "nonces",
            json!([{"nonce": "AQ", "sent": "now"}]),
            "nonces[0].sent",
            Fault::NotTime,
        ),
        (
            "nonces",
            json!([nonce("AQ"), {"nonce": "Ag", "sent": "2026-11-18T12:26:39Z"}]),
            "nonces[1].sent",
            Fault::OutOfOrder,
        ),
        (
            "certificates",
            json!(["MAA", "M A"]),
            "certificates[1]",
            Fault::NotBase64Url,
        ),
    ] {
        let shown = value.to_string();
        let result = changed(device_information(), |file| file[key] = value);
        assert_eq!(result, field(path, fault), "{shown}");
    }
}

#[test]
fn each_source_has_its_own_keys() {
    for key in ["token", "account", "identifier", "admission"] {
        let missing = changed(acme(), |file| {
            file.as_object_mut().unwrap().remove(key);
        });
        let expected = RecordingError::Missing {
            field: key,
            source_name: "acme",
        };
        assert_eq!(missing, Err(expected));
        let misplaced = changed(device_information(), |file| {
            let value: Value = serde_json::from_str(&self::file(acme())).unwrap();
            file[key] = value[key].clone();
        });
        let expected = RecordingError::Misplaced {
            field: key,
            source_name: "device-information",
        };
        assert_eq!(misplaced, Err(expected));
    }
    for key in ["nonces", "certificates"] {
        let missing = changed(device_information(), |file| {
            file.as_object_mut().unwrap().remove(key);
        });
        let expected = RecordingError::Missing {
            field: key,
            source_name: "device-information",
        };
        assert_eq!(missing, Err(expected));
        let misplaced = changed(acme(), |file| file[key] = json!([]));
        let expected = RecordingError::Misplaced {
            field: key,
            source_name: "acme",
        };
        assert_eq!(misplaced, Err(expected));
    }
    for key in ["attestation_object", "device_error", "csr"] {
        let misplaced = changed(device_information(), |file| file[key] = json!("AQ"));
        let expected = RecordingError::Misplaced {
            field: key,
            source_name: "device-information",
        };
        assert_eq!(misplaced, Err(expected));
    }
}

#[test]
fn scenario_49_a_device_sends_evidence_or_an_error_never_both() {
    let both = changed(acme(), |file| file["device_error"] = json!("no"));
    assert_eq!(both, Err(RecordingError::OneAnswer));
    let neither = changed(acme(), |file| {
        file.as_object_mut().unwrap().remove("attestation_object");
    });
    assert_eq!(neither, Err(RecordingError::OneAnswer));
}

#[test]
fn what_cannot_be_read_back_cannot_be_made() {
    let mut contents = device_information();
    if let Evidence::DeviceInformation(answer) = &mut contents.evidence {
        answer.nonces = vec![SentNonce::new(&[1], u64::MAX).unwrap()];
    }
    assert_eq!(
        Recording::new(contents),
        field("nonces[0].sent", Fault::NotTime)
    );
    assert_eq!(Time::from_seconds(253_402_300_800), None);
    let mut contents = acme();
    if let Evidence::Acme(acme) = &mut contents.evidence {
        acme.token.clear();
    }
    assert_eq!(
        Recording::new(contents),
        field("token", Fault::Length("1 to 256"))
    );
}

#[test]
fn one_letter_of_a_claim_is_a_difference() {
    let recording = Recording::new(acme()).unwrap();
    assert_eq!(recording.differences(&acme().claims), []);
    let facts = |change: fn(&mut Facts)| {
        let mut claims = acme().claims;
        change(claims.facts.as_mut().unwrap());
        claims
    };
    for (claims, field, recorded, replayed) in [
        (
            facts(|facts| facts.serial = None),
            "facts.serial",
            Some("C02XK0AAJHD2"),
            None,
        ),
        (
            facts(|facts| facts.udid = None),
            "facts.udid",
            Some("00008112-000A1B2C3D4E5F60"),
            None,
        ),
        (
            facts(|facts| facts.model = Some("J414AP".into())),
            "facts.model",
            Some("J413AP"),
            Some("J414AP"),
        ),
        (
            facts(|facts| facts.os_version = None),
            "facts.os_version",
            Some("15.5"),
            None,
        ),
        (
            facts(|facts| facts.sepos_version = None),
            "facts.sepos_version",
            Some("15.5"),
            None,
        ),
        (
            facts(|facts| facts.llb_version = None),
            "facts.llb_version",
            Some("11881.1.1"),
            None,
        ),
        (
            facts(|facts| facts.sip = Some("disabled".into())),
            "facts.sip",
            Some("enabled"),
            Some("disabled"),
        ),
        (
            facts(|facts| facts.secure_boot = None),
            "facts.secure_boot",
            Some("Full Security"),
            None,
        ),
        (
            facts(|facts| facts.kernel_extensions = None),
            "facts.kernel_extensions",
            Some("not allowed"),
            None,
        ),
        (
            facts(|facts| facts.unknown_extensions[0].value = "AA".into()),
            "facts.unknown_extensions",
            Some("1.2.840.113635.100.8.9.3=AQ"),
            Some("1.2.840.113635.100.8.9.3=AA"),
        ),
        (
            facts(|facts| facts.spki_sha256 = "00".into()),
            "facts.spki_sha256",
            Some(&*"07".repeat(32)),
            Some("00"),
        ),
        (
            facts(|facts| facts.key = "p384".into()),
            "facts.key",
            Some("p256"),
            Some("p384"),
        ),
        (
            facts(|facts| facts.not_before.clear()),
            "facts.not_before",
            Some("2026-11-18T12:00:00Z"),
            Some(""),
        ),
        (
            facts(|facts| facts.not_after.clear()),
            "facts.not_after",
            Some("2027-02-18T12:00:00Z"),
            Some(""),
        ),
        (
            Claims {
                root_sha256: None,
                ..acme().claims
            },
            "root_sha256",
            Some(&*"0a".repeat(32)),
            None,
        ),
        (
            Claims {
                facts: None,
                ..acme().claims
            },
            "facts",
            Some("some"),
            None,
        ),
        (
            Claims {
                verdict: Verdict::accepted_as(crate::Freshness::Fresh),
                ..acme().claims
            },
            "verdict.freshness",
            None,
            Some("fresh"),
        ),
    ] {
        let text = |text: Option<&str>| text.map(str::to_owned);
        assert_eq!(
            recording.differences(&claims),
            [Difference {
                field,
                recorded: text(recorded),
                replayed: text(replayed)
            }]
        );
    }
    let refused = Claims {
        verdict: Verdict::refused("expired"),
        ..acme().claims
    };
    let shown: Vec<_> = (recording.differences(&refused).iter())
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        shown,
        [
            r#"verdict.outcome: recorded "accepted", replayed "refused""#,
            r#"verdict.reason: recorded nothing, replayed "expired""#,
        ]
    );
}

#[test]
fn a_strangers_text_cannot_disturb_a_terminal() {
    let difference = Difference {
        field: "facts.model",
        recorded: Some("\u{1b}[2J\u{202e}".to_owned()),
        replayed: None,
    };
    assert_eq!(
        difference.to_string(),
        r#"facts.model: recorded "\u{1b}[2J\u{202e}", replayed nothing"#
    );
}

#[test]
fn the_schema_knows_the_keys_of_the_format() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../../docs/recording.schema.json")).unwrap();
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
