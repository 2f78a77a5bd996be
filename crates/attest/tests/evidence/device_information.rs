//! The other surface: an answer to MDM's DeviceInformation query.

use assay_attest::{
    Attribute, Check, DeviceInformation, Freshness, IdentityFault, Outcome, Reason, SentNonce,
    limits::MAX_NONCE_AGE,
};
use assay_simulator::evidence::oids;

use crate::laboratory::{
    FRESHNESS, Laboratory, NOW, SERIAL, faults::faults, object, replaced, verifiers,
};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// What the device's cached attestation was made for, and two later nonces.
const NONCES: [&[u8]; 3] = [b"\x04", b"a later one", &FRESHNESS];

/// The nonces, oldest first, each sent so many seconds ago.
fn sent(ago: [u64; 3]) -> Vec<SentNonce> {
    NONCES
        .iter()
        .zip(ago)
        .map(|(nonce, ago)| SentNonce::new(nonce, NOW - ago).unwrap())
        .collect()
}

/// The chain of a Mac's attestation for a nonce.
fn chain(laboratory: &Laboratory, nonce: &[u8]) -> Vec<Vec<u8>> {
    let mut leaf = laboratory.leaf();
    leaf.extension_mut(oids::FRESHNESS).unwrap().value = nonce.to_vec();
    vec![
        leaf.sign(laboratory.authority.sub_key()).unwrap(),
        laboratory.authority.sub_der().to_vec(),
    ]
}

/// What every back-end says, and the failed check.
fn judge(
    laboratory: &Laboratory,
    certificates: &[Vec<u8>],
    nonces: &[SentNonce],
) -> Result<DeviceInformation, (Check, Reason)> {
    let certificates: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
    let mut verdicts = verifiers(laboratory.authority.root_der())
        .into_iter()
        .map(|verifier| {
            verifier
                .verify_device_information(&certificates, nonces, NOW)
                .map_err(|refusal| (refusal.check, refusal.reason))
        });
    let verdict = verdicts.next().unwrap();
    for other in verdicts {
        assert_eq!(other, verdict);
    }
    verdict
}

#[test]
fn scenario_121_an_answer_to_the_latest_nonce_gives_fresh_facts() {
    let laboratory = Laboratory::new();
    let certificates = chain(&laboratory, NONCES[2]);
    let answer = judge(&laboratory, &certificates, &sent([3 * DAY, DAY, HOUR])).unwrap();
    assert_eq!(answer.freshness, Freshness::Fresh);
    assert_eq!(answer.freshness.as_str(), "fresh");
    assert_eq!(answer.nonce_sent, NOW - HOUR);

    // The same facts as from an attestation object.
    let device = laboratory.judge(&object(certificates)).unwrap();
    assert_eq!(answer.device, device);
    let check = |serial| device.check_identity(Attribute::Serial, serial);
    assert_eq!(check(SERIAL), Ok(()));
    assert_eq!(check("C02OTHER"), Err(IdentityFault::Mismatch));
    assert!(
        answer
            .device
            .checks()
            .all(|(_, outcome)| outcome == Outcome::Passed)
    );
}

#[test]
fn scenario_121_an_answer_to_an_earlier_nonce_is_cached() {
    let laboratory = Laboratory::new();
    for (nonce, age) in [(NONCES[0], MAX_NONCE_AGE - 1), (NONCES[1], DAY)] {
        let nonces = sent([MAX_NONCE_AGE - 1, DAY, HOUR]);
        let answer = judge(&laboratory, &chain(&laboratory, nonce), &nonces).unwrap();
        assert_eq!(answer.freshness, Freshness::Cached);
        assert_eq!(answer.freshness.as_str(), "cached");
        assert_eq!(answer.nonce_sent, NOW - age);
        assert!(answer.device.sip.is_good());
    }
}

#[test]
fn scenario_121_a_nonce_of_7_days_ago_is_refused() {
    let laboratory = Laboratory::new();
    for ages in [
        [MAX_NONCE_AGE, DAY, HOUR],
        [MAX_NONCE_AGE + 30 * DAY, DAY, HOUR],
        // The latest one is no exception.
        [MAX_NONCE_AGE, MAX_NONCE_AGE + 1, MAX_NONCE_AGE + 1],
    ] {
        assert_eq!(
            judge(&laboratory, &chain(&laboratory, NONCES[0]), &sent(ages)),
            Err((Check::Freshness, Reason::FreshnessExpired)),
            "{ages:?}"
        );
    }
}

#[test]
fn scenario_121_a_foreign_nonce_is_refused() {
    let laboratory = Laboratory::new();
    let nonces = sent([2 * DAY, DAY, HOUR]);
    let refused = |nonce: &[u8], nonces: &[SentNonce]| {
        judge(&laboratory, &chain(&laboratory, nonce), nonces).unwrap_err()
    };
    let mismatch = (Check::Freshness, Reason::FreshnessMismatch);
    assert_eq!(refused(b"another device's", &nonces), mismatch);
    assert_eq!(refused(b"a later on", &nonces), mismatch);
    assert_eq!(refused(b"a later one.", &nonces), mismatch);
    // The nonce in DER is not the nonce, though one of ours looks like DER.
    assert_eq!(refused(b"\x04\x0ba later one", &nonces), mismatch);
    assert_eq!(refused(NONCES[2], &nonces[..2]), mismatch);
    assert_eq!(refused(NONCES[2], &[]), mismatch);
    let future = SentNonce::new(NONCES[2], NOW + 1).unwrap();
    assert_eq!(refused(NONCES[2], &[future]), mismatch);
    assert_eq!(
        refused(b"", &nonces),
        (Check::Freshness, Reason::FreshnessMissing)
    );
}

#[test]
fn the_limits_of_x5c_hold_for_the_array() {
    let laboratory = Laboratory::new();
    let nonces = sent([2 * DAY, DAY, HOUR]);
    let good = chain(&laboratory, NONCES[2]);
    let refused = |certificates: &[Vec<u8>]| judge(&laboratory, certificates, &nonces).unwrap_err();
    assert_eq!(refused(&[]), (Check::Object, Reason::ChainEmpty));
    assert_eq!(
        refused(&vec![good[0].clone(); 6]),
        (Check::Object, Reason::ChainTooLong)
    );
    assert_eq!(
        refused(&[vec![0; 16 * 1024 + 1], good[1].clone()]),
        (Check::Certificates, Reason::CertificateTooLarge)
    );
    assert_eq!(refused(&good[..1]), (Check::Chain, Reason::IncompleteChain));
    let with_root = [good.clone(), vec![laboratory.authority.root_der().to_vec()]].concat();
    assert!(judge(&laboratory, &with_root, &nonces).is_ok());
    let exchanged = replaced(&good[0], SERIAL.as_bytes(), b"C02XK0AAJHD3");
    assert_eq!(
        refused(&[exchanged, good[1].clone()]),
        (Check::Signatures, Reason::BadSignature)
    );
}

#[test]
fn both_surfaces_refuse_the_same_chains() {
    let laboratory = Laboratory::new();
    let nonces = [SentNonce::new(&FRESHNESS, NOW).unwrap()];
    let mut seen = 0;
    for fault in faults(&laboratory) {
        let Some(certificates) = certificates(&fault.object) else {
            continue;
        };
        // A nonce has no fixed length: the wrong one is just another.
        let expected = match fault.reason {
            Reason::FreshnessLength => Reason::FreshnessMismatch,
            reason => reason,
        };
        let verdict = judge(&laboratory, &certificates, &nonces);
        assert_eq!(verdict.unwrap_err().1, expected, "{}", fault.name);
        seen += 1;
    }
    assert!(seen >= 70, "only {seen} faults lie in the chain");
}

/// The certificates of an object whose own shape is right.
fn certificates(object: &[u8]) -> Option<Vec<Vec<u8>>> {
    assay_attest::UnverifiedObject::decode(object).ok()?;
    let mut decoder = minicbor::Decoder::new(object);
    for key in ["attStmt", "x5c"] {
        decoder.map().unwrap();
        while decoder.str().unwrap() != key {
            decoder.skip().unwrap();
        }
    }
    let count = decoder.array().unwrap().unwrap();
    Some(
        (0..count)
            .map(|_| decoder.bytes().unwrap().to_vec())
            .collect(),
    )
}
