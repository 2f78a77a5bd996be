//! How much room the database's file system has.

use std::{fs::File, io, path::Path};

use assay_engine::ports::Space;
use rustix::fs::{StatVfs, StatVfsMountFlags, fstatvfs};

/// The most that is kept free where the configuration says nothing.
const MOST_RESERVED: u64 = 1024 * 1024 * 1024;

/// The file system of a directory.
pub struct FileSystem(File);

impl FileSystem {
    /// The one that `dir` is on.
    pub fn of(dir: &Path) -> io::Result<Self> {
        File::open(dir).map(Self)
    }

    /// What is kept free where the configuration says nothing: 5 % of it, at
    /// most 1 GiB.
    pub fn usual_reserve(&self) -> io::Result<u64> {
        let found = self.ask()?;
        Ok((found.f_blocks.saturating_mul(found.f_frsize) / 20).min(MOST_RESERVED))
    }

    /// Whether nothing on it can be written.
    pub fn is_read_only(&self) -> io::Result<bool> {
        Ok(self.ask()?.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    fn ask(&self) -> io::Result<StatVfs> {
        Ok(fstatvfs(&self.0)?)
    }
}

impl Space for FileSystem {
    /// What processes without privileges may use.
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
