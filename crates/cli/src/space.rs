//! Measures the free space of the database's file system.

use std::{fs::File, io, path::Path};

use assay_engine::ports::Space;
use rustix::fs::{StatVfs, StatVfsMountFlags, fstatvfs};

/// The maximum default reserve.
const MOST_RESERVED: u64 = 1024 * 1024 * 1024;

/// The file system of a directory.
pub struct FileSystem(File);

impl FileSystem {
    /// Opens the file system of `dir`.
    pub fn of(dir: &Path) -> io::Result<Self> {
        File::open(dir).map(Self)
    }

    /// The default reserve: 5 % of the file system, at most 1 GiB.
    pub fn usual_reserve(&self) -> io::Result<u64> {
        let found = self.ask()?;
        Ok((found.f_blocks.saturating_mul(found.f_frsize) / 20).min(MOST_RESERVED))
    }

    /// Whether the file system is read-only.
    pub fn is_read_only(&self) -> io::Result<bool> {
        Ok(self.ask()?.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    fn ask(&self) -> io::Result<StatVfs> {
        Ok(fstatvfs(&self.0)?)
    }
}

impl Space for FileSystem {
    /// The free space for unprivileged processes.
    fn free(&self) -> io::Result<u64> {
        let found = self.ask()?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twentieth_at_most_one_gib_is_kept_free() {
        let system = FileSystem::of(&std::env::temp_dir()).unwrap();
        let reserve = system.usual_reserve().unwrap();
        assert!(reserve > 0 && reserve <= MOST_RESERVED);
        assert!(system.free().unwrap() > 0);
    }
}
