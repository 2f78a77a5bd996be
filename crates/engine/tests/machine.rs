//! Random walks through the engine; the invariants are checked after every
//! step.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*};
use support::{
    Harness,
    walk::{Attempt, COMMITS, Fixtures, Step, Walk},
};

static FIXTURES: LazyLock<Fixtures> = LazyLock::new(Fixtures::new);

fn step() -> impl Strategy<Value = Step> {
    let order = 0..4_usize;
    prop_oneof![
        1 => (1..3600_u64).prop_map(Step::Advance),
        1 => (1..20_000_u64).prop_map(Step::Advance),
        6 => (order.clone(), 0..2_usize, prop::bool::weighted(0.85))
            .prop_map(|(order, device, good)| Step::Answer { order, device, good }),
        2 => order.clone().prop_map(|order| Step::Begin { order }),
        1 => order.clone().prop_map(|order| Step::Deactivate { order }),
        2 => (0..COMMITS.len(), any::<bool>())
            .prop_map(|(commit, unacknowledged)| Step::Fail { commit, unacknowledged }),
        6 => (order.clone(), 0..2_usize).prop_map(|(order, device)| Step::Finalize { order, device }),
        1 => (1..20_000_u64).prop_map(Step::JumpBack),
        1 => (1..20_000_u64).prop_map(Step::JumpForward),
        1 => Just(Step::SetRight),
        4 => Just(Step::NewOrder),
        2 => order.prop_map(|order| Step::Read { order }),
        1 => Just(Step::Recover),
        1 => Just(Step::Restart),
        3 => prop::sample::select(Attempt::ALL.to_vec()).prop_map(Step::Validate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn promises_are_kept_on_every_walk(steps in vec(step(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let mut walk = Walk::new(Harness::new(), &FIXTURES).await;
            for step in &steps {
                walk.take(step).await;
                walk.check().await;
            }
            walk.finish().await;
        });
    }
}
