//! The facts about an issued certificate.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

use assay_recording::CertificateFacts;
use rcgen::{
    CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, date_time_ymd,
};
use sha2::{Digest, Sha256};

fn certificate(change: impl FnOnce(&mut CertificateParams)) -> (Vec<u8>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::default();
    parameters.not_before = date_time_ymd(2026, 11, 18);
    parameters.not_after = date_time_ymd(2026, 11, 20);
    change(&mut parameters);
    let certificate = parameters.self_signed(&key).unwrap();
    (certificate.der().to_vec(), key)
}

#[test]
fn names_usages_key_and_lifetime_are_read() {
    let (der, key) = certificate(|parameters| {
        parameters
            .distinguished_name
            .push(DnType::CommonName, "x, y");
        parameters.subject_alt_names = vec![
            SanType::DnsName("www.example.org".try_into().unwrap()),
            SanType::Rfc822Name("a@example.org".try_into().unwrap()),
            SanType::URI("urn:x".try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 1].into()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::OtherName((vec![1, 2, 3, 4], "y".into())),
        ];
        parameters.key_usages = vec![
            KeyUsagePurpose::KeyAgreement,
            KeyUsagePurpose::DigitalSignature,
        ];
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::Other(vec![1, 2, 3]),
        ];
    });
    let facts = CertificateFacts::of(&der).unwrap();
    assert!(facts.subject.contains("CN=x\\, y"), "{}", facts.subject);
    assert_eq!(
        facts.names,
        [
            "dns:www.example.org",
            "email:a@example.org",
            "uri:urn:x",
            "ip:192.0.2.1",
            "ip:2001:db8::1",
            // UTF8String "y".
            "other-name:1.2.3.4:0c0179",
        ]
    );
    let spki = hex::encode(Sha256::digest(key.subject_public_key_info()));
    assert_eq!(facts.spki_sha256, spki);
    assert_eq!(facts.key_usage, ["digitalSignature", "keyAgreement"]);
    assert_eq!(facts.extended_key_usage, ["clientAuth", "1.2.3"]);
    assert_eq!(facts.lifetime, 2 * 86_400);
}

#[test]
fn a_certificate_without_extensions_has_no_names_and_usages() {
    let (der, _) = certificate(|_| {});
    let facts = CertificateFacts::of(&der).unwrap();
    assert_eq!(facts.names, [""; 0]);
    assert_eq!(
        (facts.key_usage.len(), facts.extended_key_usage.len()),
        (0, 0)
    );
}

#[test]
fn what_cannot_be_read_has_no_facts() {
    let (der, _) = certificate(|_| {});
    for bad in [
        &b""[..],
        b"garbage",
        &der[..der.len() - 1],
        &[&der[..], &[0]].concat(),
    ] {
        assert_eq!(CertificateFacts::of(bad), None);
    }
    // A key usage that is not one.
    let (der, _) = certificate(|parameters| {
        let malformed = CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![0x05, 0x00]);
        parameters.custom_extensions = vec![malformed];
    });
    assert_eq!(CertificateFacts::of(&der), None);
}
