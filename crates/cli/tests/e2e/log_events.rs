//! The events of the code against the table of docs/errors.md, both ways.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use assay_engine::events::Kind;

/// The crates whose lines are in the log of `assay`.
const CRATES: [&str; 7] = ["attest", "ca", "cli", "engine", "jws", "server", "store"];

/// The engine's events that have no line; the unit tests of `logging` hold this
/// against the lines.
const QUIET: [Kind; 2] = [Kind::ChallengeJudged, Kind::CsrReceived];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The events of the table "Log events".
pub(crate) fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let (_, section) = text.split_once("\n## Log events\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut names = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split('|').nth(1).unwrap();
        // Names are in backticks.
        names.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    assert!(names.len() > 50, "{names:?}");
    names
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of each source file, without its tests.
fn code() -> BTreeMap<PathBuf, String> {
    let mut files = Vec::new();
    for name in CRATES {
        sources(&root().join("crates").join(name).join("src"), &mut files);
    }
    files.retain(|path| !path.ends_with("tests.rs") && !path.to_string_lossy().contains("/tests/"));
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            (path, code.to_owned())
        })
        .collect()
}

/// The text in quotes after each `before`.
fn quoted<'a>(code: &'a str, before: &'a str) -> impl Iterator<Item = String> + 'a {
    code.split(before)
        .skip(1)
        .filter_map(|rest| rest.split('"').next().map(str::to_owned))
}

/// The events of the code.
pub(crate) fn written() -> BTreeSet<String> {
    let mut written = BTreeSet::new();
    for (path, code) in code() {
        written.extend(quoted(&code, "event = \""));
        // Lines that no subscriber makes.
        written.extend(quoted(&code, "(\"event\", FieldValue::Text(\""));
        if path
            .components()
            .any(|part| part.as_os_str() == "preflight")
            || path.ends_with("preflight.rs")
        {
            // Warnings of the preflight, whose line has the event as a variable.
            written.extend(quoted(&code, "event: Some(\""));
            let calls = code.split(".warn(").skip(1).map(str::trim_start);
            let named = calls.filter_map(|call| call.strip_prefix('"')?.split('"').next());
            written.extend(named.map(str::to_owned));
        }
    }
    // Those of the engine, whose lines have `event.name()`: `logging/events.rs`.
    let logged = Kind::ALL.iter().filter(|kind| !QUIET.contains(kind));
    written.extend(logged.map(|kind| kind.name().to_owned()));
    // Those of lines that name none: `logging/layer.rs`.
    written.extend(["debug", "library"].map(str::to_owned));
    written
}

#[test]
fn every_event_of_the_code_is_in_the_table_and_every_event_of_the_table_in_the_code() {
    let written = written();
    let documented = documented();
    let missing: Vec<_> = written.difference(&documented).collect();
    assert!(missing.is_empty(), "not in docs/errors.md: {missing:?}");
    let gone: Vec<_> = documented.difference(&written).collect();
    assert!(gone.is_empty(), "in docs/errors.md alone: {gone:?}");
}

#[test]
fn every_line_above_debugging_names_its_event() {
    for (path, code) in code() {
        for level in ["error", "warn", "info"] {
            let begin = format!("tracing::{level}!(");
            for call in code.split(begin.as_str()).skip(1) {
                let mut depth = 1;
                let end = call.char_indices().find(|(_, letter)| {
                    depth += match letter {
                        '(' => 1,
                        ')' => -1,
                        _ => 0,
                    };
                    depth == 0
                });
                let call = &call[..end.unwrap().0];
                let is_engines = path.ends_with("logging/events.rs");
                assert!(
                    call.contains("event = \"")
                        || call.trim_start().starts_with("event,")
                        || is_engines && call.contains("event = event.name()"),
                    "{}: {begin}{call})",
                    path.display()
                );
            }
        }
    }
}

/// The engine reports events, and writes lines for debugging alone.
#[test]
fn no_line_of_the_engine_passes_its_observers_by() {
    for (path, code) in code() {
        if path.starts_with(root().join("crates/engine")) {
            for level in ["error", "warn", "info"] {
                let call = format!("tracing::{level}!(");
                assert!(!code.contains(&call), "{}: {call}", path.display());
            }
        }
    }
}
