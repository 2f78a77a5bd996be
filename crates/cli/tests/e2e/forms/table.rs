//! The table of forms in docs/recordings.md is what the commands do.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{
    Bench, SENT, SERIAL, THEN, TOKEN, nonce,
    samples::{Holds, samples},
};
use crate::support::{assert_exit, json_of, message};

/// What stands before the table's rows.
const HEAD: &str =
    "| form | read as | `assay inspect` | `assay recording import` |\n|---|---|---|---|\n";

#[test]
fn the_table_of_forms_is_what_inspect_and_import_do() {
    let bench = Bench::new();
    let rows: Vec<String> = (samples(&bench.source).iter())
        .map(|sample| {
            let (form, inspected) = inspected(&bench, sample.name);
            let imported = imported(&bench, sample.name);
            let refused = sample.holds == Holds::Nothing;
            assert_eq!(inspected == "refused", refused, "{}", sample.name);
            format!("| {} | {form} | {inspected} | {imported} |\n", sample.name)
        })
        .collect();
    assert!(rows.len() >= 35, "{}", rows.len());
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recordings.md");
    let docs = fs::read_to_string(docs).unwrap();
    let (_, table) = docs.split_once(HEAD).unwrap();
    let end = table.find("\n\n").map_or(table.len(), |end| end + 1);
    let expected = rows.concat();
    assert_eq!(
        &table[..end],
        expected,
        "the table should be:\n{HEAD}{expected}"
    );
}

/// The form's name, and what is shown without a token.
fn inspected(bench: &Bench, name: &str) -> (String, String) {
    let file = bench.form(name);
    let args = ["--at", THEN, "--root", "root.pem"];
    let output = bench.run(&["inspect", "--json"], &file, &args);
    if output.status.code() == Some(1) {
        return ("-".to_owned(), "refused".to_owned());
    }
    assert_exit(&output, 0);
    let report = json_of(&output);
    let words = |key: &str, name: &str| -> Vec<String> {
        let list = report[key].as_array().unwrap().iter();
        list.map(|one| one[name].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let form = report["form"].as_array().unwrap().iter();
    let form: Vec<_> = form.map(|layer| layer.as_str().unwrap()).collect();
    let mut says = vec![report["kind"].as_str().unwrap().to_owned()];
    if report["pieces"] != 1 {
        says[0] = format!("{} times {}", report["pieces"], says[0]);
    }
    if report["verified"] == true {
        says.push("verified".to_owned());
    }
    says.extend(
        words("lacks", "option")
            .iter()
            .map(|option| format!("lacks `{option}`")),
    );
    // That a recording's time is the time of the checks is no news.
    let notes = words("notes", "note");
    let notes = notes.iter().filter(|note| *note != "recorded-time");
    says.extend(notes.map(|note| format!("note `{note}`")));
    (form.join(" > "), says.join(", "))
}

/// What an import does alone, and that it accepts the evidence with the options
/// that it asks for.
fn imported(bench: &Bench, name: &str) -> String {
    let output = bench.import(name, &["--root", "root.pem"]);
    let code = output.status.code().unwrap();
    if code == 1 {
        return "refused".to_owned();
    }
    let mut asked = BTreeSet::new();
    let message = message_of(&output, code);
    for word in message.split([' ', ',', ';', ':']) {
        if word.starts_with("--") {
            asked.insert(word.to_owned());
        }
    }
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let nonce = nonce();
    let information = ["--nonce", &nonce, "--sent", SENT, "--at", THEN];
    let challenge = ["--token", TOKEN, "--serial", SERIAL, "--at", THEN];
    let (says, with): (&str, &[&[&str]]) = match asked.as_slice() {
        [] => ("recorded", &[&[]]),
        ["--serial", "--udid"] => (
            "needs `--serial` or `--udid`",
            &[&["--serial", SERIAL, "--at", THEN]],
        ),
        ["--serial", "--token", "--udid"] => {
            ("needs `--token`, and `--serial` or `--udid`", &[&challenge])
        }
        ["--nonce", "--sent"] => ("needs `--nonce` and `--sent`", &[&information]),
        ["--nonce", "--sent", "--token"] => (
            "needs `--nonce` and `--sent`; or `--token`, and `--serial` or `--udid`",
            &[&information, &challenge],
        ),
        other => panic!("{name}: {other:?}"),
    };
    for args in with {
        let output = bench.import(name, &[args, &["--root", "root.pem"][..]].concat());
        assert_exit(&output, 0);
        for recording in json_of(&output)["recordings"].as_array().unwrap() {
            let outcome = &recording["verdict"]["outcome"];
            // A leaf alone is recorded as well, and refused.
            let expected = if name.contains("alone") {
                "refused"
            } else {
                "accepted"
            };
            assert_eq!(outcome, &Value::from(expected), "{name}: {recording}");
        }
    }
    says.to_owned()
}

/// The message of a command line that lacks something; nothing of one that is
/// complete.
fn message_of(output: &std::process::Output, code: i32) -> String {
    match code {
        0 => String::new(),
        _ => message(output, code),
    }
}
