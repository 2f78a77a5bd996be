//! The JUnit report, which must be XML whatever files are called.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use super::{
    explained::of_another_token,
    replay::{Folder, MADE},
};
use crate::support::{assay, assert_exit, message};

/// Whether a text is well-formed XML of elements, attributes and text, as XML 1.0
/// demands it: only legal characters, tags that are closed in order, and nothing
/// unescaped.
fn assert_xml(text: &str) {
    let legal = |c: char| matches!(c, '\t' | '\n' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(text.chars().all(legal), "{text:?}");
    let mut rest = text
        .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
        .unwrap();
    let mut open = Vec::new();
    while let Some((content, tag)) = rest.split_once('<') {
        assert_escaped(content);
        let (tag, after) = tag.split_once('>').unwrap();
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{text}");
            continue;
        }
        let (tag, is_empty) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let name = tag.split(' ').next().unwrap();
        let mut attributes = tag[name.len()..].trim_start();
        while !attributes.is_empty() {
            let (key, value) = attributes.split_once("=\"").unwrap();
            assert!(key.bytes().all(|c| c.is_ascii_lowercase()), "{tag}");
            let (value, after) = value.split_once('"').unwrap();
            assert_escaped(value);
            attributes = after.trim_start();
        }
        if !is_empty {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{text}");
}

fn assert_escaped(text: &str) {
    for part in text.split('&').skip(1) {
        let (entity, _) = part.split_once(';').unwrap();
        assert!(["amp", "lt", "gt", "quot"].contains(&entity), "{text}");
    }
    assert!(!text.contains(['<', '>', '"']), "{text}");
}

#[test]
fn a_report_replaces_no_recording_and_no_root_and_an_earlier_one_at_once() {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name);
    let replay = |report: &str, more: &[&str]| {
        let mut command = assay();
        command.args(["replay", "--junit"]).arg(path(report));
        command.args(more).arg(path("refused.json"));
        command.output().unwrap()
    };
    // A recording that is not replayed, and the other name of one that is.
    let before = fs::read(path("accepted.json")).unwrap();
    let told = message(&replay("accepted.json", &[]), 2);
    assert!(
        told.contains("would be written over the recording"),
        "{told}"
    );
    assert_eq!(fs::read(path("accepted.json")).unwrap(), before);
    fs::hard_link(path("refused.json"), path("refused.xml")).unwrap();
    message(&replay("refused.xml", &[]), 2);
    assert_eq!(
        fs::read_to_string(path("refused.json")).unwrap(),
        MADE.refused
    );
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/recordings");
    fs::copy(format!("{committed}/laboratory-root.pem"), path("root.pem")).unwrap();
    let root = path("root.pem");
    message(&replay("root.pem", &["--root", root.to_str().unwrap()]), 2);
    assert!(fs::read_to_string(&root).unwrap().starts_with("-----BEGIN"));

    // A run that ends early leaves no report of an earlier one.
    fs::write(path("report.xml"), "an earlier one").unwrap();
    for more in [
        &["--root", "/nowhere"][..],
        &["--root", "/nowhere", "--end-to-end"],
    ] {
        message(&replay("report.xml", more), 2);
        let report = fs::read_to_string(path("report.xml")).unwrap();
        assert_xml(&report);
        assert!(report.contains("errors=\"1\""), "{report}");
        assert!(report.contains("did not finish"), "{report}");
    }
}

#[test]
fn a_case_has_its_time_and_a_failure_its_finding() {
    let folder = Folder::new();
    folder.write("accepted.json", &of_another_token());
    folder.write("broken.json", "{\"assay_recording\": 1}");
    folder.write("package.json", "{}");
    let report = folder.path().join("report.xml");
    let output = folder.replay(&["--junit", report.to_str().unwrap()]);
    assert_exit(&output, 2);
    let report = fs::read_to_string(report).unwrap();
    assert_xml(&report);
    assert!(
        report.contains(
            "<testsuite name=\"assay replay\" tests=\"3\" failures=\"1\" errors=\"1\" time=\"0."
        ),
        "{report}"
    );
    assert_eq!(report.matches("<testcase ").count(), 3);
    assert_eq!(report.matches("json\" time=\"0.").count(), 3, "{report}");
    for part in [
        "<property name=\"skipped files that are no recordings\" value=\"1\"/>",
        "type=\"freshness-mismatch\">",
        "replayed &quot;refused&quot;: check freshness: freshness-mismatch: certificate 0",
        "  check   freshness failed; it demands: ",
        "  facts   recorded, not verified now: serial C02RECORD001, ",
        "<error message=\"not a recording: ",
        "  finding identifier-mismatch: ",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
}

#[test]
fn an_empty_folder_has_a_report_of_no_tests() {
    for content in [None, Some("{}")] {
        let folder = tempfile::tempdir().unwrap();
        if let Some(content) = content {
            fs::write(folder.path().join("package.json"), content).unwrap();
        }
        let report = folder.path().join("report.xml");
        let output = assay()
            .args(["replay", "--junit"])
            .args([&report, folder.path()])
            .output()
            .unwrap();
        let error = message(&output, 2);
        assert!(
            error.ends_with("has no recording in it: a folder means its *.json"),
            "{error}"
        );
        let report = fs::read_to_string(report).unwrap();
        assert_xml(&report);
        assert!(
            report.contains("<testsuite name=\"assay replay\" tests=\"0\" failures=\"0\" errors=\"0\" time=\"0.000000\">"),
            "{report}"
        );
    }
}

#[test]
fn hostile_names_make_no_report_invalid() {
    let folder = Folder::new();
    for (index, name) in [
        &b"]]>&<a b='\"'>.json"[..],
        b"\x01\x1b[31m\r\n\t\x7f.json",
        b"\xff\xfe.json",
        "\u{85}\u{2028}\u{202e}\u{fffe}\u{ffff}\u{10ffff}.json".as_bytes(),
        b"<!--&#0;-->.json",
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(OsStr::from_bytes(name));
        let content = match index % 2 {
            0 => of_another_token(),
            _ => "{\"assay_recording\": \"\\u0000<&\\ud83d\\ude00\"}".to_owned(),
        };
        fs::write(path, content).unwrap();
    }
    folder.write("same.json", &MADE.accepted);
    let report = folder.path().join("report.xml");
    let output = folder.replay(&["--junit", report.to_str().unwrap()]);
    assert_exit(&output, 2);
    let report = fs::read_to_string(report).unwrap();
    assert_xml(&report);
    assert_eq!(report.matches("<testcase ").count(), 8);
}
