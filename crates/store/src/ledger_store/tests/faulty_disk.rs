//! A disk that fails at one operation, or from one operation on.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::ledger::disk::{Disk, DiskFile, SystemDisk, read_up_to};

/// Which operations are counted, and how the chosen one fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Every read fails with EIO.
    Read,
    /// Every change fails with EIO and changes nothing.
    Write,
    /// Half of a write reaches the file, then EIO.
    Short,
    /// Every operation that needs space fails with ENOSPC, after half of a
    /// write.
    Full,
    /// Like [`Kind::Full`], and all later operations that need space fail, too.
    StaysFull,
    /// An fdatasync fails with EIO, and the writes since the last one are lost:
    /// Linux marks the pages as clean, and may read the old ones again.
    Sync,
}

/// The real disk, except for one operation.
#[derive(Clone)]
pub(super) struct FaultyDisk(Arc<Plan>);

struct Plan {
    kind: Kind,
    /// The number of the operation of this kind that fails.
    at: usize,
    count: AtomicUsize,
    failed: Mutex<Option<String>>,
}

impl FaultyDisk {
    /// Creates a disk that fails at operation number `at`, counted from 1.
    pub(super) fn new(kind: Kind, at: usize) -> Self {
        Self(Arc::new(Plan {
            kind,
            at,
            count: AtomicUsize::new(0),
            failed: Mutex::new(None),
        }))
    }

    /// Returns what failed, if something did.
    pub(super) fn failed(&self) -> Option<String> {
        self.0.failed.lock().unwrap().clone()
    }

    /// Counts an operation that can fail in runs of `kinds`. Returns whether it
    /// must fail now.
    fn is_due(&self, kinds: &[Kind], what: &str, path: &Path) -> bool {
        let plan = &self.0;
        let lasts = plan.kind == StaysFull;
        if !kinds.contains(if lasts { &Full } else { &plan.kind }) {
            return false;
        }
        let number = plan.count.fetch_add(1, Ordering::SeqCst) + 1;
        let due = number == plan.at || lasts && number > plan.at;
        if due {
            let mut failed = plan.failed.lock().unwrap();
            failed.get_or_insert_with(|| format!("{what} {}", path.display()));
        }
        due
    }

    fn step(&self, kinds: &[Kind], what: &str, path: &Path) -> io::Result<()> {
        match self.is_due(kinds, what, path) {
            true => Err(self.error()),
            false => Ok(()),
        }
    }

    fn error(&self) -> io::Error {
        let (eio, enospc) = (5, 28);
        io::Error::from_raw_os_error(match self.0.kind {
            Full | StaysFull => enospc,
            _ => eio,
        })
    }

    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> io::Result<Box<dyn DiskFile>> {
        let file = FaultyFile {
            synced: Mutex::new(Vec::new()),
            path: path.to_owned(),
            disk: self.clone(),
            file,
        };
        file.note_synced()?;
        Ok(Box::new(file))
    }
}

use Kind::{Full, Read, Short, StaysFull, Sync, Write};

impl Disk for FaultyDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step(&[Read], "open", path)?;
        self.file(path, SystemDisk.open(path)?)
    }
    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step(&[Read, Write], "open to write", path)?;
        self.file(path, SystemDisk.open_to_write(path)?)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step(&[Write, Full], "create", path)?;
        self.file(path, SystemDisk.create(path)?)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step(&[Write, Full], "create the directory", path)?;
        SystemDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.step(&[Read], "list", path)?;
        SystemDisk.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(&[Write, Full], "rename", from)?;
        SystemDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(&[Write], "remove", path)?;
        SystemDisk.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step(&[Write, Full, Sync], "synchronise", path)?;
        SystemDisk.sync_dir(path)
    }
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    disk: FaultyDisk,
    /// The content of the file when it was last made durable.
    synced: Mutex<Vec<u8>>,
}

impl FaultyFile {
    fn note_synced(&self) -> io::Result<()> {
        if self.disk.0.kind == Sync {
            let mut bytes = vec![0; usize::try_from(self.file.len()?).unwrap()];
            let len = read_up_to(self.file.as_ref(), &mut bytes, 0)?;
            bytes.truncate(len);
            *self.synced.lock().unwrap() = bytes;
        }
        Ok(())
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.step(&[Read], "read", &self.path)?;
        self.file.read_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.disk.is_due(&[Write, Short, Full], "write", &self.path) {
            if self.disk.0.kind != Write {
                self.file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            }
            return Err(self.disk.error());
        }
        self.file.write_all_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        if self
            .disk
            .is_due(&[Write, Full, Sync], "synchronise", &self.path)
        {
            if self.disk.0.kind == Sync {
                let synced = self.synced.lock().unwrap();
                self.file.truncate(0)?;
                self.file.write_all_at(&synced, 0)?;
            }
            return Err(self.disk.error());
        }
        self.file.sync()?;
        self.note_synced()
    }
    fn len(&self) -> io::Result<u64> {
        self.disk.step(&[Read], "read the length of", &self.path)?;
        self.file.len()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.step(&[Write], "truncate", &self.path)?;
        self.file.truncate(len)
    }
    fn drop_cache(&self) -> io::Result<()> {
        self.disk.step(&[Read], "drop the cache of", &self.path)?;
        self.file.drop_cache()
    }
}
