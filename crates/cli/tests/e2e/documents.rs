//! What documents say of reasons, events and remedies is what the code says.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use assay_engine::{
    remedy::{REMEDIES, remedy},
    urls::Route,
};

use crate::log_events::written;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document(name: &str) -> String {
    fs::read_to_string(workspace().join("docs").join(name)).unwrap()
}

/// The rows of all tables with these columns: their cells.
fn rows(text: &str, columns: [&str; 3]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut within = false;
    for line in text.lines().filter(|line| !line.starts_with("|---")) {
        let Some(line) = line.strip_prefix("| ") else {
            within = false;
            continue;
        };
        let cells: Vec<String> = (line.trim_end_matches(" |").split(" | "))
            .map(|cell| cell.trim().to_owned())
            .collect();
        if cells == columns {
            within = true;
        } else if within {
            rows.push(cells);
        }
    }
    rows
}

/// The texts between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn errors_md_has_each_reason_with_the_remedy_that_orders_show_prints() {
    let text = document("errors.md");
    let rows = rows(&text, ["reason", "meaning", "what to do"]);
    let mut documented = BTreeSet::new();
    for cells in &rows {
        let [reason, _, what_to_do] = cells.as_slice() else {
            panic!("{cells:?}");
        };
        let reason = quoted(reason)[0];
        assert_eq!(remedy(reason), Some(what_to_do.as_str()), "{reason}");
        assert!(documented.insert(reason), "{reason} is there twice");
    }
    let known: BTreeSet<&str> = REMEDIES.iter().map(|(reason, _)| *reason).collect();
    let missing: Vec<_> = known.difference(&documented).collect();
    assert!(missing.is_empty(), "not in errors.md: {missing:?}");
}

#[test]
fn troubleshooting_md_names_reasons_and_events_that_there_are() {
    let text = document("troubleshooting.md");
    let rows = rows(&text, ["what you see", "what it is", "what to do"]);
    assert!(rows.len() > 40, "{}", rows.len());
    let events = written();
    let names = |name: &&str| {
        let mut letters = name.chars();
        letters.all(|letter| letter.is_ascii_lowercase() || "-_".contains(letter))
            && name.contains(['-', '_'])
    };
    let mut found = 0;
    for cells in &rows {
        assert_eq!(cells.len(), 3, "{cells:?}");
        for name in quoted(&cells[0]).into_iter().filter(names) {
            let is_known = remedy(name).is_some() || events.contains(name);
            assert!(is_known, "{name} is neither a reason nor an event");
            found += 1;
        }
    }
    assert!(found > 50, "{found}");
    // What a support desk meets most is there.
    for name in [
        "not-admitted",
        "object-empty",
        "freshness-mismatch",
        "csr-names-refused",
        "rate-limited",
        "clock_departed",
        "devices_refused",
        "tls_refused",
        "revoked",
    ] {
        let mut first = rows.iter().flat_map(|cells| quoted(&cells[0]));
        assert!(first.any(|quoted| quoted == name), "{name}");
    }
    for document_name in ["errors.md", "getting-started.md"] {
        assert!(document(document_name).contains("(troubleshooting.md)"));
    }
}

#[test]
fn configuration_md_lists_the_reserved_names_of_directories() {
    let text = document("configuration.md");
    let (_, rest) = text.split_once("These names are reserved:").unwrap();
    let listed: BTreeSet<&str> = quoted(rest.lines().next().unwrap()).into_iter().collect();
    let mut expected: BTreeSet<&str> = Route::ALL.iter().map(|one| one.first_segment()).collect();
    expected.insert("default");
    assert_eq!(listed, expected);
}
