//! The recordings of testdata, replayed as the README says.

use std::{fs, path::Path, process::Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{assay, assert_exit, message};

const ROOT: &str = "../../testdata/recordings/laboratory-root.pem";
const FOLDER: &str = "../../testdata/recordings";

fn replay(args: &[&str]) -> Output {
    let command = &mut assay();
    command.args(["replay", "--root", ROOT]).args(args);
    command.output().unwrap()
}

#[test]
fn scenarios_12_and_122_the_committed_recordings_are_judged_as_they_say() {
    let output = replay(&[FOLDER]);
    assert_exit(&output, 0);
    let told = String::from_utf8(output.stdout).unwrap();
    let last = told.lines().last().unwrap();
    assert_eq!(last, "97 recordings: 97 same, 0 different, 0 unreadable");

    // Without the laboratory's root nothing verifies, with today's clock nothing of it is valid
    // for ever.
    assert_exit(&assay().args(["replay", FOLDER]).output().unwrap(), 1);
    assert_exit(&replay(&["--at", "2028-01-01T00:00:00Z", FOLDER]), 1);
}

/// Files of the first format never change: they are read, judged and played as
/// they say.
#[test]
fn recordings_of_format_1_are_judged_and_played_as_they_say() {
    const FIRST: &str = "../../testdata/recordings-format-1";

    let output = replay(&[FIRST]);
    assert_exit(&output, 0);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.ends_with("8 recordings: 8 same, 0 different, 0 unreadable\n"),
        "{told}"
    );
    let output = replay(&["--end-to-end", FIRST]);
    assert_exit(&output, 0);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.ends_with(
            "8 recordings end to end: 6 the same, 0 different, 2 not applicable, 0 unreadable\n"
        ),
        "{told}"
    );
}

/// Every committed certificate is compared in every fact, with the simulator's
/// own tables.
#[test]
fn scenario_12_committed_enrolments_end_with_the_certificate_that_they_say() {
    let output = replay(&["--end-to-end", "--json", FOLDER]);
    assert_exit(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let results = report["results"].as_array().unwrap();
    let mut issued = 0;
    for result in results
        .iter()
        .filter(|one| one["recorded_issuance"].is_object())
    {
        assert_eq!(result["recorded_issuance"], result["issuance"]);
        assert_eq!(result["not_compared"], serde_json::json!([]));
        issued += 1;
    }
    assert!(issued >= 15, "{issued}");
}

/// Anonymised shapes of the field: each brings the root that vouches for it.
#[test]
fn recordings_of_real_shapes_are_judged_as_they_say() {
    const SHAPES: &str = "../../testdata/real-shapes";

    let command = &mut assay();
    let output = command.args(["replay", "--trust-embedded-roots", SHAPES]);
    let output = output.output().unwrap();
    assert_exit(&output, 0);
    let told = String::from_utf8(output.stdout).unwrap();
    let last = told.lines().last().unwrap();
    assert!(
        last.starts_with("2 recordings: 2 same, 0 different, 0 unreadable"),
        "{told}"
    );
    assert_exit(&assay().args(["replay", SHAPES]).output().unwrap(), 1);
}

#[test]
fn scenarios_12_and_122_two_runs_end_to_end_send_the_same_bytes() {
    let transcripts: TempDir = tempfile::tempdir().unwrap();
    let run = |name: &str| {
        let folder = transcripts.path().join(name);
        let folder = folder.to_str().unwrap();
        let output = replay(&["--end-to-end", "--json", "--transcript", folder, FOLDER]);
        assert_exit(&output, 0);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (report, files(Path::new(folder)))
    };
    let (first, second) = (run("first"), run("second"));
    assert_eq!(first.1.len(), 92);
    assert_eq!(first.1, second.1);
    // An enrolment ends with its certificate.
    let accepted = &first
        .1
        .iter()
        .find(|file| file.0.starts_with("acme-mac-by-serial"));
    let text = String::from_utf8(accepted.unwrap().1.clone()).unwrap();
    assert!(text.ends_with("-----END CERTIFICATE-----\n"), "{text}");
    assert!(
        text.contains("content-type: application/pem-certificate-chain"),
        "{text}"
    );
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// One byte of evidence, token, verdict or fact of one recording is changed.
#[test]
fn scenario_122_one_changed_byte_in_a_folder_is_told_by_file_and_field() {
    let folder = tempfile::tempdir().unwrap();
    for (name, file) in files(Path::new(FOLDER)) {
        fs::write(folder.path().join(name), file).unwrap();
    }
    let path = folder.path().join("acme-mac-by-serial.json");
    let good = fs::read_to_string(&path).unwrap();
    for (from, to, field) in [
        // A letter in the middle of the leaf.
        (
            "omNmbXRlYXBwbGVnYXR0U3RtdKFjeDVjglkDGjCCAxYw",
            "omNmbXRlYXBwbGVnYXR0U3RtdKFjeDVjglkDGjCCAxYx",
            "verdict.outcome",
        ),
        ("as-DERG46I", "as-DERG46M", "verdict.outcome"),
        (
            "\"outcome\": \"accepted\"",
            "\"outcome\": \"accepteb\"",
            "verdict.outcome",
        ),
        (
            "\"model\": \"J413AP\"",
            "\"model\": \"J414AP\"",
            "facts.model",
        ),
        ("\"root_sha256\": \"", "\"root_sha256\": \"f", "root_sha256"),
    ] {
        assert!(good.contains(from), "{from}");
        let changed = match from {
            // One digit in the place of another.
            "\"root_sha256\": \"" => {
                let at = good.find(from).unwrap() + from.len();
                let digit = if &good[at..=at] == "f" { "e" } else { "f" };
                format!("{}{digit}{}", &good[..at], &good[at + 1..])
            }
            _ => good.replacen(from, to, 1),
        };
        fs::write(&path, changed).unwrap();
        let output = replay(&[folder.path().to_str().unwrap()]);
        let message = message(&output, 1);
        assert!(
            message.starts_with("1 of 97 recordings ")
                && message.contains(&format!("acme-mac-by-serial.json: {field}: ")),
            "{message}"
        );
    }
}
