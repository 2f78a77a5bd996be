//! Preparing, resuming and signing certificates.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use assay_ca::{
    FileSigner, Issuer, IssuerError, LeafTemplate, LeafUsage, PrepareError, SerialNumber,
    SignError, SignatureAlgorithm, Signer, SignerError, SubjectAltName, SubjectAttribute,
    authority::{self, Authority, AuthorityPlan, Host, KeyType},
    certificate_pem,
};
use aws_lc_rs::digest::{SHA256, digest};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::{DecodePrivateKey, EncodePublicKey},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose,
};

use support::{DAY, NOW, der, issuer, leaf, plan, serial};

/// Signs by RFC 6979: equal bytes give an equal signature.
struct Deterministic {
    key: SigningKey,
    spki_der: Vec<u8>,
}

impl Signer for Deterministic {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::EcdsaSha256
    }

    fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    fn may_block(&self) -> bool {
        false
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature: Signature = self.key.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

struct Broken(Vec<u8>);

impl Signer for Broken {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::EcdsaSha256
    }

    fn spki_der(&self) -> &[u8] {
        &self.0
    }

    fn may_block(&self) -> bool {
        true
    }

    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(SignError::Signer)
    }
}

fn cas() -> Authority {
    support::authority(Host::Dns("acme.example.com".to_owned()))
}

fn named(name: SubjectAltName) -> LeafTemplate {
    LeafTemplate {
        names: vec![name],
        ..leaf()
    }
}

fn with_subject(attribute: SubjectAttribute) -> LeafTemplate {
    LeafTemplate {
        subject: vec![attribute],
        ..leaf()
    }
}

/// A CA of its own, with this key.
fn self_signed(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    change(&mut params);
    let certificate = params.self_signed(key).unwrap();
    let signer = FileSigner::from_pkcs8_pem(&key.serialize_pem()).unwrap();
    Issuer::new(certificate.der(), Box::new(signer)).unwrap()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

#[test]
fn a_resumed_certificate_is_the_same_certificate() {
    let material = cas().issuing;
    let open = || {
        let key = SigningKey::from_pkcs8_pem(&material.key_pem).unwrap();
        let spki = key.verifying_key().to_public_key_der().unwrap().into_vec();
        let signer = Deterministic {
            key,
            spki_der: spki,
        };
        Issuer::new(&der(&material.certificate_pem), Box::new(signer)).unwrap()
    };
    let template = named(SubjectAltName::Uri("urn:device:1".to_owned()));
    let prepared = open().prepare(&template, serial()).unwrap();
    let recorded = prepared.tbs_der().to_vec();
    assert_eq!(prepared.not_after(), NOW + 365 * DAY);
    let issued = open().sign(prepared).unwrap();
    assert_eq!(issued.serial(), &serial());
    assert_eq!(
        (issued.not_before(), issued.not_after()),
        (NOW, NOW + 365 * DAY)
    );
    assert_eq!(der(&certificate_pem(issued.der()).unwrap()), issued.der());

    // Another process, after a crash.
    let restarted = open();
    let resumed = restarted.resume(&recorded).unwrap();
    assert_eq!(resumed.tbs_der(), recorded);
    assert_eq!(resumed.serial(), &serial());
    assert_eq!(resumed.issuer_id(), restarted.id());
    assert_eq!(restarted.sign(resumed), Ok(issued));
}

#[test]
fn an_issuer_is_what_its_certificate_says() {
    let authority = cas();
    let issuing = issuer(&authority.issuing);
    assert_eq!(issuing.name(), "CN=Example Corp Issuing CA,O=Example Corp");
    assert_eq!(issuing.certificate_pem(), authority.issuing.certificate_pem);
    let certificate = der(&authority.issuing.certificate_pem);
    assert_eq!(issuing.certificate_der(), certificate);
    assert_eq!(issuing.id(), sha256(&certificate));
    let signer = FileSigner::from_pkcs8_pem(&authority.issuing.key_pem).unwrap();
    assert_eq!(issuing.spki_sha256(), sha256(signer.spki_der()));
    assert!(!issuing.may_block());
    let blocking = Issuer::new(&certificate, Box::new(Broken(signer.spki_der().to_vec())));
    assert!(blocking.unwrap().may_block());
    // The TLS CA alone is bound to its host.
    assert!(!issuing.has_name_constraints());
    assert!(issuer(&authority.tls).has_name_constraints());
}

/// RFC 5280 section 4.2.1.12: "If a CA includes extended key usages to satisfy
/// such applications, but does not wish to restrict usages of the key, the CA
/// can include the special KeyPurposeId anyExtendedKeyUsage".
#[test]
fn an_issuer_certifies_within_its_own_extended_key_usage() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};

    let key = KeyPair::generate().unwrap();
    for (usages, client, server) in [
        (vec![], true, true),
        (vec![ClientAuth], true, false),
        (vec![ServerAuth], false, true),
        (vec![ServerAuth, ClientAuth], true, true),
        (vec![Any], true, true),
    ] {
        let issuing = self_signed(&key, |params| params.extended_key_usages = usages.clone());
        for (usage, allowed) in [
            (LeafUsage::ClientAuth, client),
            (LeafUsage::ServerAuth, server),
        ] {
            assert_eq!(issuing.may_certify(usage), allowed, "{usages:?} {usage:?}");
            let template = LeafTemplate { usage, ..leaf() };
            let prepared = issuing.prepare(&template, serial()).map(drop);
            let refused = Err(PrepareError::UsageOutsideIssuer);
            assert_eq!(prepared, if allowed { Ok(()) } else { refused });
        }
    }
}

/// What a renewed CA certificate keeps, and another CA does not have: the name
/// and the key.
#[test]
fn a_certificate_names_its_issuer_by_name_and_key() {
    let key = KeyPair::generate().unwrap();
    let ca = |name: &str, key_id: u8| {
        self_signed(&key, |params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.key_identifier_method = KeyIdMethod::PreSpecified(vec![key_id; 20]);
        })
    };
    let issuing = ca("One", 1);
    let issued_by = |issuer: &Issuer| {
        let prepared = issuer.prepare(&leaf(), serial()).unwrap();
        issuer.sign(prepared).unwrap().der().to_vec()
    };
    for (name, key_id, expected) in [
        ("One", 1, true),
        ("One", 2, false),
        ("Two", 1, false),
        ("Two", 2, false),
    ] {
        let certificate = issued_by(&ca(name, key_id));
        assert_eq!(
            issuing.is_named_by(&certificate),
            expected,
            "{name} {key_id}"
        );
    }
    // Its own certificate names no key.
    assert!(!issuing.is_named_by(issuing.certificate_der()));
    assert!(!issuing.is_named_by(b"junk"));
}

#[test]
fn serial_numbers_of_every_length_are_resumed() {
    let issuing = issuer(&cas().issuing);
    for content in [&[1][..], &[0, 0x80], &[0x7f; 20]] {
        let serial = SerialNumber::from_der_content(content).unwrap();
        let prepared = issuing.prepare(&leaf(), serial.clone()).unwrap();
        let resumed = issuing.resume(prepared.tbs_der()).unwrap();
        assert_eq!(resumed.serial(), &serial);
        assert_eq!(resumed, prepared);
    }
}

#[test]
fn another_issuer_neither_resumes_nor_signs() {
    let (one, other) = (issuer(&cas().issuing), issuer(&cas().issuing));
    let prepared = one.prepare(&leaf(), serial()).unwrap();
    assert_eq!(
        other.resume(prepared.tbs_der()),
        Err(PrepareError::OtherIssuer)
    );
    assert_eq!(other.sign(prepared), Err(SignError::OtherIssuer));
}

#[test]
fn a_changed_record_is_not_resumed() {
    let issuing = issuer(&cas().issuing);
    let recorded = issuing
        .prepare(&leaf(), serial())
        .unwrap()
        .tbs_der()
        .to_vec();
    let replaced = |old: &[u8], new: &[u8]| {
        let at = recorded
            .windows(old.len())
            .position(|part| part == old)
            .unwrap();
        let mut changed = recorded.clone();
        changed[at..at + new.len()].copy_from_slice(new);
        issuing.resume(&changed)
    };
    // notAfter 2027 and 2037.
    assert_eq!(
        replaced(b"271124000000Z", b"371124000000Z"),
        Err(PrepareError::Validity)
    );
    // The issuer's name.
    assert_eq!(
        replaced(b"Issuing CA", b"Issuing CB"),
        Err(PrepareError::OtherIssuer)
    );
    // ecdsa-with-SHA384 instead of ecdsa-with-SHA256.
    assert_eq!(
        replaced(
            b"\x2a\x86\x48\xce\x3d\x04\x03\x02",
            b"\x2a\x86\x48\xce\x3d\x04\x03\x03"
        ),
        Err(PrepareError::OtherIssuer)
    );
    // A basicConstraints extension under an unknown type.
    assert_eq!(
        replaced(b"\x06\x03\x55\x1d\x13", b"\x06\x03\x55\x1d\x63"),
        Err(PrepareError::NotALeaf)
    );
    // Two basicConstraints extensions.
    assert_eq!(
        replaced(b"\x06\x03\x55\x1d\x0f", b"\x06\x03\x55\x1d\x13"),
        Err(PrepareError::NotALeaf)
    );
    assert_eq!(
        issuing.resume(&recorded[..recorded.len() - 1]),
        Err(PrepareError::Tbs)
    );
    // An explicit critical FALSE in the first extension. The decoder accepts
    // it, DER forbids it; the four enclosing lengths grow with it.
    let header = b"\x30\x1f\x06\x03\x55\x1d\x23";
    let at = recorded
        .windows(header.len())
        .position(|part| part == header)
        .unwrap();
    let explicit = b"\x30\x22\x06\x03\x55\x1d\x23\x01\x01\x00";
    let mut explicit = [&recorded[..at], explicit, &recorded[at + header.len()..]].concat();
    assert_eq!((explicit[at - 4], explicit[at - 2]), (0xa3, 0x30));
    for length in [3, at - 3, at - 1] {
        explicit[length] += 3;
    }
    assert_eq!(issuing.resume(&explicit), Err(PrepareError::Tbs));
    let trailing = [&recorded[..], &[0]].concat();
    assert_eq!(issuing.resume(&trailing), Err(PrepareError::Tbs));
}

#[test]
fn scenario_60_a_ca_is_never_resumed() {
    use der::{Decode, Encode};
    let authority = cas();
    let issuing_der = der(&authority.issuing.certificate_pem);
    let certificate = x509_cert::Certificate::from_der(&issuing_der).unwrap();
    let tbs = certificate.tbs_certificate().to_der().unwrap();
    let root = issuer(&authority.root);
    assert_eq!(root.resume(&tbs), Err(PrepareError::NotALeaf));
}

#[test]
fn what_cannot_stand_in_a_certificate_is_refused() {
    let issuing = issuer(&cas().issuing);
    let text = str::to_owned;
    let dns = |name: &str| named(SubjectAltName::Dns(name.to_owned()));
    let between = |not_before, not_after| LeafTemplate {
        not_before,
        not_after,
        ..leaf()
    };
    let (start, end) = (issuing.not_before(), issuing.not_after());
    let bad_dns = Err(PrepareError::BadName("DNS"));
    let bad_uri = Err(PrepareError::BadName("URI"));
    let bad_common_name = Err(PrepareError::BadSubject("common name"));
    let cases = [
        (between(start, end), Ok(())),
        (between(start - 1, end), Err(PrepareError::Validity)),
        (between(start, end + 1), Err(PrepareError::Validity)),
        (between(NOW, NOW), Err(PrepareError::Validity)),
        (between(NOW, NOW - 1), Err(PrepareError::Validity)),
        (between(NOW, u64::MAX), Err(PrepareError::Validity)),
        (
            LeafTemplate {
                subject: Vec::new(),
                ..leaf()
            },
            Err(PrepareError::NoName),
        ),
        (
            LeafTemplate {
                spki_der: b"\x30\x00".to_vec(),
                ..leaf()
            },
            Err(PrepareError::Spki),
        ),
        (
            LeafTemplate {
                spki_der: [leaf().spki_der, vec![0]].concat(),
                ..leaf()
            },
            Err(PrepareError::Spki),
        ),
        (dns("a-1.example"), Ok(())),
        (dns(""), bad_dns.clone()),
        (dns("a..b"), bad_dns.clone()),
        (dns("a.example."), bad_dns.clone()),
        (dns("-a.example"), bad_dns.clone()),
        (dns("a.*.example"), bad_dns.clone()),
        (dns("ä.example"), bad_dns.clone()),
        (dns("a\0.example"), bad_dns.clone()),
        (dns(&"a".repeat(64)), bad_dns),
        (named(SubjectAltName::Uri(String::new())), bad_uri.clone()),
        (named(SubjectAltName::Uri(text("urn:ä"))), bad_uri.clone()),
        (named(SubjectAltName::Uri(text("urn: a"))), bad_uri),
        (
            with_subject(SubjectAttribute::CommonName("ä".repeat(64))),
            Ok(()),
        ),
        (
            with_subject(SubjectAttribute::CommonName("a".repeat(65))),
            bad_common_name.clone(),
        ),
        (
            with_subject(SubjectAttribute::CommonName(String::new())),
            bad_common_name.clone(),
        ),
        (
            with_subject(SubjectAttribute::CommonName(text("a\0b"))),
            bad_common_name,
        ),
        (
            with_subject(SubjectAttribute::Country(text("DEU"))),
            Err(PrepareError::BadSubject("country")),
        ),
        (
            with_subject(SubjectAttribute::Country(text("D_"))),
            Err(PrepareError::BadSubject("country")),
        ),
        (
            with_subject(SubjectAttribute::SerialNumber(text("ä"))),
            Err(PrepareError::BadSubject("serial number")),
        ),
    ];
    for (template, expected) in cases {
        let prepared = issuing.prepare(&template, serial()).map(|_| ());
        assert_eq!(prepared, expected, "{template:?}");
    }
}

#[test]
fn an_issuer_needs_a_ca_certificate_and_its_own_key() {
    let authority = cas();
    let issuing = issuer(&authority.issuing);
    let leaf_cert = issuing
        .sign(issuing.prepare(&leaf(), serial()).unwrap())
        .unwrap();
    let ca_der = der(&authority.issuing.certificate_pem);
    let open = |der: &[u8]| {
        let signer = FileSigner::from_pkcs8_pem(&authority.tls.key_pem).unwrap();
        Issuer::new(der, Box::new(signer)).map(|_| ())
    };
    assert_eq!(open(&ca_der), Err(IssuerError::OtherKey));
    assert_eq!(open(leaf_cert.der()), Err(IssuerError::NotACa));
    assert_eq!(open(&ca_der[1..]), Err(IssuerError::Malformed));
    assert_eq!(
        open(&[&ca_der[..], &[0]].concat()),
        Err(IssuerError::Malformed)
    );
}

#[test]
fn a_failing_key_is_an_error_and_no_certificate() {
    let material = cas().issuing;
    let spki = FileSigner::from_pkcs8_pem(&material.key_pem)
        .unwrap()
        .spki_der()
        .to_vec();
    let issuing = Issuer::new(&der(&material.certificate_pem), Box::new(Broken(spki))).unwrap();
    let prepared = issuing.prepare(&leaf(), serial()).unwrap();
    assert_eq!(issuing.sign(prepared), Err(SignError::Signer));
}

#[test]
fn a_p384_key_signs_with_sha384() {
    let plan = AuthorityPlan {
        issuing_key: KeyType::P384,
        ..plan()
    };
    let authority = authority::create(&plan).unwrap();
    let signer = FileSigner::from_pkcs8_pem(&authority.issuing.key_pem).unwrap();
    assert_eq!(signer.algorithm(), SignatureAlgorithm::EcdsaSha384);
    let issuing = issuer(&authority.issuing);
    let template = LeafTemplate {
        usage: LeafUsage::ClientAuth,
        ..leaf()
    };
    let issued = issuing
        .sign(issuing.prepare(&template, serial()).unwrap())
        .unwrap();
    let openssl = support::OpenSsl::new();
    openssl.write("root.pem", &authority.root.certificate_pem);
    openssl.write("ca.pem", &authority.issuing.certificate_pem);
    openssl.write("leaf.pem", certificate_pem(issued.der()).unwrap());
    openssl.ok("verify -attime 1795478400 -CAfile root.pem -untrusted ca.pem leaf.pem");
}

#[test]
fn key_files_of_other_kinds_say_what_they_are() {
    let openssl = support::OpenSsl::new();
    openssl.ok("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256.pem");
    for (command, expected) in [
        ("pkey -in p256.pem", None),
        ("ec -in p256.pem", Some(SignerError::Sec1)),
        (
            "pkey -in p256.pem -aes256 -passout pass:secret",
            Some(SignerError::Encrypted),
        ),
        (
            "pkey -in p256.pem -pubout",
            Some(SignerError::NotAPrivateKey),
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521",
            Some(SignerError::UnsupportedKey),
        ),
        (
            "genpkey -algorithm ED25519",
            Some(SignerError::UnsupportedKey),
        ),
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
            Some(SignerError::UnsupportedKey),
        ),
    ] {
        let read = FileSigner::from_pkcs8_pem(&openssl.ok(command)).map(|_| ());
        assert_eq!(read.err(), expected, "{command}");
    }
    let read = FileSigner::from_pkcs8_pem("no PEM at all").map(|_| ());
    assert_eq!(read, Err(SignerError::NotAPrivateKey));
}

#[test]
fn no_debug_output_shows_a_key() {
    let material = cas().issuing;
    let signer = FileSigner::from_pkcs8_pem(&material.key_pem).unwrap();
    assert_eq!(
        format!("{signer:?}"),
        "FileSigner { algorithm: EcdsaSha256, .. }"
    );
    let shown = format!("{material:?} {:?}", issuer(&material));
    assert!(!shown.contains("PRIVATE"), "{shown}");
    let certificate = format!(
        "Issuer {{ certificate_pem: {:?}, .. }}",
        material.certificate_pem
    );
    assert!(shown.contains(&certificate), "{shown}");
}
