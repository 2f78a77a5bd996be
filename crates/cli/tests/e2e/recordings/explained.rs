//! `assay replay` says why a judgement is different.

use std::{fs, process::Output};

use serde_json::{Value, json};

use super::{
    SERIAL,
    replay::{Folder, MADE, text},
};
use crate::support::{assay, assert_exit};

/// The accepted recording, judged for another token.
pub(super) fn of_another_token() -> String {
    let mut recording: Value = serde_json::from_str(&MADE.accepted).unwrap();
    recording["token"] = json!("another-token");
    recording.to_string()
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn scenario_122_a_difference_is_explained_by_its_check_and_its_finding() {
    let folder = Folder::new();
    folder.write("accepted.json", &of_another_token());
    let output = folder.replay(&[]);
    assert_exit(&output, 1);
    let shown = text(&output);
    for line in [
        "accepted.json: different: recorded accepted, replayed refused: freshness-mismatch",
        r#"accepted.json: verdict.outcome: recorded "accepted", replayed "refused""#,
        "  check   freshness failed; it demands: the leaf has the freshness code that was asked for",
        "  finding freshness-mismatch: certificate 0",
        &format!("  facts   recorded, not verified now: serial {SERIAL}, udid "),
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    for fact in [", model ", ", os_version ", ", key p256", ", spki_sha256 "] {
        assert!(shown.contains(fact), "{fact}: {shown}");
    }
    // What is the same is one line of the table.
    assert_eq!(shown.matches("refused.json").count(), 1, "{shown}");

    let output = folder.replay(&["--json"]);
    let told = told(&output);
    let one = &told["results"][0];
    assert_eq!(
        one["failed_check"],
        json!({"check": "freshness", "meaning": "the leaf has the freshness code that was asked for"})
    );
    assert_eq!(one["finding"]["reason"], "freshness-mismatch");
    let detail = one["finding"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("certificate 0"), "{detail}");
    assert_eq!(one["finding"].get("advice"), None);
    assert_eq!(one["facts"], Value::Null);
    assert_eq!(one["recorded_facts"]["serial"], SERIAL);
    let time = one["milliseconds"].as_f64().unwrap();
    assert!(time > 0.0 && time < 60_000.0, "{time}");
}

#[test]
fn a_refusal_that_is_the_same_has_its_finding_in_json_and_with_verbose() {
    let folder = Folder::new();
    let told = told(&folder.replay(&["--json"]));
    let [accepted, refused] = told["results"].as_array().unwrap().as_slice() else {
        panic!("{told}");
    };
    assert_eq!(accepted["failed_check"], Value::Null);
    assert_eq!(accepted["finding"], Value::Null);
    assert_eq!(accepted["facts"]["serial"], SERIAL);
    assert_eq!(accepted["facts"]["unknown_extensions"], json!([]));
    assert_eq!(accepted.get("recorded_facts"), None);
    assert_eq!(refused["failed_check"]["check"], "identity");
    let detail =
        format!("the attested serial number is \"C02STRANGER1\", the admitted one is \"{SERIAL}\"");
    assert_eq!(refused["finding"]["detail"], json!(detail));
    assert_eq!(refused["facts"]["serial"], "C02STRANGER1");

    for flag in ["-v", "--verbose"] {
        let shown = text(&folder.replay(&[flag]));
        for line in [
            "accepted.json: same: accepted\n  check   all passed\n  facts   serial C02RECORD001, ",
            "refused.json: same: refused: identifier-mismatch\n  check   identity failed; it demands: the evidence is of the device that was admitted\n",
            &format!("  finding identifier-mismatch: {detail}\n  facts   serial C02STRANGER1, "),
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
    }
}

#[test]
fn an_error_of_the_device_is_a_finding() {
    let file = "../../testdata/recordings/acme-device-error.json";
    let output = assay().args(["replay", "--json", file]).output().unwrap();
    assert_exit(&output, 0);
    let one = &told(&output)["results"][0];
    assert_eq!(one["failed_check"]["check"], "device-error");
    assert_eq!(
        one["finding"],
        json!({
            "reason": "device-could-not-attest",
            "detail": "instead of evidence the device sent the error \"The device is not managed.\"",
        })
    );
}

/// Every recorded refusal of testdata has a check and a finding with its own
/// reason.
#[test]
fn each_refusal_has_a_check_and_the_finding_of_its_reason() {
    const FOLDER: &str = "../../testdata/recordings";
    let root = format!("{FOLDER}/laboratory-root.pem");
    let output = assay()
        .args(["replay", "--json", "--root", &root, FOLDER])
        .output()
        .unwrap();
    assert_exit(&output, 0);
    let told = told(&output);
    let mut refusals = 0;
    for one in told["results"].as_array().unwrap() {
        let reason = &one["replayed"]["reason"];
        assert_eq!(&one["finding"]["reason"], reason, "{one}");
        assert_eq!(one["failed_check"].is_null(), reason.is_null(), "{one}");
        if !reason.is_null() {
            refusals += 1;
            assert!(!one["finding"]["detail"].as_str().unwrap().is_empty());
        }
    }
    assert!(refusals > 50, "{refusals}");
}

#[test]
fn texts_of_evidence_and_recordings_begin_no_line() {
    let folder = Folder::new();
    let evil = "C02\nassay: all is well\u{1b}[2J\u{202e}";
    let mut recording: Value = serde_json::from_str(&MADE.accepted).unwrap();
    recording["admission"]["value"] = json!(evil);
    recording["facts"]["model"] = json!(evil);
    folder.write("accepted.json", &recording.to_string());
    let report = folder.path().join("report.xml");
    let output = folder.replay(&["-v", "--junit", report.to_str().unwrap()]);
    assert_exit(&output, 1);
    for shown in [text(&output), fs::read_to_string(report).unwrap()] {
        assert!(shown.contains("all is well"), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
        assert!(
            !shown.lines().any(|line| line.starts_with("assay:")),
            "{shown}"
        );
    }
}
