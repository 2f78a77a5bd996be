use std::{sync::Arc, time::Duration};

use assay_engine::health::Health;

use super::note;
use crate::ledger::disk::{Disk, SystemDisk};

/// Options for opening a database.
#[derive(Clone)]
pub struct Options {
    /// How long closed segments are kept after a checkpoint contains them, in
    /// seconds.
    pub keep_ledger: u64,
    /// Where the store reports that it is open, and damage that it finds later.
    pub health: Arc<Health>,
    /// A callback during a rebuild of the index, with the bytes read so far and
    /// the total.
    pub on_rebuild: Arc<dyn Fn(u64, u64) + Send + Sync>,
    /// The timeout for a flush of the index: after some faults sled waits
    /// indefinitely, which counts as a failure of the index.
    pub flush_timeout: Duration,
    /// Sizes.
    pub sizes: Sizes,
    /// The id of the machine's current boot, if known: an index that was left
    /// open in another boot is not trusted.
    pub boot_id: Option<[u8; 16]>,
    pub(crate) disk: Arc<dyn Disk>,
}

/// Sizes in bytes. Tests choose small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The length at which a segment is closed.
    pub segment: u64,
    /// The total size of closed segments that starts a merge; half of the live
    /// data, if that is more.
    pub merge: u64,
    /// How much a merge sorts in memory at once.
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
