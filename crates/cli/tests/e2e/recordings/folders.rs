//! Which files of a folder `assay replay` judges.

use std::{fs, os::unix::fs::symlink, path::Path, process::Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::replay::{Folder, MADE, text};
use crate::support::{assay, assert_exit, message};

/// A folder with folders in it.
fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    for folder in ["a/b", "z", ".hidden"] {
        fs::create_dir_all(tree.path().join(folder)).unwrap();
    }
    for name in [
        "a/b/one.json",
        "a/two.json",
        "three.json",
        "z/four.json",
        ".hidden/five.json",
        "z/.six.json",
    ] {
        fs::write(tree.path().join(name), &MADE.accepted).unwrap();
    }
    tree
}

fn replay(args: &[&str], path: &Path) -> Output {
    let mut command = assay();
    command
        .args(["replay", "--trust-embedded-roots"])
        .args(args);
    command.arg(path).output().unwrap()
}

/// The files that were judged, below the folder.
fn judged(output: &Output, folder: &Path) -> Vec<String> {
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let results = told["results"].as_array().unwrap().iter();
    let files = results.map(|one| one["file"].as_str().unwrap().to_owned());
    let prefix = format!("{}/", folder.display());
    files
        .map(|file| file.strip_prefix(&prefix).unwrap().to_owned())
        .collect()
}

#[test]
fn recursive_means_folders_in_folders_sorted_and_without_hidden_ones() {
    let tree = tree();
    let output = replay(&["--json"], tree.path());
    assert_exit(&output, 0);
    assert_eq!(judged(&output, tree.path()), ["three.json"]);

    let output = replay(&["--json", "--recursive"], tree.path());
    assert_exit(&output, 0);
    let expected = ["a/b/one.json", "a/two.json", "three.json", "z/four.json"];
    assert_eq!(judged(&output, tree.path()), expected);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let skipped = told["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), 1, "{told}");
    assert!(
        skipped[0]["file"]
            .as_str()
            .unwrap()
            .ends_with("z/.six.json")
    );
}

#[test]
fn end_to_end_searches_folders_in_folders_too() {
    let tree = tree();
    let output = replay(&["--json", "--recursive", "--end-to-end"], tree.path());
    assert_exit(&output, 0);
    let expected = ["a/b/one.json", "a/two.json", "three.json", "z/four.json"];
    assert_eq!(judged(&output, tree.path()), expected);
}

#[test]
fn loops_of_symbolic_links_end() {
    let tree = tree();
    symlink("..", tree.path().join("a/up")).unwrap();
    symlink(".", tree.path().join("a/b/self")).unwrap();
    symlink("../z", tree.path().join("a/z")).unwrap();
    symlink("nowhere", tree.path().join("a/broken")).unwrap();
    let output = replay(&["--json", "--recursive"], tree.path());
    assert_exit(&output, 0);
    // A folder is visited once, under the name that comes first.
    let expected = ["a/b/one.json", "a/two.json", "a/z/four.json", "three.json"];
    assert_eq!(judged(&output, tree.path()), expected);
    let again = replay(&["--json", "--recursive"], tree.path());
    assert_eq!(judged(&again, tree.path()), expected);
}

#[test]
fn a_deep_tree_is_searched() {
    let tree = tempfile::tempdir().unwrap();
    let mut deep = tree.path().to_owned();
    for _ in 0..500 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("deep.json"), &MADE.accepted).unwrap();
    let output = replay(&["--recursive"], tree.path());
    assert_exit(&output, 0);
    assert!(text(&output).ends_with("1 recordings: 1 same, 0 different, 0 unreadable\n"));
}

#[test]
fn files_of_a_folder_that_are_no_recordings_are_skipped_with_a_note() {
    let folder = Folder::new();
    let large = format!("{{\"x\": \"{}\"}}", "a".repeat(300 * 1024));
    for (name, content) in [
        ("package.json", "{\"name\": \"x\"}"),
        ("list.json", "[1, 2]"),
        ("large.json", &large),
    ] {
        folder.write(name, content);
    }
    let output = folder.replay(&[]);
    assert_exit(&output, 0);
    let shown = text(&output);
    assert!(
        shown.contains("3 files were skipped, which are no recordings; -v names them\n"),
        "{shown}"
    );
    assert!(!shown.contains("package.json"), "{shown}");
    assert_eq!(
        shown.lines().last(),
        Some("2 recordings: 2 same, 0 different, 0 unreadable")
    );
    let shown = text(&folder.replay(&["-v"]));
    for line in [
        "package.json: skipped: it is JSON without \"assay_recording\"",
        "list.json: skipped: it is JSON without \"assay_recording\"",
        "large.json: skipped: it is larger than a recording can be",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let output = folder.replay(&["--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["skipped"].as_array().unwrap().len(), 3);
    assert_eq!(told["totals"]["recordings"], 2);

    // A file that the command line names is an error.
    for name in ["package.json", "large.json"] {
        let path = folder.path().join(name);
        let error = message(&replay(&[], &path), 2);
        assert!(error.contains("cannot be judged"), "{error}");
    }
}

#[test]
fn a_recording_that_is_broken_is_an_error_in_a_folder_too() {
    let half = &MADE.accepted[..MADE.accepted.len() / 2];
    let mut unknown: Value = serde_json::from_str(&MADE.accepted).unwrap();
    unknown["more"] = json!(1);
    let large = format!(
        "{{\"assay_recording\": 1, \"x\": \"{}\"}}",
        "a".repeat(300 * 1024)
    );
    for (name, content) in [
        ("half.json", half),
        ("unknown.json", &unknown.to_string()),
        ("version.json", "{\"assay_recording\": 99}"),
        ("text.json", "{\"assay_recording\": \"one\"}"),
        ("large.json", &large),
        // What crashes, copies and tools make of recordings: never skipped, or a
        // test would lose its input and stay green.
        ("empty.json", ""),
        ("zeros.json", &"\0".repeat(4096)),
        ("start.json", "{"),
        ("notes.json", "version https://git-lfs.github.com/spec/v1"),
        ("UPPER.JSON", ""),
        ("list.json", &format!("[{}]", MADE.accepted)),
        // As a power loss leaves a server's file.
        (
            "order-AAAAAAAAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAAAAAAAA.json",
            "",
        ),
    ] {
        let folder = Folder::new();
        folder.write(name, content);
        let output = folder.replay(&["--json"]);
        assert_exit(&output, 2);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["totals"]["unreadable"], 1, "{name}: {told}");
        assert_eq!(told["skipped"], json!([]), "{name}");
    }
}

#[test]
fn a_folder_without_a_recording_is_an_error_beside_a_good_one_too() {
    let folder = Folder::new();
    let empty = tempfile::tempdir().unwrap();
    fs::write(empty.path().join("package.json"), "{}").unwrap();
    let root = folder.path().join("root.pem");
    let mut command = assay();
    command.args(["replay", "--json", "--root"]).arg(root);
    let output = command
        .args([folder.path(), empty.path()])
        .output()
        .unwrap();
    let error = message(&output, 2);
    assert!(
        error.ends_with("has no recording in it: a folder means its *.json"),
        "{error}"
    );
    // The others were judged.
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["totals"]["same"], 2);
}
