//! What the leaf says.

use assay_attest::Reason;
use assay_simulator::evidence::{Extension, der, oids};
use sha2::{Digest, Sha256};

use super::{Fault, fault};
use crate::laboratory::{FRESHNESS, Laboratory, SERIAL};

pub(crate) fn property_faults(laboratory: &Laboratory) -> Vec<Fault> {
    let set = |oid: &'static str, value: &[u8]| {
        laboratory.with_leaf(|leaf| leaf.extension_mut(oid).unwrap().value = value.to_vec())
    };
    let doubled = |oid: &'static str, value: &[u8], first: bool| {
        laboratory.with_leaf(|leaf| {
            let second = Extension::new(oid, value);
            if first {
                leaf.extensions.insert(0, second);
            } else {
                leaf.extensions.push(second);
            }
        })
    };
    let other = Sha256::digest(b"another token");
    let serial = |tag: u8| der::element(tag, SERIAL.as_bytes());

    vec![
        fault(
            17,
            "absent",
            Reason::FreshnessMissing,
            laboratory.with_leaf(|leaf| leaf.remove_extension(oids::FRESHNESS)),
        ),
        fault(
            17,
            "blank",
            Reason::FreshnessMissing,
            set(oids::FRESHNESS, b""),
        ),
        fault(
            18,
            "another-token",
            Reason::FreshnessMismatch,
            set(oids::FRESHNESS, &other),
        ),
        fault(
            18,
            "last-bit",
            Reason::FreshnessMismatch,
            set(oids::FRESHNESS, &{
                let mut code = FRESHNESS;
                code[31] ^= 1;
                code
            }),
        ),
        fault(
            19,
            "key-authorization",
            Reason::FreshnessMismatch,
            set(oids::FRESHNESS, &Sha256::digest(b"token.thumbprint")),
        ),
        fault(
            20,
            "31-bytes",
            Reason::FreshnessLength,
            set(oids::FRESHNESS, &FRESHNESS[..31]),
        ),
        fault(
            20,
            "33-bytes",
            Reason::FreshnessLength,
            set(oids::FRESHNESS, &[FRESHNESS.as_slice(), &[0]].concat()),
        ),
        fault(
            20,
            "wrapped",
            Reason::FreshnessLength,
            set(oids::FRESHNESS, &der::element(0x04, &FRESHNESS)),
        ),
        fault(
            21,
            "right-one-last",
            Reason::FreshnessRepeated,
            doubled(oids::FRESHNESS, &other, true),
        ),
        fault(
            21,
            "right-one-first",
            Reason::FreshnessRepeated,
            doubled(oids::FRESHNESS, &other, false),
        ),
        fault(
            21,
            "both-right",
            Reason::FreshnessRepeated,
            doubled(oids::FRESHNESS, &FRESHNESS, false),
        ),
        fault(
            22,
            "serial",
            Reason::PropertyRepeated,
            doubled(oids::SERIAL, b"X", false),
        ),
        fault(
            22,
            "undocumented",
            Reason::PropertyRepeated,
            laboratory.with_leaf(|leaf| {
                let extension = Extension::new("1.2.840.113635.100.8.9.3", b"x");
                leaf.extensions.extend([extension.clone(), extension]);
            }),
        ),
        fault(
            23,
            "utf8-string",
            Reason::PropertyMalformed,
            set(oids::SERIAL, &serial(0x0c)),
        ),
        fault(
            23,
            "printable-string",
            Reason::PropertyMalformed,
            set(oids::SERIAL, &serial(0x13)),
        ),
        fault(
            24,
            "ascii-digit",
            Reason::PropertyMalformed,
            set(oids::SIP, b"0"),
        ),
        fault(
            25,
            "trailing-byte",
            Reason::PropertyMalformed,
            set(oids::SIP, b"\x02\x01\x00\x00"),
        ),
        fault(
            25,
            "not-minimal",
            Reason::PropertyMalformed,
            set(oids::SIP, b"\x02\x02\x00\x00"),
        ),
        fault(
            0,
            "kernel-extensions-not-minimal",
            Reason::PropertyMalformed,
            set(oids::KERNEL_EXTENSIONS, b"\x02\x02\x00\x01"),
        ),
        fault(
            0,
            "nonce-beside-freshness",
            Reason::WebauthnAnonymous,
            laboratory.with_leaf(|leaf| {
                let nonce = der::sequence(&[der::element(0xa1, &der::element(4, &FRESHNESS))]);
                leaf.extensions
                    .push(Extension::new(oids::WEBAUTHN_NONCE, &nonce));
            }),
        ),
    ]
}
