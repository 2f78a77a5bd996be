//! Background work: flushes the index, merges closed segments into checkpoints,
//! and removes segments that a checkpoint contains.

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use assay_engine::{health::Part, ports::StoreError};

use super::{
    index,
    note::{Note, NoteFile, State},
    options::Options,
    progress::Progress,
    writer::give_way,
};
use crate::ledger::{
    Appended,
    checkpoint::{self, Checkpoint},
    compact,
    fault::Fault,
    segment,
    survey::{Segment, Survey},
};

/// What to do after a failure of the index.
pub(super) const REBUILT: &str = "start the server again, the index is then rebuilt from the \
                                  ledger, which holds all that was acknowledged";

/// The minimum interval between two flushes of the index.
const FLUSH_EVERY: Duration = Duration::from_millis(250);

/// How often kept segments are checked for removal.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// The minimum time that segments are kept, since redeemed nonces are read from
/// them: 15 minutes, and a margin for clocks.
const KEEP_AT_LEAST: u64 = 20 * 60;

/// The number of closed segments that starts a merge: each start begins a new
/// segment.
const MAX_SEGMENTS: usize = 200;

/// The state that the background threads share with the writer.
pub(super) struct Upkeep {
    progress: Arc<Progress>,
    work: Mutex<Work>,
    changed: Condvar,
    stopping: Arc<AtomicBool>,
}

/// Pending work.
#[derive(Default)]
struct Work {
    /// Whether commits were applied since the last flush.
    dirty: bool,
    /// Closed segments and their lengths.
    closed: Vec<(u64, u64)>,
    /// Up to which commit the index was flushed.
    flushed: u64,
    index_failed: bool,
    stop: bool,
}

/// The files that the background threads maintain.
pub(super) struct Files {
    pub(super) options: Options,
    pub(super) ledger: PathBuf,
    pub(super) checkpoint: Checkpoint,
    /// Closed segments after the checkpoint.
    pub(super) segments: Vec<Closed>,
    /// Closed segments whose entries the checkpoint contains.
    pub(super) older: Vec<u64>,
    /// Whether the start read all of them.
    pub(super) verified: bool,
}

/// A closed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) first: u64,
    pub(super) len: u64,
}

impl From<&Segment> for Closed {
    fn from(segment: &Segment) -> Self {
        Self {
            first: segment.first,
            len: segment.len,
        }
    }
}

impl Upkeep {
    pub(super) fn new(progress: Arc<Progress>) -> Arc<Self> {
        let flushed = progress.applied().place.sequence;
        Arc::new(Self {
            progress,
            work: Mutex::new(Work {
                flushed,
                ..Work::default()
            }),
            changed: Condvar::new(),
            stopping: Arc::new(AtomicBool::new(false)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that commits became durable and were applied.
    pub(super) fn appended(&self, appended: Appended) {
        let mut work = self.lock();
        let idle = !work.dirty;
        work.dirty = true;
        work.closed.extend(appended.closed);
        if idle || appended.closed.is_some() {
            self.changed.notify_all();
        }
    }

    /// Marks the index as failed, so that it is never trusted again, and
    /// poisons the store with `reason`.
    pub(super) fn index_failed(&self, reason: StoreError) {
        let mut work = self.lock();
        work.index_failed = true;
        // Under the lock, so that the flusher sees the flag when it finds the
        // store poisoned.
        self.progress.poison(reason);
        self.changed.notify_all();
    }

    /// Marks the index as failed because a read failed.
    pub(super) fn read_failed(&self, detail: &str) -> StoreError {
        let reason = StoreError(format!(
            "reading from the index failed: {detail}; {REBUILT}"
        ));
        self.index_failed(reason.clone());
        reason
    }

    /// Stops both threads.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.lock().stop = true;
        self.changed.notify_all();
    }

    /// Starts the thread that flushes the index. If it is stopped without a
    /// fault, it returns the note file, with the index flushed.
    pub(super) fn flush_in_background(
        self: &Arc<Self>,
        tree: sled::Db,
        flush_timeout: Duration,
        notes: NoteFile,
        note: Note,
    ) -> std::io::Result<JoinHandle<Option<(NoteFile, Note)>>> {
        let upkeep = Arc::clone(self);
        thread::Builder::new()
            .name("assay-index".to_owned())
            .spawn(move || {
                give_way();
                upkeep.flush(tree, flush_timeout, notes, note)
            })
    }

    fn flush(
        &self,
        tree: sled::Db,
        flush_timeout: Duration,
        mut notes: NoteFile,
        mut note: Note,
    ) -> Option<(NoteFile, Note)> {
        loop {
            let mut work = self.lock();
            while !(work.dirty || work.stop || work.index_failed) {
                work = (self.changed.wait(work)).unwrap_or_else(PoisonError::into_inner);
            }
            let (stop, failed) = (work.stop, work.index_failed);
            work.dirty = false;
            drop(work);
            let at = self.progress.applied();
            if !failed && let Err(detail) = index::flush(&tree, flush_timeout) {
                let reason = format!("flushing the index failed: {detail}; {REBUILT}");
                self.index_failed(StoreError(reason));
            }
            if self.progress.check().is_err() {
                // The ledger or the index failed: the handle must not write.
                index::leak(tree);
                if self.lock().index_failed {
                    note.state = State::Failed;
                    if let Err(fault) = notes.write_durably(&note) {
                        tracing::error!(event = "index_not_noted", %fault, "cannot record that the index failed");
                    }
                }
                return None;
            }
            note.flushed = at;
            if let Err(fault) = notes.write(&note) {
                // Only the next start takes longer.
                tracing::warn!(event = "index_not_noted", %fault, "cannot record how far the index was flushed");
            }
            self.lock().flushed = at.place.sequence;
            self.changed.notify_all();
            if stop {
                return Some((notes, note));
            }
            self.pause();
        }
    }

    /// Waits so that more commits come together before the next flush.
    fn pause(&self) {
        let work = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(work, FLUSH_EVERY, |work| !(work.stop || work.index_failed));
        drop(waited);
    }

    /// Starts the thread that merges closed segments into checkpoints.
    pub(super) fn merge_in_background(
        self: &Arc<Self>,
        files: Files,
    ) -> std::io::Result<JoinHandle<()>> {
        let upkeep = Arc::clone(self);
        thread::Builder::new()
            .name("assay-merge".to_owned())
            .spawn(move || {
                give_way();
                // Called twice: nothing waits for a merge.
                give_way();
                upkeep.merge(files);
            })
    }

    /// Reads what the start skipped because the index has it. As long as the
    /// index can be trusted, damage can be repaired without loss.
    fn verify(&self, files: &Files) -> Result<(), Fault> {
        let go_on = || match self.stopping.load(Ordering::Relaxed) {
            true => Err(Fault::Stopped),
            false => Ok(()),
        };
        for number in 0..files.checkpoint.blocks() {
            go_on()?;
            files.checkpoint.block(number)?;
        }
        let mut place = files.checkpoint.place();
        for closed in &files.segments {
            let disk = files.options.disk.as_ref();
            let mut reader = segment::Reader::open(disk, &files.ledger, closed.first)?;
            if reader.header().before != place {
                let detail = "it does not follow the file before";
                return Err(Fault::damage(reader.path(), 48, detail));
            }
            loop {
                go_on()?;
                match reader.next()? {
                    segment::Step::Entry(_) => {}
                    segment::Step::End => break,
                    segment::Step::Bad(detail) => return Err(reader.damage(detail)),
                }
            }
            place = reader.place();
        }
        Ok(())
    }

    fn merge(&self, mut files: Files) {
        let health = Arc::clone(&files.options.health);
        let mut is_damaged = false;
        if !files.verified
            && let Err(fault) = self.verify(&files)
            && fault != Fault::Stopped
        {
            is_damaged = true;
            health.degrade(Part::Store, format!("the ledger is damaged: {fault}"));
            tracing::error!(
                event = "ledger_damaged",
                %fault,
                "the ledger is damaged; the index still holds everything: stop the server and run \
                 `assay store repair` before the machine restarts"
            );
        }
        loop {
            match self.merge_once(&mut files) {
                Err(fault) if !self.stopping.load(Ordering::SeqCst) => {
                    if !is_damaged {
                        health.degrade(Part::Store, format!("no checkpoint is made: {fault}"));
                    }
                    tracing::error!(
                        event = "ledger_not_merged",
                        %fault,
                        "cannot make a checkpoint: the ledger grows; retrying later"
                    );
                }
                Ok(()) if !is_damaged => health.recover(Part::Store),
                _ => {}
            }
            let mut work = self.lock();
            if work.stop {
                return;
            }
            if work.closed.is_empty() {
                let waited = self.changed.wait_timeout_while(work, LOOK_EVERY, |work| {
                    work.closed.is_empty() && !work.stop
                });
                work = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            if work.stop {
                return;
            }
            let closed = std::mem::take(&mut work.closed);
            drop(work);
            (files.segments).extend(closed.iter().map(|(first, len)| Closed {
                first: *first,
                len: *len,
            }));
        }
    }

    fn merge_once(&self, files: &mut Files) -> Result<(), Fault> {
        let closed: u64 = files.segments.iter().map(|segment| segment.len).sum();
        let sizes = files.options.sizes;
        let is_large = closed > sizes.merge.max(files.checkpoint.bytes() / 2);
        if is_large || files.segments.len() > MAX_SEGMENTS {
            let segments: Vec<u64> = files.segments.iter().map(|closed| closed.first).collect();
            let disk = Arc::clone(&files.options.disk);
            let job = compact::Job {
                disk: disk.as_ref(),
                ledger: &files.ledger,
                chunk_len: sizes.chunk,
                stop: &self.stopping,
            };
            let before = files.checkpoint.path().to_owned();
            files.checkpoint = job.merge(&files.checkpoint, &segments)?;
            files.older.extend(segments);
            files.segments.clear();
            tracing::info!(
                event = "checkpoint_made",
                commit = files.checkpoint.place().sequence,
                pairs = files.checkpoint.pairs(),
                bytes = files.checkpoint.len(),
                "made a checkpoint of the ledger"
            );
            disk.remove(&before).map_err(Fault::io("remove", &before))?;
        }
        self.remove_old(files)
    }

    /// Removes segments that a checkpoint contains, once they are old enough
    /// and the index was flushed beyond them.
    fn remove_old(&self, files: &mut Files) -> Result<(), Fault> {
        let disk = files.options.disk.as_ref();
        let keep = files.options.keep_ledger.max(KEEP_AT_LEAST);
        let now = self.progress.latest_time();
        let limit = now.minus(keep);
        while let [first, rest @ ..] = files.older.as_slice() {
            // The following segment begins with the latest time of this one.
            let next = match rest.first().copied() {
                Some(next) => next,
                None => files.checkpoint.place().sequence + 1,
            };
            if self.lock().flushed + 1 < next {
                break;
            }
            let last = match rest.first() {
                Some(next) => {
                    let reader = segment::Reader::open(disk, &files.ledger, *next)?;
                    reader.header().before.time
                }
                None => files.checkpoint.place().time,
            };
            // A time in the future was taken back.
            if (limit.plus(1)..=now).contains(&last) {
                break;
            }
            let path = segment::path(&files.ledger, *first);
            disk.remove(&path).map_err(Fault::io("remove", &path))?;
            files.older.remove(0);
        }
        Ok(())
    }
}

/// Removes older checkpoints that a crash during a merge left behind.
pub(super) fn remove_older_checkpoints(options: &Options, survey: &Survey) -> Result<(), Fault> {
    let disk = options.disk.as_ref();
    for sequence in &survey.older_checkpoints {
        let path = checkpoint::path(&survey.ledger, *sequence);
        disk.remove(&path).map_err(Fault::io("remove", &path))?;
    }
    Ok(())
}
