//! What the versions of the format have in common, and what they do not.

use super::*;

/// A file of version 1, as the server of that time wrote it.
fn first() -> Value {
    let mut value: Value = serde_json::from_str(&file(acme())).unwrap();
    let keys = value.as_object_mut().unwrap();
    for key in ["profile", "issuance", "note", "labels"] {
        keys.remove(key);
    }
    value["admission"]
        .as_object_mut()
        .unwrap()
        .remove("rule_name");
    value["assay_recording"] = json!(1);
    value
}

#[test]
fn version_1_is_read_and_written_as_version_1() {
    let recording = parse(&first().to_string()).unwrap();
    assert_eq!(recording.version(), 1);
    let again: Value = serde_json::from_str(&recording.to_json()).unwrap();
    assert_eq!(again, first());
    // What is made of it is of version 2, and says the same.
    let newer = Recording::new(recording.contents().clone()).unwrap();
    assert_eq!(newer.version(), 2);
    assert_eq!(newer.contents(), recording.contents());
    assert!(newer.to_json().contains("\"assay_recording\": 2,"));
}

#[test]
fn version_1_has_none_of_the_keys_of_version_2() {
    let newer: Value = serde_json::from_str(&file(acme())).unwrap();
    for key in ["profile", "issuance", "note", "labels"] {
        let mut value = first();
        value[key] = newer[key].clone();
        assert_eq!(
            parse(&value.to_string()),
            Err(RecordingError::Newer {
                field: key,
                version: 1
            })
        );
    }
    let mut value = first();
    value["admission"] = newer["admission"].clone();
    let refused = parse(&value.to_string()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "\"admission.rule_name\" does not belong in a recording of version 1: set \"assay_recording\" to 2"
    );
}

#[test]
fn the_account_is_optional_in_version_2_alone() {
    let mut value = first();
    value.as_object_mut().unwrap().remove("account");
    let missing = RecordingError::Missing {
        field: "account",
        source_name: "acme",
    };
    assert_eq!(parse(&value.to_string()), Err(missing));
    value["assay_recording"] = json!(2);
    let recording = parse(&value.to_string()).unwrap();
    assert!(!recording.to_json().contains("account"));
}

#[test]
fn notes_and_labels_decide_nothing() {
    let recording = Recording::new(acme()).unwrap();
    let mut contents = acme();
    contents.note = None;
    contents.labels = vec!["accepted".to_owned(), "refused".to_owned()];
    let other = Recording::new(contents).unwrap();
    let (one, two) = (recording.contents(), other.contents());
    assert_eq!(one.claims, two.claims);
    assert_eq!(recording.differences(&two.claims), []);
}

#[test]
fn constructors_leave_out_what_is_optional() {
    let identifier = WireIdentifier {
        kind: "permanent-identifier".to_owned(),
        value: "C02XK0AAJHD2".to_owned(),
    };
    let admission = Admission::new(Rule::Listed, Attribute::Serial, "C02XK0AAJHD2");
    let acme = Acme::new("token", identifier, admission, Answer::Object(Vec::new()));
    let contents = Contents::new(
        Time::from_seconds(TIME).unwrap(),
        Evidence::Acme(Box::new(acme)),
        Claims::of_verdict(Verdict::refused("object-empty")),
    );
    let recording = Recording::new(contents).unwrap();
    assert_eq!(parse(&recording.to_json()), Ok(recording));
}
