//! A root that is not trusted: everyone's first failure.

use std::{fs, process::Output};

use assay_simulator::authority::AttestationAuthority;
use data_encoding::HEXLOWER;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::replay::{Folder, MADE, text};
use crate::support::{assay, assert_exit, message, now};

/// Without the laboratory's root.
fn replay(folder: &Folder, args: &[&str]) -> Output {
    let mut command = assay();
    command.arg("replay").args(args).arg(folder.path());
    command.output().unwrap()
}

fn sha256_of(pem: &str) -> String {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    HEXLOWER.encode(&Sha256::digest(&der))
}

#[test]
fn an_embedded_root_that_is_not_trusted_is_named_with_what_to_do() {
    let folder = Folder::new();
    let output = replay(&folder, &["--json"]);
    assert_exit(&output, 1);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let root = sha256_of(&MADE.root);
    for one in told["results"].as_array().unwrap() {
        assert_eq!(one["failed_check"]["check"], "anchor");
        let finding = &one["finding"];
        assert_eq!(finding["reason"], "unknown-anchor");
        let advice = finding["advice"].as_str().unwrap();
        assert!(
            advice.starts_with("this file embeds root C=ZZ,O=Assay Laboratory,CN="),
            "{advice}"
        );
        let end = format!(" (SHA-256 {root}): pass --root FILE or --trust-embedded-roots");
        assert!(advice.ends_with(&end), "{advice}");
        assert_eq!(finding["embedded_root"]["sha256"], json!(root));
        assert_eq!(finding["same_name"], json!([]));
    }

    let report = folder.path().join("report.xml");
    let output = replay(&folder, &["--junit", report.to_str().unwrap()]);
    let error = message(&output, 1);
    assert!(
        error.ends_with(
            "; 2 embed a root that is not trusted: pass --root FILE or --trust-embedded-roots"
        ),
        "{error}"
    );
    let report = fs::read_to_string(report).unwrap();
    let advice = format!("(SHA-256 {root}): pass --root FILE or --trust-embedded-roots");
    // In the message and in the text of both.
    assert_eq!(report.matches(&advice).count(), 4, "{report}");
}

#[test]
fn what_to_do_about_a_root_is_said_once_for_a_hundred_recordings() {
    let folder = Folder::new();
    for number in 0..100 {
        folder.write(&format!("{number}.json"), &MADE.accepted);
    }
    let output = replay(&folder, &[]);
    assert_exit(&output, 1);
    let shown = text(&output);
    assert_eq!(
        shown.matches("  root    this file embeds root ").count(),
        102
    );
    assert_eq!(
        shown.matches("--trust-embedded-roots").count(),
        2,
        "{shown}"
    );
    let once: Vec<_> = (shown.lines())
        .filter(|line| line.starts_with("ROOTS: "))
        .collect();
    let [once] = once.as_slice() else {
        panic!("{shown}");
    };
    assert!(
        once.starts_with("ROOTS: 102 recordings differ because a root is not trusted: "),
        "{once}"
    );
    // With the right root there is nothing to say.
    let shown = text(&folder.replay(&[]));
    assert!(!shown.contains("ROOTS"), "{shown}");
}

#[test]
fn another_root_of_the_same_name_is_said_to_be_another() {
    let folder = Folder::new();
    let other = AttestationAuthority::create(now()).unwrap();
    folder.write("other.pem", other.root_pem());
    let other_path = folder.path().join("other.pem");
    let args = ["--root", other_path.to_str().unwrap()];
    let output = replay(&folder, &[&args[..], &["--json"]].concat());
    assert_exit(&output, 1);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = &told["results"][0]["finding"];
    let advice = finding["advice"].as_str().unwrap();
    assert!(
        advice.starts_with("another root with the same name is trusted: C=ZZ,"),
        "{advice}"
    );
    for part in [
        format!(
            " of other.pem (SHA-256 {}); this file embeds root C=ZZ,O=Assay Laboratory,CN=",
            sha256_of(other.root_pem())
        ),
        format!(" (SHA-256 {}): pass --root FILE", sha256_of(&MADE.root)),
    ] {
        assert!(advice.contains(&part), "{part}: {advice}");
    }
    assert_ne!(finding["reason"], "unknown-anchor");
    let shown = text(&replay(&folder, &args));
    assert!(
        shown.contains("  root    another root with the same name is trusted: "),
        "{shown}"
    );
}

#[test]
fn a_file_without_its_root_says_which_one_to_find() {
    let folder = Folder::new();
    let mut recording: Value = serde_json::from_str(&MADE.accepted).unwrap();
    recording.as_object_mut().unwrap().remove("embedded_root");
    folder.write("accepted.json", &recording.to_string());
    let told: Value = serde_json::from_slice(&replay(&folder, &["--json"]).stdout).unwrap();
    let finding = &told["results"][0]["finding"];
    let advice = finding["advice"].as_str().unwrap();
    let root = sha256_of(&MADE.root);
    for part in [
        "this file embeds no root, and its evidence names the root \"C=ZZ,O=Assay Laboratory,CN=",
        &format!("; when it was recorded, the root with SHA-256 {root} vouched: pass --root FILE"),
    ] {
        assert!(advice.contains(part), "{part}: {advice}");
    }
    assert_eq!(finding.get("embedded_root"), None);
}

/// Advice that would not help is worse than none.
#[test]
fn a_wrong_signature_is_not_blamed_on_a_root() {
    let folder = Folder::new();
    let mut recording: Value = serde_json::from_str(&MADE.accepted).unwrap();
    let mut object = recording["attestation_object"].as_str().unwrap().to_owned();
    // Every bit of the last letter but one counts in base64url. The object may
    // end with a certificate of the intermediate, whose signature it is.
    let index = object.len() - 2;
    let other = if object.as_bytes()[index] == b'A' {
        "B"
    } else {
        "A"
    };
    object.replace_range(index..=index, other);
    recording["attestation_object"] = json!(object);
    folder.write("accepted.json", &recording.to_string());
    let output = folder.replay(&["--json"]);
    assert_exit(&output, 1);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let one = &told["results"][0];
    assert_eq!(one["result"], "different");
    assert_eq!(one["finding"]["reason"], "bad-signature", "{one}");
    assert_eq!(one["finding"].get("advice"), None, "{one}");
    // An embedded root of another authority does not vouch either.
    let other = AttestationAuthority::create(now()).unwrap();
    let mut recording: Value = serde_json::from_str(&MADE.accepted).unwrap();
    let embedded = data_encoding::BASE64URL_NOPAD.encode(other.root_der());
    recording["embedded_root"] = json!(embedded);
    folder.write("accepted.json", &recording.to_string());
    let told: Value = serde_json::from_slice(&replay(&folder, &["--json"]).stdout).unwrap();
    let advice = told["results"][0]["finding"]["advice"].as_str().unwrap();
    assert!(
        advice.contains("which does not vouch for this evidence: pass --root FILE with the root"),
        "{advice}"
    );
}
