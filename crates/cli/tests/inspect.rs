//! `assay inspect` over the evidence and the CSRs of testdata, as a user runs
//! it.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

#[path = "inspect/odd.rs"]
mod odd;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use assay_simulator::{authority::AttestationAuthority, evidence::DeviceProperties};
use data_encoding::BASE64;
use rcgen::PublicKeyData;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

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

/// The moment at which the evidence of testdata is good.
const THEN: &str = "1795000000";

/// The laboratory root that vouches for the evidence of testdata, as PEM in a
/// file that ends with the test.
fn laboratory_root() -> NamedTempFile {
    let der = fs::read(testdata("evidence/root.der")).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(pem(&der).as_bytes()).unwrap();
    file
}

fn pem(der: &[u8]) -> String {
    let body = BASE64.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

/// The text, without what the keys of the day decide: hexadecimal of 20 bytes
/// and more.
fn masked(path: &str) -> String {
    let output = inspect(&["--at", THEN], &testdata(path));
    assert_eq!(output.status.code(), Some(0), "{path}");
    assert_eq!(output.stderr, b"", "{path}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut masked = String::new();
    for line in text.lines() {
        for part in line.split_inclusive([' ', ',', '=', ')']) {
            let word = part.trim_end_matches([' ', ',', '=', ')']);
            if word.len() >= 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                masked += &part.replace(word, "HEX");
            } else {
                masked += part;
            }
        }
        masked.push('\n');
    }
    masked
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

#[test]
fn a_mac_in_words() {
    let expected = include_str!("inspect/mac.txt");
    assert_eq!(masked("evidence/good/mac.cbor"), expected);
}

#[test]
fn apples_root_to_the_last_digit() {
    let output = inspect(
        &["--at", THEN],
        &testdata("evidence/golden/apple-enterprise-attestation-root-ca.der"),
    );
    assert_eq!(output.status.code(), Some(0));
    let expected = include_str!("inspect/apple-root.txt");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn a_csr_in_words() {
    let expected = include_str!("inspect/csr.txt");
    assert_eq!(masked("csr/good/all-names.der"), expected);
}

#[test]
fn a_csr_with_a_bad_signature_in_words() {
    let expected = include_str!("inspect/csr-bad-signature.txt");
    assert_eq!(
        masked("csr/bad/bad-signature.changed-subject.der"),
        expected
    );
}

#[test]
fn faults_stand_in_their_places() {
    for (path, line) in [
        (
            "bad/property-malformed.sip-as-text.cbor",
            "    System Integrity Protection: fault: property-malformed: System Integrity Protection \
             (1.2.840.113635.100.8.13.1): is not one DER INTEGER",
        ),
        (
            "bad/freshness-missing.freshness-blank.cbor",
            "    freshness code: not attested",
        ),
        (
            "bad/property-repeated.serial-twice-right-first.cbor",
            "      1.2.840.113635.100.8.9.1, repeated, text, raw 58",
        ),
        (
            "bad/certificate-version.leaf-version-1.cbor",
            "  As evidence          refused: certificate-version: the version is not 3",
        ),
        (
            "good/undocumented-apple-extensions.cbor",
            "      1.2.840.113635.100.8.9.3, raw 01ff",
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
        "meaning": "good: system files cannot be changed",
    });
    let extensions = leaf["extensions"].take();
    assert!(extensions.as_array().unwrap().contains(&sip));
    let mut keys: Vec<_> = leaf.as_object().unwrap().keys().collect();
    keys.sort_unstable();
    let expected = "apple_root extensions issuer key not_after not_before serial_number sha256 \
                    signature_algorithm spki_sha256 subject validity version";
    assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
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
fn keys_are_named() {
    for (file, key) in [
        ("bad/unsupported-key.ed448", "id-Ed448"),
        ("bad/unsupported-key.explicit-curve", "EC, no named curve"),
        ("bad/unsupported-key.p521", "EC P-521"),
        ("bad/unsupported-key.secp256k1", "EC 1.3.132.0.10"),
        ("bad/weak-key.rsa-2040", "RSA 2040 bits"),
        ("good/ed25519", "Ed25519"),
        ("good/p256-sha512", "EC P-256"),
        ("good/p384-sha256", "EC P-384"),
        ("good/rsa4096-sha256", "RSA 4096 bits"),
    ] {
        let report = as_json(&testdata(&format!("csr/{file}.der")));
        assert_eq!(report["request"]["key"], key, "{file}");
    }
}

#[test]
fn evidence_is_verified_against_token_time_and_root() {
    let now = 1_795_000_000;
    let authority = AttestationAuthority::create(now).unwrap();
    let key = rcgen::KeyPair::generate()
        .unwrap()
        .subject_public_key_info();
    let properties = DeviceProperties::mac("C02XK0AAJHD2", "00008112-000A1B2C3D4E5F60");
    let evidence = authority
        .attest(&properties, &key, &Sha256::digest("the-token"), now)
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root.pem");
    fs::write(&root, authority.root_pem()).unwrap();
    let root = root.to_str().unwrap();
    let object = directory.path().join("object.cbor");
    fs::write(&object, evidence.attestation_object()).unwrap();
    // The same chain, as a DeviceInformation answer gives it.
    let chain = directory.path().join("chain.pem");
    let pems: String = evidence.chain.iter().map(|der| pem(der)).collect();
    fs::write(&chain, pems).unwrap();

    let judged = |args: &[&str], file: &Path| -> (Value, Value) {
        let output = inspect(&[args, &["--json"]].concat(), file);
        assert_eq!(output.status.code(), Some(0));
        let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["verdict"]["checks"].as_array().unwrap().iter();
        let failed = checks.clone().find(|one| one["outcome"] == "failed");
        let failed = failed.map_or(Value::Null, |one| {
            json!([one["check"], one["fault"]["reason"]])
        });
        (report["verified"].take(), failed)
    };
    for file in [&object, &chain] {
        let at = ["--at", THEN, "--root", root];
        let with = |token| [&["--token", token], at.as_slice()].concat();
        assert_eq!(judged(&with("the-token"), file), (json!(true), Value::Null));
        // Nobody asked whether it is fresh.
        assert_eq!(judged(&at, file), (json!(false), Value::Null));
        let (no, failed) = (json!(false), |check, reason| json!([check, reason]));
        assert_eq!(
            judged(&with("another"), file),
            (no.clone(), failed("freshness", "freshness-mismatch"))
        );
        assert_eq!(
            judged(&["--token", "the-token", "--at", THEN], file),
            (no.clone(), failed("anchor", "unknown-anchor"))
        );
        assert_eq!(
            judged(
                &[
                    "--token",
                    "the-token",
                    "--at",
                    "2036-01-01T00:00:00Z",
                    "--root",
                    root
                ],
                file
            ),
            (no, failed("validity", "expired"))
        );
    }
    let output = inspect(
        &["--token", "the-token", "--at", THEN, "--root", root],
        &object,
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let verified = "VERIFIED at 2026-11-18T11:06:40Z under the laboratory root root.pem.\n";
    assert_eq!(text.lines().nth(1).unwrap(), verified.trim_end(), "{text}");
}

/// "Expired in August, and genuine": what of the evidence is right is said beside
/// what is wrong.
#[test]
fn the_facts_about_evidence_are_told_apart() {
    let root = laboratory_root();
    let root = root.path().to_str().unwrap();
    let judged = |args: &[&str], file: &str| -> (Value, String) {
        let file = testdata(&format!("evidence/{file}.cbor"));
        let args = [args, &["--root", root]].concat();
        let output = inspect(&[args.as_slice(), &["--json"]].concat(), &file);
        assert_eq!(output.status.code(), Some(0));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["verified"], false);
        let text = inspect(&args, &file);
        let text = String::from_utf8(text.stdout).unwrap();
        (report["verdict"].clone(), text)
    };
    let outcomes = |verdict: &Value| {
        ["chain", "freshness", "dates", "key", "properties"].map(|fact| {
            verdict["facts"][fact]["outcome"]
                .as_str()
                .unwrap()
                .to_owned()
        })
    };
    let (passed, failed, not_asked) = ("passed", "failed", "not-asked");

    // After its time, and for another challenge, and genuine nonetheless.
    let late = ["--at", "2028-01-01T00:00:00Z", "--token", "another"];
    let (verdict, text) = judged(&late, "good/mac");
    assert_eq!(outcomes(&verdict), [passed, failed, failed, passed, passed]);
    assert_eq!(
        verdict["facts"]["freshness"]["fault"]["reason"],
        "freshness-mismatch"
    );
    assert_eq!(
        verdict["facts"]["dates"]["fault"]["detail"],
        "certificate 0: valid until 2027-02-16T11:06:40Z, now 2028-01-01T00:00:00Z"
    );
    assert!(verdict["root"]["laboratory"].as_bool().unwrap());
    let line = text.lines().nth(1).unwrap();
    assert!(
        line.starts_with("NOT VERIFIED, but genuine under the laboratory root ")
            && line.ends_with(": expired, freshness-mismatch."),
        "{text}"
    );
    for part in [
        "  chain         genuine: signed under",
        "  dates         NO: expired: ",
    ] {
        assert!(text.contains(part), "{text}");
    }

    // A forgery is one whenever it is looked at.
    for at in [THEN, "2028-01-01T00:00:00Z"] {
        let (verdict, text) = judged(&["--at", at], "bad/bad-signature.leaf-signature-bit");
        let dates = if at == THEN { passed } else { failed };
        assert_eq!(
            outcomes(&verdict),
            [failed, not_asked, dates, passed, passed]
        );
        assert_eq!(
            verdict["facts"]["chain"]["fault"]["reason"],
            "bad-signature"
        );
        assert_eq!(verdict["root"], Value::Null);
        assert!(
            text.contains("  chain         NO: bad-signature: "),
            "{text}"
        );
        assert!(!text.contains("genuine"), "{text}");
    }

    // A property that cannot be read hides no signature.
    let (verdict, _) = judged(&["--at", THEN], "bad/property-malformed.sip-as-text");
    assert_eq!(
        outcomes(&verdict),
        [passed, not_asked, passed, passed, failed]
    );
    let checks = verdict["checks"].as_array().unwrap();
    let signatures = checks
        .iter()
        .find(|one| one["check"] == "signatures")
        .unwrap();
    assert_eq!(signatures["outcome"], passed);
    // But what it says is not vouched for as a whole.
    assert_eq!(verdict["root"], Value::Null);
}

#[test]
fn good_evidence_has_no_fault() {
    for (name, file) in files("evidence/good") {
        let report = as_json(&file);
        assert_eq!(report["kind"], "attestation-object", "{name}");
        for certificate in report["certificates"].as_array().unwrap() {
            assert_eq!(certificate["fault"], Value::Null, "{name}");
            for extension in certificate["extensions"].as_array().unwrap() {
                // One of the objects has an extended key usage that is no DER, of which
                // the verifier makes nothing.
                if extension["value"] == "78" {
                    continue;
                }
                assert_eq!(extension["fault"], Value::Null, "{name}");
            }
        }
    }
}

/// The reasons that concern the object as a whole end in exit code 1, the
/// others stand at the check that failed; but a freshness code is not held
/// against a token that is not given.
#[test]
fn bad_evidence_is_shown_as_far_as_it_decodes() {
    let root = laboratory_root();
    let root = root.path().to_str().unwrap();
    let whole = [
        "chain-empty",
        "chain-malformed",
        "chain-missing",
        "chain-too-long",
        "duplicate-key",
        "format-malformed",
        "format-missing",
        "format-not-supported",
        "indefinite-length",
        "object-empty",
        "object-not-cbor",
        "object-not-map",
        "object-too-large",
        "statement-malformed",
        "statement-missing",
        "too-deep",
        "too-many-items",
        "too-many-keys",
        "trailing-bytes",
    ];
    for (reason, file) in files("evidence/bad") {
        let output = inspect(&["--json", "--at", THEN, "--root", root], &file);
        let text = String::from_utf8(output.stdout).unwrap();
        let shown = file.display();
        if whole.contains(&reason.as_str()) {
            assert_eq!(output.status.code(), Some(1), "{shown}");
            let document: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(document["error"]["exit_code"], 1, "{shown}");
            // Without a CBOR map there is no object whose fault could be told.
            let unknown = ["object-empty", "object-not-map"].contains(&reason.as_str());
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(
                error.contains(&format!(": {reason}: ")),
                !unknown,
                "{error}"
            );
            continue;
        }
        assert_eq!(output.status.code(), Some(0), "{shown}");
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["verified"], false, "{shown}");
        let checks = report["verdict"]["checks"].as_array().unwrap();
        let failed: Vec<_> = checks
            .iter()
            .filter(|one| one["outcome"] == "failed")
            .collect();
        // A failed check does not hide the later ones.
        let reached = checks.iter().any(|one| one["outcome"] == "not-reached");
        if ["expired", "not-yet-valid", "property-malformed"].contains(&reason.as_str()) {
            assert!(!reached, "{shown}");
        }
        if reason == "freshness-mismatch" {
            assert_eq!(failed, [] as [&Value; 0], "{shown}");
            assert!(
                checks
                    .iter()
                    .any(|one| one["check"] == "freshness" && one["outcome"] == "not-asked"),
                "{shown}"
            );
        } else {
            assert_eq!(failed[0]["fault"]["reason"], reason, "{shown}");
        }
    }
}

#[test]
fn csrs_are_accepted_or_shown_with_their_fault() {
    for (name, file) in files("csr/good") {
        assert_eq!(as_json(&file)["request"]["accepted"], true, "{name}");
    }
    let nothing = [
        "malformed.empty",
        "malformed.indefinite-length",
        "malformed.subject",
        "malformed.truncated",
    ];
    for (_, file) in files("csr/bad") {
        let shown = file.display();
        let output = inspect(&["--json"], &file);
        let name = file.file_stem().unwrap().to_str().unwrap();
        if nothing.contains(&name) {
            assert_eq!(output.status.code(), Some(1), "{shown}");
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
fn a_key_with_another_encoding_of_its_point_is_named_so() {
    for (encoding, expected) in [
        ("compressed", "EC P-256, compressed point"),
        ("hybrid", "EC P-256, hybrid point"),
    ] {
        let file = testdata(&format!("csr/bad/unsupported-key.{encoding}-point.der"));
        let request = &as_json(&file)["request"];
        assert_eq!(request["key"], expected);
        let fault = request["fault"].as_str().unwrap();
        assert!(fault.contains("an uncompressed point"), "{fault}");
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
