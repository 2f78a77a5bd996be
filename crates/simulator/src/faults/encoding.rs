//! Faults that a lenient decoder misreads or skips.

use super::{
    Fault,
    Way::{Chain, Intermediate, Leaf, Object},
    forger::KEY_USAGE,
};
use crate::evidence::{Cbor, Extension, der};

pub(super) const FAULTS: &[Fault] = &[
    Fault::evidence(
        "serial-under-padded-identifier",
        &[50],
        "certificate-malformed",
        "A second serial number has the same identifier, encoded with a leading zero.",
        Leaf(|leaf, _| {
            let other = Extension::new("1.2.840.113635.100.8.9.01", b"C02OTHER0001");
            leaf.extensions.push(other);
        }),
    ),
    Fault::evidence(
        "freshness-under-padded-identifier",
        &[],
        "certificate-malformed",
        "A second freshness code has the same identifier, encoded with a leading zero.",
        Leaf(|leaf, _| {
            let other = Extension::new("1.2.840.113635.100.8.11.01", &[7; 32]);
            leaf.extensions.push(other);
        }),
    ),
    Fault::evidence(
        "ca-under-padded-identifier",
        &[],
        "certificate-malformed",
        "The leaf claims to be a CA, under an identifier that is encoded with a leading zero.",
        Leaf(|leaf, _| {
            let mut constraints = Extension::basic_constraints(true, None);
            "2.5.29.019".clone_into(&mut constraints.oid);
            leaf.extensions.push(constraints);
        }),
    ),
    Fault::evidence(
        "name-constraints-under-padded-identifier",
        &[],
        "certificate-malformed",
        "The intermediate's name constraints have an identifier that is encoded with a leading zero.",
        Intermediate(|sub| {
            sub.extensions
                .push(Extension::new("2.5.29.030", &der::sequence::<&[u8]>(&[])));
        }),
    ),
    Fault::evidence(
        "subject-not-in-order",
        &[],
        "certificate-malformed",
        "The two attributes of the leaf's name are not in DER order.",
        Leaf(|leaf, _| {
            let attribute =
                |oid, text: &[u8]| der::sequence(&[der::oid(oid), der::element(0x0c, text)]);
            let pair = [
                attribute("2.5.4.11", b"Devices"),
                attribute("2.5.4.3", b"Mac"),
            ];
            leaf.subject = der::sequence(&[der::element(0x31, &pair.concat())]);
        }),
    ),
    Fault::evidence(
        "key-usage-with-unused-bits",
        &[],
        "extension-malformed",
        "An undefined bit is set in the intermediate's keyUsage.",
        Intermediate(|sub| sub.set_extension(KEY_USAGE, &Extension::key_usage(&[1, 7]).value)),
    ),
    Fault::evidence(
        "key-identifier-text",
        &[],
        "extension-malformed",
        "The leaf's subjectKeyIdentifier cannot be decoded.",
        Leaf(|leaf, _| {
            leaf.extensions
                .push(Extension::new("2.5.29.14", b"key").critical());
        }),
    ),
    Fault::evidence(
        "key-purpose-empty",
        &[],
        "extension-malformed",
        "The leaf's extendedKeyUsage contains no purpose.",
        Leaf(|leaf, _| {
            let empty = Extension::new("2.5.29.37", &der::sequence::<&[u8]>(&[]));
            leaf.extensions.push(empty.critical());
        }),
    ),
    Fault::evidence(
        "root-twice",
        &[],
        "misplaced-root",
        "The root is at the end of the chain twice.",
        Chain(|forger| {
            let mut chain = forger.good_chain()?;
            chain.extend([(); 2].map(|()| forger.authority.root_der().to_vec()));
            Ok(chain)
        }),
    ),
    Fault::evidence(
        "simple-value-in-two-bytes",
        &[],
        "object-not-cbor",
        "A simple value is written in two bytes where one must do: not well-formed CBOR.",
        Object(|forger| {
            let entries = vec![
                (Cbor::text("fmt"), Cbor::text("apple")),
                (Cbor::text("attStmt"), forger.statement()?),
                (Cbor::text("a"), Cbor::Raw(b"\xf8\x18".to_vec())),
            ];
            Ok(Cbor::Map(entries).encode())
        }),
    ),
];
