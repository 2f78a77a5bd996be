//! `assay recording list`, `show`, `diff` and `export`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value, json};

use crate::support::{assay, assert_exit, json_of, message};

/// The committed recordings.
fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/recordings")
}

fn recording(args: &[&str], paths: &[&Path]) -> Output {
    let mut command = assay();
    command.arg("recording").args(args);
    command.args(paths).output().unwrap()
}

fn text(output: &Output) -> String {
    assert_exit(output, 0);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What `list --json` says of the committed recordings.
fn listed(args: &[&str]) -> Vec<Value> {
    let args = [&["list", "--json"], args].concat();
    let lines = text(&recording(&args, &[&committed()]));
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_list_says_what_each_file_says_and_marks_what_refused_evidence_claims() {
    let all = listed(&[]);
    let files = fs::read_dir(committed()).unwrap();
    let files = files.filter(|file| {
        let path = file.as_ref().unwrap().path();
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    assert_eq!(all.len(), files.count());
    for one in &all {
        let path = one["file"].as_str().unwrap();
        let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(one["version"], file["assay_recording"], "{path}");
        assert_eq!(one["time"], file["time"], "{path}");
        assert_eq!(one["outcome"], file["verdict"]["outcome"], "{path}");
        assert_eq!(one["reason"], file["verdict"]["reason"], "{path}");
        assert_eq!(one["issuance"], file["issuance"]["end"], "{path}");
        assert_eq!(one["verified"], file["facts"].is_object(), "{path}");
        if file["facts"].is_object() {
            assert_eq!(one["serial"], file["facts"]["serial"], "{path}");
            assert_eq!(one["model"], file["facts"]["model"], "{path}");
        }
    }
    let table = text(&recording(&["list"], &[&committed()]));
    let head = table.lines().next().unwrap();
    for column in [
        "TIME", "SERIAL", "MODEL", "OS", "FORMAT", "OUTCOME", "REASON", "FILE",
    ] {
        assert!(head.contains(column), "{head}");
    }
    let claims = |one: &&Value| one["verified"] == json!(false) && one["serial"].is_string();
    let claimed = all.iter().find(claims).unwrap();
    let file = claimed["file"].as_str().unwrap();
    let row = table.lines().find(|line| line.ends_with(file)).unwrap();
    let serial = claimed["serial"].as_str().unwrap();
    assert!(row.contains(&format!("{serial}?")), "{row}");
    assert!(table.contains("?: not verified"), "{table}");
}

#[test]
fn a_list_is_filtered_by_every_condition() {
    let all = listed(&[]);
    let count = |key: &str, value: &str| all.iter().filter(|one| one[key] == value).count();
    for (option, key, value) in [
        ("--outcome", "outcome", "refused"),
        ("--reason", "reason", "expired"),
        ("--serial", "serial", "C02XK0AAJHD2"),
        ("--model", "model", "J413AP"),
        ("--source", "source", "device-information"),
    ] {
        let filtered = listed(&[option, value]);
        assert_eq!(filtered.len(), count(key, value), "{option}");
        assert!(
            !filtered.is_empty() && filtered.len() < all.len(),
            "{option}"
        );
    }
    let both = listed(&["--outcome", "refused", "--source", "acme"]);
    assert!(
        both.iter()
            .all(|one| one["outcome"] == "refused" && one["source"] == "acme")
    );
    let earliest = all
        .iter()
        .map(|one| one["time"].as_str().unwrap())
        .min()
        .unwrap();
    assert_eq!(listed(&["--since", earliest]).len(), all.len());
    assert_eq!(listed(&["--until", earliest]).len(), 0);
    assert_eq!(listed(&["--label", "none has this one"]).len(), 0);
}

#[test]
fn a_file_that_is_no_recording_is_skipped_in_a_folder_and_a_broken_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let good = committed().join("acme-mac-by-serial.json");
    fs::copy(&good, folder.path().join("good.json")).unwrap();
    fs::write(folder.path().join("package.json"), "{}").unwrap();
    let table = text(&recording(&["list"], &[folder.path()]));
    assert!(table.ends_with("1 recordings; 1 files that are no recordings were skipped\n"));
    let broken = folder.path().join("broken.json");
    fs::write(&broken, r#"{"assay_recording": 1}"#).unwrap();
    let output = recording(&["list", "--json"], &[folder.path()]);
    let message = message(&output, 2);
    assert!(message.contains("broken.json"), "{message}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["outcome"], "accepted");
    assert_eq!(lines[1]["error"]["exit_code"], 2);
}

#[test]
fn show_has_every_value_and_diff_those_that_are_different() {
    let first = committed().join("acme-mac-by-serial.json");
    let second = committed().join("acme-iphone-by-serial.json");
    let shown = json_of(&recording(&["show", "--json"], &[&first]));
    assert_eq!(shown["fields"]["facts.serial"], "C02XK0AAJHD2");
    assert_eq!(shown["fields"]["verdict.outcome"], "accepted");
    let shown = text(&recording(&["show"], &[&first]));
    assert!(shown.contains("facts.sip"), "{shown}");

    assert_eq!(text(&recording(&["diff"], &[&first, &first])), "");
    let output = recording(&["diff"], &[&first, &second]);
    assert_exit(&output, 1);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("\"J413AP\" -> \"D74AP\""), "{said}");
    assert!(said.contains("\"enabled\" -> nothing"), "{said}");
    let output = recording(&["diff", "--json"], &[&first, &second]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let differences = told["differences"].as_array().unwrap();
    let sip = differences.iter().find(|one| one["field"] == "facts.sip");
    assert_eq!(
        sip.unwrap(),
        &json!({"field": "facts.sip", "a": "enabled", "b": null})
    );
}

#[test]
fn the_parts_of_a_recording_are_read_by_other_programs() {
    let home = tempfile::tempdir().unwrap();
    let file = committed().join("acme-mac-by-serial.json");
    let to = home.path().join("parts");
    let exported = |file: &Path, to: &Path| {
        let to = to.to_str().unwrap();
        recording(&["export", "--json", "--to", to], &[file])
    };
    let told = json_of(&exported(&file, &to));
    let said: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(fs::read_to_string(to.join("token")).unwrap(), said["token"]);
    let expected: Value =
        serde_json::from_slice(&fs::read(to.join("expected.json")).unwrap()).unwrap();
    assert_eq!(expected["verdict"], said["verdict"]);
    assert_eq!(expected["facts"], said["facts"]);
    for name in told["files"].as_array().unwrap() {
        assert!(to.join(name.as_str().unwrap()).is_file(), "{name}");
    }

    // OpenSSL reads the certificates.
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["x509", "-noout", "-subject", "-in"]);
    assert_exit(&openssl.arg(to.join("leaf.pem")).output().unwrap(), 0);
    let chain = fs::read_to_string(to.join("chain.pem")).unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);

    // What was exported comes back.
    let again = home.path().join("again.json");
    let mut import = assay();
    import.args(["recording", "import", "--token"]);
    import.arg(fs::read_to_string(to.join("token")).unwrap());
    import.args([
        "--serial",
        "C02XK0AAJHD2",
        "--at",
        said["time"].as_str().unwrap(),
    ]);
    import.arg(to.join("object.cbor")).arg(&again);
    assert_exit(&import.output().unwrap(), 0);
    let again: Value = serde_json::from_slice(&fs::read(&again).unwrap()).unwrap();
    assert_eq!(again["attestation_object"], said["attestation_object"]);

    // Nothing is overwritten.
    let told = message(&exported(&file, &to), 2);
    assert!(told.contains("is not empty"), "{told}");
    let information = committed().join("device-information-fresh.json");
    let to = home.path().join("information");
    json_of(&exported(&information, &to));
    let nonces: Value = serde_json::from_slice(&fs::read(to.join("nonces.json")).unwrap()).unwrap();
    assert!(nonces[0]["nonce"].is_string(), "{nonces}");
}
