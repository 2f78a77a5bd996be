//! Maintenance operations on a database: check, repair, rebuild the index, clean
//! up, back up and restore.

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
