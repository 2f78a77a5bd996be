//! `assay backup` and `assay restore`: a server's directory in one file.
//!
//! The file is a tar archive, so that it can be looked into without Assay:
//! `assay-backup.json` (what it holds), the server's files, the ledger's files,
//! and `SHA256SUMS` at the end. `sha256sum --check SHA256SUMS` verifies what was
//! unpacked by hand.

pub mod names;
mod restore;
mod write;

use assay_proto::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{restore::run as restore, write::run as backup};

/// The first file of a backup.
const MANIFEST: &str = "assay-backup.json";
/// The last file of a backup.
const SUMS: &str = "SHA256SUMS";

/// The version of the form of a backup.
const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// The version of the program that made it.
    assay: String,
    created: Timestamp,
    laboratory: bool,
    /// The last commit in it.
    sequence: u64,
    /// The latest time of all commits in it.
    time: Timestamp,
    /// Whether the keys of the CAs are in it.
    keys: bool,
    /// Its files, without this one and the sums.
    files: Vec<Listed>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    path: String,
    bytes: u64,
}
