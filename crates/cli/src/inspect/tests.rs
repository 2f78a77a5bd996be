use std::fs;

use assay_attest::{AwsLc, Reason, TrustAnchor, Verifier};
use assay_recording::forms;
use proptest::prelude::*;

use super::{
    InspectError,
    checks::Question,
    json::{self, Content},
    text, words,
};

const NOW: u64 = 1_795_000_000;

fn report(input: &[u8], at: u64) -> Result<json::Report, InspectError> {
    let verifier = Verifier::new(vec![TrustAnchor::apple()], Box::new(AwsLc));
    let question = Question {
        at,
        token: None,
        nonce: None,
        nonces: &[],
        verifier: &verifier,
    };
    super::report(&forms::read(input)?[0], &question)
}

fn testdata(path: &str) -> Vec<u8> {
    fs::read(format!(
        "{}/../../testdata/{path}",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = assay_proto::Base64Url::encode(der)
        .replace('-', "+")
        .replace('_', "/");
    let padding = "=".repeat((4 - body.len() % 4) % 4);
    let lines: Vec<_> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}{padding}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

#[test]
fn a_certificate_alone_must_decode_and_a_chain_needs_one() {
    let root = testdata("evidence/root.der");
    let mut broken = root.clone();
    // The version, [0] { INTEGER 2 }, becomes 1.
    let version = broken
        .windows(5)
        .position(|w| w == [0xa0, 3, 2, 1, 2])
        .unwrap();
    broken[version + 4] = 1;
    let mut cut = root.clone();
    // The validity, a SEQUENCE that begins with an UTCTime, becomes an OCTET
    // STRING.
    let validity = cut
        .windows(4)
        .position(|w| matches!(w, [0x30, _, 0x17, 13]));
    cut[validity.unwrap()] = 4;
    let refused = |input: &[u8]| match report(input, NOW) {
        Err(InspectError::Certificate(refusal)) => refusal.reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&cut), Reason::CertificateMalformed);
    let (good, bad) = (pem("CERTIFICATE", &root), pem("CERTIFICATE", &cut));
    assert_eq!(
        refused(format!("{bad}{bad}").as_bytes()),
        Reason::CertificateMalformed
    );
    // One that the verifier would refuse is shown, and says so.
    let mut out = Vec::new();
    text::write(&report(&broken, NOW).unwrap(), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    let version = "  As evidence          refused: certificate-version: the version is not 3\n  Version              2\n";
    assert!(out.contains(version), "{out}");
    let mut out = Vec::new();
    text::write(
        &report(format!("{good}{bad}").as_bytes(), NOW).unwrap(),
        &mut out,
    )
    .unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.starts_with("Bundle, 2 certificates\nNOT VERIFIED"),
        "{out}"
    );
    let last = format!(
        "Certificate 1\n  Cannot be decoded    fault: certificate-malformed: an element has another tag than belongs there\n  SHA-256              {}\n",
        words::sha256(&cut)
    );
    assert!(out.ends_with(&last), "{out}");
}

#[test]
fn names_and_purposes_of_a_certificate_are_decoded() {
    let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let upn = rcgen::OtherNameValue::Utf8String("user@corp.example".to_owned());
    params.subject_alt_names.extend([
        rcgen::SanType::Rfc822Name("x, dns: y@example".try_into().unwrap()),
        rcgen::SanType::IpAddress([192, 0, 2, 1].into()),
        rcgen::SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], upn)),
    ]);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let mut out = Vec::new();
    text::write(&report(certificate.der(), NOW).unwrap(), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    let expected = "    subjectAltName (2.5.29.17): 4 in all
      dns: a.example
      email: x, dns: y@example
      ip: 192.0.2.1
      upn: user@corp.example
    extKeyUsage (2.5.29.37): clientAuth
";
    assert!(out.ends_with(expected), "{out}");
}

#[test]
fn nothing_reaches_a_terminal_that_it_would_obey() {
    // The signature is bad, and subject and key are shown nonetheless.
    let mut csr = testdata("csr/bad/bad-signature.changed-subject.der");
    let word = b"Device";
    let at = csr
        .windows(word.len())
        .position(|window| window == word)
        .unwrap();
    for hostile in ["\u{202e}\u{202e}", "\u{9b}31mX", "\u{1b}[31mX", "\r\nabcd"] {
        csr[at..at + word.len()].copy_from_slice(hostile.as_bytes());
        let report = report(&csr, NOW).unwrap();
        let Content::Csr { request } = &report.content else {
            panic!("{report:?}");
        };
        assert!(!request.accepted);
        for write in [text::write, json::write] {
            let mut out = Vec::new();
            write(&report, &mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            let found = out
                .replace('\n', "")
                .chars()
                .find(|c| assay_engine::text::is_unsafe_to_print(*c));
            assert_eq!(found, None, "{out}");
        }
        let mut out = Vec::new();
        json::write(&report, &mut out).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read["request"]["subject"], request.subject.as_str());
    }
}

fn show(input: &[u8]) {
    if let Ok(report) = report(input, NOW) {
        text::write(&report, &mut Vec::new()).unwrap();
        json::write(&report, &mut Vec::new()).unwrap();
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        start in prop::sample::select(vec![
            b"".as_slice(), b"\x30\x82\x01\x00\x30\x81\x80", b"\xa2cfmteapple", b"{\"attObj\":\"",
            b"-----BEGIN CERTIFICATE-----\n",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        show(&[start, &rest].concat());
    }

    #[test]
    fn changed_bytes_never_panic(
        file in prop::sample::select(vec![
            "evidence/root.der", "evidence/good/mac.cbor", "csr/good/all-names.der",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        length in any::<prop::sample::Index>(),
        cut in prop::bool::weighted(0.1),
    ) {
        let mut input = testdata(file);
        for (at, byte) in changes {
            let at = at.index(input.len());
            input[at] = byte;
        }
        if cut {
            input.truncate(length.index(input.len()));
        }
        show(&input);
    }
}
