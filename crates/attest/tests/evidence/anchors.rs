//! Which certificates can be a root, and hierarchies of other shapes.

use assay_attest::{AnchorError, Check, Reason, RustCrypto, TrustAnchor, Verifier};
use assay_simulator::evidence::{Extension, der};
use rcgen::{KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};

use crate::laboratory::{FRESHNESS, Laboratory, NOW, object, verifiers};

/// Why a certificate is no root; `None`: another cause than a refusal.
fn refused(der: &[u8]) -> Option<Reason> {
    match TrustAnchor::laboratory(der, "test") {
        Err(AnchorError::Refused(refusal)) => Some(refusal.reason),
        other => {
            assert_eq!(other.err(), Some(AnchorError::NotSelfSigned));
            None
        }
    }
}

#[test]
fn only_a_self_signed_ca_is_a_root() {
    let laboratory = Laboratory::new();
    let authority = &laboratory.authority;
    let mut root = authority.sub_template(NOW);
    root.subject.clone_from(&root.issuer);
    root.spki = authority.root_key().subject_public_key_info();
    assert!(TrustAnchor::laboratory(&root.sign(authority.root_key()).unwrap(), "test").is_ok());

    // Signed by another key, by another CA, with a flipped bit.
    assert_eq!(refused(&root.sign(authority.sub_key()).unwrap()), None);
    assert_eq!(refused(authority.sub_der()), None);
    let mut flipped = authority.root_der().to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&flipped), None);

    assert_eq!(refused(&laboratory.good_leaf()), Some(Reason::NotACa));
    assert_eq!(refused(b"garbage"), Some(Reason::CertificateMalformed));
    assert_eq!(
        refused(&vec![0; 16 * 1024 + 1]),
        Some(Reason::CertificateTooLarge)
    );
    root.remove_extension("2.5.29.15");
    assert_eq!(
        refused(&root.sign(authority.root_key()).unwrap()),
        Some(Reason::KeyUsage)
    );
}

#[test]
fn each_of_two_roots_of_one_name_vouches_for_its_own() {
    let (first, second) = (Laboratory::new(), Laboratory::new());
    let anchors = [&first, &second].map(|laboratory| {
        TrustAnchor::laboratory(laboratory.authority.root_der(), "one of two").unwrap()
    });
    let verifier = Verifier::new(anchors.to_vec(), Box::new(RustCrypto));
    assert_eq!(verifier.anchors(), anchors);
    for laboratory in [&first, &second] {
        let chain = vec![
            laboratory.good_leaf(),
            laboratory.authority.sub_der().to_vec(),
        ];
        let device = verifier
            .verify_object(&object(chain), &FRESHNESS, NOW)
            .unwrap();
        let root = TrustAnchor::laboratory(laboratory.authority.root_der(), "").unwrap();
        assert_eq!(root.der(), laboratory.authority.root_der());
        assert_eq!(device.root_sha256, *root.sha256());
    }
}

#[test]
fn the_path_length_of_a_root_holds_too() {
    let laboratory = Laboratory::new();
    let authority = &laboratory.authority;
    for (path_length, expected) in [(0, Some(Reason::PathLengthExceeded)), (1, None), (2, None)] {
        let mut root = authority.sub_template(NOW);
        root.subject.clone_from(&root.issuer);
        root.spki = authority.root_key().subject_public_key_info();
        // The key identifier is the one that the intermediates name.
        root.remove_extension("2.5.29.14");
        *root.extension_mut("2.5.29.19").unwrap() =
            Extension::basic_constraints(true, Some(path_length));
        let root = root.sign(authority.root_key()).unwrap();
        let anchor = TrustAnchor::laboratory(&root, "test").unwrap();
        let verifier = Verifier::new(vec![anchor], Box::new(RustCrypto));
        let chain = vec![laboratory.good_leaf(), authority.sub_der().to_vec()];
        assert_eq!(
            verifier
                .verify_object(&object(chain), &FRESHNESS, NOW)
                .map_err(|refusal| refusal.reason)
                .err(),
            expected,
            "{path_length}"
        );
    }
}

#[test]
fn an_rsa_intermediate_verifies() {
    let laboratory = Laboratory::new();
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let mut sub = laboratory.authority.sub_template(NOW);
    sub.spki = key.subject_public_key_info();
    let sub = sub.sign(laboratory.authority.root_key()).unwrap();
    let mut leaf = laboratory.leaf();
    leaf.inner_algorithm =
        der::sequence(&[der::oid("1.2.840.113549.1.1.11"), der::element(5, &[])]);
    leaf.outer_algorithm.clone_from(&leaf.inner_algorithm);
    let leaf = leaf.sign(&key).unwrap();
    assert!(laboratory.judge(&object(vec![leaf, sub])).is_ok());
}

#[test]
fn a_trusted_root_behind_a_chain_of_another_one_is_refused() {
    let laboratory = Laboratory::new();
    let apple = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/evidence/golden/apple-enterprise-attestation-root-ca.der"
    ));
    let chain = vec![
        laboratory.good_leaf(),
        laboratory.authority.sub_der().to_vec(),
        apple.to_vec(),
    ];
    let root = laboratory.authority.root_der();
    for verifier in verifiers(root) {
        let refusal = verifier
            .verify_object(&object(chain.clone()), &FRESHNESS, NOW)
            .unwrap_err();
        let found = (refusal.check, refusal.reason);
        assert_eq!(found, (Check::Anchor, Reason::IssuerMismatch));
    }
}
