//! The index: sled, with all live pairs. It can be rebuilt from the ledger at
//! any time, and is rebuilt whenever it cannot be trusted.

use std::{
    any::Any,
    fs::{self, File, TryLockError},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use sled::Batch;

use super::{pieces::Pieces, writer::give_way};
use crate::{
    keys,
    ledger::{
        checkpoint::{Checkpoint, Walk},
        disk::Disk,
        entry::Entry,
        fault::Fault,
        survey::{End, Start, Survey},
    },
};

/// The size of sled's cache in bytes: an idle server stays below 30 MiB. The
/// kernel caches the file in any case.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// How many pairs, and how many bytes, a rebuild writes at once: at most as
/// much as a batch of the writer, for the same reason.
const REBUILD_BATCH: usize = 1000;
const REBUILD_BYTES: usize = 1024 * 1024;

/// How often, and at what interval, to check whether sled is closed: 5 s in
/// total.
const CLOSE_TRIES: u32 = 1000;
const CLOSE_PAUSE: Duration = Duration::from_millis(5);

/// The name of an index that is not complete yet.
const BUILDING: &str = "building";
/// The name of an index that is no longer used.
const ASIDE: &str = "aside";

/// Why an index could not be opened.
pub(super) enum Refusal {
    /// The operating system refused something; the index may be good.
    Io(Fault),
    /// The index is broken.
    Broken(String),
}

/// The directory of all generations of the index.
pub(crate) fn directory(db: &Path) -> PathBuf {
    db.join("index")
}

fn path(index: &Path, generation: u64) -> PathBuf {
    index.join(generation.to_string())
}

/// Runs code that calls sled, which panics on some damaged files.
pub(crate) fn guarded<T>(run: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| in_words(&error)),
        Err(panic) => Err(of_panic(panic.as_ref())),
    }
}

/// Describes an error of sled for operators. sled's own text, which names its
/// internals, is logged at the debug level.
pub(super) fn in_words(error: &sled::Error) -> String {
    tracing::debug!(%error, "the index's library returned an error");
    match error {
        sled::Error::Io(error) => error.to_string(),
        sled::Error::Corruption { .. } => {
            "its files do not hold what was written to them".to_owned()
        }
        _ => PANICKED.to_owned(),
    }
}

/// The description when sled gives up.
pub(super) const PANICKED: &str = "the library that reads it stopped with an internal error";

/// Describes a panic of sled in the same way.
fn of_panic(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::debug!(message, "the index's library panicked");
    PANICKED.to_owned()
}

/// sled's error text when another handle holds its lock.
const LOCKED: &str = "could not acquire lock";

/// How often an index with a held lock is opened again, and the interval.
const LOCK_TRIES: (usize, Duration) = (100, Duration::from_millis(10));

/// Opens sled at `path`. After a handle was dropped, sled's threads hold the
/// lock of its file a little longer.
pub(super) fn open_sled(path: &Path) -> Result<sled::Db, Refusal> {
    let (tries, pause) = LOCK_TRIES;
    for _ in 1..tries {
        match try_open_sled(path) {
            Err(Refusal::Broken(detail)) if detail.contains(LOCKED) => {
                thread::sleep(pause);
            }
            opened => return opened,
        }
    }
    try_open_sled(path)
}

/// Opens sled on a new thread: sled's own threads inherit the priority of the
/// thread that first needs them.
fn try_open_sled(path: &Path) -> Result<sled::Db, Refusal> {
    let config = sled::Config::new()
        .path(path)
        .mode(sled::Mode::HighThroughput)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None)
        .use_compression(false);
    let opened = thread::Builder::new()
        .name("assay-store-open".to_owned())
        .spawn(move || {
            give_way();
            catch_unwind(AssertUnwindSafe(|| config.open()))
        })
        .map_err(|error| Refusal::Io(Fault::io("start a thread for", path)(error)))?
        .join();
    match opened {
        Ok(Ok(Ok(tree))) => Ok(tree),
        Ok(Ok(Err(sled::Error::Io(error))))
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::StorageFull
            ) =>
        {
            Err(Refusal::Io(Fault::io("open", path)(error)))
        }
        Ok(Ok(Err(error))) => Err(Refusal::Broken(in_words(&error))),
        Ok(Err(panic)) | Err(panic) => Err(Refusal::Broken(of_panic(panic.as_ref()))),
    }
}

/// Opens generation `generation`, which was flushed up to `flushed`, and
/// applies the rest of the ledger. Returns the nonce key in it, too.
pub(super) fn open(
    disk: &dyn Disk,
    survey: &Survey,
    index: &Path,
    generation: u64,
    flushed: Start,
    end: &End,
) -> Result<(sled::Db, Option<[u8; 32]>), Refusal> {
    let path = path(index, generation);
    // If one of its files is missing, sled would create it anew.
    if !path.join("db").is_file() || !path.join("conf").is_file() {
        return Err(Refusal::Broken("its files are missing".to_owned()));
    }
    let tree = open_sled(&path)?;
    let caught_up = check_layout(&tree)
        .and_then(|()| catch_up(disk, survey, &tree, flushed, end))
        .and_then(|()| nonce_key(&tree));
    match caught_up {
        Ok(nonce_key) => Ok((tree, nonce_key)),
        Err(refusal) => {
            leak(tree);
            Err(refusal)
        }
    }
}

/// Checks that an index was made for the records of this layout. The note only
/// says which ledger it belongs to, and a migrated ledger is of the same
/// database.
fn check_layout(tree: &sled::Db) -> Result<(), Refusal> {
    let layout = guarded(|| tree.get(keys::SCHEMA)).map_err(Refusal::Broken)?;
    match layout {
        Some(layout) if layout != keys::SCHEMA_VERSION.to_be_bytes() => {
            Err(Refusal::Broken("it was made for another layout".to_owned()))
        }
        _ => Ok(()),
    }
}

fn catch_up(
    disk: &dyn Disk,
    survey: &Survey,
    tree: &sled::Db,
    flushed: Start,
    end: &End,
) -> Result<(), Refusal> {
    let applied = last_commit(tree)?;
    let (flushed_to, last) = (flushed.place.sequence, end.place.sequence);
    if !(flushed_to..=last).contains(&applied) {
        return Err(Refusal::Broken(format!(
            "it ends with commit {applied}, and was flushed up to {flushed_to} of {last}"
        )));
    }
    let mut broken = None;
    let read = survey.read(disk, flushed, |entry, _| {
        apply_again(tree, entry).inspect_err(|fault| broken = Some(fault.to_string()))
    });
    match (read, broken) {
        (Ok(_), _) => Ok(()),
        (Err(_), Some(detail)) => Err(Refusal::Broken(detail)),
        (Err(fault), None) => Err(Refusal::Io(fault)),
    }
}

/// Applies a commit that the index may already hold.
fn apply_again(tree: &sled::Db, entry: &Entry<'_>) -> Result<(), Fault> {
    let mut replaced = Pieces::default();
    let mut batch = Batch::default();
    for (key, value) in entry.writes() {
        guarded(|| replaced.look(tree, key)).map_err(not_applied)?;
        replaced.put(&mut batch, key, value);
    }
    batch.insert(keys::SEQUENCE, &entry.head.sequence.to_be_bytes());
    apply(tree, batch)
}

/// Returns the last applied commit.
fn last_commit(tree: &sled::Db) -> Result<u64, Refusal> {
    let number = guarded(|| tree.get(keys::SEQUENCE)).map_err(Refusal::Broken)?;
    number
        .and_then(|number| Some(u64::from_be_bytes(number.as_ref().try_into().ok()?)))
        .ok_or_else(|| Refusal::Broken("the number of its last commit is missing".to_owned()))
}

/// Returns the nonce key of the database.
pub(super) fn nonce_key(tree: &sled::Db) -> Result<Option<[u8; 32]>, Refusal> {
    let key = guarded(|| tree.get(keys::NONCE_KEY)).map_err(Refusal::Broken)?;
    Ok(key.and_then(|key| key.as_ref().try_into().ok()))
}

fn apply(tree: &sled::Db, batch: Batch) -> Result<(), Fault> {
    guarded(|| tree.apply_batch(batch)).map_err(not_applied)
}

fn not_applied(detail: String) -> Fault {
    Fault::Io {
        doing: "write to",
        path: PathBuf::from("the index"),
        kind: io::ErrorKind::Other,
        detail,
    }
}

/// Leaks a handle of sled, which would write when dropped: after a fault it
/// must not.
pub(crate) fn leak(tree: sled::Db) {
    std::mem::forget(tree);
}

/// Makes durable what was applied. After some failed writes sled's flush never
/// returns and blocks every writer. Therefore it counts as failed after
/// `timeout`, and its thread keeps a handle.
pub(super) fn flush(tree: &sled::Db, timeout: Duration) -> Result<(), String> {
    let (sender, flushed) = mpsc::channel();
    let tree = tree.clone();
    thread::Builder::new()
        .name("assay-flush".to_owned())
        .spawn(move || {
            let result = guarded(|| tree.flush().map(drop));
            // Before the answer: the last handle must be the one that is
            // closed.
            drop(tree);
            let _ = sender.send(result);
        })
        .map_err(|error| error.to_string())?;
    flushed
        .recv_timeout(timeout)
        .unwrap_or_else(|_| Err(format!("it did not end within {} s", timeout.as_secs())))
}

/// Closes sled at `path`, which writes, and panics if it cannot synchronise.
/// Its threads may hold it a little longer: until its lock is free it may still
/// write.
pub(super) fn close(tree: sled::Db, path: &Path) -> Result<(), Fault> {
    let file = path.join("db");
    let fault = |error| Fault::io("close", &file)(error);
    guarded(|| {
        drop(tree);
        Ok(())
    })
    .map_err(|detail| fault(io::Error::other(detail)))?;
    let lock = File::open(&file).map_err(fault)?;
    for _ in 0..CLOSE_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => thread::sleep(CLOSE_PAUSE),
            Err(TryLockError::Error(error)) => return Err(fault(error)),
        }
    }
    Err(fault(io::ErrorKind::TimedOut.into()))
}

/// Builds a new generation of the index from the ledger, and sets older ones
/// aside. Returns its number, the open sled and the ledger's end.
pub(super) fn rebuild(
    disk: &dyn Disk,
    survey: &Survey,
    index: &Path,
    flush_timeout: Duration,
    progress: &dyn Fn(u64, u64),
) -> Result<(u64, sled::Db, End), Fault> {
    let is_new = !index.exists();
    disk.create_dir(index).map_err(Fault::io("create", index))?;
    let mut generation = 1;
    for name in disk.list(index).map_err(Fault::io("list", index))? {
        let path = index.join(&name);
        let (number, ending) = name.split_once('.').unwrap_or((&name, ""));
        if ending == BUILDING {
            fs::remove_dir_all(&path).map_err(Fault::io("remove", &path))?;
        } else if let Ok(number) = number.parse::<u64>() {
            generation = generation.max(number.saturating_add(1));
        }
    }
    let building = index.join(format!("{generation}.{BUILDING}"));
    disk.create_dir(&building)
        .map_err(Fault::io("create", &building))?;
    let tree = open_sled(&building).map_err(Refusal::into_fault)?;
    let filled = fill(disk, survey, &tree, flush_timeout, progress);
    let end = match filled {
        Ok(end) => end,
        Err(fault) => {
            leak(tree);
            // What cannot be removed now, the next rebuild removes.
            let _ = fs::remove_dir_all(&building);
            // A refused database stays unchanged.
            if is_new {
                let _ = fs::remove_dir(index);
            }
            return Err(fault);
        }
    };
    close(tree, &building)?;
    sync(&building)?;
    let path = path(index, generation);
    disk.rename(&building, &path)
        .map_err(Fault::io("rename", &building))?;
    set_aside(disk, index, generation)?;
    disk.sync_dir(index)
        .map_err(Fault::io("synchronise", index))?;
    // Opening writes a snapshot, so that the next start need not read
    // everything.
    let tree = open_sled(&path).map_err(Refusal::into_fault)?;
    // sled takes unreadable bytes for the end of its log.
    let last = end.place.sequence;
    let complete = last_commit(&tree).and_then(|applied| match applied == last {
        true => Ok(()),
        false => Err(Refusal::Broken(format!(
            "it ends with commit {applied} of {last}"
        ))),
    });
    match complete {
        Ok(()) => Ok((generation, tree, end)),
        Err(refusal) => {
            leak(tree);
            Err(refusal.into_fault())
        }
    }
}

fn fill(
    disk: &dyn Disk,
    survey: &Survey,
    tree: &sled::Db,
    flush_timeout: Duration,
    progress: &dyn Fn(u64, u64),
) -> Result<End, Fault> {
    let checkpoint = &survey.checkpoint;
    let segments: u64 = survey.segments.iter().map(|segment| segment.len).sum();
    let total = checkpoint.len() + segments;
    let mut filling = Filling {
        tree,
        batch: Batch::default(),
        pieces: Pieces::default(),
        pairs: 0,
        bytes: 0,
    };
    let mut done = 0;
    let mut walk = Walk::new(Checkpoint::open_file(disk, checkpoint.path())?)?;
    while let Some((key, value)) = walk.peek() {
        done += (key.len() + value.map_or(0, <[u8]>::len)) as u64;
        if filling.put(key, value)? {
            progress(done.min(total), total);
        }
        walk.advance()?;
    }
    let mut done = checkpoint.len();
    let mut last = survey.start();
    let end = survey.read(disk, last, |entry, next| {
        if next.segment == last.segment {
            done += next.offset - last.offset;
        }
        last = next;
        for (key, value) in entry.writes() {
            if filling.put(key, value)? {
                progress(done.min(total), total);
            }
        }
        Ok(())
    })?;
    let last = end.place.sequence.to_be_bytes();
    filling.batch.insert(keys::SEQUENCE, &last);
    let layout = keys::SCHEMA_VERSION.to_be_bytes();
    filling.batch.insert(keys::SCHEMA, &layout);
    filling.apply()?;
    // A slow disk may still have much to write: a second for each MiB.
    let timeout = flush_timeout + Duration::from_secs(total >> 20);
    flush(tree, timeout).map_err(|detail| Fault::Io {
        doing: "flush",
        path: PathBuf::from("the index"),
        kind: io::ErrorKind::Other,
        detail,
    })?;
    progress(total, total);
    Ok(end)
}

/// A new index that is being filled. Of several pairs with one key the last one
/// counts.
struct Filling<'a> {
    tree: &'a sled::Db,
    batch: Batch,
    /// Those of all values so far.
    pieces: Pieces,
    pairs: usize,
    bytes: usize,
}

impl Filling<'_> {
    /// Adds a pair. Returns whether a batch was written to the index.
    fn put(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<bool, Fault> {
        self.pieces.put(&mut self.batch, key, value);
        self.pairs += 1;
        self.bytes += value.map_or(0, <[u8]>::len);
        let is_full = self.pairs >= REBUILD_BATCH || self.bytes >= REBUILD_BYTES;
        if is_full {
            self.apply()?;
        }
        Ok(is_full)
    }

    fn apply(&mut self) -> Result<(), Fault> {
        (self.pairs, self.bytes) = (0, 0);
        apply(self.tree, std::mem::take(&mut self.batch))
    }
}

/// Renames all generations but `generation`, and removes those that were set
/// aside before: one is enough for an analysis.
fn set_aside(disk: &dyn Disk, index: &Path, generation: u64) -> Result<(), Fault> {
    let names = disk.list(index).map_err(Fault::io("list", index))?;
    let others: Vec<&String> = (names.iter())
        .filter(|name| name.parse::<u64>().is_ok_and(|number| number != generation))
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    for name in &names {
        if name.ends_with(ASIDE) {
            let path = index.join(name);
            fs::remove_dir_all(&path).map_err(Fault::io("remove", &path))?;
        }
    }
    for name in others {
        let path = index.join(name);
        disk.rename(&path, &index.join(format!("{name}.{ASIDE}")))
            .map_err(Fault::io("rename", &path))?;
    }
    Ok(())
}

/// Returns whether a name in the index directory belongs to an unused index.
pub(crate) fn is_set_aside(name: &str) -> bool {
    let ending = name.split_once('.').map(|(_, ending)| ending);
    matches!(ending, Some(ASIDE | BUILDING))
}

/// Makes all files of a closed sled durable.
pub(super) fn sync(path: &Path) -> Result<(), Fault> {
    let fault = |error| Fault::io("synchronise", path)(error);
    for entry in fs::read_dir(path).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        File::open(entry.path())
            .and_then(|file| file.sync_all())
            .map_err(fault)?;
    }
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(fault)
}

/// Closes generation `generation` and makes it durable.
pub(super) fn close_generation(tree: sled::Db, index: &Path, generation: u64) -> Result<(), Fault> {
    let path = path(index, generation);
    close(tree, &path)?;
    sync(&path)
}

impl Refusal {
    pub(super) fn into_fault(self) -> Fault {
        match self {
            Self::Io(fault) => fault,
            Self::Broken(detail) => Fault::Io {
                doing: "open",
                path: PathBuf::from("the new index"),
                kind: io::ErrorKind::Other,
                detail,
            },
        }
    }
}
