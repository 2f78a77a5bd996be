//! Certificates that the verifier would refuse, and lists that are no chain.

use std::{fs, io::Write as _};

use assay_simulator::evidence::der::{element, oid, sequence};
use rcgen::PublicKeyData;
use tempfile::NamedTempFile;

use super::{as_json, inspect, pem, testdata};

/// A certificate in DER, made by hand: rcgen makes none of these.
fn odd_certificate(version: &[u8], serial: &[u8], subject: &[u8], rest: &[Vec<u8>]) -> Vec<u8> {
    let algorithm = sequence(&[oid("1.2.840.10045.4.3.2")]);
    let time = |text: &[u8]| element(0x17, text);
    let key = rcgen::KeyPair::generate()
        .unwrap()
        .subject_public_key_info();
    let mut fields = vec![
        version.to_vec(),
        element(0x02, serial),
        algorithm.clone(),
        subject.to_vec(),
        sequence(&[time(b"260101000000Z"), time(b"270101000000Z")]),
        subject.to_vec(),
        key,
    ];
    fields.extend_from_slice(rest);
    sequence(&[sequence(&fields), algorithm, element(0x03, b"\0signature")])
}

#[test]
fn odd_certificates_are_shown_as_far_as_they_go() {
    let v3 = element(0xa0, &element(0x02, &[2]));
    let attribute = |kind: &str, tag: u8, text: &[u8]| sequence(&[oid(kind), element(tag, text)]);
    let name = |sets: &[Vec<u8>]| -> Vec<u8> {
        let sets: Vec<_> = sets.iter().map(|set| element(0x31, set)).collect();
        sequence(&sets)
    };
    let cn = |tag: u8, text: &[u8]| attribute("2.5.4.3", tag, text);
    let plain = name(&[cn(0x0c, b"a.example")]);
    let names = sequence(&[element(0x82, b"a.example")]);
    let san = sequence(&[
        oid("2.5.29.17"),
        element(0x01, &[0xff]),
        element(0x04, &names),
    ]);
    // critical FALSE, written out.
    let usage = sequence(&[
        oid("2.5.29.15"),
        element(0x01, &[0]),
        element(0x04, &element(0x03, &[7, 0x80])),
    ]);
    let extensions = |list: &[Vec<u8>]| vec![element(0xa3, &sequence(list))];
    let unsorted = name(&[[cn(0x0c, b"b"), cn(0x0c, b"a")].concat()]);
    let old = name(&[cn(0x1e, b"\0\xe9"), attribute("2.5.4.10", 0x14, b"\xe9")]);
    let unique = element(0x82, &[0, 1]);

    for (what, der, subject, reason, line) in [
        (
            "empty subject with a SAN",
            odd_certificate(
                &v3,
                &[1],
                &element(0x30, b""),
                &extensions(std::slice::from_ref(&san)),
            ),
            "",
            "certificate-malformed",
            "      dns: a.example",
        ),
        (
            "version 1",
            odd_certificate(&[], &[1], &plain, &[]),
            "CN=a.example",
            "certificate-version",
            "  Version              1",
        ),
        (
            "names out of order",
            odd_certificate(
                &v3,
                &[1],
                &unsorted,
                &extensions(std::slice::from_ref(&san)),
            ),
            "CN=b+CN=a",
            "certificate-malformed",
            "  Subject              CN=b+CN=a",
        ),
        (
            "old strings",
            odd_certificate(&v3, &[1], &old, &[]),
            "O=\u{e9},CN=\u{e9}",
            "certificate-malformed",
            "  Not before           2026-01-01T00:00:00Z",
        ),
        (
            "a negative serial number",
            odd_certificate(&v3, &[0xff], &plain, &[]),
            "CN=a.example",
            "certificate-serial-number",
            "  Serial number        ff",
        ),
        (
            "critical FALSE, and a unique identifier",
            odd_certificate(
                &v3,
                &[1],
                &plain,
                &[vec![unique], extensions(&[usage])].concat(),
            ),
            "CN=a.example",
            "certificate-malformed",
            "    keyUsage (2.5.29.15): digitalSignature",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        for content in [der.clone(), pem(&der).into_bytes()] {
            let file = directory.path().join("certificate");
            fs::write(&file, content).unwrap();
            let report = as_json(&file);
            let shown = &report["certificates"][0];
            assert_eq!(shown["subject"], subject, "{what}");
            assert_eq!(shown["fault"]["reason"], reason, "{what}");
            assert_eq!(shown["key"], "EC P-256", "{what}");
            assert_eq!(shown["not_after"], "2027-01-01T00:00:00Z", "{what}");
            let output = inspect(&[], &file);
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.lines().any(|found| found == line), "{what}: {text}");
        }
    }
}

#[test]
fn a_bundle_is_no_chain_and_shows_all_of_it() {
    let root = fs::read(testdata("evidence/root.der")).unwrap();
    let apple = testdata("evidence/golden/apple-enterprise-attestation-root-ca.der");
    let apple = fs::read(apple).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    let bundle = [pem(&root), pem(b"\x30\x03\x02\x01\x01"), pem(&apple)].concat();
    file.write_all(bundle.as_bytes()).unwrap();
    let text = String::from_utf8(inspect(&[], file.path()).stdout).unwrap();
    assert!(text.starts_with("Bundle, 3 certificates\n"), "{text}");
    assert!(!text.contains("└─") && !text.contains("the leaf"), "{text}");
    assert!(
        text.contains("Certificate 1\n  Cannot be decoded"),
        "{text}"
    );
    assert!(text.contains("this is Apple's root, as pinned"), "{text}");
    let report = as_json(file.path());
    assert_eq!(report["kind"], "chain");
    assert_eq!(report["certificates"].as_array().unwrap().len(), 3);
}
