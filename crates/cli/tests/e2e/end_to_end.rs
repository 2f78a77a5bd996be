//! `assay replay --end-to-end`: the whole server, byte for byte.

use std::{fs, path::Path, process::Output};

use assay_attest::SentNonce;
use assay_recording::{
    Acme, Answer, DeviceInformationAnswer, Evidence, ProfileSettings, RecordedProfile, Verdict,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::support::{Certificate, Recorded, assay, assert_exit, json_of, mac, message};

fn replay(recorded: &Recorded, transcripts: &str, paths: &[&Path]) -> Output {
    assay()
        .args(["replay", "--end-to-end", "--json", "--trust-embedded-roots"])
        .arg("--transcript")
        .arg(recorded.folder().join(transcripts))
        .args(paths)
        .output()
        .unwrap()
}

fn transcript(recorded: &Recorded, transcripts: &str, name: &str) -> String {
    let path = recorded.folder().join(transcripts).join(name);
    String::from_utf8(fs::read(path).unwrap()).unwrap()
}

fn acme(recorded: &Recorded, change: impl FnOnce(&mut Acme)) -> Evidence {
    let mut acme = recorded.acme();
    change(&mut acme);
    Evidence::Acme(Box::new(acme))
}

/// What the one recording came to, as the JSON tells, and the last answer's
/// body.
fn one(recorded: &Recorded, evidence: Evidence, verdict: Verdict, code: i32) -> (Value, Value) {
    let file = recorded.write("one.json", evidence, verdict);
    let output = replay(recorded, "one", &[&file]);
    assert_exit(&output, code);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sent = transcript(recorded, "one", "one.http");
    let body = sent.rsplit("\r\n\r\n").next().unwrap();
    let body = serde_json::from_str(body).unwrap_or_default();
    (report["results"][0].clone(), body)
}

#[test]
fn two_runs_send_the_same_bytes_certificate_included() {
    let recorded = Recorded::new();
    let file = recorded.write_good("good.json");
    let report = json_of(&replay(&recorded, "first", &[&file]));
    assert_eq!(json_of(&replay(&recorded, "second", &[&file])), report);
    let sent = transcript(&recorded, "first", "good.http");
    assert_eq!(transcript(&recorded, "second", "good.http"), sent);

    let result = &report["results"][0];
    assert_eq!(result["result"], "same");
    assert_eq!(result["replayed"], json!({"outcome": "accepted"}));
    assert_eq!(result["end"], "certificate");
    assert_eq!(result["embedded_root_trusted"], true);
    // Directory, newNonce, newAccount, newOrder, authorization, challenge,
    // finalize, order, certificate: at the recorded time, under one token.
    let codes: Vec<_> = sent
        .match_indices("HTTP/1.1 ")
        .map(|(at, start)| &sent[at + start.len()..][..3])
        .collect();
    assert_eq!(
        codes,
        [
            "200", "200", "201", "201", "200", "200", "200", "200", "200"
        ]
    );
    let dates: Vec<_> = sent
        .split("\r\n")
        .filter(|line| line.starts_with("date: "))
        .collect();
    assert_eq!(dates, ["date: Tue, 14 Nov 2023 22:13:20 GMT"; 9]);
    assert!(sent.contains(&format!("\"token\":\"{}\"", Recorded::TOKEN)));

    let (_, chain) = sent.rsplit_once("\r\n\r\n").unwrap();
    let certificate = Certificate::read(String::new(), chain);
    assert_eq!(certificate.spki, recorded.device.spki_der());
    let time = i64::try_from(Recorded::TIME).unwrap();
    assert!((time - 3600..=time).contains(&certificate.not_before));
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    let (_, issuer) = X509Certificate::from_der(&chain[1]).unwrap();
    leaf.verify_signature(Some(issuer.public_key())).unwrap();
    assert_eq!(
        issuer.subject().to_string(),
        "O=Assay Replay, OU=LABORATORY, CN=LABORATORY Assay Replay Issuing CA"
    );
}

#[test]
fn another_token_is_a_difference() {
    let recorded = Recorded::new();
    let evidence = acme(&recorded, |acme| acme.token.replace_range(..1, "o"));
    let file = recorded.write("token.json", evidence, Verdict::accepted());
    let output = replay(&recorded, "out", &[&file]);
    let said = message(&output, 1);
    assert!(
        said.starts_with("1 of 1 recordings replay differently: "),
        "{said}"
    );
    assert!(
        said.contains("different: recorded accepted, replayed refused: freshness-mismatch;"),
        "{said}"
    );
    // Bytes that no token of this server encodes to cannot be given out.
    let evidence = acme(&recorded, |acme| acme.token.truncate(42));
    let file = recorded.write("token.json", evidence, Verdict::accepted());
    let said = message(&replay(&recorded, "out", &[&file]), 1);
    assert!(
        said.contains("it came to no verdict: this server cannot issue its token"),
        "{said}"
    );
}

#[test]
fn a_refused_recording_ends_with_its_problem() {
    let recorded = Recorded::new();
    let other = acme(&recorded, |acme| {
        acme.identifier.value = "C02OTHER".to_owned();
        acme.admission.value = "C02OTHER".to_owned();
    });
    let verdict = Verdict::refused("identifier-mismatch");
    let (result, problem) = one(&recorded, other, verdict, 0);
    assert_eq!(result["result"], "same");
    assert_eq!(result["end"], "evidence-refused");
    assert_eq!(
        problem,
        json!({
            "type": "urn:ietf:params:acme:error:badAttestationStatement",
            "detail": "the attestation is of another device than the one that was ordered for",
            "status": 400,
            "subproblems": [{
                "type": "urn:ietf:params:acme:error:rejectedIdentifier",
                "detail": "the attestation does not prove this identifier",
                "identifier": {"type": "permanent-identifier", "value": "C02OTHER"},
            }],
        })
    );

    let error = acme(&recorded, |acme| {
        acme.answer = Answer::DeviceError("no Secure Enclave".to_owned());
    });
    let verdict = Verdict::refused("device-could-not-attest");
    let (result, problem) = one(&recorded, error, verdict, 0);
    assert_eq!(result["result"], "same");
    assert_eq!(
        problem,
        json!({
            "type": "urn:ietf:params:acme:error:badAttestationStatement",
            "detail": "the device could not attest",
            "status": 400,
        })
    );
}

/// A recording that does not say how issuance ended, with a CSR for another key.
fn with_bad_csr(recorded: &Recorded) -> Evidence {
    acme(recorded, |acme| {
        acme.csr = Some(mac("C02STRANGER").csr(&Default::default()).unwrap());
    })
}

#[test]
fn a_refused_csr_of_which_nothing_is_recorded_is_a_difference() {
    let recorded = Recorded::new();
    let (result, problem) = one(&recorded, with_bad_csr(&recorded), Verdict::accepted(), 1);
    assert_eq!(result["result"], "different");
    assert_eq!(result["end"], "csr-refused");
    assert_eq!(
        result["differences"],
        json!([{"field": "issuance.end", "recorded": null, "replayed": "refused"}])
    );
    assert_eq!(result["recorded_issuance"], Value::Null);
    assert_eq!(result["issuance"]["problem"]["type"], problem["type"]);
    assert_eq!(problem["type"], "urn:ietf:params:acme:error:badCSR");
    let without = acme(&recorded, |acme| acme.csr = None);
    let (result, challenge) = one(&recorded, without, Verdict::accepted(), 0);
    assert_eq!(result["end"], "no-csr");
    assert_eq!(challenge["status"], "valid");
}

#[test]
fn a_refused_csr_can_be_allowed() {
    let recorded = Recorded::new();
    let evidence = with_bad_csr(&recorded);
    let file = recorded.write("one.json", evidence, Verdict::accepted());
    let run = |args: &[&str]| {
        let mut command = assay();
        command.args(["replay", "--end-to-end", "--trust-embedded-roots"]);
        command.args(args).arg(&file).output().unwrap()
    };
    let said = message(&run(&[]), 1);
    assert!(
        said.contains("different: issuance.end: recorded nothing, replayed \"refused\"")
            && said.contains("pass --allow-refused-csr if it was refused then"),
        "{said}"
    );
    let allowed = run(&["--allow-refused-csr"]);
    assert_exit(&allowed, 0);
    let told = String::from_utf8(allowed.stdout).unwrap();
    assert!(
        told.contains("same: accepted; ended with csr-refused"),
        "{told}"
    );
    assert!(told.contains("not compared: issuance.end: "), "{told}");
}

#[test]
fn the_facts_about_the_certificate_are_shown() {
    let recorded = Recorded::new();
    let file = recorded.write_good("good.json");
    let mut command = assay();
    command.args(["replay", "--end-to-end", "--trust-embedded-roots"]);
    let output = command.arg(&file).output().unwrap();
    assert_exit(&output, 0);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("names none, key ")
            && told.contains(
                "key usage digitalSignature, extended key usage clientAuth, lifetime 7776300 s"
            ),
        "{told}"
    );
    let report = json_of(&replay(&recorded, "out", &[&file]));
    let certificate = &report["results"][0]["issuance"]["certificate"];
    assert_eq!(certificate["lifetime"], 7_776_300);
    assert_eq!(certificate["names"], json!([]));
}

#[test]
fn junit_reports_differences_and_what_is_not_applicable() {
    let recorded = Recorded::new();
    let good = recorded.write_good("good.json");
    let bad = recorded.write("bad.json", with_bad_csr(&recorded), Verdict::accepted());
    let broken = recorded.folder().join("broken.json");
    fs::write(&broken, "{}").unwrap();
    let report = recorded.folder().join("report.xml");
    let run = |paths: &[&Path]| {
        let mut command = assay();
        command.args([
            "replay",
            "--end-to-end",
            "--trust-embedded-roots",
            "--junit",
        ]);
        command.arg(&report).args(paths).output().unwrap()
    };
    assert_exit(&run(&[&good]), 0);
    let xml = fs::read_to_string(&report).unwrap();
    assert!(
        xml.contains("<testsuite name=\"assay replay --end-to-end\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\">"),
        "{xml}"
    );
    assert_exit(&run(&[&good, &bad]), 1);
    let xml = fs::read_to_string(&report).unwrap();
    assert!(
        xml.contains("tests=\"2\" failures=\"1\" errors=\"0\""),
        "{xml}"
    );
    assert!(
        xml.contains(
            "<failure message=\"issuance.end: recorded nothing, replayed &quot;refused&quot;\">"
        ),
        "{xml}"
    );
    assert_exit(&run(&[&good, &broken]), 2);
    let xml = fs::read_to_string(&report).unwrap();
    assert!(
        xml.contains("tests=\"2\" failures=\"0\" errors=\"1\""),
        "{xml}"
    );

    // The report is there although nothing was found, and says so.
    let empty = recorded.folder().join("empty");
    fs::create_dir(&empty).unwrap();
    let said = message(&run(&[&empty]), 2);
    assert!(said.contains("has no recording in it"), "{said}");
    let xml = fs::read_to_string(&report).unwrap();
    assert!(
        xml.contains("tests=\"1\" failures=\"0\" errors=\"1\""),
        "{xml}"
    );
    assert!(xml.contains("has no recording in it"), "{xml}");

    // A recording is not overwritten.
    let mut command = assay();
    command
        .args(["replay", "--end-to-end", "--junit"])
        .arg(&good);
    let said = message(&command.arg(&good).output().unwrap(), 2);
    assert!(
        said.contains("would be written over the recording"),
        "{said}"
    );
}

#[test]
fn settings_that_are_not_a_profile_are_a_difference() {
    let recorded = Recorded::new();
    let evidence = acme(&recorded, |acme| {
        let settings = ProfileSettings::new("CN={imei}", Vec::new(), 600, "ignore");
        acme.profile = Some(RecordedProfile::new("default", Some(settings)));
    });
    let file = recorded.write("one.json", evidence, Verdict::accepted());
    let said = message(&replay(&recorded, "out", &[&file]), 1);
    assert!(
        said.contains("\"profile.settings\" are not those of a profile: subject: "),
        "{said}"
    );
}

#[test]
fn a_root_that_the_recording_brings_proves_nothing_by_itself() {
    let recorded = Recorded::new();
    let file = recorded.write_good("good.json");
    let mut command = assay();
    command.args(["replay", "--end-to-end"]).arg(file);
    let said = message(&command.output().unwrap(), 1);
    assert!(
        said.contains("recorded accepted, replayed refused: unknown-anchor;"),
        "{said}"
    );
}

#[test]
fn what_is_no_enrolment_is_not_played_and_not_counted_as_good() {
    let recorded = Recorded::new();
    let good = recorded.write_good("good.json");
    let information = recorded.write(
        "information.json",
        Evidence::DeviceInformation(DeviceInformationAnswer::new(
            vec![SentNonce::new(&[1; 16], Recorded::TIME).unwrap()],
            vec![vec![0x30, 0]],
        )),
        Verdict::refused("certificate-malformed"),
    );
    let said = message(&replay(&recorded, "out", &[&information]), 2);
    assert_eq!(
        said,
        "none of the 1 recordings is of ACME: nothing was played"
    );
    let report = json_of(&replay(&recorded, "out", &[&good, &information]));
    assert_eq!(report["results"][1]["result"], "not-applicable");
    assert_eq!(
        report["totals"],
        json!({"recordings": 2, "same": 1, "different": 0, "not_applicable": 1, "unreadable": 0})
    );
    fs::write(&information, "{}").unwrap();
    let said = message(&replay(&recorded, "out", &[&good, &information]), 2);
    assert!(
        said.starts_with("1 of 2 recordings cannot be read: "),
        "{said}"
    );
}
