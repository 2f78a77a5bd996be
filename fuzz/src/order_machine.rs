//! Bytes as steps of a walk through the engine: the promises that
//! `crates/engine/tests/machine.rs` checks on random walks are kept on those
//! that coverage leads to, too.

use std::sync::{Arc, LazyLock};

use arbitrary::{Result, Unstructured};
use assay_ca::authority::Authority;
use assay_simulator::authority::AttestationAuthority;
use tokio::runtime::{Builder, Runtime};

use crate::support::{
    Harness, START, new_cas,
    walk::{Attempt, COMMITS, Fixtures, Step, Walk},
};

/// Longer walks are cut: they find nothing that shorter ones do not.
const MAX_STEPS: usize = 64;
const MAX_SECONDS: u64 = 20_000;

struct World {
    authority: Arc<AttestationAuthority>,
    cas: Arc<Authority>,
    fixtures: Fixtures,
    runtime: Runtime,
}

static WORLD: LazyLock<World> = LazyLock::new(|| World {
    authority: Arc::new(AttestationAuthority::create(START.0).unwrap()),
    cas: Arc::new(new_cas()),
    fixtures: Fixtures::new(),
    runtime: Builder::new_current_thread().build().unwrap(),
});

/// Walks as `data` says, to its end.
pub fn run(data: &[u8]) {
    let world = &*WORLD;
    world.runtime.block_on(async {
        let harness = Harness::around(Arc::clone(&world.authority), Arc::clone(&world.cas));
        let mut walk = Walk::new(harness, &world.fixtures).await;
        let mut bytes = Unstructured::new(data);
        for _ in 0..MAX_STEPS {
            if bytes.is_empty() {
                break;
            }
            // Steps are made of any bytes.
            let Ok(step) = step(&mut bytes) else { break };
            walk.take(&step).await;
            walk.check().await;
        }
        walk.finish().await;
    });
}

/// The frequent ones have several numbers.
fn step(bytes: &mut Unstructured<'_>) -> Result<Step> {
    let kind = bytes.int_in_range(0..=21)?;
    let order = usize::from(bytes.arbitrary::<u8>()? % 4);
    Ok(match kind {
        0 => Step::Advance(bytes.int_in_range(1..=MAX_SECONDS)?),
        1 => Step::JumpBack(bytes.int_in_range(1..=MAX_SECONDS)?),
        16 => Step::JumpForward(bytes.int_in_range(1..=MAX_SECONDS)?),
        17 => Step::SetRight,
        2..=5 => Step::Answer {
            order,
            device: bytes.int_in_range(0..=1)?,
            good: bytes.ratio(7, 8)?,
        },
        6 => Step::Deactivate { order },
        7 | 8 => Step::Fail {
            commit: bytes.choose_index(COMMITS.len())?,
            unacknowledged: bytes.arbitrary()?,
        },
        9..=11 => Step::Finalize {
            order,
            device: bytes.int_in_range(0..=1)?,
        },
        12 => Step::Read { order },
        13 => Step::Recover,
        14 => Step::Restart,
        18 | 19 => Step::Begin { order },
        20 | 21 => Step::Validate(*bytes.choose(&Attempt::ALL)?),
        _ => Step::NewOrder,
    })
}
