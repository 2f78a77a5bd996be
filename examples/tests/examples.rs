//! Every example does what its README says.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn verify(object: &str, root: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify_evidence"));
    command.current_dir(top()).args([
        object,
        "041ec2e05d8284f45845b5f45143c4997e18f2c4d36bf792d58647740a2a1656",
        "1795000000",
    ]);
    command.args(root).output().unwrap()
}

#[test]
fn evidence_is_verified_without_a_server() {
    let root = Some("testdata/evidence/root.der");
    let good = verify("testdata/evidence/good/mac.cbor", root);
    let text = String::from_utf8(good.stdout).unwrap();
    assert!(
        good.status.success() && text.starts_with("serial   "),
        "{text}"
    );
    assert!(
        text.contains("\nroot     testdata/evidence/root.der\n"),
        "{text}"
    );
}

#[test]
fn evidence_that_is_not_apples_is_refused_without_a_root() {
    let refused = verify("testdata/evidence/good/mac.cbor", None);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success());
    assert!(text.starts_with("refused: unknown-anchor: "), "{text}");
}

#[test]
fn profiles_ask_for_a_hardware_bound_and_attested_key() {
    let mut profiles = 0;
    for entry in fs::read_dir(top().join("examples/mdm")).unwrap() {
        let path = entry.unwrap().path();
        let profile = plist::Value::from_file(&path).unwrap();
        let contents = profile.as_dictionary().unwrap()["PayloadContent"]
            .as_array()
            .unwrap();
        let acme = contents
            .iter()
            .map(|payload| payload.as_dictionary().unwrap())
            .find(|payload| payload["PayloadType"].as_string() == Some("com.apple.security.acme"))
            .unwrap();
        // Apple's schema: Attest requires HardwareBound, which requires
        // ECSECPrimeRandom of 256 or 384 bits.
        assert_eq!(acme["Attest"].as_boolean(), Some(true));
        assert_eq!(acme["HardwareBound"].as_boolean(), Some(true));
        assert_eq!(acme["KeyType"].as_string(), Some("ECSECPrimeRandom"));
        assert!([256, 384].contains(&acme["KeySize"].as_unsigned_integer().unwrap()));
        let directory = acme["DirectoryURL"].as_string().unwrap();
        assert!(directory.starts_with("https://") && directory.ends_with("/acme/directory"));
        assert!(!acme["ClientIdentifier"].as_string().unwrap().is_empty());
        profiles += 1;
    }
    assert!(profiles > 0);
}
