//! `assay replay --bless`: differences that are intended.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::Output,
};

use serde_json::{Value, json};

use super::{
    explained::of_another_token,
    replay::{Folder, MADE, text},
};
use crate::support::{assay, assert_exit, message};

fn read(folder: &Folder, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap()
}

/// The accepted recording with another model, and otherwise the same text.
fn of_another_model() -> String {
    let recording: Value = serde_json::from_str(&MADE.accepted).unwrap();
    let model = recording["facts"]["model"].as_str().unwrap();
    let line = |model: &str| format!("\"model\": \"{model}\"");
    assert_eq!(MADE.accepted.matches(&line(model)).count(), 1);
    MADE.accepted.replace(&line(model), &line("J999AP"))
}

#[test]
fn what_verified_is_not_blessed_as_refused_because_a_root_is_missing() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/recordings");
    let name = "acme-mac-by-serial.json";
    let good = fs::read_to_string(committed.join(name)).unwrap();
    let mut garbage: Value = serde_json::from_str(&good).unwrap();
    garbage["embedded_root"] = json!("AAAA");
    for content in [good, garbage.to_string()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, &content).unwrap();
        let mut command = assay();
        let output = command.args(["replay", "--bless"]).arg(&path).output();
        let error = message(&output.unwrap(), 2);
        assert!(error.contains("nothing was blessed"), "{error}");
        assert!(
            error.contains("no trusted root vouches for it now"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn bless_rewrites_what_is_different_and_nothing_else() {
    let folder = Folder::new();
    folder.write("accepted.json", &of_another_model());
    let path = |name: &str| folder.path().join(name);
    let inode = |name: &str| path(name).metadata().unwrap().ino();
    fs::set_permissions(path("accepted.json"), fs::Permissions::from_mode(0o640)).unwrap();
    let untouched = inode("refused.json");

    let report = path("report.xml");
    let output = folder.replay(&["--bless", "--junit", report.to_str().unwrap()]);
    assert_exit(&output, 0);
    let shown = text(&output);
    for line in [
        "accepted.json: facts.model: recorded \"J999AP\", replayed \"",
        "different (BLESSED)",
        "BLESSED: 1 of these were rewritten: they now say the new judgement.",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    // Byte for byte what the server wrote.
    assert_eq!(read(&folder, "accepted.json"), MADE.accepted);
    let mode = path("accepted.json").metadata().unwrap().mode();
    assert_eq!(mode & 0o7777, 0o640);
    assert_eq!(inode("refused.json"), untouched);
    let report = fs::read_to_string(report).unwrap();
    assert!(report.contains("tests=\"2\" failures=\"0\" errors=\"0\""));
    assert!(report.contains("blessed: the file now says the new judgement"));

    let before = inode("accepted.json");
    let output = folder.replay(&["--bless", "--json"]);
    assert_exit(&output, 0);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["totals"]["same"], 2);
    assert_eq!(told["results"][0]["blessed"], false);
    assert_eq!(inode("accepted.json"), before);
}

#[test]
fn bless_removes_and_adds_facts_and_root_and_keeps_the_rest() {
    let folder = Folder::new();
    folder.write("accepted.json", &of_another_token());
    let output = folder.replay(&["--bless", "--json"]);
    assert_exit(&output, 0);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["results"][0]["result"], "different");
    assert_eq!(told["results"][0]["blessed"], true);
    let mut expected: Value = serde_json::from_str(&of_another_token()).unwrap();
    expected["verdict"] = json!({"outcome": "refused", "reason": "freshness-mismatch"});
    let members = expected.as_object_mut().unwrap();
    members.remove("facts");
    members.remove("root_sha256");
    let blessed = read(&folder, "accepted.json");
    assert_eq!(serde_json::from_str::<Value>(&blessed).unwrap(), expected);
    // It was one line, and is one.
    assert_eq!(blessed.lines().count(), 1);
    assert_exit(&folder.replay(&[]), 0);

    // And back, in the order in which the server writes keys.
    let mut refused = String::new();
    let mut skipping = false;
    for line in MADE.accepted.lines() {
        skipping |= line.starts_with("  \"facts\"") || line.starts_with("  \"root_sha256\"");
        if !skipping {
            refused.push_str(&line.replace("\"accepted\"", "\"refused\""));
            refused.push('\n');
        }
        skipping &= !(line.starts_with("  }") || line.starts_with("  \"root_sha256\""));
    }
    folder.write("accepted.json", &refused);
    assert_exit(&folder.replay(&[]), 1);
    assert_exit(&folder.replay(&["--bless"]), 0);
    assert_eq!(read(&folder, "accepted.json"), MADE.accepted);
}

fn refused(output: &Output, folder: &Folder, why: &str) {
    let error = message(output, 2);
    assert!(error.contains(why), "{error}");
    assert!(error.starts_with("nothing was blessed: "), "{error}");
    assert_eq!(read(folder, "accepted.json"), of_another_model());
}

#[test]
fn bless_is_refused_with_another_time() {
    let folder = Folder::new();
    folder.write("accepted.json", &of_another_model());
    for other in [
        &["--now"][..],
        &["--at", "2026-11-18T12:00:00Z"],
        &["--end-to-end"],
    ] {
        let output = folder.replay(&[&["--bless"], other].concat());
        assert_exit(&output, 2);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("cannot be used with"), "{error}");
        assert_eq!(read(&folder, "accepted.json"), of_another_model());
    }
}

#[test]
fn bless_writes_nothing_if_a_recording_cannot_be_judged() {
    let folder = Folder::new();
    folder.write("accepted.json", &of_another_model());
    folder.write("z.json", "{\"assay_recording\": 1}");
    let output = folder.replay(&["--bless"]);
    refused(&output, &folder, "z.json: not a recording: ");
    // What would be blessed is shown all the same.
    assert!(text(&output).contains("accepted.json: facts.model: recorded "));
}

#[test]
fn bless_follows_no_symbolic_link() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target.json");
    fs::write(&target, of_another_model()).unwrap();

    let folder = Folder::new();
    folder.write("accepted.json", &of_another_model());
    symlink(&target, folder.path().join("link.json")).unwrap();
    let output = folder.replay(&["--bless"]);
    refused(
        &output,
        &folder,
        "link.json: it is a symbolic link, which is not followed: bless ",
    );
    fs::remove_file(folder.path().join("link.json")).unwrap();

    symlink(elsewhere.path(), folder.path().join("out")).unwrap();
    let output = folder.replay(&["--bless", "--recursive"]);
    refused(&output, &folder, "a symbolic link leads out of ");
    assert_eq!(fs::read_to_string(&target).unwrap(), of_another_model());
    assert!(
        fs::symlink_metadata(folder.path().join("out"))
            .unwrap()
            .is_symlink()
    );
}

/// Otherwise the first run without `--root` would turn a folder of accepted
/// recordings into one of refused ones.
#[test]
fn bless_does_not_accept_that_a_root_is_missing() {
    let folder = Folder::new();
    folder.write("accepted.json", &of_another_model());
    let bless = |args: &[&str]| {
        let mut command = assay();
        command.args(["replay", "--bless"]).args(args);
        command.arg(folder.path()).output().unwrap()
    };
    refused(
        &bless(&[]),
        &folder,
        "it is different because a root is not trusted: this file embeds root ",
    );
    assert_exit(&bless(&["--trust-embedded-roots"]), 0);
    assert_eq!(read(&folder, "accepted.json"), MADE.accepted);
}

#[test]
fn bless_of_a_file_that_is_named_twice_or_cannot_be_written() {
    let folder = Folder::new();
    folder.write("accepted.json", &of_another_model());
    let file = folder.path().join("accepted.json");
    let output = folder.replay(&["--bless", file.to_str().unwrap()]);
    assert_exit(&output, 0);
    assert_eq!(read(&folder, "accepted.json"), MADE.accepted);

    let output = assay()
        .args(["replay", "--bless", "/dev/null"])
        .output()
        .unwrap();
    assert!(message(&output, 2).starts_with("nothing was blessed: /dev/null: "));
}
