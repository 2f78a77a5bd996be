//! `assay replay` on recordings that a server made.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    sync::LazyLock,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SERIAL, SETUP, file, refused};
use crate::support::{Server, assay, assert_exit, mac, message, now};

/// What a server recorded: one that was accepted, one that was refused.
pub(super) struct Made {
    pub(super) accepted: String,
    pub(super) refused: String,
    pub(super) root: String,
}

/// Recorded once for all tests.
pub(super) static MADE: LazyLock<Made> = LazyLock::new(|| {
    let record = async {
        let mut server = Server::start(SETUP);
        let mut client = server.client().await;
        let accepted = client.ready(&server, &mac(SERIAL), SERIAL).await;
        let refused = refused(&server, &mut client).await;
        assert!(server.terminate().success());
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        Made {
            accepted: read(file(&server, &accepted)),
            refused: read(file(&server, &refused)),
            root: server.authority.root_pem().to_owned(),
        }
    };
    // The tests have runtimes of their own.
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(record)
    })
    .join()
    .unwrap()
});

/// A folder with recordings and the laboratory's root.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("accepted.json", &MADE.accepted);
        folder.write("refused.json", &MADE.refused);
        folder.write("root.pem", &MADE.root);
        folder
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// Replays the folder under the laboratory's root.
    pub(super) fn replay(&self, args: &[&str]) -> Output {
        let root = self.path().join("root.pem");
        let mut command = assay();
        command.arg("replay").arg("--root").arg(root).args(args);
        command.arg(self.path()).output().unwrap()
    }
}

pub(super) fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn scenarios_12_and_122_a_recording_gives_the_same_verdict_again() {
    let folder = Folder::new();
    let output = folder.replay(&[]);
    assert_exit(&output, 0);
    let shown = text(&output);
    let lines: Vec<Vec<&str>> = (shown.lines())
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        ["FILE", "SOURCE", "RECORDED", "REPLAYED", "RESULT"]
    );
    assert_eq!(lines[1][1..], ["acme", "accepted", "accepted", "same"]);
    assert!(lines[1][0].ends_with("/accepted.json"), "{shown}");
    let mismatch = "acme refused: identifier-mismatch refused: identifier-mismatch same";
    assert_eq!(lines[2][1..].join(" "), mismatch);
    assert_eq!(
        shown.lines().last(),
        Some("2 recordings: 2 same, 0 different, 0 unreadable")
    );
    assert!(!shown.contains('\u{1b}'), "no colours but on a terminal");
    // The same again, bit for bit.
    assert_eq!(text(&folder.replay(&[])), shown);
    assert_exit(&folder.replay(&["--now"]), 0);
}

#[test]
fn scenarios_12_and_122_todays_clock_says_expired_once_the_leaf_is() {
    let folder = Folder::new();
    let later = (now() + 365 * 86_400).to_string();
    let output = folder.replay(&["--at", &later]);
    let error = message(&output, 1);
    assert!(
        error.starts_with("2 of 2 recordings replay differently: "),
        "{error}"
    );
    assert!(
        error.ends_with(
            r#"accepted.json: verdict.outcome: recorded "accepted", replayed "refused""#
        ),
        "{error}"
    );
    let shown = text(&output);
    for line in [
        r#"accepted.json: different: recorded accepted, replayed refused: expired"#,
        r#"accepted.json: verdict.reason: recorded nothing, replayed "expired""#,
        r#"refused.json: verdict.reason: recorded "identifier-mismatch", replayed "expired""#,
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let early = folder.replay(&["--at", "2026-01-01T00:00:00Z"]);
    assert!(text(&early).contains(r#"replayed "not-yet-valid""#));
}

/// The accepted recording with another letter in the text at a place: the last
/// but one, of which every bit counts in base64url.
fn changed(path: &[&str]) -> String {
    let mut recording: Value = serde_json::from_str(&MADE.accepted).unwrap();
    let place = path
        .iter()
        .fold(&mut recording, |value, key| &mut value[*key]);
    let mut text = place.as_str().unwrap().to_owned();
    let index = text.len() - 2;
    let other = if &text[index..=index] == "0" {
        "1"
    } else {
        "0"
    };
    text.replace_range(index..=index, other);
    *place = json!(text);
    recording.to_string()
}

#[test]
fn scenario_122_one_changed_letter_is_a_difference_that_names_file_and_field() {
    for (path, fields) in [
        (
            &["attestation_object"][..],
            &["verdict.outcome", "verdict.reason", "facts", "root_sha256"][..],
        ),
        (
            &["token"],
            &["verdict.outcome", "verdict.reason", "facts", "root_sha256"],
        ),
        (
            &["admission", "value"],
            &["verdict.outcome", "verdict.reason"],
        ),
        (&["verdict", "outcome"], &["verdict.outcome"]),
        (&["facts", "serial"], &["facts.serial"]),
        (&["facts", "udid"], &["facts.udid"]),
        (&["facts", "model"], &["facts.model"]),
        (&["facts", "os_version"], &["facts.os_version"]),
        (&["facts", "sip"], &["facts.sip"]),
        (&["facts", "secure_boot"], &["facts.secure_boot"]),
        (&["facts", "spki_sha256"], &["facts.spki_sha256"]),
        (&["facts", "key"], &["facts.key"]),
        (&["facts", "not_after"], &["facts.not_after"]),
        (&["root_sha256"], &["root_sha256"]),
    ] {
        let folder = Folder::new();
        folder.write("accepted.json", &changed(path));
        let output = folder.replay(&[]);
        let error = message(&output, 1);
        let told = format!("accepted.json: {}: recorded ", fields[0]);
        assert!(
            error.starts_with("1 of 2 recordings replay differently: "),
            "{error}"
        );
        assert!(error.contains(&told), "{path:?}: {error}");
        let output = folder.replay(&["--json"]);
        assert_exit(&output, 1);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let differences = told["results"][0]["differences"].as_array().unwrap();
        let found: Vec<_> = differences.iter().map(|one| &one["field"]).collect();
        assert_eq!(found, fields, "{path:?}");
        assert_eq!(told["results"][1]["result"], "same");
    }
}

#[test]
fn a_root_that_a_recording_brings_is_trusted_only_where_asked_for() {
    let folder = Folder::new();
    let replay = |args: &[&str]| {
        let mut command = assay();
        command.arg("replay").args(args).arg(folder.path());
        command.output().unwrap()
    };
    let distrusted = replay(&[]);
    message(&distrusted, 1);
    assert!(text(&distrusted).contains(r#"replayed "unknown-anchor""#));
    let trusted = replay(&["--trust-embedded-roots"]);
    assert_exit(&trusted, 0);
    let shown = text(&trusted);
    assert!(shown.contains("same (UNDER ITS OWN ROOT)"), "{shown}");
    assert!(shown.contains("ATTENTION: 2 of these were judged under a root that the file brings"));
    let output = replay(&["--trust-embedded-roots", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["totals"]["under_embedded_roots"], 2);
    assert_eq!(told["results"][0]["embedded_root_trusted"], true);
}

#[test]
fn files_that_are_no_recordings_are_named_and_the_others_judged() {
    let folder = Folder::new();
    folder.write("a.json", "{\"assay_recording\": 1");
    folder.write("b.json", &MADE.accepted.replacen("\"acme\"", "\"mdm\"", 1));
    let output = folder.replay(&[]);
    let error = message(&output, 2);
    assert!(
        error.starts_with("2 of 4 recordings cannot be judged: "),
        "{error}"
    );
    let shown = text(&output);
    for line in [
        "a.json: not a recording: EOF while parsing an object at line 1 column 21",
        "b.json: \"source\": must be \"acme\" or \"device-information\"",
        "4 recordings: 2 same, 0 different, 2 unreadable",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let empty = tempfile::tempdir().unwrap();
    let output = assay().arg("replay").arg(empty.path()).output().unwrap();
    let error = message(&output, 2);
    assert!(
        error.ends_with("has no recording in it: a folder means its *.json"),
        "{error}"
    );
}

#[test]
fn a_report_for_continuous_integration() {
    let folder = Folder::new();
    let mut other: Value = serde_json::from_str(&MADE.accepted).unwrap();
    other["facts"]["model"] = json!("J999AP");
    folder.write("b.json", &other.to_string());
    let report = folder.path().join("report.xml");
    let output = folder.replay(&["--junit", report.to_str().unwrap()]);
    assert_exit(&output, 1);
    let report = fs::read_to_string(report).unwrap();
    assert!(report.contains(
        "<testsuite name=\"assay replay\" tests=\"3\" failures=\"1\" errors=\"0\" time=\""
    ));
    assert!(
        report.contains(
            "<failure message=\"facts.model: recorded &quot;J999AP&quot;, replayed &quot;"
        )
    );
    assert_eq!(report.matches("<testcase classname=\"acme\"").count(), 3);
    let nowhere = folder.path().join("no/report.xml");
    let output = folder.replay(&["--junit", nowhere.to_str().unwrap()]);
    assert!(message(&output, 3).starts_with("cannot write "));
}
