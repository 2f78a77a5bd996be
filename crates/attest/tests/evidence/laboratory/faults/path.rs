//! The path: names, constraints, validity, signatures.

use assay_attest::Reason;
use assay_simulator::{
    authority::AttestationAuthority,
    evidence::{CertificateTemplate, Extension, algorithm, der},
};

use super::{AUTHORITY_KEY_IDENTIFIER, BASIC_CONSTRAINTS, Fault, KEY_USAGE, fault};
use crate::laboratory::{Laboratory, NOW, SERIAL, object, renamed, replaced};

pub(crate) fn path_faults(laboratory: &Laboratory) -> Vec<Fault> {
    let authority = &laboratory.authority;
    let leaf = |change: fn(&mut CertificateTemplate)| laboratory.with_leaf(change);
    let sub = |change: fn(&mut CertificateTemplate)| laboratory.with_intermediate(change);
    let chain =
        |certificates: &[&[u8]]| object(certificates.iter().map(|der| der.to_vec()).collect());
    let good_leaf = laboratory.good_leaf();
    let foreign = AttestationAuthority::create(NOW).unwrap();
    let foreign_leaf = laboratory.leaf().sign(foreign.sub_key()).unwrap();
    // A root and an intermediate of the same names and key identifiers, other keys.
    let forged_sub = authority
        .sub_template(NOW)
        .sign(foreign.root_key())
        .unwrap();
    let mut unnamed_sub = authority.sub_template(NOW);
    unnamed_sub.issuer = replaced(&unnamed_sub.issuer, b"Root", b"Toor");
    let unnamed_sub = unnamed_sub.sign(authority.root_key()).unwrap();
    let self_signed = {
        let mut leaf = laboratory.leaf();
        leaf.issuer.clone_from(&leaf.subject);
        leaf.sign(&laboratory.device).unwrap()
    };
    let from_root = {
        let mut leaf = laboratory.leaf();
        leaf.issuer = authority.sub_template(NOW).issuer;
        leaf.sign(authority.root_key()).unwrap()
    };
    let flip = |der: &[u8], from_end: usize| {
        let mut der = der.to_vec();
        let place = der.len() - from_end;
        der[place] ^= 1;
        der
    };
    let leaf_as_issuer = {
        let mut child = laboratory.leaf();
        child.issuer.clone_from(&child.subject);
        child.sign(&laboratory.device).unwrap()
    };

    let apple = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/roots/apple-enterprise-attestation-root-ca.der"
    ))
    .unwrap();

    vec![
        fault(
            38,
            "other-name",
            Reason::UnknownAnchor,
            chain(&[&good_leaf, &unnamed_sub]),
        ),
        fault(
            38,
            "same-names",
            Reason::KeyIdentifierMismatch,
            chain(&[&foreign_leaf, foreign.sub_der()]),
        ),
        fault(
            38,
            "same-names-and-identifiers",
            Reason::BadSignature,
            chain(&[&good_leaf, &forged_sub]),
        ),
        fault(
            38,
            "own-root-sent-along",
            Reason::BadSignature,
            chain(&[&foreign_leaf, foreign.sub_der(), foreign.root_der()]),
        ),
        fault(
            39,
            "leaf-alone",
            Reason::IncompleteChain,
            chain(&[&good_leaf]),
        ),
        fault(
            39,
            "self-signed",
            Reason::IncompleteChain,
            chain(&[&self_signed]),
        ),
        fault(
            39,
            "under-the-root",
            Reason::IncompleteChain,
            chain(&[&from_root]),
        ),
        fault(
            39,
            "leaf-and-root",
            Reason::IncompleteChain,
            chain(&[&good_leaf, authority.root_der()]),
        ),
        fault(
            39,
            "root-alone",
            Reason::IncompleteChain,
            chain(&[authority.root_der()]),
        ),
        fault(
            40,
            "ca-false",
            Reason::NotACa,
            sub(|sub| {
                *sub.extension_mut(BASIC_CONSTRAINTS).unwrap() =
                    Extension::basic_constraints(false, None);
            }),
        ),
        fault(
            40,
            "no-basic-constraints",
            Reason::NotACa,
            sub(|sub| sub.remove_extension(BASIC_CONSTRAINTS)),
        ),
        fault(
            40,
            "leaf-as-issuer",
            Reason::NotACa,
            chain(&[&leaf_as_issuer, &good_leaf, authority.sub_der()]),
        ),
        fault(
            40,
            "one-ca-too-many",
            Reason::PathLengthExceeded,
            object(laboratory.deeper_chain(Some(0))),
        ),
        fault(
            41,
            "leaf",
            Reason::Expired,
            leaf(|leaf| leaf.not_after = NOW - 1),
        ),
        fault(
            41,
            "leaf-early",
            Reason::NotYetValid,
            leaf(|leaf| leaf.not_before = NOW + 1),
        ),
        fault(
            41,
            "intermediate",
            Reason::Expired,
            sub(|sub| sub.not_after = NOW - 1),
        ),
        fault(
            41,
            "intermediate-early",
            Reason::NotYetValid,
            sub(|sub| sub.not_before = NOW + 1),
        ),
        fault(
            0,
            "no-cert-sign",
            Reason::KeyUsage,
            sub(|sub| *sub.extension_mut(KEY_USAGE).unwrap() = Extension::key_usage(&[1, 2])),
        ),
        fault(
            0,
            "absent",
            Reason::KeyUsage,
            sub(|sub| sub.remove_extension(KEY_USAGE)),
        ),
        fault(
            0,
            "in-the-leaf",
            Reason::NameConstraints,
            leaf(|leaf| leaf.extensions.push(Extension::new("2.5.29.30", b"\x30\0"))),
        ),
        fault(
            0,
            "in-the-intermediate",
            Reason::NameConstraints,
            sub(|sub| {
                sub.extensions
                    .push(Extension::new("2.5.29.30", b"\x30\0").critical());
            }),
        ),
        fault(
            0,
            "in-the-leaf",
            Reason::UnknownCriticalExtension,
            leaf(|leaf| {
                leaf.extensions
                    .push(Extension::new("1.2.3", b"").critical())
            }),
        ),
        fault(
            0,
            "undocumented-apple",
            Reason::UnknownCriticalExtension,
            leaf(|leaf| {
                leaf.extensions
                    .push(Extension::new("1.2.840.113635.100.8.9.3", b"").critical());
            }),
        ),
        fault(
            0,
            "key-purpose-in-the-intermediate",
            Reason::UnknownCriticalExtension,
            sub(|sub| {
                let purpose = Extension::new("2.5.29.37", b"\x30\x06\x06\x04\x55\x1d\x25\0");
                sub.extensions.push(purpose.critical());
            }),
        ),
        fault(
            0,
            "policy-constraints-in-the-intermediate",
            Reason::UnknownCriticalExtension,
            sub(|sub| {
                sub.extensions
                    .push(Extension::new("2.5.29.36", b"\x30\0").critical());
            }),
        ),
        fault(
            0,
            "ca-true",
            Reason::LeafIsCa,
            leaf(|leaf| {
                *leaf.extension_mut(BASIC_CONSTRAINTS).unwrap() =
                    Extension::basic_constraints(true, None);
            }),
        ),
        fault(
            0,
            "cert-sign",
            Reason::LeafIsCa,
            leaf(|leaf| *leaf.extension_mut(KEY_USAGE).unwrap() = Extension::key_usage(&[2, 0x84])),
        ),
        fault(
            0,
            "other-name",
            Reason::IssuerMismatch,
            leaf(|leaf| leaf.issuer = renamed(&leaf.issuer)),
        ),
        fault(
            0,
            "copy-of-another-root",
            Reason::IssuerMismatch,
            chain(&[&good_leaf, authority.sub_der(), &apple]),
        ),
        fault(
            0,
            "extra-certificate",
            Reason::IssuerMismatch,
            chain(&[&good_leaf, authority.sub_der(), authority.sub_der()]),
        ),
        fault(
            0,
            "wrong-order",
            // The leaf's place is taken by a certificate without freshness
            // and with a P-384 key; its freshness is asked for first.
            Reason::FreshnessMissing,
            chain(&[authority.sub_der(), &good_leaf]),
        ),
        fault(
            0,
            "leaf",
            Reason::KeyIdentifierMismatch,
            leaf(|leaf| {
                leaf.extensions
                    .push(Extension::authority_key_identifier(&[7; 20]))
            }),
        ),
        fault(
            0,
            "intermediate",
            Reason::KeyIdentifierMismatch,
            sub(|sub| {
                *sub.extension_mut(AUTHORITY_KEY_IDENTIFIER).unwrap() =
                    Extension::authority_key_identifier(&[7; 20]);
            }),
        ),
        fault(
            0,
            "leaf-signed-by-its-own-key",
            Reason::BadSignature,
            chain(&[
                &laboratory.leaf().sign(&laboratory.device).unwrap(),
                authority.sub_der(),
            ]),
        ),
        fault(
            0,
            "leaf-signature-bit",
            Reason::BadSignature,
            chain(&[&flip(&good_leaf, 1), authority.sub_der()]),
        ),
        fault(
            0,
            "intermediate-signature-bit",
            Reason::BadSignature,
            chain(&[&good_leaf, &flip(authority.sub_der(), 1)]),
        ),
        fault(
            0,
            "serial-number-exchanged",
            Reason::BadSignature,
            chain(&[
                &replaced(&good_leaf, SERIAL.as_bytes(), b"C02XK0AAJHD3"),
                authority.sub_der(),
            ]),
        ),
        fault(
            0,
            "algorithm-exchanged",
            Reason::BadSignature,
            leaf(|leaf| {
                leaf.inner_algorithm = algorithm::ecdsa_sha256();
                leaf.outer_algorithm = algorithm::ecdsa_sha256();
            }),
        ),
        fault(
            0,
            "rsa-algorithm-for-an-ec-key",
            Reason::BadSignature,
            leaf(|leaf| {
                leaf.inner_algorithm =
                    der::sequence(&[der::oid("1.2.840.113549.1.1.11"), der::element(5, &[])]);
                leaf.outer_algorithm.clone_from(&leaf.inner_algorithm);
            }),
        ),
    ]
}
