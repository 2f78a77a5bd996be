//! `simulate`: any device, and what is kept of a refused one.

use std::{fs, process::Output};

use assay_simulator::{corpus, evidence::DeviceProperties};
use serde_json::{Value, json};

use crate::support::{Server, Setup, assay, assert_exit, json_of};

const SERIAL: &str = "C02SIMDEVICE";
const UDID: &str = "00008112-000A1B2C3D4E5F60";

fn enroll(server: &Server, args: &[&str]) -> Output {
    let mut command = server.simulate("enroll", &server.process().directory);
    command.args(["--serial", SERIAL, "--udid", UDID]);
    command.args(args).output().unwrap()
}

/// What `inspect` decodes of the leaf, by the name of the extension.
fn forged(args: &[&str]) -> Value {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("object.cbor");
    let mut command = assay();
    command.args(["simulate", "forge", "--out"]).arg(&out);
    let output = command.args(args).output().unwrap();
    assert_exit(&output, 0);
    let mut inspect = assay();
    let output = inspect.args(["inspect", "--json"]).arg(&out).output();
    let report: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let extensions = report["certificates"][0]["extensions"].as_array().unwrap();
    let decoded = extensions.iter().filter_map(|extension| {
        let name = extension["name"].as_str()?;
        Some((name.to_owned(), extension["decoded"].clone()))
    });
    decoded.collect()
}

#[test]
fn each_valid_evidence_of_the_corpus_is_a_platform() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("object.cbor");
    let mut platforms = 0;
    for file in corpus::files().unwrap() {
        let Some(name) = file.path.strip_prefix("good/") else {
            continue;
        };
        let mut command = assay();
        command.args(["simulate", "forge", "--out"]).arg(&out);
        match name.strip_suffix(".cbor").unwrap() {
            "p384-key" => command.args(["--fault", "none", "--key", "p384"]),
            name => command.args(["--platform", name]),
        };
        assert_exit(&command.output().unwrap(), 0);
        assert!(fs::read(&out).unwrap() == file.bytes, "{name}");
        fs::remove_file(&out).unwrap();
        platforms += 1;
    }
    assert!(platforms >= 27, "{platforms}");
}

#[test]
fn every_platform_enrols_and_a_user_enrolment_has_no_serial_number() {
    let server = Server::start(Setup {
        devices: &[&format!("{SERIAL},,")],
        ..Setup::default()
    });
    for (name, _) in DeviceProperties::platforms("", "") {
        let output = enroll(&server, &["--platform", name]);
        if name == "user-enrolment" {
            assert_exit(&output, 1);
            continue;
        }
        assert_exit(&output, 0);
    }
    let unusual = ["--platform", "deeper-chain", "--key", "p384"];
    assert_exit(&enroll(&server, &unusual), 0);
    assert_exit(&enroll(&server, &["--fault", "copy-of-the-root"]), 0);
}

#[test]
fn single_properties_are_changed_blank_or_left_out() {
    let usual = forged(&["--platform", "iphone"]);
    assert_eq!(usual["model"], json!(["D74AP"]));
    let changed = forged(&[
        "--platform",
        "iphone",
        "--os-version",
        "18.6.1",
        "--model",
        "D83AP",
        "--property",
        "sip=1",
        "--property",
        "llb_version=",
        "--without",
        "udid",
    ]);
    assert_eq!(changed["model"], json!(["D83AP"]));
    assert_eq!(changed["OS version"], json!(["18.6.1"]));
    assert_eq!(changed["sepOS version"], json!(["18.6.1"]));
    assert_eq!(changed["System Integrity Protection"], json!(["disabled"]));
    assert_eq!(changed["LLB version"], json!([]));
    assert_eq!(usual["UDID"], json!([UDID]));
    assert_eq!(changed["UDID"], Value::Null);
}

#[test]
fn unknown_names_suggest_the_nearest() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("object.cbor");
    for (args, told) in [
        (&["--fault", "sip-as-txt"][..], "do you mean sip-as-text?"),
        (&["--platform", "mac-macos-26"], "do you mean mac-macos26?"),
        (
            &["--platform", "mac", "--property", "osversion=15"],
            "do you mean os_version?",
        ),
        (
            &["--platform", "mac", "--without", "seriel"],
            "do you mean serial?",
        ),
        (
            &["--platform", "mac", "--property", "sip=enabled"],
            "0 is enabled, 1 is disabled",
        ),
        (&["--platform", "mac", "--property", "sip"], "--without sip"),
        (&["--platform", "p384-key"], "--key p384"),
    ] {
        let mut command = assay();
        command.args(["simulate", "forge", "--out"]).arg(&out);
        let output = command.args(args).output().unwrap();
        assert_exit(&output, 2);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(told), "{message}");
        assert!(!out.exists());
    }
}

#[test]
fn the_evidence_of_a_refused_enrolment_is_kept() {
    let server = Server::start(Setup {
        devices: &[&format!("{SERIAL},,")],
        ..Setup::default()
    });
    let kept = server.beside("kept");
    let out = kept.to_str().unwrap();
    let refused = enroll(&server, &["--fault", "sip-as-text", "--out", out]);
    assert_exit(&refused, 1);
    let told: Value = serde_json::from_slice(&refused.stdout).unwrap();
    let read = |name: &str| fs::read(kept.join(name)).unwrap();
    assert_eq!(told["token"].as_str().unwrap().as_bytes(), read("token"));
    assert_eq!(
        told["attestation_object_hex"],
        hex::encode(read("attestation.cbor"))
    );
    assert_eq!(read("csr.der").first(), Some(&0x30));
    for name in ["key.pem", "cert.pem", "chain.pem"] {
        assert!(!kept.join(name).exists(), "{name}");
    }
    // What was kept explains the refusal.
    let mut inspect = assay();
    inspect.args(["inspect", "--json", "--token"]);
    inspect.arg(String::from_utf8(read("token")).unwrap());
    inspect.arg(kept.join("attestation.cbor"));
    let report: Value = serde_json::from_slice(&inspect.output().unwrap().stdout).unwrap();
    let checks = report["verdict"]["checks"].as_array().unwrap();
    let failed = checks.iter().find(|check| check["outcome"] == "failed");
    assert!(failed.is_some(), "{report}");

    // Before there is evidence there is none to keep.
    let early = server.beside("early");
    let unlisted = ["--client-identifier", "C02OTHER", "--out"];
    let output = enroll(
        &server,
        &[&unlisted[..], &[early.to_str().unwrap()]].concat(),
    );
    assert_exit(&output, 1);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["token"], &told["attestation_object_hex"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(fs::read_dir(&early).unwrap().count(), 0);

    let enrolled = json_of(&enroll(&server, &["--out", out]));
    assert_eq!(
        enrolled["token"].as_str().unwrap().as_bytes(),
        read("token")
    );
    assert!(kept.join("chain.pem").exists());
}
