//! Certificate chains that lead nowhere.

use assay_simulator::{
    authority::AttestationAuthority,
    evidence::{Cbor, CertificateTemplate, Evidence, Extension, algorithm, der},
};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PublicKeyData};

use super::{SERVER, leaf_is_refused, object_is_refused, serial};
use crate::support::{Placed, mac, now};

const DAY: u64 = 86_400;

/// An object around certificates.
fn object(chain: Vec<Vec<u8>>) -> Vec<u8> {
    Evidence { chain }.attestation_object()
}

#[tokio::test]
async fn scenario_38_an_unknown_root_is_refused() {
    let server = SERVER.server();
    let stranger = AttestationAuthority::create(now()).unwrap();
    let device = mac(serial());
    let leaf = |placed: &Placed| {
        let leaf = server.leaf(&device, &placed.token);
        leaf.sign(stranger.sub_key()).unwrap()
    };
    let another_name = der::sequence(&[der::element(
        0x31,
        &der::sequence(&[der::oid("2.5.4.3"), der::element(0x0c, b"Another Root")]),
    )]);
    // The root has the name of the one that is trusted, until it has another.
    let imitation = stranger.sub_template(now());
    let mut without_key_identifier = imitation.clone();
    without_key_identifier.remove_extension("2.5.29.35");
    let another = CertificateTemplate {
        issuer: another_name,
        ..imitation.clone()
    };
    for (reason, with_root, sub) in [
        ("key-identifier-mismatch", "bad-signature", imitation),
        ("bad-signature", "bad-signature", without_key_identifier),
        ("unknown-anchor", "issuer-mismatch", another),
    ] {
        let sub = sub.sign(stranger.root_key()).unwrap();
        object_is_refused(&server, reason, |placed| {
            object(vec![leaf(placed), sub.clone()])
        })
        .await;
        // To bring the root along makes it no better.
        object_is_refused(&server, with_root, |placed| {
            object(vec![
                leaf(placed),
                sub.clone(),
                stranger.root_der().to_vec(),
            ])
        })
        .await;
    }
    // Nor does the intermediate that is trusted.
    object_is_refused(&server, "bad-signature", |placed| {
        object(vec![leaf(placed), server.authority.sub_der().to_vec()])
    })
    .await;
}

#[tokio::test]
async fn scenario_39_a_chain_without_its_intermediate_is_refused() {
    let server = SERVER.server();
    let device = mac(serial());
    object_is_refused(&server, "incomplete-chain", |placed| {
        let leaf = server.leaf(&device, &placed.token);
        object(vec![leaf.sign(server.authority.sub_key()).unwrap()])
    })
    .await;
}

#[tokio::test]
async fn scenario_40_an_intermediate_that_is_no_ca_is_refused() {
    let server = SERVER.server();
    let device = mac(serial());
    for (reason, constraints) in [
        ("not-a-ca", Some(Extension::basic_constraints(false, None))),
        ("not-a-ca", None),
    ] {
        object_is_refused(&server, reason, |placed| {
            let mut sub = server.authority.sub_template(now());
            sub.remove_extension("2.5.29.19");
            sub.extensions.extend(constraints.clone());
            object(vec![
                server
                    .leaf(&device, &placed.token)
                    .sign(server.authority.sub_key())
                    .unwrap(),
                sub.sign(server.authority.root_key()).unwrap(),
            ])
        })
        .await;
    }
}

#[tokio::test]
async fn scenario_40_a_ca_below_an_intermediate_that_allows_none_is_refused() {
    let server = SERVER.server();
    let device = mac(serial());
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let sub = server.authority.sub_template(now());
    let name = der::sequence(&[der::element(
        0x31,
        &der::sequence(&[der::oid("2.5.4.3"), der::element(0x0c, b"One too many")]),
    )]);
    let below = CertificateTemplate {
        issuer: sub.subject.clone(),
        subject: name.clone(),
        spki: key.subject_public_key_info(),
        extensions: vec![
            Extension::basic_constraints(true, Some(0)),
            Extension::key_usage(&[1, 6]),
        ],
        serial: vec![7],
        ..sub
    };
    object_is_refused(&server, "path-length-exceeded", |placed| {
        let mut leaf = server.leaf(&device, &placed.token);
        leaf.issuer.clone_from(&name);
        assert_eq!(leaf.inner_algorithm, algorithm::ecdsa_sha384());
        object(vec![
            leaf.sign(&key).unwrap(),
            below.sign(server.authority.sub_key()).unwrap(),
            server.authority.sub_der().to_vec(),
        ])
    })
    .await;
}

#[tokio::test]
async fn scenario_41_a_leaf_outside_its_validity_is_refused() {
    let server = SERVER.server();
    for (reason, not_before, not_after) in [
        ("expired", now() - 2 * DAY, now() - 60),
        ("not-yet-valid", now() + DAY, now() + 2 * DAY),
    ] {
        leaf_is_refused(&server, reason, |leaf| {
            leaf.not_before = not_before;
            leaf.not_after = not_after;
        })
        .await;
    }
}

#[tokio::test]
async fn scenario_42_chains_that_are_none_are_refused() {
    let server = SERVER.server();
    let x5c = |value: Cbor| Cbor::Map(vec![(Cbor::text("x5c"), value)]);
    let sub = || Cbor::Bytes(server.authority.sub_der().to_vec());
    for (reason, statement) in [
        ("chain-empty", x5c(Cbor::Array(vec![]))),
        ("chain-missing", Cbor::Map(vec![])),
        (
            "chain-malformed",
            x5c(Cbor::Array(vec![Cbor::text("a certificate"), sub()])),
        ),
        ("chain-malformed", x5c(Cbor::text("a certificate"))),
        (
            "certificate-malformed",
            x5c(Cbor::Array(vec![
                Cbor::Bytes(vec![0x30, 0x82, 0xff, 0xff, 1]),
                sub(),
            ])),
        ),
        (
            "certificate-malformed",
            x5c(Cbor::Array(vec![Cbor::Bytes(b"garbage".to_vec()), sub()])),
        ),
        (
            "chain-too-long",
            x5c(Cbor::Array((0..6).map(|_| sub()).collect())),
        ),
    ] {
        object_is_refused(&server, reason, |_| {
            Cbor::attestation_object("apple", statement.clone()).encode()
        })
        .await;
    }
}
