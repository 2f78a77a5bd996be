//! Evidence in the shape of the field: Apple's own intermediate, and recordings
//! of real shapes.

use std::{fs, path::PathBuf};

use assay_attest::{
    AwsLc, Check, Examined, Reason, SentNonce, TrustAnchor, UnverifiedCertificate, Verifier,
};
use assay_recording::{Evidence, Recording};
use assay_simulator::evidence::der::{element, oid, sequence};
use der::{Decode, Reader, SliceReader, asn1::AnyRef};
use sha2::{Digest, Sha256};

use crate::laboratory::verifiers;

const EXTENDED_KEY_USAGE: &str = "2.5.29.37";

fn testdata(path: &str) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata");
    PathBuf::from(root).join(path)
}

fn sub_ca() -> Vec<u8> {
    let pem = fs::read(testdata("apple/apple-enterprise-attestation-sub-ca-1.pem")).unwrap();
    pem_rfc7468::decode_vec(&pem).unwrap().1
}

fn recording(name: &str) -> Recording {
    let path = testdata(&format!("real-shapes/real-shape-{name}.json"));
    Recording::parse(&fs::read(path).unwrap()).unwrap()
}

/// The certificates and the nonces of a DeviceInformation answer.
fn answer(recording: &Recording) -> (Vec<Vec<u8>>, Vec<SentNonce>) {
    match &recording.contents().evidence {
        Evidence::DeviceInformation(answer) => (answer.certificates.clone(), answer.nonces.clone()),
        Evidence::Acme(_) => panic!("of another surface"),
    }
}

/// The elements of a SEQUENCE.
fn fields(der: &[u8]) -> Vec<Vec<u8>> {
    let content = AnyRef::from_der(der).unwrap().value();
    let mut reader = SliceReader::new(content).unwrap();
    let mut fields = Vec::new();
    while !reader.is_finished() {
        fields.push(reader.tlv_bytes().unwrap().to_vec());
    }
    fields
}

/// A leaf, changed; its signature is the old one.
fn changed(leaf: &[u8], change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    let mut certificate = fields(leaf);
    let mut tbs = fields(&certificate[0]);
    change(&mut tbs);
    certificate[0] = sequence(&tbs);
    sequence(&certificate)
}

/// Places in a TBSCertificate of version 3.
const ISSUER: usize = 3;
const SUBJECT: usize = 5;
const EXTENSIONS: usize = 7;

/// The leaf as if Apple's intermediate had issued it.
fn under_apple(leaf: &[u8]) -> Vec<u8> {
    let issuer = fields(&fields(&sub_ca())[0])[SUBJECT].clone();
    changed(leaf, |tbs| tbs[ISSUER] = issuer)
}

fn apple() -> Verifier {
    Verifier::new(vec![TrustAnchor::apple()], Box::new(AwsLc))
}

/// The check that refuses a chain first, and why, where others follow.
fn refusal(chain: &[Vec<u8>], nonces: &[SentNonce], now: u64) -> (Check, Reason, String) {
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let refusal = apple().verify_device_information(&chain, nonces, now);
    let refusal = refusal.unwrap_err();
    // What every check finds for itself begins with the same.
    let examined = apple().examine_device_information(&chain, Some(nonces), now);
    assert_eq!(examined.refusal_besides(&[]), Some(&refusal));
    (refusal.check, refusal.reason, refusal.detail)
}

#[test]
fn apples_intermediate_is_the_published_one_and_its_root_signed_it() {
    let sub = sub_ca();
    let hash = hex::encode(Sha256::digest(&sub));
    assert_eq!(
        hash,
        "3aa9ef42bca4f3561962ae6ecdc9d5523da5e28ef2bf0909169737812cbc4e1c"
    );
    let read = UnverifiedCertificate::decode(&sub).unwrap();
    assert_eq!(
        read.subject,
        "C=US,O=Apple Inc.,CN=Apple Enterprise Attestation Sub CA 1"
    );
    assert_eq!(
        (read.not_before, read.not_after),
        (1_645_038_287, 1_960_675_200)
    );
}

/// All that can be checked without Apple's signature on a leaf: everything
/// passes until the leaf's own signature, and Apple's root did sign the
/// intermediate.
#[test]
fn a_chain_of_the_real_shape_passes_every_check_under_apples_intermediate() {
    for name in ["macos15", "macos26"] {
        let recording = recording(name);
        let now = recording.time().seconds();
        let (chain, nonces) = answer(&recording);
        let chain = [under_apple(&chain[0]), sub_ca()];
        let slices: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let examined = apple().examine_device_information(&slices, Some(&nonces), now);
        for (check, outcome) in examined.checks() {
            match (check, outcome) {
                (Check::Signatures, Examined::Failed(refusal)) => {
                    assert_eq!(refusal.reason, Reason::BadSignature);
                    // From the anchor down: the intermediate's was verified before.
                    assert!(refusal.detail.starts_with("certificate 0: "), "{refusal}");
                }
                (Check::Signatures, other) => panic!("{name}: {other:?}"),
                (check, outcome) => assert_eq!(*outcome, Examined::Passed, "{name}: {check}"),
            }
        }
        assert_eq!(examined.statement(), None);

        // The root's signature counts, and the names and key identifiers.
        let mut forged = sub_ca();
        *forged.last_mut().unwrap() ^= 1;
        let found = refusal(&[chain[0].clone(), forged], &nonces, now);
        assert_eq!(
            (found.0, found.1),
            (Check::Signatures, Reason::BadSignature)
        );
        assert!(found.2.starts_with("certificate 1: "), "{}", found.2);
        let original = answer(&recording).0[0].clone();
        let found = refusal(&[original, sub_ca()], &nonces, now);
        assert_eq!((found.0, found.1), (Check::Path, Reason::IssuerMismatch));
    }
}

/// With one more extension.
fn with_extension(leaf: &[u8], identifier: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    changed(leaf, |tbs| {
        let mut list = fields(&fields(&tbs[EXTENSIONS])[0]);
        let mut extension = vec![oid(identifier)];
        if critical {
            extension.push(element(0x01, &[0xff]));
        }
        extension.push(element(0x04, value));
        list.push(sequence(&extension));
        tbs[EXTENSIONS] = element(0xa3, &sequence(&list));
    })
}

#[test]
fn scenario_141_leaves_of_the_real_shape_are_held_to_the_path_checks() {
    let recording = recording("macos15");
    let now = recording.time().seconds();
    let (chain, nonces) = answer(&recording);
    let leaf = under_apple(&chain[0]);
    let key_identifier = |octets: &[u8]| sequence(&[element(0x80, octets)]);
    let apples = UnverifiedCertificate::decode(&sub_ca()).unwrap();
    let apples = apples.extensions.iter().find(|one| one.oid == "2.5.29.14");
    let apples = &apples.unwrap().value[2..];
    let purpose = sequence(&[oid("1.2.840.113635.100.4.24")]);
    for (leaf, expected) in [
        // Real leaves name no key identifier; the right one would pass.
        (
            with_extension(&leaf, "2.5.29.35", false, &key_identifier(apples)),
            Reason::BadSignature,
        ),
        (
            with_extension(&leaf, "2.5.29.35", false, &key_identifier(b"other")),
            Reason::KeyIdentifierMismatch,
        ),
        // Apple's purpose is not critical; it would pass as well.
        (
            with_extension(&leaf, EXTENDED_KEY_USAGE, false, &purpose),
            Reason::BadSignature,
        ),
        (
            with_extension(&leaf, EXTENDED_KEY_USAGE, true, &purpose),
            Reason::BadSignature,
        ),
        (
            with_extension(&leaf, EXTENDED_KEY_USAGE, true, b"no DER"),
            Reason::ExtensionMalformed,
        ),
        (
            with_extension(&leaf, "1.2.3.4", true, b""),
            Reason::UnknownCriticalExtension,
        ),
        (
            with_extension(&leaf, "1.2.3.4", false, b""),
            Reason::BadSignature,
        ),
    ] {
        let (_, reason, detail) = refusal(&[leaf, sub_ca()], &nonces, now);
        assert_eq!(reason, expected, "{detail}");
    }
}

#[test]
fn recordings_of_real_shapes_are_judged_as_they_say() {
    for (name, purpose) in [("macos15", false), ("macos26", true)] {
        let recording = recording(name);
        let now = recording.time().seconds();
        let root = recording.embedded_root().unwrap();
        for verifier in verifiers(root) {
            let judged = recording.judge(&verifier, now);
            assert_eq!(recording.differences(&judged), [], "{name}");
            assert!(judged.verdict.is_accepted(), "{name}");
        }
        // Apple's root does not vouch for them.
        let judged = recording.judge(&apple(), now);
        assert_eq!(judged.verdict.reason.as_deref(), Some("unknown-anchor"));

        let (chain, _) = answer(&recording);
        let leaf = UnverifiedCertificate::decode(&chain[0]).unwrap();
        assert_eq!(leaf.not_after - leaf.not_before, 91 * 86_400);
        let has = |identifier| leaf.extensions.iter().any(|one| one.oid == identifier);
        assert_eq!(has(EXTENDED_KEY_USAGE), purpose, "{name}");
        assert!(!has("2.5.29.14") && !has("2.5.29.35"), "{name}");
    }
}
