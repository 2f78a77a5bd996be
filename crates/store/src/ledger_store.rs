//! The store of a server: the ledger on disk, and an index beside it.

mod error;
mod index;
mod lock;
mod migrate;
mod note;
mod older;
mod open;
mod options;
mod pieces;
mod progress;
mod salvage;
mod upkeep;
mod writer;

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use assay_engine::{
    health::Part,
    ports::{CommitError, Redemption, StoreError, Version},
};
use assay_proto::Timestamp;
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use self::{
    note::{Note, NoteFile, State},
    open::Opened,
    pieces::Pieces,
    progress::Progress,
    upkeep::{Closed, Files, Upkeep},
    writer::{Job, Writer},
};
use crate::{
    backend::{Backed, Backend},
    keys,
    ledger::{Ledger, survey::Start},
    maintenance::Restored,
    map::{Entries, Get, Scan},
    transaction::Prepared,
};

pub use self::{
    error::{OpenError, OpenMode},
    older::{MigrationCheck, OlderDatabase},
    options::{Options, Sizes},
};
pub(crate) use self::{
    index::{directory as index_directory, guarded, is_set_aside, leak},
    lock::DirectoryLock,
    migrate::{BEFORE_LAYOUT, BEFORE_LEDGER, finish, mark_complete, mark_for_older_programs},
    note::{closed_at, flushed, path as note_path},
    open::{begin_ledger, finish_ledger, no_ledger, random, survey},
    salvage::{IndexCopy, copy_of_index, distrust_index, forget_index},
};

/// How many commits may wait for the writer. Further ones wait for room in the
/// queue.
const QUEUE_LEN: usize = 1024;

/// The durable store of a single server, in one directory.
///
/// A single thread writes. It appends all waiting commits to the ledger, makes
/// them durable together and applies them to the index before it answers them.
/// So everything that a reader sees is durable.
///
/// When the disk fails, memory and disk may differ: the store is poisoned and
/// refuses everything, and the process should end; see `poisoned`.
pub type LedgerStore = Backed<Durable>;

/// The ledger and the index of a [`LedgerStore`].
pub struct Durable {
    /// `None` only while the store is dropped.
    tree: Option<sled::Db>,
    dir: PathBuf,
    laboratory: bool,
    nonce_key: Option<[u8; 32]>,
    redemptions: Vec<Redemption>,
    progress: Arc<Progress>,
    upkeep: Arc<Upkeep>,
    /// `None` only while the store is dropped.
    queue: Option<mpsc::Sender<Job>>,
    threads: Option<Threads>,
    /// Locks the directory against other processes.
    _lock: DirectoryLock,
}

struct Threads {
    writer: JoinHandle<()>,
    flusher: JoinHandle<Option<(NoteFile, Note)>>,
    merger: JoinHandle<()>,
}

impl Backed<Durable> {
    /// Creates the database in `dir`, which need not exist yet. Whether it is a
    /// laboratory's is fixed here for its lifetime.
    ///
    /// # Errors
    /// [`OpenError::Exists`] if there is a database already, which is left
    /// unchanged; otherwise as [`open`](Self::open).
    pub fn create(dir: &Path, laboratory: bool) -> Result<Self, OpenError> {
        Self::create_with(dir, laboratory, Options::default())
    }

    /// Creates a database like [`create`](Self::create), with options.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_with(dir: &Path, laboratory: bool, options: Options) -> Result<Self, OpenError> {
        open::create(dir, laboratory, &options)?;
        Self::open_with(dir, OpenMode::Any, options)
    }

    /// Opens the database in `dir` and never creates one. A database of an
    /// older layout is migrated.
    ///
    /// # Errors
    /// [`OpenError`], whose text says what to do.
    pub fn open(dir: &Path, mode: OpenMode) -> Result<Self, OpenError> {
        Self::open_with(dir, mode, Options::default())
    }

    /// Opens a database like [`open`](Self::open), with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(dir: &Path, mode: OpenMode, options: Options) -> Result<Self, OpenError> {
        Self::open_checked(dir, mode, options, &|_| Ok(()))
    }

    /// Opens a database like [`open_with`](Self::open_with), but migrates an
    /// older layout only if `check` agrees. Otherwise nothing is changed, and
    /// the program that wrote the database can still open it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_checked(
        dir: &Path,
        mode: OpenMode,
        options: Options,
        check: &MigrationCheck<'_>,
    ) -> Result<Self, OpenError> {
        let opened = open::open(dir, mode, &options, check)?;
        Durable::start(dir, opened, options).map(Self::over)
    }

    /// Returns whether the database was created as a laboratory's.
    #[must_use]
    pub fn is_laboratory(&self) -> bool {
        self.backend.laboratory
    }

    /// Returns the unacknowledged restore from a backup, or repair with data
    /// loss, if there is one.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn restored(&self) -> Result<Option<Restored>, StoreError> {
        let bytes = self.backend.read(|map| map.get(keys::RESTORED))?;
        Ok(bytes.map(|bytes| Restored::decode(&bytes)))
    }

    /// Records a restore; `None` records its acknowledgement. Blocks: not for
    /// asynchronous code.
    ///
    /// # Errors
    /// The commit fails.
    pub fn set_restored(&self, restored: Option<Restored>) -> Result<(), StoreError> {
        let value = restored.map(|restored| restored.encode()).transpose()?;
        self.set_own("restored", keys::RESTORED, value)
    }

    /// Returns the recorded key of the CA that issues for this database: the
    /// SHA-256 of its SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn issuer(&self) -> Result<Option<[u8; 32]>, StoreError> {
        let bytes = self.backend.read(|map| map.get(keys::ISSUER))?;
        Ok(bytes.and_then(|bytes| bytes.as_slice().try_into().ok()))
    }

    /// Records which CA issues for this database. Blocks: not for asynchronous
    /// code.
    ///
    /// # Errors
    /// The commit fails.
    pub fn set_issuer(&self, spki_sha256: [u8; 32]) -> Result<(), StoreError> {
        self.set_own("issuer", keys::ISSUER, Some(spki_sha256.to_vec()))
    }

    fn set_own(
        &self,
        name: &'static str,
        key: &[u8],
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let writes = [(key.to_vec(), value)].into();
        let prepared = Prepared::raw(self.backend.latest_time(), writes);
        self.backend.commit_blocking(name, prepared)
    }

    /// Returns once the writer thread has processed everything that waits
    /// before this call. Writes nothing.
    ///
    /// # Errors
    /// The store is poisoned.
    pub async fn respond(&self) -> Result<(), StoreError> {
        match self.backend.commit("probe", Prepared::probe()).await {
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(CommitError::Store(error)) => Err(error),
        }
    }

    /// Completes with the reason when the store is poisoned: the server logs it
    /// and ends. Pends indefinitely if the store is closed without being
    /// poisoned.
    pub fn poisoned(&self) -> impl Future<Output = StoreError> + Send + use<> {
        self.backend.progress.poisoned()
    }
}

impl Durable {
    fn start(dir: &Path, opened: Opened, options: Options) -> Result<Self, OpenError> {
        let Opened {
            lock,
            identity,
            survey,
            end,
            tree,
            nonce_key,
            verified,
            notes,
            note,
            redemptions,
        } = opened;
        let fault = |fault| OpenError::fault(dir, fault);
        let io = |error| OpenError::io(dir, &error);
        let disk = Arc::clone(&options.disk);
        let ledger = Ledger::resume(disk, dir, identity, end.place, options.sizes.segment);
        let ledger = ledger.map_err(fault)?;
        let applied = Start {
            segment: note.flushed.segment,
            offset: note.flushed.offset,
            place: end.place,
        };
        let progress = Arc::new(Progress::new(applied));
        let upkeep = Upkeep::new(Arc::clone(&progress));
        let flush_timeout = options.flush_timeout;
        // Before the background threads start: what they report must stay.
        options.health.recover(Part::Store);
        let files = Files {
            options,
            ledger: survey.ledger.clone(),
            // A segment without entries is not closed: the next commit writes
            // it again, and a merge would take the segment that is being
            // written.
            segments: (survey.segments.iter())
                .filter(|segment| segment.first <= end.place.sequence)
                .map(Closed::from)
                .collect(),
            older: survey.older_segments,
            verified,
            checkpoint: survey.checkpoint,
        };
        let (queue, jobs) = mpsc::channel(QUEUE_LEN);
        let writer = Writer {
            ledger,
            tree: tree.clone(),
            progress: Arc::clone(&progress),
            upkeep: Arc::clone(&upkeep),
            failed: Vec::new(),
        };
        let writer = thread::Builder::new()
            .name("assay-store".to_owned())
            .spawn(move || writer.run(jobs))
            .map_err(io)?;
        let flusher = upkeep
            .flush_in_background(tree.clone(), flush_timeout, notes, note)
            .map_err(io)?;
        let merger = upkeep.merge_in_background(files).map_err(io)?;
        Ok(Self {
            tree: Some(tree),
            dir: dir.to_owned(),
            laboratory: identity.laboratory,
            nonce_key,
            redemptions,
            progress,
            upkeep,
            queue: Some(queue),
            threads: Some(Threads {
                writer,
                flusher,
                merger,
            }),
            _lock: lock,
        })
    }

    fn commit_blocking(&self, name: &'static str, prepared: Prepared) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            name,
            prepared,
            answer,
        };
        let queued = self.queue.as_ref().map(|queue| queue.blocking_send(job));
        match queued.map(|sent| sent.map(|()| answered.blocking_recv())) {
            Some(Ok(Ok(result))) => result
                .map(drop)
                .map_err(|error| StoreError(error.to_string())),
            _ => (self.progress.check()).and(Err(StoreError("the store is closed".to_owned()))),
        }
    }
}

#[async_trait]
impl Backend for Durable {
    fn read<T>(
        &self,
        read: impl FnOnce(&dyn Scan) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.progress.check()?;
        let Some(tree) = &self.tree else {
            return Err(StoreError("the store is closed".to_owned()));
        };
        let map = IndexMap {
            tree,
            upkeep: &self.upkeep,
            replaced: None,
        };
        // sled panics on some damaged pages.
        catch_unwind(AssertUnwindSafe(|| read(&map)))
            .unwrap_or_else(|_| Err(self.upkeep.read_failed(index::PANICKED)))
    }

    fn latest_time(&self) -> Timestamp {
        self.progress.latest_time()
    }

    fn nonce_key(&self) -> Option<[u8; 32]> {
        self.nonce_key
    }

    fn redemptions(&self) -> Vec<Redemption> {
        self.redemptions.clone()
    }

    async fn commit(&self, name: &'static str, prepared: Prepared) -> Result<Version, CommitError> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            name,
            prepared,
            answer,
        };
        let result = async {
            (self.queue.as_ref()?.send(job).await).ok()?;
            answered.await.ok()
        };
        let poisoned = self.progress.poisoned();
        tokio::pin!(poisoned);
        tokio::select! {
            biased;
            Some(result) = result => result,
            // The writer has ended, which it never does without a reason; or
            // the index failed, and sled blocks the writer.
            reason = &mut poisoned => Err(reason.into()),
        }
    }
}

impl Drop for Durable {
    /// Waits until the accepted commits are durable, and closes the index, so
    /// that the next start can trust it.
    fn drop(&mut self) {
        self.queue = None;
        let (Some(threads), Some(tree)) = (self.threads.take(), self.tree.take()) else {
            return;
        };
        // A panic of a thread was already caught and reported. After a failure
        // of the index, sled may block the writer indefinitely.
        let mut patience = 1000;
        while patience > 0 && !threads.writer.is_finished() {
            thread::sleep(Duration::from_millis(1));
            patience -= u32::from(self.progress.check().is_err());
        }
        self.upkeep.stop();
        let _ = threads.merger.join();
        let flushed = threads.flusher.join().ok().flatten();
        let Some((mut notes, mut note)) = flushed.filter(|_| self.progress.check().is_ok()) else {
            leak(tree);
            return;
        };
        let index = index::directory(&self.dir);
        let closed = index::close_generation(tree, &index, note.generation);
        note.state = match &closed {
            Ok(()) => State::Closed,
            // After a failed fsync, Linux may read the old pages.
            Err(_) => State::Failed,
        };
        let noted = notes.write_durably(&note);
        if let Err(fault) = closed.and(noted) {
            tracing::warn!(event = "index_not_closed", %fault, "the index was not closed: the next start rebuilds it");
        }
    }
}

/// The index as a map. If sled reports damage, the index has failed.
struct IndexMap<'a> {
    tree: &'a sled::Tree,
    upkeep: &'a Upkeep,
    /// Counts the pieces of values that the writer reads, because it is about
    /// to replace them: each change of a record first checks its version.
    replaced: Option<&'a RefCell<Pieces>>,
}

impl IndexMap<'_> {
    fn failed(&self, error: &sled::Error) -> StoreError {
        self.upkeep.read_failed(&index::in_words(error))
    }

    fn entries<'a>(
        &'a self,
        found: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>> + 'a,
    ) -> Entries<'a> {
        let whole = found.filter_map(|found| pieces::whole(self.tree, found));
        Entries(Box::new(
            whole.map(|entry| entry.map_err(|error| self.failed(&error))),
        ))
    }
}

impl Get for IndexMap<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = pieces::get(self.tree, key).map_err(|error| self.failed(&error))?;
        if let (Some(replaced), Some(value)) = (self.replaced, &found) {
            replaced.borrow_mut().note(key, value);
        }
        Ok(found)
    }
}

impl Scan for IndexMap<'_> {
    fn scan(&self, from: &[u8], to: &[u8]) -> Entries<'_> {
        self.entries(self.tree.range(from..to))
    }

    fn scan_back(&self, from: &[u8], to: &[u8]) -> Entries<'_> {
        self.entries(self.tree.range(from..to).rev())
    }
}

#[cfg(test)]
mod tests;
