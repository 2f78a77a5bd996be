use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
};

use assay_proto::Timestamp;
use sled::Batch;

use super::{
    disk::{Files, Watermark},
    writer::give_way,
};
use crate::keys;

/// sled's cache, in bytes: an idle server stays under 30 MiB. The kernel
/// caches the file anyway.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// Which databases may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Any.
    Any,
    /// Only one that was created as a laboratory's: for settings that must
    /// never meet production data.
    Laboratory,
}

/// Why a database could not be opened or created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// sled failed or panicked, or what it holds makes no sense.
    #[error(
        "the database in {} cannot be opened: {detail}; move the directory away and restore a \
         backup",
        dir.display()
    )]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What sled said.
        detail: String,
    },
    /// There is a database already.
    #[error(
        "{} holds a database already, and it is never overwritten: name another directory, or \
         start the server on this one",
        .0.display()
    )]
    Exists(PathBuf),
    /// Another process has the database open.
    #[error(
        "the database in {} is in use by another process: stop that first",
        .0.display()
    )]
    InUse(PathBuf),
    /// The directory or its files cannot be read or written.
    #[error("the directory {} cannot be used: {detail}", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What kind of fault it was.
        kind: io::ErrorKind,
        /// What the system said.
        detail: String,
    },
    /// There is no database.
    #[error(
        "there is no database in {}: make one with `assay init`, or name the right directory",
        .0.display()
    )]
    Missing(PathBuf),
    /// A laboratory's database was asked for, and this is none.
    #[error(
        "the database in {} was not created as a laboratory's, which cannot be changed: \
         use another directory for laboratory settings",
        .0.display()
    )]
    NotLaboratory(PathBuf),
    /// The layout is not the one of this program.
    #[error(
        "the database in {} has layout {found}, this program reads layout {}: use the version \
         of the program that wrote it",
        dir.display(),
        keys::SCHEMA_VERSION
    )]
    Schema {
        /// The directory.
        dir: PathBuf,
        /// The layout's number.
        found: u32,
    },
    /// The database lacks its first records.
    #[error(
        "the database in {} was never completed, or lost its first records: if `assay init` was \
         interrupted, remove the directory and repeat it, otherwise restore a backup",
        .0.display()
    )]
    Unfinished(PathBuf),
}

impl OpenError {
    pub(super) fn io(dir: &Path, error: &io::Error) -> Self {
        Self::Io {
            dir: dir.to_owned(),
            kind: error.kind(),
            detail: error.to_string(),
        }
    }
}

/// An opened database.
pub(super) struct Database {
    pub(super) dir: PathBuf,
    pub(super) tree: sled::Db,
    /// Keeps other processes out while it is open.
    pub(super) lock: File,
    pub(super) laboratory: bool,
    pub(super) sequence: u64,
    pub(super) latest_time: Timestamp,
}

/// See [`SledStore::create`](super::SledStore::create).
pub(super) fn create(dir: &Path, laboratory: bool) -> Result<(Database, Files), OpenError> {
    let io = |error| OpenError::io(dir, &error);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io)?;
    let lock = lock(dir)?;
    if dir.join("db").exists() || dir.join("conf").exists() {
        return Err(OpenError::Exists(dir.to_owned()));
    }
    let tree = start_sled(dir)?;
    let mut first = Batch::default();
    first.insert(keys::SCHEMA, &keys::SCHEMA_VERSION.to_be_bytes());
    first.insert(keys::LABORATORY, &[u8::from(laboratory)]);
    first.insert(keys::SEQUENCE, &[0; 8]);
    first.insert(keys::LATEST_TIME, &[0; 8]);
    tree.apply_batch(first)
        .and_then(|()| tree.flush())
        .map_err(|error| damaged(dir, error.to_string()))?;
    Watermark::create(dir).map_err(io)?;
    // The names of the files must last as well as their content.
    for path in ["db", "conf", "blobs", "."] {
        File::open(dir.join(path))
            .and_then(|file| file.sync_all())
            .map_err(io)?;
    }
    let parent = fs::canonicalize(dir).map_err(io)?;
    if let Some(parent) = parent.parent() {
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(io)?;
    }
    finish(dir, tree, lock)
}

/// See [`SledStore::open`](super::SledStore::open).
pub(super) fn open(dir: &Path, mode: OpenMode) -> Result<(Database, Files), OpenError> {
    // sled would make each of its files anew where one is missing.
    if !dir.join("db").is_file() {
        return Err(OpenError::Missing(dir.to_owned()));
    }
    if !dir.join("conf").is_file() {
        return Err(damaged(dir, "its file conf is missing".to_owned()));
    }
    let lock = lock(dir)?;
    let opened = finish(dir, start_sled(dir)?, lock)?;
    match mode {
        OpenMode::Laboratory if !opened.0.laboratory => {
            Err(OpenError::NotLaboratory(dir.to_owned()))
        }
        OpenMode::Any | OpenMode::Laboratory => Ok(opened),
    }
}

/// Takes the lock of the directory. sled has one too, but does not tell it
/// from other faults.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join("lock"))
        .map_err(|error| OpenError::io(dir, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError::io(dir, &error)),
    }
}

/// Opens sled's part on a thread of its own: on some damaged files it panics.
fn start_sled(dir: &Path) -> Result<sled::Db, OpenError> {
    let config = sled::Config::new()
        .path(dir)
        .mode(sled::Mode::HighThroughput)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None)
        .use_compression(false);
    let opened = thread::Builder::new()
        .name("assay-store-open".to_owned())
        .spawn(move || {
            // sled's own threads take after the one that first needs them.
            give_way();
            config.open()
        })
        .map_err(|error| OpenError::io(dir, &error))?
        .join();
    match opened {
        Ok(Ok(tree)) => Ok(tree),
        // These are no fault of the database.
        Ok(Err(sled::Error::Io(error)))
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::StorageFull
            ) =>
        {
            Err(OpenError::io(dir, &error))
        }
        Ok(Err(error)) => Err(damaged(dir, error.to_string())),
        Err(panic) => {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("without a message");
            Err(damaged(dir, format!("it panicked: {message}")))
        }
    }
}

/// Reads the store's own numbers, and opens sled's file to synchronise it.
fn finish(dir: &Path, tree: sled::Db, lock: File) -> Result<(Database, Files), OpenError> {
    let schema = meta(dir, &tree, keys::SCHEMA)?;
    let schema = schema.ok_or_else(|| OpenError::Unfinished(dir.to_owned()))?;
    let found = u32::from_be_bytes(schema);
    if found != keys::SCHEMA_VERSION {
        return Err(OpenError::Schema {
            dir: dir.to_owned(),
            found,
        });
    }
    let number = |key| {
        meta(dir, &tree, key)?
            .ok_or_else(|| damaged(dir, "a number of its own is missing".to_owned()))
    };
    let [laboratory] = meta(dir, &tree, keys::LABORATORY)?
        .ok_or_else(|| damaged(dir, "its laboratory mark is missing".to_owned()))?;
    let sequence = u64::from_be_bytes(number(keys::SEQUENCE)?);
    let latest_time = Timestamp(u64::from_be_bytes(number(keys::LATEST_TIME)?));
    let (watermark, durable) = Watermark::open(dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => damaged(dir, "its file watermark is missing".to_owned()),
        _ => OpenError::io(dir, &error),
    })?;
    match durable {
        Some(durable) if durable <= sequence => {}
        Some(durable) => {
            return Err(damaged(
                dir,
                format!("it ends at commit {sequence}, but commit {durable} was acknowledged"),
            ));
        }
        None => {
            return Err(damaged(
                dir,
                "its file watermark holds no number".to_owned(),
            ));
        }
    }
    // What a process that was killed applied, but did not synchronise, is
    // visible now: from here on it counts as durable, so that it must be.
    let files = Files::open(dir, watermark).map_err(|error| OpenError::io(dir, &error))?;
    let database = Database {
        dir: dir.to_owned(),
        tree,
        lock,
        laboratory: laboratory != 0,
        sequence,
        latest_time,
    };
    Ok((database, files))
}

/// The number under a key of the store's own.
fn meta<const N: usize>(
    dir: &Path,
    tree: &sled::Tree,
    key: &[u8],
) -> Result<Option<[u8; N]>, OpenError> {
    let value = tree
        .get(key)
        .map_err(|error| damaged(dir, error.to_string()))?;
    value
        .map(|value| {
            <[u8; N]>::try_from(value.as_ref())
                .map_err(|_| damaged(dir, "a number of its own has a wrong length".to_owned()))
        })
        .transpose()
}

fn damaged(dir: &Path, detail: String) -> OpenError {
    OpenError::Damaged {
        dir: dir.to_owned(),
        detail,
    }
}
