//! `docs/recording.schema.json` and the parser agree: what one refuses, the
//! other refuses too, except for the differences that `docs/recordings.md`
//! lists.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

use std::{collections::BTreeMap, fs, path::Path};

use assay_attest::{Attribute, SentNonce};
use assay_proto::WireIdentifier;
use assay_recording::{
    Acme, Admission, Answer, CertificateFacts, Claims, Contents, DeviceInformationAnswer, Evidence,
    Facts, Fault, Issuance, ProfileSettings, RecordedExtension, RecordedProblem, RecordedProfile,
    Recording, RecordingError, Rule, Time, Verdict,
};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// What Assay refuses and the schema accepts, as `docs/recordings.md` words it.
const DIFFERENCES: [&str; 7] = [
    "a repeated key",
    "a text that is too long in bytes but not in characters",
    "a date that no calendar has",
    "base64url whose unused bits are not zero",
    "nonces that are not oldest first",
    "a number with a fraction or an exponent",
    "a file of more than 256 KiB",
];

fn docs(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    fs::read_to_string(path).unwrap()
}

fn schema() -> Validator {
    let schema = serde_json::from_str(&docs("recording.schema.json")).unwrap();
    jsonschema::draft202012::options().build(&schema).unwrap()
}

fn time() -> Time {
    Time::from_seconds(1_795_004_800).unwrap()
}

fn acme(answer: Answer) -> Acme {
    let identifier = WireIdentifier {
        kind: "permanent-identifier".to_owned(),
        value: "C02XK0AAJHD2".to_owned(),
    };
    let mut admission = Admission::new(Rule::Listed, Attribute::Serial, "C02XK0AAJHD2");
    admission.rule_name = Some("fleet".to_owned());
    let mut acme = Acme::new(
        "nZ0tfg9vFLhUpmzoZr2Kf0Tn1WFHzSR3X4WbmSbYzzw",
        identifier,
        admission,
        answer,
    );
    let settings = ProfileSettings::new("CN=x", vec!["hardware-module".into()], 600, "ignore");
    acme.profile = Some(RecordedProfile::new("default", Some(settings)));
    acme.account = Some([7; 32]);
    acme.csr = Some(vec![0x30, 0]);
    acme
}

fn contents(evidence: Evidence, claims: Claims) -> Contents {
    let mut contents = Contents::new(time(), evidence, claims);
    contents.embedded_root = Some(vec![0x30, 0]);
    contents.note = Some("a note".to_owned());
    contents.labels = vec!["one".to_owned(), "two".to_owned()];
    contents
}

/// Good files, which have every key of the format between them.
fn good() -> Vec<Value> {
    let mut issued = acme(Answer::Object(vec![0xa0, 0xff]));
    let mut certificate = CertificateFacts::new("07".repeat(32), 900);
    certificate.names = vec!["uri:urn:x".to_owned()];
    certificate.key_usage = vec!["digitalSignature".to_owned()];
    certificate.extended_key_usage = vec!["clientAuth".to_owned()];
    let mut issuance = Issuance::issued(Some(certificate));
    issuance.identifiers = Some(2);
    issued.issuance = Some(issuance);
    let mut facts = Facts::new("07".repeat(32), "p256", time(), time());
    facts.serial = Some("C02XK0AAJHD2".to_owned());
    facts.unknown_extensions = vec![RecordedExtension::new("1.2.3", "AQ")];
    let mut claims = Claims::of_verdict(Verdict::accepted());
    claims.facts = Some(facts);
    claims.root_sha256 = Some("0a".repeat(32));

    let mut refused = acme(Answer::DeviceError("no".to_owned()));
    let problem = RecordedProblem::new("urn:ietf:params:acme:error:badCSR", "no");
    let mut issuance = Issuance::refused(problem.with_subproblems(vec!["urn:x".to_owned()]));
    issuance.reason = Some("csr-unreadable".to_owned());
    refused.issuance = Some(issuance);

    let nonces = vec![
        SentNonce::new(&[1], time().seconds() - 60).unwrap(),
        SentNonce::new(&[2; 32], time().seconds()).unwrap(),
    ];
    let information = DeviceInformationAnswer::new(nonces, vec![vec![0x30, 0], vec![0x30, 1]]);

    let first = |mut value: Value| {
        let keys = value.as_object_mut().unwrap();
        for key in ["profile", "issuance", "note", "labels"] {
            keys.remove(key);
        }
        if let Some(admission) = keys.get_mut("admission") {
            admission.as_object_mut().unwrap().remove("rule_name");
        }
        value["assay_recording"] = json!(1);
        value
    };
    let second: Vec<Value> = [
        contents(Evidence::Acme(Box::new(issued)), claims),
        contents(
            Evidence::Acme(Box::new(refused)),
            Claims::refused("device-could-not-attest"),
        ),
        contents(
            Evidence::DeviceInformation(information),
            Claims::refused("expired"),
        ),
    ]
    .into_iter()
    .map(|contents| {
        let file = Recording::new(contents).unwrap().to_json();
        serde_json::from_str(&file).unwrap()
    })
    .collect();
    let firsts: Vec<Value> = second.iter().cloned().map(first).collect();
    second.into_iter().chain(firsts).collect()
}

/// Values of every type, length, encoding and size.
fn hostile() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "x",
        "A",
        "AB",
        "AQ==",
        "A+/",
        "\u{0}",
        "\u{202e}",
        "é",
        "acme",
        "device-information",
        "listed",
        "udid",
        "2026-11-18T12:26:40Z",
        "2026-11-18T12:26:60Z",
        "2026-11-18t12:26:40z",
        "2026-11-18T12:26:40.5Z",
        "2026-11-18T12:26:40+00:00",
        "2026-02-30T12:26:40Z",
        "2026-13-01T12:26:40Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
        "10000-01-01T00:00:00Z",
        "+2026-11-18T12:26:40Z",
        "2026-11-18T12:26:40Z\n",
        "1970-01-01T00:00:00Z",
    ];
    let long = |text: &str, times| Value::from(text.repeat(times));
    let mut values: Vec<Value> = texts.into_iter().map(Value::from).collect();
    for length in [64, 65, 256, 257, 1024, 1025, 4096, 4097] {
        values.push(long("x", length));
        values.push(long("é", length));
    }
    values.extend([
        Value::Null,
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(3),
        json!(-1),
        json!(1.0),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(253_402_300_799_u64),
        json!(253_402_300_800_u64),
        json!([]),
        json!([[]]),
        json!([null]),
        json!(["x"]),
        json!(["x", 1]),
        json!(vec!["x"; 33]),
        json!(vec!["x"; 64]),
        json!(vec!["x"; 65]),
        json!({}),
        json!({"x": 1}),
        json!({"type": "x", "value": "y"}),
        json!({"end": "issued"}),
        json!({"name": "x"}),
        json!({"outcome": "accepted"}),
        json!([{"nonce": "AQ", "sent": "2026-11-18T12:26:40Z"}]),
    ]);
    values
}

/// The paths of everything in a file.
fn paths(value: &Value, prefix: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(keys) => keys.iter().map(|(key, one)| (key.clone(), one)).collect(),
        Value::Array(list) => (list.iter().enumerate())
            .map(|(index, one)| (index.to_string(), one))
            .collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        let path = format!("{prefix}/{key}");
        found.push(path.clone());
        paths(child, &path, found);
    }
}

fn parent<'v>(value: &'v mut Value, path: &str) -> (&'v mut Value, String) {
    let (parent, key) = path.rsplit_once('/').unwrap();
    (value.pointer_mut(parent).unwrap(), key.to_owned())
}

/// Every good file, with one hostile change each.
fn changed() -> Vec<Value> {
    let mut all = good();
    for file in good() {
        let mut places = Vec::new();
        paths(&file, "", &mut places);
        for path in &places {
            for value in hostile() {
                let mut changed = file.clone();
                *changed.pointer_mut(path).unwrap() = value;
                all.push(changed);
            }
            let mut without = file.clone();
            match parent(&mut without, path) {
                (Value::Object(keys), key) => drop(keys.remove(&key)),
                (Value::Array(list), index) => drop(list.remove(index.parse().unwrap())),
                _ => unreachable!("a parent is a container"),
            }
            all.push(without);
            let mut renamed = file.clone();
            if let (Value::Object(keys), key) = parent(&mut renamed, path) {
                let value = keys.remove(&key).unwrap();
                keys.insert(format!("{key}s"), value);
                all.push(renamed);
            }
            let mut added = file.clone();
            if let Some(Value::Object(keys)) = added.pointer_mut(path) {
                keys.insert("unknown".to_owned(), json!("x"));
                all.push(added);
            }
            let mut reversed = file.clone();
            if let Some(Value::Array(list)) = reversed.pointer_mut(path) {
                list.reverse();
                all.push(reversed);
            }
        }
        // Keys of the other source and of the other version.
        for other in good() {
            for (key, value) in other.as_object().unwrap() {
                let mut changed = file.clone();
                changed[key] = value.clone();
                all.push(changed);
            }
        }
    }
    all
}

/// Which of the listed differences explains that the parser refuses what the
/// schema accepts.
fn explained(file: &Value, error: &RecordingError) -> Option<&'static str> {
    let [_, bytes, calendar, bits, order, number, _] = DIFFERENCES;
    match error {
        RecordingError::Field { fault, .. } => match fault {
            Fault::Length(_) => (!file.to_string().is_ascii()).then_some(bytes),
            Fault::NotTime => Some(calendar),
            Fault::NotBase64Url => Some(bits),
            Fault::OutOfOrder => Some(order),
            _ => None,
        },
        RecordingError::Json(text) => text.contains("floating point").then_some(number),
        _ => None,
    }
}

#[test]
fn schema_and_parser_agree_on_hostile_values() {
    let schema = schema();
    let mut differences: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut accepted, mut refused) = (0, 0);
    for file in changed() {
        let text = file.to_string();
        let parsed = Recording::parse(text.as_bytes());
        match (schema.is_valid(&file), parsed) {
            (true, Ok(_)) => accepted += 1,
            (false, Err(_)) => refused += 1,
            (true, Err(error)) => {
                let why = explained(&file, &error);
                let why = why.unwrap_or_else(|| panic!("only Assay refuses, {error}: {text}"));
                *differences.entry(why).or_default() += 1;
            }
            (false, Ok(_)) => {
                let error = schema.validate(&file).unwrap_err();
                panic!("only the schema refuses, {error}: {text}");
            }
        }
    }
    assert!(accepted >= 200, "{accepted}");
    assert!(refused >= 5000, "{refused}");
    // Each difference that one value can show was seen.
    let [_, bytes, calendar, bits, order, number, _] = DIFFERENCES;
    let seen: Vec<_> = differences.keys().copied().collect();
    let mut expected = vec![bytes, calendar, bits, order, number];
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

/// What a value cannot show, since it is about the text of the file.
#[test]
fn schema_and_parser_differ_in_repeated_keys_and_in_the_size_of_the_file() {
    let schema = schema();
    let good = good().remove(0);
    let text = good.to_string();
    let parses = |text: &str| Recording::parse(text.as_bytes());
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let mut twice = 0;
    for key in good.as_object().unwrap().keys() {
        let entry = Map::from_iter([(key.clone(), good[key].clone())]);
        let entry = Value::Object(entry).to_string();
        let repeated = format!("{{{},{}", &entry[1..entry.len() - 1], &text[1..]);
        assert!(schema.is_valid(&read(&repeated)), "{key}");
        assert!(
            matches!(parses(&repeated), Err(RecordingError::Json(why)) if why.contains("duplicate")),
            "{key}"
        );
        twice += 1;
    }
    assert!(twice >= 15, "{twice}");
    let large = text + &" ".repeat(256 * 1024);
    assert!(schema.is_valid(&read(&large)));
    assert!(matches!(parses(&large), Err(RecordingError::TooLarge(_))));
}

#[test]
fn the_documentation_lists_what_only_the_parser_refuses() {
    let page = docs("recordings.md");
    for difference in DIFFERENCES {
        let item = format!("* {difference}");
        assert!(page.lines().any(|line| line.starts_with(&item)), "{item}");
    }
}

/// Tools that know the schema by its name must find it under the same one.
#[test]
fn the_schema_has_an_identifier_and_accepts_the_committed_recordings() {
    let text: Value = serde_json::from_str(&docs("recording.schema.json")).unwrap();
    assert_eq!(text["$id"], "urn:assay:schema:recording");
    let schema = schema();
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let mut versions = BTreeMap::new();
    for folder in ["recordings", "recordings-format-1"] {
        for entry in fs::read_dir(home.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert!(schema.is_valid(&file), "{}", path.display());
            let version = file["assay_recording"].as_u64().unwrap();
            *versions.entry((folder, version)).or_insert(0) += 1;
        }
    }
    assert_eq!(
        versions.keys().copied().collect::<Vec<_>>(),
        [("recordings", 2), ("recordings-format-1", 1)]
    );
    assert!(versions.values().all(|count| *count >= 6), "{versions:?}");
}
