//! Random chains: deep or shallow, of any keys, with this and without that.
//! Right ones verify; with exactly one thing broken, exactly that is refused.

mod faults;
mod shape;

use assay_attest::{AwsLc, Reason, RustCrypto, SignatureVerifier, TrustAnchor, Verifier};
use assay_simulator::evidence::Evidence;
use proptest::{prelude::*, sample::Index, strategy::ValueTree, test_runner::TestRunner};

use self::{
    faults::FAULTS,
    shape::{FRESHNESS, NOW, Shape, shape},
};

impl Shape {
    /// What every back-end says about a chain (root last): all the same.
    fn judge(&self, mut chain: Vec<Vec<u8>>) -> Option<Reason> {
        let root = TrustAnchor::laboratory(chain.last().unwrap(), "random").unwrap();
        if !self.with_root {
            chain.pop();
        }
        let object = Evidence { chain }.attestation_object();
        let backends: [Box<dyn SignatureVerifier>; 2] = [Box::new(AwsLc), Box::new(RustCrypto)];
        let [first, second] = backends.map(|backend| {
            Verifier::new(vec![root.clone()], backend)
                .verify_object(&object, &FRESHNESS, NOW)
                .map_err(|refusal| refusal.reason)
        });
        assert_eq!(first, second, "the back-ends differ");
        first.err()
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(128)
    })]

    #[test]
    fn right_chains_verify(shape in shape()) {
        prop_assert_eq!(shape.judge(shape.sign(&shape.templates())), None);
    }
}

/// Each fault in so many shapes that can have it.
#[test]
fn one_fault_is_refused_for_its_reason() {
    const SHAPES: usize = 12;

    let mut runner = TestRunner::deterministic();
    for fault in FAULTS {
        let mut seen = 0;
        while seen < SHAPES {
            let (shape, place) = (shape(), any::<Index>())
                .new_tree(&mut runner)
                .unwrap()
                .current();
            let Some((chain, reason)) = shape.broken(fault, place) else {
                continue;
            };
            assert_eq!(
                shape.judge(chain),
                Some(reason),
                "{fault:?} at {place:?} of {shape:#?}"
            );
            seen += 1;
        }
    }
}
