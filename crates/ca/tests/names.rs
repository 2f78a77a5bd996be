//! Device identifiers in the subject alternative name.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use assay_ca::{LeafTemplate, PrepareError, SubjectAltName, authority::Host};
use der::{Decode, asn1::AnyRef};
use x509_cert::{Certificate, ext::pkix::SubjectAltName as SubjectAltNames};

use support::{authority, issuer, leaf, serial};

/// The DER value of the extension in a certificate with only this name.
fn san_of(name: SubjectAltName) -> Vec<u8> {
    let issuing = issuer(&authority(Host::Dns("acme.example.com".to_owned())).issuing);
    let template = LeafTemplate {
        names: vec![name],
        ..leaf()
    };
    let issued = issuing
        .sign(issuing.prepare(&template, serial()).unwrap())
        .unwrap();
    let certificate = Certificate::from_der(issued.der()).unwrap();
    let extension = certificate
        .tbs_certificate()
        .extensions()
        .unwrap()
        .iter()
        .find(|extension| extension.extn_id == <SubjectAltNames as const_oid::AssociatedOid>::OID)
        .unwrap();
    assert!(!extension.critical);
    extension.extn_value.as_bytes().to_vec()
}

/// SEQUENCE { [0] { type-id 1.3.6.1.5.5.7.8.n, [0] { value } } }.
fn other_name(last_arc: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    let mut der = vec![0x30, length + 14, 0xa0, length + 12];
    der.extend([0x06, 8, 0x2b, 6, 1, 5, 5, 7, 8, last_arc, 0xa0, length]);
    der.extend(value);
    AnyRef::from_der(&der).unwrap();
    der
}

fn permanent(value: &str, assigner: Option<&str>) -> SubjectAltName {
    SubjectAltName::PermanentIdentifier {
        value: value.to_owned(),
        assigner: assigner.map(str::to_owned),
    }
}

#[test]
fn a_permanent_identifier_is_its_utf8_octets() {
    assert_eq!(
        san_of(permanent("ABC", None)),
        other_name(3, b"\x30\x05\x0c\x03ABC")
    );
}

#[test]
fn scenario_71_the_assigner_stands_beside_the_value() {
    assert_eq!(
        san_of(permanent("ABC", Some("1.2.3.4"))),
        other_name(3, b"\x30\x0a\x0c\x03ABC\x06\x03\x2a\x03\x04")
    );
}

#[test]
fn scenario_75_a_hardware_module_is_its_type_and_its_octets() {
    let name = SubjectAltName::HardwareModule {
        hw_type: "1.2.840.113635.100.8.9.1".to_owned(),
        serial: b"U-1\0\xff".to_vec(),
    };
    assert_eq!(
        san_of(name),
        other_name(
            4,
            b"\x30\x13\x06\x0a\x2a\x86\x48\x86\xf7\x63\x64\x08\x09\x01\x04\x05U-1\0\xff"
        )
    );
}

#[test]
fn scenario_77_composed_and_decomposed_identifiers_stay_apart() {
    assert_eq!(
        san_of(permanent("\u{e9}", None)),
        other_name(3, b"\x30\x04\x0c\x02\xc3\xa9")
    );
    assert_eq!(
        san_of(permanent("e\u{301}", None)),
        other_name(3, b"\x30\x05\x0c\x03e\xcc\x81")
    );
}

#[test]
fn an_identifier_that_cannot_be_encoded_is_named() {
    let issuing = issuer(&authority(Host::Dns("acme.example.com".to_owned())).issuing);
    let uuid = "2.25.329800735698586629295641978511506172918";
    for name in [
        permanent("ABC", Some(uuid)),
        SubjectAltName::HardwareModule {
            hw_type: uuid.to_owned(),
            serial: b"1".to_vec(),
        },
    ] {
        let template = LeafTemplate {
            names: vec![name],
            ..leaf()
        };
        assert_eq!(
            issuing.prepare(&template, serial()),
            Err(PrepareError::UnsupportedOid(uuid.to_owned()))
        );
    }
}
