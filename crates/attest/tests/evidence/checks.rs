//! The checks run in the documented order, and a refusal names its own.

use assay_attest::{Check, Outcome, Reason, Refusal, TrustAnchor, Verifier};
use assay_simulator::{
    evidence::{Extension, oids},
    faults::{Fault, Outcome as Expected},
};

use crate::laboratory::{FRESHNESS, Laboratory, NOW, object, verifiers};

/// The check that must refuse a fault of the corpus. A reason belongs to one
/// check, but for the ones that can be found below the anchor and at it.
fn check_of(fault: &str, reason: Reason) -> Check {
    use Reason as R;
    match reason {
        R::CertificateTooLarge
        | R::CertificateMalformed
        | R::CertificateVersion
        | R::CertificateSerialNumber
        | R::SignatureAlgorithmMismatch
        | R::TooManyAttributes
        | R::TooManyExtensions
        | R::DuplicateExtension
        | R::PropertyRepeated
        | R::FreshnessRepeated => Check::Certificates,
        R::IncompleteChain => Check::Chain,
        R::WebauthnAnonymous | R::PropertyMalformed => Check::Properties,
        R::KeyNotSupported => Check::Key,
        R::FreshnessMissing | R::FreshnessLength | R::FreshnessMismatch | R::FreshnessExpired => {
            Check::Freshness
        }
        R::MisplacedRoot => Check::Chain,
        R::NotYetValid | R::Expired => Check::Validity,
        R::KeyIdentifierMismatch if fault != "leaf-key-identifier" => Check::Anchor,
        R::ExtensionMalformed
        | R::SignatureAlgorithmNotSupported
        | R::IssuerMismatch
        | R::KeyIdentifierMismatch
        | R::LeafIsCa
        | R::NotACa
        | R::PathLengthExceeded
        | R::KeyUsage
        | R::NameConstraints
        | R::UnknownCriticalExtension => Check::Path,
        R::UnknownAnchor => Check::Anchor,
        R::BadSignature => Check::Signatures,
        _ => Check::Object,
    }
}

fn judge(laboratory: &Laboratory, object: &[u8]) -> Refusal {
    let mut refusals = verifiers(laboratory.authority.root_der())
        .into_iter()
        .map(|verifier| verifier.verify_object(object, &FRESHNESS, NOW).unwrap_err());
    let refusal = refusals.next().unwrap();
    for other in refusals {
        assert_eq!(other, refusal);
    }
    refusal
}

#[test]
fn every_fault_is_found_by_its_check() {
    let laboratory = Laboratory::new();
    for fault in Fault::all() {
        let Expected::Evidence { reason } = fault.outcome() else {
            continue;
        };
        let object = fault.forge(&laboratory.forger()).unwrap();
        let refusal = judge(&laboratory, &object.attestation_object());
        let name = fault.name();
        let expected = (check_of(name, refusal.reason), reason);
        assert_eq!((refusal.check, refusal.reason.as_str()), expected, "{name}");
        let outcomes: Vec<_> = refusal.checks().collect();
        let place = outcomes
            .iter()
            .position(|one| *one == (refusal.check, Outcome::Failed(refusal.reason)))
            .unwrap();
        assert!(outcomes[..place].iter().all(|one| one.1 == Outcome::Passed));
        assert!(
            outcomes[place + 1..]
                .iter()
                .all(|one| one.1 == Outcome::NotReached)
        );
    }
}

#[test]
fn a_device_passed_every_check() {
    let laboratory = Laboratory::new();
    let device = laboratory.judge(&laboratory.with_leaf(|_| {})).unwrap();
    let expected = Check::ALL.iter().map(|check| (*check, Outcome::Passed));
    assert!(device.checks().eq(expected));
}

/// One fault for each check, all of which can be made at once.
const FAULTS: [(Check, Reason); 10] = [
    (Check::Object, Reason::TrailingBytes),
    (Check::Certificates, Reason::CertificateVersion),
    (Check::Chain, Reason::IncompleteChain),
    (Check::Properties, Reason::PropertyMalformed),
    (Check::Key, Reason::KeyNotSupported),
    (Check::Freshness, Reason::FreshnessMismatch),
    (Check::Validity, Reason::Expired),
    (Check::Path, Reason::UnknownCriticalExtension),
    (Check::Anchor, Reason::UnknownAnchor),
    (Check::Signatures, Reason::BadSignature),
];

/// Evidence with every fault of a set: bit n stands for `FAULTS[n]`.
fn broken(laboratory: &Laboratory, set: usize) -> Vec<u8> {
    let authority = &laboratory.authority;
    let has = |check: Check| set & (1 << check as usize) != 0;
    let mut leaf = laboratory.leaf();
    if has(Check::Certificates) {
        leaf.version = Some(1);
    }
    if has(Check::Properties) {
        leaf.extension_mut(oids::SIP).unwrap().value = b"0".to_vec();
    }
    if has(Check::Key) {
        *leaf.spki.last_mut().unwrap() ^= 1;
    }
    if has(Check::Freshness) {
        leaf.extension_mut(oids::FRESHNESS).unwrap().value = vec![7; 32];
    }
    if has(Check::Validity) {
        leaf.not_after = NOW - 1;
    }
    if has(Check::Path) {
        leaf.extensions
            .push(Extension::new("1.2.3", b"").critical());
    }
    let leaf_key = if has(Check::Signatures) {
        authority.root_key()
    } else {
        authority.sub_key()
    };
    let mut chain = vec![leaf.sign(leaf_key).unwrap()];
    if !has(Check::Chain) {
        let mut sub = authority.sub_template(NOW);
        if has(Check::Anchor) {
            sub.issuer.clone_from(&sub.subject);
        }
        chain.push(sub.sign(authority.root_key()).unwrap());
    }
    let mut object = object(chain);
    if has(Check::Object) {
        object.push(0);
    }
    object
}

#[test]
fn of_any_faults_at_once_the_first_check_gives_the_reason() {
    for (index, (check, _)) in FAULTS.iter().enumerate() {
        assert_eq!(Check::ALL[index], *check);
    }
    assert_eq!(Check::ALL.len(), FAULTS.len());
    let laboratory = Laboratory::new();
    let verifier = verifiers(laboratory.authority.root_der()).pop().unwrap();
    assert!(
        verifier
            .verify_object(&broken(&laboratory, 0), &FRESHNESS, NOW)
            .is_ok()
    );
    for set in 1..1_usize << FAULTS.len() {
        let object = broken(&laboratory, set);
        let refusal = verifier
            .verify_object(&object, &FRESHNESS, NOW)
            .unwrap_err();
        let first = FAULTS[set.trailing_zeros() as usize];
        assert_eq!((refusal.check, refusal.reason), first, "{set:#b}");
    }
}

#[test]
fn of_several_roots_of_one_name_the_furthest_check_gives_the_reason() {
    // Both may have issued the intermediate by their names, one of them names
    // another key: whatever the order, it is the other one's signature that
    // does not verify.
    let (true_one, other) = (Laboratory::new(), Laboratory::new());
    let mut forged = true_one.authority.sub_template(NOW);
    let forged = {
        forged.remove_extension("2.5.29.19");
        forged
            .extensions
            .push(Extension::basic_constraints(true, None));
        forged.sign(other.authority.root_key()).unwrap()
    };
    let object = object(vec![true_one.good_leaf(), forged]);
    let roots = [&true_one, &other].map(|laboratory| {
        TrustAnchor::laboratory(laboratory.authority.root_der(), "one of two").unwrap()
    });
    let [first, second] = roots;
    for roots in [vec![first.clone(), second.clone()], vec![second, first]] {
        let verifier = Verifier::new(roots, Box::new(assay_attest::RustCrypto));
        let refusal = verifier
            .verify_object(&object, &FRESHNESS, NOW)
            .unwrap_err();
        assert_eq!(
            (refusal.check, refusal.reason),
            (Check::Signatures, Reason::BadSignature)
        );
    }
}
