//! Every fault of the simulator, done to a server: each is refused with the very reason that
//! the table names.

use std::{fs, path::Path, process::Output};

use assay_simulator::{
    corpus,
    faults::{Fault, Good, Outcome},
};
use serde_json::{Value, json};

use crate::support::{Server, Setup, assay, assert_exit, json_of, message};

/// The serial number of the device that commits the fault of this place in the table: an order
/// is found by it, or by all of it but the last letter.
fn serial(number: usize) -> String {
    format!("C02FAULT{number:03}A")
}

fn enroll(server: &Server, serial: &str, fault: &str) -> Output {
    let mut command = server.simulate("enroll", &server.process().directory);
    command.args(["--serial", serial, "--udid", &format!("00008112-{serial}")]);
    command.args(["--fault", fault]).output().unwrap()
}

/// What the operator is told of the refusal of a device's order, or of what it wanted to order:
/// then the last letter is another.
fn told(server: &Server, serial: &str) -> Value {
    let ordered = serial.trim_end_matches('A');
    server.process().event(|event| {
        let identifier = event["identifier"].as_str().unwrap_or_default();
        event["event"] == "refused" && identifier.starts_with(ordered)
    })
}

#[test]
fn scenario_125_every_fault_is_refused_with_the_reason_of_the_table() {
    let faults: Vec<&Fault> = Fault::all().collect();
    let devices: Vec<String> = (0..faults.len())
        .map(|number| format!("{},,", serial(number)))
        .collect();
    let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
    let server = Server::start(Setup {
        devices: &devices,
        ..Setup::default()
    });
    for (number, fault) in faults.into_iter().enumerate() {
        let (name, serial) = (fault.name(), serial(number));
        let output = enroll(&server, &serial, name);
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        if let Outcome::Accepted { .. } = fault.outcome() {
            assert_exit(&output, 0);
            assert_eq!(printed["result"], "enrolled", "{name}");
            continue;
        }
        assert_exit(&output, 1);
        assert_eq!(printed["result"], "refused", "{name}");
        let problem = fault.outcome().problem().unwrap();
        assert_eq!(
            printed["problem"]["type"],
            format!("urn:ietf:params:acme:error:{problem}"),
            "{name}: {printed}"
        );
        let Some(reason) = fault.outcome().reason() else {
            continue;
        };
        let event = told(&server, &serial);
        assert_eq!(event["reason"], reason, "{name}: {event}");
        if problem == "badAttestationStatement" {
            let story = server.story(event["order"].as_str().unwrap());
            assert_eq!(
                (&story["status"], &story["reason"]),
                (&json!("invalid"), &json!(reason)),
                "{name}"
            );
            assert_eq!(story["failure"]["client"], printed["problem"], "{name}");
        }
    }
}

#[test]
fn the_list_of_faults_asks_for_nothing_else() {
    let list = |what: &str| {
        let output = assay()
            .args(["simulate", what, "--fault", "list", "--json"])
            .output();
        json_of(&output.unwrap())
    };
    let listed = list("forge");
    assert_eq!(listed, list("enroll"));
    let listed = listed["faults"].as_array().unwrap();
    assert_eq!(listed.len(), Fault::all().count());
    for (listed, fault) in listed.iter().zip(Fault::all()) {
        assert_eq!(listed["name"], fault.name());
        assert_eq!(listed["reason"], json!(fault.outcome().reason()));
    }
    let output = assay()
        .args(["simulate", "forge", "--fault", "list"])
        .output()
        .unwrap();
    assert_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    for fault in Fault::all() {
        assert!(
            text.contains(&format!("\n    {}", fault.meaning())),
            "{text}"
        );
    }
}

#[test]
fn scenario_125_what_is_forged_is_the_corpus() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("object.cbor");
    let forge = |args: &[&str]| {
        let mut command = assay();
        command.args(["simulate", "forge", "--force", "--out"]);
        command.arg(&out).args(args).output().unwrap()
    };
    let all = home.path().join("all");
    let mut command = assay();
    command.args(["simulate", "forge", "--all"]).arg(&all);
    assert_exit(&command.output().unwrap(), 0);
    for file in corpus::files().unwrap() {
        assert!(
            fs::read(all.join(&file.path)).unwrap() == file.bytes,
            "{}",
            file.path
        );
        let Some(name) = file.path.strip_suffix(".cbor") else {
            continue;
        };
        let name = name.rsplit(['/', '.']).next().unwrap();
        if Fault::find(name).is_some() || Good::find(name).is_some() {
            assert_exit(&forge(&["--fault", name]), 0);
            assert!(fs::read(&out).unwrap() == file.bytes, "{name}");
        }
    }
    let none = fs::read(all.join("good/mac.cbor")).unwrap();
    assert_exit(&forge(&["--fault", "none"]), 0);
    assert!(fs::read(&out).unwrap() == none);
    assert_exit(&forge(&["--fault", "none", "--token", corpus::TOKEN]), 0);
    assert!(fs::read(&out).unwrap() == none);
    assert_exit(&forge(&["--fault", "none", "--token", "another"]), 0);
    assert!(fs::read(&out).unwrap() != none);
}

#[test]
fn forge_replaces_no_file_unless_it_is_forced_to() {
    let home = tempfile::tempdir().unwrap();
    let [new, old] = ["new", "old"].map(|name| home.path().join(name));
    fs::write(&old, "precious").unwrap();
    let forge = |args: &[&str], out: &Path, root: &Path| {
        let mut command = assay();
        command.args(["simulate", "forge", "--fault", "none"]);
        command.args(args).arg("--out").arg(out);
        command.arg("--root-out").arg(root).output().unwrap()
    };
    for (out, root, option) in [(&old, &new, "--out "), (&new, &old, "--root-out ")] {
        let told = message(&forge(&[], out, root), 2);
        assert!(told.contains(option) && told.contains("--force"), "{told}");
        assert!(!new.exists());
        assert_eq!(fs::read(&old).unwrap(), b"precious");
    }
    assert_exit(&forge(&["--force"], &old, &new), 0);
    assert_ne!(fs::read(&old).unwrap(), b"precious");
    let null = Path::new("/dev/null");
    assert_exit(&forge(&[], &home.path().join("other"), null), 0);
}

#[test]
fn what_cannot_be_forged_is_a_mistake_of_the_command() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("object.cbor");
    for (args, told) in [
        (
            &["--fault", "device-error"][..],
            "only an enrolment can show it",
        ),
        (
            &["--fault", "serial-in-other-case", "--serial", "123"],
            "changes nothing",
        ),
        (&["--fault", "none", "--nonce", "AA=="], "not base64url"),
        (&["--fault", "none", "--nonce", ""], "a nonce has 1 to 32"),
        (&["--fault", "none", "--at", "yesterday"], "RFC 3339"),
        (
            &["--fault", "none", "--authority", "/nowhere"],
            "cannot use the authority",
        ),
    ] {
        let mut command = assay();
        command.args(["simulate", "forge", "--out"]).arg(&out);
        let message = message(&command.args(args).output().unwrap(), 2);
        assert!(message.contains(told), "{message}");
        assert!(!out.exists());
    }
    let mut command = assay();
    command.args(["simulate", "forge", "--fault", "none", "--out"]);
    command.arg(&out).arg("--root-out").arg(&out);
    let told = message(&command.output().unwrap(), 2);
    assert!(told.contains("are one file"), "{told}");
    assert!(!out.exists());
    let enroll = |args: &[&str]| {
        let mut command = assay();
        command.args(["simulate", "enroll"]).args(args);
        message(&command.output().unwrap(), 2)
    };
    assert!(enroll(&[]).contains("--directory is required"));
    let both = enroll(&["--fault", "deeper-chain", "--platform", "os-blank"]);
    assert!(both.contains("give one of them"), "{both}");
}
