//! `assay inspect` over the evidence and the CSRs of testdata, as a user runs
//! it.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata")
        .join(path)
}

fn inspect(args: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_assay"))
        .arg("inspect")
        .args(args)
        .arg(file)
        .output()
        .unwrap()
}

fn as_json(file: &Path) -> Value {
    let output = inspect(&["--json"], file);
    assert_eq!(output.status.code(), Some(0), "{}", file.display());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The text, without what the time of the test and the keys of the day decide:
/// the validity now, and hexadecimal of 20 bytes and more.
fn masked(path: &str) -> String {
    let output = inspect(&[], &testdata(path));
    assert_eq!(output.status.code(), Some(0), "{path}");
    assert_eq!(output.stderr, b"", "{path}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("  Valid now "));
    let words = |line: &str| {
        line.split(' ')
            .map(|word| {
                let digits = word.trim_start_matches("CN=").trim_end_matches(')');
                if digits.len() >= 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    word.replace(digits, "HEX")
                } else {
                    word.to_owned()
                }
            })
            .collect::<Vec<_>>()
            .join(" ")
    };
    lines.map(words).collect::<Vec<_>>().join("\n")
}

fn files(folder: &str) -> Vec<(String, PathBuf)> {
    let mut files: Vec<_> = fs::read_dir(testdata(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            (name.split('.').next().unwrap().to_owned(), path)
        })
        .collect();
    files.sort();
    assert!(files.len() > 5, "{folder}");
    files
}

const HEAD: &str = "NOT VERIFIED: this is what the file says, and anybody can write such a file.";

#[test]
fn a_mac_in_words() {
    let expected = format!(
        r#"Attestation object, format "apple", 2 certificates
{HEAD}

Certificate 1 of 2
  Subject              O=Apple Inc.,OU=AAA Certification,CN=HEX
  Issuer               C=ZZ,O=Assay Laboratory,CN=Laboratory Attestation Sub CA 1
  Serial number        01a1ee566176
  Not before           2026-11-17T11:06:40Z
  Not after            2027-02-16T11:06:40Z
  Signature algorithm  ecdsa-with-SHA384
  Key                  EC P-256
  Key SHA-256 (SPKI)   HEX
  SHA-256              HEX
  Apple's root         no, nor does it name that root as its issuer
  Apple properties
    serial number: C02XK0AAJHD2 (9.1 = text)
    UDID: 00008112-000A1B2C3D4E5F60 (9.2 = text)
    model: J413AP (9.4 = text)
    OS version: 15.5 (10.1 = text)
    sepOS version: 15.5 (10.2 = text)
    LLB version: 11881.121.1 (10.3 = text)
    freshness code: HEX (11.1 = 32 bytes)
    System Integrity Protection: enabled (13.1 = INTEGER 0)
    secure boot: Full Security (13.2 = text)
    third-party kernel extensions: not allowed (13.3 = INTEGER 0)
  Extensions
    basicConstraints (2.5.29.19, critical): CA: false
    keyUsage (2.5.29.15, critical): digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment

Certificate 2 of 2
  Subject              C=ZZ,O=Assay Laboratory,CN=Laboratory Attestation Sub CA 1
  Issuer               C=ZZ,O=Assay Laboratory,CN=Laboratory Attestation Root CA
  Serial number        HEX
  Not before           2026-11-17T11:06:40Z
  Not after            2036-11-15T11:06:40Z
  Signature algorithm  ecdsa-with-SHA384
  Key                  EC P-384
  Key SHA-256 (SPKI)   HEX
  SHA-256              HEX
  Apple's root         no, nor does it name that root as its issuer
  Extensions
    basicConstraints (2.5.29.19, critical): CA: true, path length: 0
    authorityKeyIdentifier (2.5.29.35): HEX
    subjectKeyIdentifier (2.5.29.14): HEX
    keyUsage (2.5.29.15, critical): keyCertSign, cRLSign"#
    );
    assert_eq!(masked("evidence/good/mac.cbor"), expected);
}

#[test]
fn apples_root_to_the_last_digit() {
    let output = inspect(
        &[],
        &testdata("evidence/golden/apple-enterprise-attestation-root-ca.der"),
    );
    assert_eq!(output.status.code(), Some(0));
    let expected = format!(
        "Certificate
{HEAD}

  Subject              C=US,O=Apple Inc.,CN=Apple Enterprise Attestation Root CA
  Issuer               C=US,O=Apple Inc.,CN=Apple Enterprise Attestation Root CA
  Serial number        42c0c2bb2c727c5c5eabf6f1a66f1fac5d798737
  Not before           2022-02-16T19:01:24Z
  Not after            2047-02-20T00:00:00Z
  Valid now            yes
  Signature algorithm  ecdsa-with-SHA384
  Key                  EC P-384
  Key SHA-256 (SPKI)   4179683e87e3f483849848b3eb80e08ecdf52e3f1a99dd1340f29b88ecbc2041
  SHA-256              ccf59ef8fcb3017d97f8b5fa6fa90e7a3f9283f76b55ac6cf6eda8b8b949f05b
  Apple's root         this is Apple's root, as pinned
  Extensions
    basicConstraints (2.5.29.19, critical): CA: true
    subjectKeyIdentifier (2.5.29.14): f36a4d019df26b81a55e5dbbe5086d56e2f9deba
    keyUsage (2.5.29.15, critical): keyCertSign, cRLSign
"
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn a_csr_in_words() {
    let expected = format!(
        "Certification request (CSR)
{HEAD}

  Subject              CN=device
  Key                  EC P-256
  Key SHA-256 (SPKI)   HEX
  Self-signature       verifies: whoever made this has the key, and no more is known
  Asks to be a CA      no
  Requested names
    common-name: device
    permanent-identifier: ABCDEF123456
    permanent-identifier: ABC/1.2.3.4
    permanent-identifier: (empty)
    hardware-module: U-1/1.2.840.113635.100.8.9.1
    dns: a.example
    dns: B.example
    email: user@example.com
    uri: https://example.com/x
    ip: 192.0.2.1
    ip: 2001:db8::1
    upn: user@corp.example
    number-of-other-names: 3"
    );
    assert_eq!(masked("csr/good/all-names.der"), expected);
}

#[test]
fn a_csr_with_a_bad_signature_in_words() {
    let expected = format!(
        "Certification request (CSR)
{HEAD}

  Subject              CN=Device
  Key                  EC P-256
  Key SHA-256 (SPKI)   HEX
  Refused              the CSR's signature does not verify with the CSR's own public key"
    );
    assert_eq!(
        masked("csr/bad/bad-signature.changed-subject.der"),
        expected
    );
}

/// The lines about Apple's properties that are of interest, where they differ
/// from those of the Mac above.
#[test]
fn faults_stand_in_their_places() {
    for (path, line) in [
        (
            "bad/property-malformed.ascii-digit.cbor",
            "    System Integrity Protection: fault: property-malformed: System Integrity Protection \
             (1.2.840.113635.100.8.13.1): is not one DER INTEGER (13.1, raw 30)",
        ),
        (
            "bad/freshness-missing.blank.cbor",
            "    freshness code: blank, which is nothing attested (11.1 = empty)",
        ),
        (
            "bad/property-repeated.serial.cbor",
            "    serial number: C02XK0AAJHD2 (9.1 = text, repeated)",
        ),
        (
            "bad/certificate-version.version-1.cbor",
            "  Cannot be decoded    fault: certificate-version: the version is not 3",
        ),
        (
            "good/undocumented-apple-extensions.cbor",
            "    undocumented: raw 01ff (9.3)",
        ),
    ] {
        let text = masked(&format!("evidence/{path}"));
        assert!(text.lines().any(|found| found == line), "{path}: {text}");
    }
}

#[test]
fn json_has_the_documented_keys() {
    let mut report = as_json(&testdata("evidence/good/mac.cbor"));
    assert_eq!(report["kind"], "attestation-object");
    assert_eq!(report["verified"], false);
    assert_eq!(report["format"], "apple");
    let mut leaf = report["certificates"][0].take();
    let sip = json!({
        "oid": "1.2.840.113635.100.8.13.1",
        "name": "System Integrity Protection",
        "critical": false,
        "repeated": false,
        "value": "020100",
        "decoded": ["enabled"],
        "encoding": "INTEGER 0",
    });
    let extensions = leaf["extensions"].take();
    assert!(extensions.as_array().unwrap().contains(&sip));
    let keys: Vec<_> = leaf.as_object().unwrap().keys().cloned().collect();
    let mut expected = [
        "sha256",
        "subject",
        "issuer",
        "serial_number",
        "not_before",
        "not_after",
        "validity",
        "signature_algorithm",
        "key",
        "spki_sha256",
        "apple_root",
        "extensions",
    ];
    expected.sort_unstable();
    let mut keys: Vec<_> = keys.iter().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(leaf["not_after"], "2027-02-16T11:06:40Z");
    // A leaf's commonName is, as in Apple's, the SHA-256 of its key.
    let subject = leaf["subject"].as_str().unwrap();
    let key = leaf["spki_sha256"].as_str().unwrap();
    assert!(subject.ends_with(&format!("CN={key}")), "{subject}");

    let root = as_json(&testdata(
        "evidence/golden/apple-enterprise-attestation-root-ca.der",
    ));
    assert_eq!(root["kind"], "certificate");
    assert_eq!(root["certificates"][0]["apple_root"], "this");
    assert_eq!(root["certificates"][0]["validity"], "valid");
}

#[test]
fn json_of_a_csr() {
    let report = as_json(&testdata("csr/good/wants-ca.basic-constraints.der"));
    assert_eq!(report["kind"], "csr");
    assert_eq!(report["verified"], false);
    let request = &report["request"];
    assert_eq!(request["accepted"], true);
    assert_eq!(request["wants_ca"], true);
    assert_eq!(request["fault"], Value::Null);
    let names = as_json(&testdata("csr/good/all-names.der"))["request"]["names"].take();
    let name = json!({"type": "permanent-identifier", "value": "ABC/1.2.3.4"});
    assert!(names.as_array().unwrap().contains(&name));
}

#[test]
fn good_evidence_has_no_fault() {
    for (name, file) in files("evidence/good") {
        let report = as_json(&file);
        assert_eq!(report["kind"], "attestation-object", "{name}");
        for certificate in report["certificates"].as_array().unwrap() {
            assert_eq!(certificate["fault"], Value::Null, "{name}");
            for extension in certificate["extensions"].as_array().unwrap() {
                assert_eq!(extension["fault"], Value::Null, "{name}");
            }
        }
    }
}

/// The reasons that concern the object as a whole end in exit code 1, those
/// that concern the decoding of a part are found in it, the others need a
/// verdict and leave no trace here.
#[test]
fn bad_evidence_is_shown_as_far_as_it_decodes() {
    let parts = [
        "certificate-malformed",
        "certificate-serial-number",
        "certificate-too-large",
        "certificate-version",
        "extension-malformed",
        "property-malformed",
        "signature-algorithm-mismatch",
        "too-many-extensions",
        "webauthn-anonymous",
    ];
    for (reason, file) in files("evidence/bad") {
        let output = inspect(&["--json"], &file);
        let text = String::from_utf8(output.stdout).unwrap();
        let shown = file.display();
        if output.status.code() == Some(1) {
            assert_eq!(text, "", "{shown}");
            let error = String::from_utf8(output.stderr).unwrap();
            let unknown = ["object-not-map", "object-empty"].contains(&reason.as_str());
            assert!(
                unknown || error.contains(&format!(": {reason}: ")),
                "{error}"
            );
            continue;
        }
        assert_eq!(output.status.code(), Some(0), "{shown}");
        let found = text.contains(&format!("\"reason\":\"{reason}\""));
        assert_eq!(found, parts.contains(&reason.as_str()), "{shown}");
    }
}

#[test]
fn csrs_are_accepted_or_shown_with_their_fault() {
    for (name, file) in files("csr/good") {
        assert_eq!(as_json(&file)["request"]["accepted"], true, "{name}");
    }
    for (reason, file) in files("csr/bad") {
        let shown = file.display();
        let output = inspect(&["--json"], &file);
        if output.status.code() == Some(1) {
            assert_eq!(reason, "malformed", "{shown}");
            continue;
        }
        assert_eq!(output.status.code(), Some(0), "{shown}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["request"]["accepted"], false, "{shown}");
        assert_eq!(report["request"]["names"], Value::Null, "{shown}");
        assert_ne!(report["request"]["fault"], Value::Null, "{shown}");
    }
}

#[test]
fn standard_input_is_read() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["inspect", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let root = fs::read(testdata("evidence/root.der")).unwrap();
    child.stdin.take().unwrap().write_all(&root).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let from_file = inspect(&["--json"], &testdata("evidence/root.der")).stdout;
    assert_eq!(output.stdout, from_file);
}

#[test]
fn a_file_that_is_not_there_is_a_mistake_and_another_file_is_refused() {
    let output = inspect(&[], &testdata("no-such-file"));
    assert_eq!(output.status.code(), Some(2));
    let output = inspect(&[], &testdata("evidence/README.md"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("neither an attestation object nor a certificate nor a CSR"),
        "{error}"
    );
}
