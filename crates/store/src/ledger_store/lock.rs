//! The lock that allows only one process to use a database.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::error::OpenError;
use crate::ledger::fault::Fault;

/// An exclusive `flock` on a file in the database's directory. sled has a lock,
/// too, but does not distinguish it from other faults.
#[derive(Debug)]
pub(crate) struct DirectoryLock(File);

impl DirectoryLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another handle holds it.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = Self::path(dir);
        let failed = |doing, error| OpenError::fault(dir, Fault::io(doing, &path)(error));
        if path.is_dir() {
            return Err(OpenError::InTheWay {
                path,
                wanted: "the lock file",
                then: "it is created again",
            });
        }
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                // If there is a pipe instead, opening it must not block.
                .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
                .open(&path)
                .map_err(|error| failed("open", error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(dir.to_owned())),
                Err(TryLockError::Error(error)) => return Err(failed("lock", error)),
            }
            let lock = Self(file);
            // A refused start may have removed the file meanwhile. Another
            // process can take a lock on a new file of the same name, so this
            // one would protect nothing.
            let ours = lock.0.metadata().map_err(|error| failed("read", error))?;
            match fs::metadata(&path) {
                Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => {
                    return Ok(lock);
                }
                _ => {}
            }
        }
    }

    /// Returns the path of the lock file in `dir`.
    pub(crate) fn path(dir: &Path) -> PathBuf {
        dir.join("lock")
    }
}

impl Drop for DirectoryLock {
    /// Releases the lock itself, not only this handle: a child process between
    /// `fork` and `exec` has a copy of the handle, which would keep the lock.
    fn drop(&mut self) {
        // Unlocking fails only if there is no lock.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

    use super::*;

    #[test]
    fn a_copy_of_the_handle_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::take(dir.path()).unwrap();
        let in_use = OpenError::InUse(dir.path().to_owned());
        assert_eq!(DirectoryLock::take(dir.path()).unwrap_err(), in_use);
        // A child process has such a copy until it calls `exec`.
        let copy = lock.0.try_clone().unwrap();
        drop(lock);
        DirectoryLock::take(dir.path()).unwrap();
        drop(copy);
    }
}
