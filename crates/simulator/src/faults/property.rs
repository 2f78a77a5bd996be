//! Faults of the attested properties. Each must occur once, in its own encoding, and belong to the
//! right device.

use super::{
    Fault, Outcome, Way,
    Way::{Leaf, Properties},
};
use crate::evidence::{CertificateTemplate, Extension, der, oids};

/// Known in Apple's code, but not documented.
const UNDOCUMENTED: &str = "1.2.840.113635.100.8.9.3";

pub(super) const FAULTS: &[Fault] = &[
    Fault::evidence(
        "serial-twice-right-first",
        &[22],
        "property-repeated",
        "Another serial number follows the device's.",
        Leaf(|leaf, _| leaf.extensions.push(Extension::new(oids::SERIAL, b"X"))),
    ),
    Fault::evidence(
        "serial-twice-right-last",
        &[22],
        "property-repeated",
        "Another serial number precedes the device's.",
        Leaf(|leaf, _| {
            leaf.extensions
                .insert(0, Extension::new(oids::SERIAL, b"X"));
        }),
    ),
    Fault::evidence(
        "undocumented-property-twice",
        &[22],
        "property-repeated",
        "An undocumented property occurs twice.",
        Leaf(|leaf, _| {
            let extension = Extension::new(UNDOCUMENTED, b"x");
            leaf.extensions.extend([extension.clone(), extension]);
        }),
    ),
    Fault::evidence(
        "serial-in-utf8-string",
        &[23],
        "property-malformed",
        "The serial number is wrapped in a DER UTF8String.",
        Leaf(|leaf, _| wrap_serial(leaf, 0x0c)),
    ),
    Fault::evidence(
        "serial-in-printable-string",
        &[23],
        "property-malformed",
        "The serial number is wrapped in a DER PrintableString.",
        Leaf(|leaf, _| wrap_serial(leaf, 0x13)),
    ),
    Fault::evidence(
        "sip-as-text",
        &[24],
        "property-malformed",
        "System Integrity Protection is the digit 0 as text.",
        Leaf(|leaf, _| leaf.set_extension(oids::SIP, b"0")),
    ),
    Fault::evidence(
        "sip-trailing-byte",
        &[25],
        "property-malformed",
        "A byte follows the INTEGER of System Integrity Protection.",
        Leaf(|leaf, _| leaf.set_extension(oids::SIP, b"\x02\x01\x00\x00")),
    ),
    Fault::evidence(
        "sip-not-minimal",
        &[25],
        "property-malformed",
        "The INTEGER of System Integrity Protection has a byte too many.",
        Leaf(|leaf, _| leaf.set_extension(oids::SIP, b"\x02\x02\x00\x00")),
    ),
    Fault::evidence(
        "kernel-extensions-not-minimal",
        &[25],
        "property-malformed",
        "The INTEGER of the kernel extensions has a byte too many.",
        Leaf(|leaf, _| leaf.set_extension(oids::KERNEL_EXTENSIONS, b"\x02\x02\x00\x01")),
    ),
    Fault::evidence(
        "webauthn-nonce",
        &[],
        "webauthn-anonymous",
        "The nonce of WebAuthn's anonymous format is present beside the freshness code.",
        Leaf(|leaf, forger| {
            let octets = der::element(4, &forger.freshness);
            let nonce = der::sequence(&[der::element(0xa1, &octets)]);
            leaf.set_extension(oids::WEBAUTHN_NONCE, &nonce);
        }),
    ),
    identity(
        "serial-blank",
        &[30],
        "serial-not-attested",
        "The serial number is empty.",
        Properties(|properties| properties.serial = Some(String::new())),
    ),
    identity(
        "serial-absent",
        &[30],
        "serial-not-attested",
        "The authority does not attest a serial number.",
        Properties(|properties| properties.serial = None),
    ),
    identity(
        "serial-of-another-device",
        &[31],
        "identifier-mismatch",
        "The evidence is about another device.",
        Properties(|properties| {
            properties.serial = Some("C02STRANGER".to_owned());
            properties.udid = Some("00008112-000BADC0FFEE0BAD".to_owned());
        }),
    ),
    identity(
        "serial-and-udid-exchanged",
        &[31],
        "identifier-mismatch",
        "The UDID and the serial number are exchanged.",
        Properties(|properties| std::mem::swap(&mut properties.serial, &mut properties.udid)),
    ),
    identity(
        "serial-in-other-case",
        &[32],
        "identifier-mismatch",
        "The upper-case letters of the serial number are lower-case, and the other way round.",
        Properties(|properties| {
            properties.serial = properties.serial.as_deref().map(in_other_case);
        }),
    ),
];

const fn identity(
    name: &'static str,
    scenarios: &'static [u16],
    reason: &'static str,
    meaning: &'static str,
    way: Way,
) -> Fault {
    Fault {
        name,
        scenarios,
        meaning,
        outcome: Outcome::Identity { reason },
        way,
    }
}

fn wrap_serial(leaf: &mut CertificateTemplate, tag: u8) {
    let serial = leaf.extension_mut(oids::SERIAL);
    let serial = serial.map_or_else(Vec::new, |extension| extension.value.clone());
    leaf.set_extension(oids::SERIAL, &der::element(tag, &serial));
}

fn in_other_case(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            'a'..='z' => letter.to_ascii_uppercase(),
            _ => letter.to_ascii_lowercase(),
        })
        .collect()
}
