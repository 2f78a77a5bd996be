//! Each certificate for itself.

use assay_attest::Reason;
use assay_simulator::evidence::{CertificateTemplate, Extension, algorithm, der};
use rcgen::{KeyPair, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PublicKeyData};

use super::{BASIC_CONSTRAINTS, Fault, fault};
use crate::laboratory::{Laboratory, replaced};

pub(crate) fn certificate_faults(laboratory: &Laboratory) -> Vec<Fault> {
    let leaf = |change: fn(&mut CertificateTemplate)| laboratory.with_leaf(change);
    let spki =
        |key: KeyPair| laboratory.with_leaf(|leaf| leaf.spki = key.subject_public_key_info());
    let mut off_curve = laboratory.device.subject_public_key_info();
    *off_curve.last_mut().unwrap() ^= 1;
    // x alone: the point's first byte says 2 (y even).
    let compressed = der::sequence(&[
        der::sequence(&[
            der::oid("1.2.840.10045.2.1"),
            der::oid("1.2.840.10045.3.1.7"),
        ]),
        der::bit_string(&[&[2], &laboratory.device.public_key_raw()[1..33]].concat()),
    ]);

    vec![
        fault(
            0,
            "version-1",
            Reason::CertificateVersion,
            leaf(|leaf| leaf.version = None),
        ),
        fault(
            0,
            "version-2",
            Reason::CertificateVersion,
            leaf(|leaf| leaf.version = Some(1)),
        ),
        fault(
            0,
            "zero",
            Reason::CertificateSerialNumber,
            leaf(|leaf| leaf.serial = vec![0]),
        ),
        fault(
            0,
            "negative",
            Reason::CertificateSerialNumber,
            leaf(|leaf| leaf.serial = vec![0x80]),
        ),
        fault(
            0,
            "21-bytes",
            Reason::CertificateSerialNumber,
            leaf(|leaf| leaf.serial = vec![1; 21]),
        ),
        fault(
            0,
            "not-minimal",
            Reason::CertificateSerialNumber,
            leaf(|leaf| leaf.serial = vec![0, 1]),
        ),
        fault(
            0,
            "inner-sha256",
            Reason::SignatureAlgorithmMismatch,
            leaf(|leaf| leaf.inner_algorithm = algorithm::ecdsa_sha256()),
        ),
        fault(
            0,
            "outer-sha256",
            Reason::SignatureAlgorithmMismatch,
            leaf(|leaf| leaf.outer_algorithm = algorithm::ecdsa_sha256()),
        ),
        fault(
            0,
            "sha1",
            Reason::SignatureAlgorithmNotSupported,
            leaf(|leaf| {
                leaf.inner_algorithm = der::sequence(&[der::oid("1.2.840.10045.4.1")]);
                leaf.outer_algorithm.clone_from(&leaf.inner_algorithm);
            }),
        ),
        fault(
            0,
            "null-parameters",
            Reason::SignatureAlgorithmNotSupported,
            leaf(|leaf| {
                leaf.inner_algorithm =
                    der::sequence(&[der::oid("1.2.840.10045.4.3.3"), der::element(5, &[])]);
                leaf.outer_algorithm.clone_from(&leaf.inner_algorithm);
            }),
        ),
        fault(
            0,
            "basic-constraints",
            Reason::DuplicateExtension,
            leaf(|leaf| {
                leaf.extensions
                    .push(Extension::basic_constraints(false, None));
            }),
        ),
        fault(
            0,
            "sixty-five",
            Reason::TooManyExtensions,
            leaf(|leaf| {
                let more = (leaf.extensions.len()..65)
                    .map(|number| Extension::new(&format!("1.2.3.{number}"), b""));
                leaf.extensions.extend(more.collect::<Vec<_>>());
            }),
        ),
        fault(
            0,
            "basic-constraints-text",
            Reason::ExtensionMalformed,
            leaf(|leaf| leaf.extension_mut(BASIC_CONSTRAINTS).unwrap().value = b"CA".to_vec()),
        ),
        fault(
            0,
            "explicit-ca-false",
            Reason::ExtensionMalformed,
            leaf(|leaf| {
                leaf.extension_mut(BASIC_CONSTRAINTS).unwrap().value =
                    b"\x30\x03\x01\x01\0".to_vec();
            }),
        ),
        fault(
            0,
            "path-length-without-ca",
            Reason::ExtensionMalformed,
            leaf(|leaf| {
                *leaf.extension_mut(BASIC_CONSTRAINTS).unwrap() =
                    Extension::basic_constraints(false, Some(0));
            }),
        ),
        fault(
            0,
            "empty-issuer",
            Reason::CertificateMalformed,
            leaf(|leaf| leaf.issuer = der::sequence::<&[u8]>(&[])),
        ),
        fault(
            0,
            "subject-not-utf8",
            Reason::CertificateMalformed,
            leaf(|leaf| leaf.subject = replaced(&leaf.subject, b"AAA", b"A\xffA")),
        ),
        fault(
            0,
            "p521",
            Reason::KeyNotSupported,
            spki(KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap()),
        ),
        fault(
            0,
            "ed25519",
            Reason::KeyNotSupported,
            spki(KeyPair::generate_for(&PKCS_ED25519).unwrap()),
        ),
        fault(
            0,
            "not-on-the-curve",
            Reason::KeyNotSupported,
            laboratory.with_leaf(|leaf| leaf.spki = off_curve),
        ),
        fault(
            0,
            "compressed-point",
            Reason::KeyNotSupported,
            laboratory.with_leaf(|leaf| leaf.spki = compressed),
        ),
    ]
}
