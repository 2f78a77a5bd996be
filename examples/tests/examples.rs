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
        "041e08ea25e0a37032cb2c08b4cb642266d073d9fe5c2f3e327c59d76435998b",
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

/// The certificates of a recorded attestation object, in the answer to a
/// DeviceInformation query.
fn device_information(path: &Path) {
    let object = fs::read(top().join("testdata/evidence/good/mac.cbor")).unwrap();
    let mut decoder = minicbor::Decoder::new(&object);
    for key in ["attStmt", "x5c"] {
        decoder.map().unwrap();
        while decoder.str().unwrap() != key {
            decoder.skip().unwrap();
        }
    }
    let count = decoder.array().unwrap().unwrap();
    let certificates = (0..count)
        .map(|_| plist::Value::Data(decoder.bytes().unwrap().to_vec()))
        .collect();
    let responses = plist::Dictionary::from_iter([(
        "DevicePropertiesAttestation",
        plist::Value::Array(certificates),
    )]);
    let answer = plist::Dictionary::from_iter([
        ("Status", plist::Value::String("Acknowledged".to_owned())),
        ("QueryResponses", plist::Value::Dictionary(responses)),
    ]);
    plist::Value::Dictionary(answer).to_file_xml(path).unwrap();
}

#[test]
fn an_mdm_server_verifies_a_device_information_answer() {
    const NONCE: &str = "041e08ea25e0a37032cb2c08b4cb642266d073d9fe5c2f3e327c59d76435998b";

    let directory = tempfile::tempdir().unwrap();
    let answer = directory.path().join("answer.plist");
    device_information(&answer);
    let run = |serial: &str, nonces: &[String]| {
        let output = Command::new(env!("CARGO_BIN_EXE_device_information"))
            .current_dir(top())
            .arg(&answer)
            .args([serial, "1795000000", "testdata/evidence/root.der"])
            .args(nonces)
            .output()
            .unwrap();
        let text = if output.status.success() {
            output.stdout
        } else {
            output.stderr
        };
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let facts = "attestation of C02XK0AAJHD2: OS 15.5, SIP enabled, secure boot Full Security";
    let earlier = format!("{NONCE}@1794990000");
    let later = "00@1794999000".to_owned();
    assert_eq!(
        run("C02XK0AAJHD2", std::slice::from_ref(&earlier)),
        (true, format!("fresh {facts}\n"))
    );
    assert_eq!(
        run("C02XK0AAJHD2", &[earlier.clone(), later.clone()]),
        (true, format!("cached {facts}\n"))
    );
    for (serial, nonces, expected) in [
        ("C02XK0AAJHD2", vec![later], "refused: freshness-mismatch: "),
        (
            "C02XK0AAJHD2",
            vec![format!("{NONCE}@1794395200")],
            "refused: freshness-expired: ",
        ),
        (
            "C02OTHER",
            vec![earlier],
            "the attestation is of another device\n",
        ),
    ] {
        let (accepted, text) = run(serial, &nonces);
        assert!(!accepted && text.starts_with(expected), "{text}");
    }
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
        // Apple's schema: a root is com.apple.security.root, any other CA
        // certificate com.apple.security.pkcs1; both hold DER.
        for (kind, of) in [
            ("com.apple.security.root", "assay.root"),
            ("com.apple.security.pkcs1", "assay.issuing"),
        ] {
            let mut found = (contents.iter())
                .map(|payload| payload.as_dictionary().unwrap())
                .filter(|payload| payload["PayloadType"].as_string() == Some(kind));
            let payload = found.next().unwrap();
            assert!(found.next().is_none());
            let name = payload["PayloadIdentifier"].as_string().unwrap();
            assert!(name.ends_with(of), "{name}");
            assert!(payload["PayloadContent"].as_data().is_some(), "{name}");
        }
        let mut uuids: Vec<_> = (contents.iter())
            .map(|payload| payload.as_dictionary().unwrap()["PayloadUUID"].as_string())
            .collect();
        uuids.sort_unstable();
        uuids.dedup();
        assert_eq!(uuids.len(), contents.len());
        profiles += 1;
    }
    assert!(profiles > 0);
}
