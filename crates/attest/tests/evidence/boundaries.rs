//! Values at the edge of what a certificate may hold, and just beyond it.

use assay_attest::{Reason, limits::MAX_CERTIFICATE_BYTES};
use assay_simulator::evidence::{CertificateTemplate, Extension, der, oids};

use crate::laboratory::{Laboratory, object};

/// Why a leaf with this change is refused.
fn refused(
    laboratory: &Laboratory,
    change: impl FnOnce(&mut CertificateTemplate),
) -> Option<Reason> {
    laboratory.judge(&laboratory.with_leaf(change)).err()
}

/// RFC 5280 section 4.1.2.2: "The serial number MUST be a positive integer";
/// X.690 section 8.3.2: the first nine bits are not all equal.
#[test]
fn a_serial_number_is_positive_and_minimal() {
    let laboratory = Laboratory::new();
    let bad = Some(Reason::CertificateSerialNumber);
    for (serial, expected) in [
        (&[][..], bad),
        (&[0], bad),
        (&[1], None),
        (&[0x7f], None),
        (&[0x80], bad),
        (&[0, 0x7f], bad),
        (&[0, 0x80], None),
    ] {
        let found = refused(&laboratory, |leaf| leaf.serial = serial.to_vec());
        assert_eq!(found, expected, "{serial:x?}");
    }
}

fn common_name(tag: u8, value: &[u8]) -> Vec<u8> {
    der::sequence(&[der::oid("2.5.4.3"), der::element(tag, value)])
}

/// RFC 5280 section 4.1.2.4: new certificates use PrintableString or UTF8String;
/// appendix A.1 has IA5String for mail addresses and domain components.
#[test]
fn a_name_holds_strings_of_their_types() {
    let laboratory = Laboratory::new();
    let bad = Some(Reason::CertificateMalformed);
    for (tag, value, expected) in [
        (0x0c, "\u{e4}".as_bytes(), None),
        (0x0c, b"\xe4", bad),
        (0x13, b"A-1", None),
        (0x13, b"A_1", bad),
        (0x16, b"a@example.org", None),
        (0x16, b"\xe4", bad),
        // TeletexString and BMPString.
        (0x14, b"A", bad),
        (0x1e, b"\0A", bad),
    ] {
        let name = der::sequence(&[der::element(0x31, &common_name(tag, value))]);
        let found = refused(&laboratory, |leaf| leaf.subject = name);
        assert_eq!(found, expected, "{tag:x} {value:x?}");
    }
}

/// X.690 section 11.6: the elements of a SET OF "shall appear in ascending
/// order"; equal ones do.
#[test]
fn the_attributes_of_a_relative_name_are_in_order() {
    let laboratory = Laboratory::new();
    let [a, b] = [b"A", b"B"].map(|value| common_name(0x0c, value));
    for (attributes, expected) in [
        ([&a, &b], None),
        ([&a, &a], None),
        ([&b, &a], Some(Reason::CertificateMalformed)),
    ] {
        let set = attributes.map(Vec::as_slice).concat();
        let name = der::sequence(&[der::element(0x31, &set)]);
        let found = refused(&laboratory, |leaf| leaf.subject = name);
        assert_eq!(found, expected, "{set:x?}");
    }
}

/// RFC 5280 section 4.2, also where a certificate has nothing else.
#[test]
fn an_extension_stands_there_once() {
    let laboratory = Laboratory::new();
    let one = || Extension::new("1.2.3", b"");
    for mut extensions in [vec![], laboratory.leaf().extensions] {
        extensions.extend([one(), one()]);
        let found = refused(&laboratory, |leaf| leaf.extensions = extensions);
        assert_eq!(found, Some(Reason::DuplicateExtension));
    }
}

/// RFC 5280 section 4.2: what is processed may be critical. Apple marks none of
/// its extensions so.
#[test]
fn an_extension_of_apples_may_be_critical() {
    let laboratory = Laboratory::new();
    for (oid, expected) in [
        (oids::SERIAL, None),
        (oids::SIP, None),
        (oids::FRESHNESS, None),
        (
            "1.2.840.113635.100.8.9.99",
            Some(Reason::UnknownCriticalExtension),
        ),
    ] {
        let found = refused(&laboratory, |leaf| {
            if leaf.extension_mut(oid).is_none() {
                leaf.extensions.push(Extension::new(oid, b""));
            }
            let extension = leaf.extension_mut(oid).unwrap();
            *extension = extension.clone().critical();
        });
        assert_eq!(found, expected, "{oid}");
    }
}

/// No certificate is read before all of them are known to be small.
#[test]
fn a_large_certificate_is_refused_before_a_malformed_one() {
    let laboratory = Laboratory::new();
    let garbage = b"garbage".to_vec();
    let large = vec![0x30; MAX_CERTIFICATE_BYTES + 1];
    let good = laboratory.authority.sub_der().to_vec();
    for (chain, expected) in [
        ([&garbage, &large], Reason::CertificateTooLarge),
        ([&large, &garbage], Reason::CertificateTooLarge),
        ([&garbage, &good], Reason::CertificateMalformed),
    ] {
        let chain = chain.map(Clone::clone).to_vec();
        assert_eq!(laboratory.judge(&object(chain)).err(), Some(expected));
    }
}
