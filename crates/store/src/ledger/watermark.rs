//! The number of the last durable commit, in a file beside the ledger.
//!
//! It is written after the ledger's fdatasync, without an fdatasync of its own:
//! after a power loss it may be older than the ledger, never newer. If a ledger
//! ends before it, acknowledged commits are lost. Damage above it concerns only
//! commits that were never acknowledged.

use std::path::{Path, PathBuf};

use super::{
    disk::{Disk, DiskFile, read_up_to},
    fault::Fault,
};

const NAME: &str = "watermark";
const LEN: usize = 16;

/// The upper limit of a valid number; no database has this many commits.
const LARGEST: u64 = 1 << 62;

/// The maximum by which one write raises the number.
pub(crate) const MAX_RISE: u64 = 256;

/// The open file.
pub(crate) struct Watermark {
    file: Box<dyn DiskFile>,
    path: PathBuf,
}

impl Watermark {
    /// Returns the path of the file in `db`.
    pub(crate) fn path(db: &Path) -> PathBuf {
        db.join(NAME)
    }

    /// Creates the file and makes its content durable, but not its name.
    pub(crate) fn create(disk: &dyn Disk, db: &Path, sequence: u64) -> Result<Self, Fault> {
        let path = Self::path(db);
        let file = disk.create(&path).map_err(Fault::io("create", &path))?;
        let watermark = Self { file, path };
        watermark.write(sequence)?;
        watermark.sync()?;
        Ok(watermark)
    }

    /// Replaces the file, whatever is in its place, and makes it and its name
    /// durable. After a kill in between the file is missing, which the same
    /// repair fixes.
    pub(crate) fn replace(disk: &dyn Disk, db: &Path, sequence: u64) -> Result<(), Fault> {
        let path = Self::path(db);
        match disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Fault::io("remove", &path)(error));
            }
            _ => {}
        }
        Self::create(disk, db, sequence)?;
        disk.sync_dir(db).map_err(Fault::io("synchronise", db))
    }

    /// Opens the file for writing.
    pub(crate) fn open(disk: &dyn Disk, db: &Path) -> Result<Self, Fault> {
        let path = Self::path(db);
        let file = disk
            .open_to_write(&path)
            .map_err(Fault::io("open", &path))?;
        Ok(Self { file, path })
    }

    /// Reads the number.
    pub(crate) fn read(disk: &dyn Disk, db: &Path) -> Result<u64, Fault> {
        let path = Self::path(db);
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Fault::damage(&path, 0, "it is missing"));
            }
            Err(error) => return Err(Fault::io("open", &path)(error)),
        };
        let mut bytes = [0; LEN];
        let count = read_up_to(file.as_ref(), &mut bytes, 0).map_err(Fault::io("read", &path))?;
        let number = u128::from_be_bytes(bytes);
        let (high, low) = ((number >> 64) as u64, number as u64);
        // An interrupted write left a part of the new number. The smaller of
        // both numbers is then at least the old one, which was acknowledged,
        // and at most the new one, which is durable.
        if count == LEN && high.abs_diff(low) <= MAX_RISE && high < LARGEST {
            Ok(high.min(low))
        } else {
            Err(Fault::damage(&path, 0, "it holds no number"))
        }
    }

    /// Writes the number twice, so that a partial write is noticed.
    pub(crate) fn write(&self, sequence: u64) -> Result<(), Fault> {
        let number = u128::from(sequence) << 64 | u128::from(sequence);
        self.file
            .write_all_at(&number.to_be_bytes(), 0)
            .map_err(Fault::io("write", &self.path))
    }

    /// Makes it durable.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        self.file
            .sync()
            .map_err(Fault::io("synchronise", &self.path))
    }
}
