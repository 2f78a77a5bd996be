//! `assay backup` and `assay restore`: a server's directory in one file.
//!
//! The file is a tar archive that can be read without Assay. It holds
//! `assay-backup.json` (the manifest), the server's files, the ledger's files,
//! and `SHA256SUMS` at the end. `sha256sum --check SHA256SUMS` verifies
//! unpacked files.

mod names;
mod restore;
mod write;

use assay_proto::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    restore::{RestoreArgs, run as restore},
    write::{BackupArgs, run as backup},
};

/// The first file of a backup.
const MANIFEST: &str = "assay-backup.json";
/// The last file of a backup.
const SUMS: &str = "SHA256SUMS";

/// The version of the backup format.
const FORMAT: u32 = 1;

/// The manifest of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// The version of the program that made it.
    assay: String,
    created: Timestamp,
    laboratory: bool,
    /// The last commit that it contains.
    sequence: u64,
    /// The latest time of all commits that it contains.
    time: Timestamp,
    /// Whether it contains the CAs' private keys.
    keys: bool,
    /// Its files, except the manifest and the checksums.
    files: Vec<Listed>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    path: String,
    bytes: u64,
}
