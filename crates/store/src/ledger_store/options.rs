use std::{sync::Arc, time::Duration};

use assay_engine::health::Health;

use super::note;
use crate::ledger::disk::{Disk, SystemDisk};

/// How a database is opened.
#[derive(Clone)]
pub struct Options {
    /// How long closed segments are kept beside the checkpoint that holds what
    /// they hold, in seconds.
    pub keep_ledger: u64,
    /// Where the store reports that it was opened, and damage that is found
    /// later.
    pub health: Arc<Health>,
    /// Is called while the index is rebuilt: what was read, and of how much, in
    /// bytes.
    pub on_rebuild: Arc<dyn Fn(u64, u64) + Send + Sync>,
    /// How long flushing the index may take: sled waits indefinitely after
    /// some faults, which then count as a failure of the index.
    pub flush_timeout: Duration,
    /// Sizes.
    pub sizes: Sizes,
    /// The id of the machine's present boot, where it is known: an index that
    /// was left open in another one is not believed.
    pub boot_id: Option<[u8; 16]>,
    pub(crate) disk: Arc<dyn Disk>,
}

/// Sizes in bytes; tests choose small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The length at which a segment is closed.
    pub segment: u64,
    /// The closed segments that make a new checkpoint worthwhile; half of the
    /// live data, if that is more.
    pub merge: u64,
    /// What a merge sorts in memory at once.
    pub chunk: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            segment: 64 * MIB,
            merge: 256 * MIB,
            chunk: 16 * MIB as usize,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keep_ledger: 0,
            health: Arc::default(),
            on_rebuild: Arc::new(|_, _| {}),
            flush_timeout: Duration::from_secs(30),
            sizes: Sizes::default(),
            boot_id: note::boot_id(),
            disk: Arc::new(SystemDisk),
        }
    }
}
