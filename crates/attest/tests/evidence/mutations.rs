//! Random input: nothing panics, and nothing but the evidence itself proves
//! anything.

use std::sync::LazyLock;

use assay_attest::{AwsLc, TrustAnchor, UnverifiedCertificate, UnverifiedObject, Verifier};
use proptest::prelude::*;

use crate::laboratory::{FRESHNESS, Laboratory, NOW, goods::goods};

struct Sample {
    verifier: Verifier,
    objects: Vec<Vec<u8>>,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let laboratory = Laboratory::new();
    let root = TrustAnchor::laboratory(laboratory.authority.root_der(), "test").unwrap();
    Sample {
        verifier: Verifier::new(vec![root], Box::new(AwsLc)),
        objects: goods(&laboratory).into_iter().map(|good| good.1).collect(),
    }
});

#[test]
fn no_bit_of_the_freshness_code_can_change() {
    for bit in 0..256 {
        let mut freshness = FRESHNESS;
        freshness[bit / 8] ^= 1 << (bit % 8);
        assert!(
            SAMPLE
                .verifier
                .verify_object(&SAMPLE.objects[0], &freshness, NOW)
                .is_err(),
            "bit {bit}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(512)
    })]

    #[test]
    fn random_bytes_prove_nothing(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(SAMPLE.verifier.verify_object(&bytes, &FRESHNESS, NOW).is_err());
        let _ = UnverifiedObject::decode(&bytes);
        let _ = UnverifiedCertificate::decode(&bytes);
    }

    #[test]
    fn mutations_prove_nothing_new(
        index in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..6),
    ) {
        let original = index.get(&SAMPLE.objects);
        let mut mutated = original.clone();
        for (place, byte, kind) in edits {
            let place = place.index(mutated.len());
            match kind {
                0 => mutated[place] = byte,
                1 => mutated.insert(place, byte),
                _ => {
                    mutated.remove(place);
                }
            }
        }
        let _ = UnverifiedObject::decode(&mutated);
        if let Ok(device) = SAMPLE.verifier.verify_object(&mutated, &FRESHNESS, NOW) {
            // Only bytes that mean nothing (the value of an unknown key) can
            // have changed.
            let expected = SAMPLE.verifier.verify_object(original, &FRESHNESS, NOW);
            prop_assert_eq!(Ok(device), expected);
        }
    }
}
