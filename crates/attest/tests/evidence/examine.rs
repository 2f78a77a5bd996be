//! Every check asked for itself, held against the verdict.

use assay_attest::{AwsLc, Check, Examined, SentNonce, UnverifiedCertificate};

use crate::{
    committed::Committed,
    laboratory::{NOW, SERIAL, UDID},
};

const DATED: [Check; 2] = [Check::Freshness, Check::Validity];

/// The first finding of all is the refusal, and evidence that verifies passes
/// every check.
#[test]
fn an_examination_finds_first_what_a_verdict_refuses() {
    let committed = Committed::read();
    let verifier = committed.verifier(Box::new(AwsLc));
    let agree = |name: &str, object: &[u8]| {
        let verdict = verifier.verify_object(object, &committed.freshness, committed.now);
        let examined = verifier.examine_object(object, Some(&committed.freshness), committed.now);
        let order: Vec<_> = examined.checks().iter().map(|(check, _)| *check).collect();
        assert_eq!(order, Check::ALL, "{name}");
        assert_eq!(
            examined.refusal_besides(&[]),
            verdict.as_ref().err(),
            "{name}"
        );
        match verdict {
            Ok(device) => {
                let passed = |(_, one): &(Check, Examined)| *one == Examined::Passed;
                assert!(examined.checks().iter().all(passed), "{name}");
                let said = examined.statement().unwrap();
                assert_eq!(
                    said.serial.as_deref(),
                    device.serial.attested().map(String::as_str)
                );
                assert_eq!(
                    said.udid.as_deref(),
                    device.udid.attested().map(String::as_str)
                );
                assert_eq!(said.root_sha256, device.root_sha256, "{name}");
            }
            Err(refusal) => {
                // Genuine evidence is refused for its age alone.
                let genuine = examined.statement().is_some();
                assert!(!genuine || DATED.contains(&refusal.check), "{name}");
            }
        }
    };
    for folder in ["good", "bad"] {
        for (name, object) in Committed::objects(folder) {
            agree(&name, &object);
        }
    }
    // One bit of every byte of good evidence.
    let good = Committed::good("mac");
    for at in 0..good.len() {
        let mut object = good.clone();
        object[at] ^= 1 << (at % 8);
        agree(&format!("byte {at}"), &object);
    }
}

#[test]
fn stale_and_expired_evidence_is_genuine_and_a_forgery_is_not() {
    let committed = Committed::read();
    let verifier = committed.verifier(Box::new(AwsLc));
    let bad = |wanted: &str| {
        let mut objects = Committed::objects("bad").into_iter();
        objects.find(|(name, _)| name == wanted).unwrap().1
    };
    let statement = |object: &[u8], now| {
        let examined = verifier.examine_object(object, Some(&[7; 32]), now);
        let freshness = &examined.checks()[Check::Freshness as usize].1;
        assert!(matches!(freshness, Examined::Failed(_)), "{freshness:?}");
        examined.statement().cloned()
    };
    let mac = Committed::good("mac");
    for now in [NOW, NOW + 365 * 86_400] {
        let said = statement(&mac, now).unwrap();
        assert_eq!(said.serial.as_deref(), Some(SERIAL));
        assert_eq!(said.udid.as_deref(), Some(UDID));
        assert!(said.laboratory);
    }
    assert!(statement(&bad("expired.leaf-expired"), NOW).is_some());
    for forged in [
        "bad-signature.leaf-signature-bit",
        "bad-signature.imitated-root-sent-along",
        "unknown-anchor.unknown-root",
        "leaf-is-ca.leaf-is-a-ca",
        "incomplete-chain.leaf-under-the-root",
        "property-malformed.sip-as-text",
    ] {
        assert_eq!(statement(&bad(forged), NOW), None, "{forged}");
    }
}

/// A code that nothing is compared with is not called fresh.
#[test]
fn what_is_not_compared_is_not_asked() {
    let committed = Committed::read();
    let verifier = committed.verifier(Box::new(AwsLc));
    let mac = Committed::good("mac");
    let chain = crate::committed::x5c(&mac).unwrap();
    let freshness = |examined: &assay_attest::Examination| {
        let (check, outcome) = &examined.checks()[Check::Freshness as usize];
        assert_eq!(*check, Check::Freshness);
        outcome.clone()
    };
    let object = verifier.examine_object(&mac, None, NOW);
    let answer = verifier.examine_device_information(&chain, None, NOW);
    for examined in [&object, &answer] {
        assert_eq!(freshness(examined), Examined::NotAsked);
        assert!(examined.statement().is_some());
        assert_eq!(examined.refusal_besides(&[]), None);
    }
    let nonces = [SentNonce::new(&committed.freshness, NOW).unwrap()];
    let answer = verifier.examine_device_information(&chain, Some(&nonces), NOW);
    assert_eq!(freshness(&answer), Examined::Passed);
    // Later checks are reached behind a list that is none.
    let nothing = verifier.examine_object(b"", None, NOW);
    let reached = nothing
        .checks()
        .iter()
        .filter(|(_, one)| *one != Examined::NotReached);
    assert_eq!(reached.count(), 1);
}

/// What is read loosely is what is read strictly, where both can.
#[test]
fn a_sketch_of_a_sound_certificate_is_its_decoding() {
    let mut loosely = 0;
    for folder in ["good", "bad"] {
        for (name, object) in Committed::objects(folder) {
            for der in crate::committed::x5c(&object).unwrap_or_default() {
                let sketch = UnverifiedCertificate::sketch(der);
                match UnverifiedCertificate::decode(der) {
                    Ok(decoded) => assert_eq!(sketch, Ok(decoded), "{name}"),
                    Err(_) => loosely += usize::from(sketch.is_ok()),
                }
            }
        }
    }
    assert!(loosely >= 5, "only {loosely} are shown that are refused");
}
