//! What an operator does with a database beside serving from it: check it,
//! mend it, rebuild its index, clean up, take it along.

mod check;
mod clean;
mod peek;
mod rebuild;
mod repair;
mod restored;
mod snapshot;

pub use self::{
    check::{Report, check},
    clean::{Leftover, clean},
    peek::{Facts, check_present, peek},
    rebuild::rebuild,
    repair::{Repaired, repair},
    restored::{Restored, RestoredFrom},
    snapshot::{Snapshot, SnapshotFile, restore},
};
