//! Any bytes as an attestation object: nothing but the good objects of the
//! corpus verifies, and whoever looks without judging sees the same.

use std::sync::LazyLock;

use assay_attest::{
    AttestedDevice, AwsLc, Reason, RustCrypto, SignatureVerifier, TrustAnchor, UnverifiedObject,
    Verifier,
};

use crate::testdata::{CORPUS, files};

static AWS_LC: LazyLock<Verifier> = LazyLock::new(|| verifier(Box::new(AwsLc)));
static RUST_CRYPTO: LazyLock<Verifier> = LazyLock::new(|| verifier(Box::new(RustCrypto)));

/// What the good objects prove: all that can be proved under their root, whose
/// key is lost.
static PROVED: LazyLock<Vec<AttestedDevice>> = LazyLock::new(|| {
    files("evidence/good")
        .into_iter()
        .map(|(name, object)| {
            AWS_LC
                .verify_object(&object, &CORPUS.freshness, CORPUS.now)
                .unwrap_or_else(|refusal| panic!("{name}: {refusal}"))
        })
        .collect()
});

fn verifier(backend: Box<dyn SignatureVerifier>) -> Verifier {
    let root = TrustAnchor::laboratory(&CORPUS.root, "corpus").unwrap();
    Verifier::new(vec![TrustAnchor::apple(), root], backend)
}

/// Judges `object`.
pub fn run(object: &[u8]) {
    let verdict = AWS_LC.verify_object(object, &CORPUS.freshness, CORPUS.now);
    // Every check asked for itself begins with the same finding.
    let examined = AWS_LC.examine_object(object, Some(&CORPUS.freshness), CORPUS.now);
    assert_eq!(examined.refusal_besides(&[]), verdict.as_ref().err());
    // Back-ends have a say in these two alone.
    let reason = verdict.as_ref().err().map(|refusal| refusal.reason);
    if matches!(reason, None | Some(Reason::BadSignature)) {
        let second = RUST_CRYPTO.verify_object(object, &CORPUS.freshness, CORPUS.now);
        assert_eq!(verdict, second, "the back-ends differ");
    }
    match (&verdict, UnverifiedObject::decode(object)) {
        (Ok(device), Ok(decoded)) => {
            assert!(PROVED.contains(device), "forged: {device:?}");
            assert!(decoded.certificates.iter().all(Result::is_ok));
        }
        (Ok(_), Err(refusal)) => panic!("verified, but not decoded: {refusal}"),
        (Err(first), Err(second)) => assert_eq!(*first, second, "the first check is another"),
        (Err(_), Ok(_)) => {}
    }
}
