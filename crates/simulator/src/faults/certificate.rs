//! Faults of a single certificate.

use rcgen::PublicKeyData;

use super::{Fault, Forger, Way::Leaf, forger::BASIC_CONSTRAINTS};
use crate::{
    evidence::{CertificateTemplate, Extension, algorithm, der},
    key::KeyType,
};

pub(super) const FAULTS: &[Fault] = &[
    Fault::evidence(
        "leaf-version-1",
        &[],
        "certificate-version",
        "The leaf names no version, which means version 1.",
        Leaf(|leaf, _| leaf.version = None),
    ),
    Fault::evidence(
        "leaf-version-2",
        &[],
        "certificate-version",
        "The leaf is of version 2.",
        Leaf(|leaf, _| leaf.version = Some(1)),
    ),
    Fault::evidence(
        "serial-number-zero",
        &[],
        "certificate-serial-number",
        "The leaf's certificate serial number is 0.",
        Leaf(|leaf, _| leaf.serial = vec![0]),
    ),
    Fault::evidence(
        "serial-number-negative",
        &[],
        "certificate-serial-number",
        "The leaf's certificate serial number is negative.",
        Leaf(|leaf, _| leaf.serial = vec![0x80]),
    ),
    Fault::evidence(
        "serial-number-21-bytes",
        &[],
        "certificate-serial-number",
        "The leaf's certificate serial number has 21 bytes.",
        Leaf(|leaf, _| leaf.serial = vec![1; 21]),
    ),
    Fault::evidence(
        "serial-number-not-minimal",
        &[],
        "certificate-serial-number",
        "The leaf's certificate serial number has one byte too many.",
        Leaf(|leaf, _| leaf.serial = vec![0, 1]),
    ),
    Fault::evidence(
        "inner-algorithm-sha256",
        &[],
        "signature-algorithm-mismatch",
        "The leaf's signed part names another signature algorithm.",
        Leaf(|leaf, _| leaf.inner_algorithm = algorithm::ecdsa_sha256()),
    ),
    Fault::evidence(
        "outer-algorithm-sha256",
        &[],
        "signature-algorithm-mismatch",
        "The leaf's outer signature algorithm differs from the inner one.",
        Leaf(|leaf, _| leaf.outer_algorithm = algorithm::ecdsa_sha256()),
    ),
    Fault::evidence(
        "signature-algorithm-sha1",
        &[],
        "signature-algorithm-not-supported",
        "The leaf names ECDSA with SHA-1.",
        Leaf(|leaf, _| signed_with(leaf, der::sequence(&[der::oid("1.2.840.10045.4.1")]))),
    ),
    Fault::evidence(
        "signature-algorithm-null-parameters",
        &[],
        "signature-algorithm-not-supported",
        "The leaf's ECDSA has parameters, where it must have none.",
        Leaf(|leaf, _| {
            let algorithm = [der::oid("1.2.840.10045.4.3.3"), der::element(5, &[])];
            signed_with(leaf, der::sequence(&algorithm));
        }),
    ),
    Fault::evidence(
        "extension-twice",
        &[],
        "duplicate-extension",
        "The leaf has basicConstraints twice.",
        Leaf(|leaf, _| {
            leaf.extensions
                .push(Extension::basic_constraints(false, None));
        }),
    ),
    Fault::evidence(
        "name-17-attributes",
        &[],
        "too-many-attributes",
        "The leaf's name has 17 attributes.",
        Leaf(|leaf, _| {
            let attribute = der::sequence(&[der::oid("2.5.4.3"), der::element(0x0c, b"A")]);
            leaf.subject = der::sequence(&vec![der::element(0x31, &attribute); 17]);
        }),
    ),
    Fault::evidence(
        "extensions-65",
        &[],
        "too-many-extensions",
        "The leaf has 65 extensions.",
        Leaf(|leaf, _| {
            for number in leaf.extensions.len()..65 {
                let extension = Extension::new(&format!("1.2.3.{number}"), b"");
                leaf.extensions.push(extension);
            }
        }),
    ),
    Fault::evidence(
        "basic-constraints-text",
        &[],
        "extension-malformed",
        "The leaf's basicConstraints are text.",
        Leaf(|leaf, _| leaf.set_extension(BASIC_CONSTRAINTS, b"CA")),
    ),
    Fault::evidence(
        "explicit-ca-false",
        &[],
        "extension-malformed",
        "The leaf's basicConstraints spell out the default, which DER forbids.",
        Leaf(|leaf, _| leaf.set_extension(BASIC_CONSTRAINTS, b"\x30\x03\x01\x01\0")),
    ),
    Fault::evidence(
        "path-length-without-ca",
        &[],
        "extension-malformed",
        "The leaf is not a CA, but has a path length.",
        Leaf(|leaf, _| {
            let constraints = Extension::basic_constraints(false, Some(0));
            leaf.set_extension(BASIC_CONSTRAINTS, &constraints.value);
        }),
    ),
    Fault::evidence(
        "issuer-empty",
        &[],
        "certificate-malformed",
        "The leaf's issuer has no name.",
        Leaf(|leaf, _| leaf.issuer = der::sequence::<&[u8]>(&[])),
    ),
    Fault::evidence(
        "subject-not-utf8",
        &[],
        "certificate-malformed",
        "The leaf's subject is a UTF8String that is not UTF-8.",
        Leaf(|leaf, _| {
            let pair = [der::oid("2.5.4.3"), der::element(0x0c, b"A\xffA")];
            leaf.subject = der::sequence(&[der::element(0x31, &der::sequence(&pair))]);
        }),
    ),
    Fault::evidence(
        "key-p521",
        &[],
        "key-not-supported",
        "The leaf's key is on P-521.",
        Leaf(|leaf, _| leaf.spki = elliptic(P521, P521_GENERATOR)),
    ),
    Fault::evidence(
        "key-ed25519",
        &[],
        "key-not-supported",
        "The leaf's key is an Ed25519 key.",
        Leaf(|leaf, _| {
            let algorithm = der::sequence(&[der::oid("1.3.101.112")]);
            leaf.spki = der::sequence(&[algorithm, der::bit_string(ED25519_KEY)]);
        }),
    ),
    Fault::evidence(
        "key-off-curve",
        &[],
        "key-not-supported",
        "The leaf's key is not a point of its curve.",
        Leaf(|leaf, _| {
            if let Some(last) = leaf.spki.last_mut() {
                *last ^= 1;
            }
        }),
    ),
    Fault::evidence(
        "key-compressed",
        &[],
        "key-not-supported",
        "The leaf's key is a compressed point.",
        Leaf(|leaf, forger| leaf.spki = compressed(forger)),
    ),
];

/// The curve's identifier (RFC 5480 section 2.1.1.1).
const P521: &str = "1.3.132.0.35";

/// The generator of P-521 (SP 800-186 section 3.2.1.5), uncompressed: a valid public key.
const P521_GENERATOR: &[u8] = b"\x04\
    \x00\xc6\x85\x8e\x06\xb7\x04\x04\xe9\xcd\x9e\x3e\xcb\x66\x23\x95\xb4\x42\x9c\x64\x81\x39\
    \x05\x3f\xb5\x21\xf8\x28\xaf\x60\x6b\x4d\x3d\xba\xa1\x4b\x5e\x77\xef\xe7\x59\x28\xfe\x1d\
    \xc1\x27\xa2\xff\xa8\xde\x33\x48\xb3\xc1\x85\x6a\x42\x9b\xf9\x7e\x7e\x31\xc2\xe5\xbd\x66\
    \x01\x18\x39\x29\x6a\x78\x9a\x3b\xc0\x04\x5c\x8a\x5f\xb4\x2c\x7d\x1b\xd9\x98\xf5\x44\x49\
    \x57\x9b\x44\x68\x17\xaf\xbd\x17\x27\x3e\x66\x2c\x97\xee\x72\x99\x5e\xf4\x26\x40\xc5\x50\
    \xb9\x01\x3f\xad\x07\x61\x35\x3c\x70\x86\xa2\x72\xc2\x40\x88\xbe\x94\x76\x9f\xd1\x66\x50";

/// The public key of RFC 8032 section 7.1, test 1.
const ED25519_KEY: &[u8] = b"\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a\
    \x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a";

fn signed_with(leaf: &mut CertificateTemplate, algorithm: Vec<u8>) {
    leaf.inner_algorithm.clone_from(&algorithm);
    leaf.outer_algorithm = algorithm;
}

/// SubjectPublicKeyInfo of a point on a named curve (RFC 5480 section 2).
fn elliptic(curve: &str, point: &[u8]) -> Vec<u8> {
    let algorithm = der::sequence(&[der::oid("1.2.840.10045.2.1"), der::oid(curve)]);
    der::sequence(&[algorithm, der::bit_string(point)])
}

/// The device's key with its point compressed (SEC 1 section 2.3.3): x alone, after a byte that
/// states the parity of y.
fn compressed(forger: &Forger<'_>) -> Vec<u8> {
    let curve = match forger.device.key_type() {
        KeyType::P256 => "1.2.840.10045.3.1.7",
        KeyType::P384 => "1.3.132.0.34",
    };
    let point = forger.device.key().der_bytes();
    let odd = point.last().is_some_and(|last| last & 1 == 1);
    let x = &point[1..point.len().div_ceil(2)];
    elliptic(curve, &[&[2 + u8::from(odd)], x].concat())
}
