use std::sync::LazyLock;

use assay_ca::{
    FileSigner,
    authority::{self, Authority, AuthorityPlan, CaMaterial, Host, KeyType},
};
use assay_simulator::{CsrRequest, Device, KeyType as DeviceKey, evidence::DeviceProperties};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::*;
use crate::{
    domain::samples::identifier,
    profile::{SanRule, Template},
};

static CAS: LazyLock<Authority> = LazyLock::new(|| {
    authority::create(&AuthorityPlan {
        name: "Test".to_owned(),
        issuing_key: KeyType::P256,
        host: Host::Dns("localhost".to_owned()),
        laboratory: true,
        now: NOW.0,
    })
    .unwrap()
});

fn issuer(material: &CaMaterial) -> Issuer {
    let der = CertificateDer::from_pem_slice(material.certificate_pem.as_bytes()).unwrap();
    let signer = FileSigner::from_pkcs8_pem(&material.key_pem).unwrap();
    Issuer::new(&der, Box::new(signer)).unwrap()
}

fn issuing() -> Issuer {
    issuer(&CAS.issuing)
}

fn profile(subject: &str, san: &[&str]) -> Profile {
    let san: Vec<_> = san.iter().map(ToString::to_string).collect();
    Profile {
        subject: Profile::parse_subject(subject).unwrap(),
        san: Profile::parse_san(&san).unwrap(),
        ..Profile::privacy_preserving()
    }
}

fn refused(result: Result<(), Error>) -> IssuanceRefusal {
    match result {
        Err(Error::Issuance(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_csr_is_judged_by_its_own_key() {
    let properties = DeviceProperties::mac("C02A", "UDID");
    let device = Device::new(properties, DeviceKey::P256).unwrap();
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let csr = Csr::parse(&csr).unwrap();
    let key = sha256(&device.spki_der());
    let order = order(&[identifier("permanent-identifier", "C02A")]);
    let profile = Profile::privacy_preserving();
    let good = [attested(key)];
    let found = check_csr(&csr, &order, &good, &profile, NOW);
    assert_eq!(found, Ok(&evidence(key)));
    for bad in [vec![], vec![attested(OTHER_KEY)], vec![control()]] {
        let found = check_csr(&csr, &order, &bad, &profile, NOW);
        assert_eq!(found, Err(CsrRefusal::KeyNotAttested));
    }
    // A common name is present, although empty.
    let strict = Profile {
        csr_names: CsrNames::Refuse,
        ..profile
    };
    let found = check_csr(&csr, &order, &good, &strict, NOW);
    assert_eq!(found, Err(CsrRefusal::NamesRefused("subject")));
}

#[test]
fn a_leaf_is_the_attested_key_with_the_profiles_names() {
    let properties = DeviceProperties::mac("C02A", "UDID");
    let device = Device::new(properties, DeviceKey::P384).unwrap();
    let asked = CsrRequest {
        common_name: "mine".to_owned(),
        names: Vec::new(),
    };
    let csr = Csr::parse(&device.csr(&asked).unwrap()).unwrap();
    let order = order(&[
        identifier("permanent-identifier", "C02A"),
        identifier("hardware-module", "U/1.2.3"),
        identifier("permanent-identifier", "X/1.2.4"),
    ]);
    let mut record = evidence(*csr.spki_sha256());
    record.facts.serial = Some("C02A".to_owned());
    record.facts.udid = Some("U".to_owned());
    let named = profile(
        "O=Example,CN={serial}",
        &[
            "hardware-module",
            "uri:urn:udid:{udid}",
            "permanent-identifier",
        ],
    );
    let validity = (NOW, NOW.plus(7));
    let leaf = leaf(&csr, &order, &record, &named, validity).unwrap();
    let permanent = |value: &str, assigner: Option<&str>| SubjectAltName::PermanentIdentifier {
        value: value.to_owned(),
        assigner: assigner.map(str::to_owned),
    };
    let expected = LeafTemplate {
        spki_der: device.spki_der(),
        subject: vec![
            SubjectAttribute::Organization("Example".to_owned()),
            SubjectAttribute::CommonName("C02A".to_owned()),
        ],
        names: vec![
            SubjectAltName::HardwareModule {
                hw_type: "1.2.3".to_owned(),
                serial: b"U".to_vec(),
            },
            SubjectAltName::Uri("urn:udid:U".to_owned()),
            permanent("C02A", None),
            permanent("X", Some("1.2.4")),
        ],
        not_before: NOW.0,
        not_after: NOW.0 + 7,
        usage: LeafUsage::ClientAuth,
    };
    assert_eq!(leaf, expected);
    // The profile's names must be attested.
    record.facts.udid = None;
    let refusal = super::leaf(&csr, &order, &record, &named, validity).map(drop);
    assert_eq!(
        refused(refusal),
        IssuanceRefusal::AttributeNotAttested("udid")
    );
    record.facts.serial = None;
    let refusal = super::leaf(&csr, &order, &record, &named, validity).map(drop);
    assert_eq!(
        refused(refusal),
        IssuanceRefusal::AttributeNotAttested("serial")
    );
}

#[test]
fn invisible_characters_of_an_ordered_name_are_refused() {
    let attested = TemplateValues {
        facts: &DeviceFacts::default(),
        spki_sha256: &KEY,
    };
    for (kind, value) in [
        ("hardware-module", "C0\u{200b}2A/1.2.3"),
        ("permanent-identifier", "C0\u{202e}2A"),
    ] {
        let profile = profile("CN=x", &[kind]);
        let identifiers = [identifier(kind, value)];
        let refusal = names(&profile, &identifiers, &attested).map(drop);
        assert_eq!(refused(refusal), IssuanceRefusal::NameDoesNotFit(kind));
    }
}

#[test]
fn a_profile_is_tried_with_what_a_device_usually_has() {
    let issuer = issuing();
    for (subject, san) in [
        ("CN={spki-sha256}", &[][..]),
        (
            "CN={serial},serialNumber={udid}",
            &["uri:urn:{serial}:{udid}"],
        ),
        // The order's names are not known without an order.
        ("", &["permanent-identifier", "hardware-module"]),
    ] {
        assert_eq!(try_profile(&issuer, &profile(subject, san)), Ok(()));
    }
    let long = "x".repeat(65);
    let refusal = try_profile(&issuer, &profile(&format!("O={long}"), &[]));
    let place = refused(refusal);
    assert!(
        matches!(place, IssuanceRefusal::NameDoesNotFit(_)),
        "{place:?}"
    );
    let uri = format!("uri:urn:x:{}", "x".repeat(MAX_TBS));
    let refusal = try_profile(&issuer, &profile("CN=x", &[&uri]));
    assert_eq!(
        refused(refusal),
        IssuanceRefusal::NameDoesNotFit("names all together")
    );
    // A CA that is only for servers is the operator's mistake.
    let error = try_profile(&issuer_of_servers(), &profile("CN=x", &[]));
    let Err(Error::Internal(text)) = error else {
        panic!("{error:?}");
    };
    assert!(text.contains("extended key usage"), "{text}");
}

#[test]
fn only_a_ca_for_servers_certifies_servers() {
    assert_eq!(try_server_certificates(&issuer_of_servers()), Ok(()));
    let refused = try_server_certificates(&issuing());
    assert_eq!(refused, Err(PrepareError::UsageOutsideIssuer));
}

fn issuer_of_servers() -> Issuer {
    issuer(&CAS.tls)
}

/// A leaf with a single name of this length.
fn leaf_of_length(length: usize) -> LeafTemplate {
    LeafTemplate {
        spki_der: SAMPLE_SPKI.to_vec(),
        subject: Vec::new(),
        names: vec![SubjectAltName::Uri(format!("a:{}", "x".repeat(length)))],
        not_before: NOW.0,
        not_after: NOW.0 + 60,
        usage: LeafUsage::ClientAuth,
    }
}

#[test]
fn what_would_not_fit_a_record_is_never_begun() {
    let issuer = issuing();
    let serial = || SerialNumber::from_random([1; 16]);
    let size = |leaf: &LeafTemplate| issuer.prepare(leaf, serial()).unwrap().tbs_der().len();
    // Longer values need longer length fields, so not every step is one byte.
    let guess = MAX_TBS - size(&leaf_of_length(0)) - 30;
    let fitting = (guess..MAX_TBS).find(|length| size(&leaf_of_length(*length)) == MAX_TBS);
    let fitting = fitting.unwrap();
    let prepared = prepare(&issuer, &leaf_of_length(fitting), serial()).unwrap();
    assert_eq!(prepared.tbs_der().len(), MAX_TBS);
    let refusal = prepare(&issuer, &leaf_of_length(fitting + 1), serial()).map(drop);
    assert_eq!(
        refused(refusal),
        IssuanceRefusal::NameDoesNotFit("names all together")
    );
}

#[test]
fn long_names_fit_and_with_its_signature_a_certificate_is_one_tls_record() {
    let issuer = issuing();
    let prepared = |length| {
        let serial = SerialNumber::from_random([1; 16]);
        prepare(&issuer, &leaf_of_length(length), serial).map(drop)
    };
    assert_eq!(prepared(10_000), Ok(()));
    let largest_signature = 512;
    refused(prepared(16 * 1024 - largest_signature));
}

#[test]
fn why_a_certificate_cannot_be_built() {
    for (fault, place) in [
        (PrepareError::BadSubject("common name"), "common name"),
        (PrepareError::BadName("URI"), "URI"),
    ] {
        let refusal = refused(Err(not_prepared(fault)));
        assert_eq!(refusal, IssuanceRefusal::NameDoesNotFit(place));
    }
    let nameless = refused(Err(not_prepared(PrepareError::NoName)));
    assert_eq!(nameless, IssuanceRefusal::NoName);
    for fault in [PrepareError::Spki, PrepareError::Validity] {
        let text = fault.to_string();
        let error = not_prepared(fault);
        assert!(
            matches!(&error, Error::Internal(why) if why.contains(&text)),
            "{error:?}"
        );
    }
}

#[test]
fn a_ca_signs_until_its_end_and_not_after() {
    let issuer = issuing();
    let end = Timestamp(issuer.not_after());
    assert_eq!(end_of_ca("issuing", &issuer, end.minus(1)), Ok(end));
    for now in [end, end.plus(1)] {
        for (name, advice) in [("issuing", "assay init"), ("TLS", "assay tls host HOST")] {
            let text = end_of_ca(name, &issuer, now).unwrap_err();
            let begin = format!("the {name} CA's certificate ended at {end}, and it is {now}: ");
            assert!(text.starts_with(&begin), "{text}");
            assert!(text.contains(advice), "{text}");
            assert!(text.ends_with(renew_ca(name)), "{text}");
        }
    }
}

#[test]
fn a_rule_takes_only_what_it_is_for() {
    let identifiers = [
        identifier("permanent-identifier", "C02A"),
        identifier("hardware-module", "U/1.2.3"),
    ];
    let template = Template::parse("urn:x").unwrap();
    for rule in [
        SanRule::HardwareModule,
        SanRule::PermanentIdentifier,
        SanRule::Uri(template),
    ] {
        let taken = identifiers
            .iter()
            .map(|one| ordered(&rule, one).unwrap().is_some());
        let expected = match rule {
            SanRule::HardwareModule => [false, true],
            SanRule::PermanentIdentifier => [true, false],
            SanRule::Uri(_) => [false, false],
        };
        assert_eq!(taken.collect::<Vec<_>>(), expected);
    }
}
