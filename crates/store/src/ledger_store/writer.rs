use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use assay_engine::ports::{CommitError, StoreError, Version};
use sled::Batch;
use tokio::sync::{mpsc, oneshot};

use super::{
    IndexMap, index,
    pieces::Pieces,
    progress::Progress,
    upkeep::{self, Upkeep},
};
use crate::{
    keys,
    ledger::{
        Ledger,
        entry::{Draft, MAX_BODY},
        segment::Place,
        watermark::MAX_RISE,
    },
    map::{Overlay, Writes},
    transaction::Prepared,
};

/// The maximum number of commits that become durable together.
const BATCH_LEN: usize = 256;
const _: () = assert!(BATCH_LEN as u64 <= MAX_RISE);

/// The size in bytes at which a batch takes no more commits. sled writes its
/// log in pieces of 512 KiB on a pool of seven threads. Each can wait for a
/// lock of the thread that applies the batch, while that thread waits for a job
/// that has no thread left. This deadlock was observed with 8 MiB in flight.
const BATCH_BYTES: usize = 1024 * 1024;

/// How long a batch waits for more commits while several are under way. Making
/// a batch durable costs more processor time than a signature, and costs the
/// same for one commit and for many.
const GATHER: Duration = Duration::from_millis(2);

/// How much lower the priority of the store's threads is than that of the rest
/// of the process (nice(2)).
const NICENESS: i32 = 5;

/// Lowers the priority of this thread, and of those that it starts afterwards.
/// On a busy processor more commits come together in a batch; on an idle one
/// none waits longer.
pub(super) fn give_way() {
    // On other systems this would affect the whole process.
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::nice(NICENESS)
    {
        tracing::debug!(%error, "the priority of a thread of the store cannot be lowered");
    }
}

/// A commit in the queue.
pub(super) struct Job {
    pub(super) name: &'static str,
    pub(super) prepared: Prepared,
    pub(super) answer: Answer,
}

/// The channel to the caller of a commit.
type Answer = oneshot::Sender<Result<Version, CommitError>>;

/// The only thread that writes.
pub(super) struct Writer {
    pub(super) ledger: Ledger,
    pub(super) tree: sled::Db,
    pub(super) progress: Arc<Progress>,
    pub(super) upkeep: Arc<Upkeep>,
    /// The callers of commits that failed with the store. They are answered
    /// once the reason is known.
    pub(super) failed: Vec<Answer>,
}

/// Commits that are checked but not yet durable.
#[derive(Default)]
struct Checked {
    /// Their encoded entries.
    entries: Vec<u8>,
    count: u16,
}

impl Writer {
    /// Serves the queue until it closes or the store is poisoned. On every exit
    /// but the close of the queue the store is poisoned, so that no caller
    /// waits indefinitely.
    pub(super) fn run(mut self, queue: mpsc::Receiver<Job>) {
        give_way();
        let served = catch_unwind(AssertUnwindSafe(|| self.serve(queue)));
        let reason = match served {
            Ok(Ok(())) => return,
            Ok(Err(reason)) => reason,
            Err(_) => {
                // Perhaps sled panicked, and its index is in an unknown state.
                let reason = format!("the database panicked; {}", upkeep::REBUILT);
                self.upkeep.index_failed(StoreError(reason.clone()));
                reason
            }
        };
        index::leak(self.tree);
        self.progress.poison(StoreError(format!(
            "{reason}; nothing is read or written any more: check the disk, then start the server \
             again; all acknowledged commits are on the disk"
        )));
    }

    fn serve(&mut self, mut queue: mpsc::Receiver<Job>) -> Result<(), String> {
        let mut several = false;
        while let Some(first) = queue.blocking_recv() {
            // A single commit, as from a single device, never waits.
            if several {
                thread::sleep(GATHER);
            }
            // The index failed: no commit may be confirmed any more.
            self.progress.check().map_err(|reason| reason.0)?;
            // Each commit is checked against the state after the earlier ones
            // of its batch.
            let tree = sled::Tree::clone(&self.tree);
            let replaced = RefCell::default();
            let index = IndexMap {
                tree: &tree,
                upkeep: &Arc::clone(&self.upkeep),
                replaced: Some(&replaced),
            };
            let mut batch = Overlay::new(&index);
            let mut answers = Vec::new();
            let mut checked = Checked::default();
            let mut place = self.ledger.place();
            let mut next = Some(first);
            while let Some(job) = next {
                let result = checked.add(job.prepared, &mut batch, &mut place);
                tracing::debug!(commit = job.name, ?result, "commit");
                answers.push((job.answer, result));
                let has_room = answers.len() < BATCH_LEN && checked.entries.len() < BATCH_BYTES;
                next = has_room.then(|| queue.try_recv().ok()).flatten();
            }
            several = answers.len() > 1;
            // A read of the index failed, so earlier reads may not be used for
            // a commit either.
            self.progress.check().map_err(|reason| reason.0)?;
            if checked.count > 0 {
                let writes = batch.into_writes();
                let replaced = replaced.into_inner();
                if let Err(reason) = self.make_durable(&checked.entries, writes, place, replaced) {
                    self.failed = answers.into_iter().map(|(answer, _)| answer).collect();
                    return Err(reason);
                }
            }
            // A conflict may result from this batch, so it is answered only
            // after the batch is durable.
            for (answer, result) in answers {
                // The caller may be gone.
                let _ = answer.send(result);
            }
        }
        Ok(())
    }

    fn make_durable(
        &mut self,
        entries: &[u8],
        writes: Writes,
        place: Place,
        mut replaced: Pieces,
    ) -> Result<(), String> {
        let appended = (self.ledger.append(entries, place)).map_err(|fault| fault.to_string())?;
        let mut batch = Batch::default();
        for (key, value) in writes {
            replaced.put(&mut batch, &key, value);
        }
        batch.insert(keys::SEQUENCE, &place.sequence.to_be_bytes());
        index::guarded(|| self.tree.apply_batch(batch)).map_err(|detail| {
            let reason = format!("writing to the index failed: {detail}; {}", upkeep::REBUILT);
            self.upkeep.index_failed(StoreError(reason.clone()));
            reason
        })?;
        self.progress.set_applied(appended.next);
        self.upkeep.appended(appended);
        Ok(())
    }
}

impl Checked {
    /// Checks a commit against `batch`, and adds its entry and its writes.
    fn add(
        &mut self,
        prepared: Prepared,
        batch: &mut Overlay<'_>,
        place: &mut Place,
    ) -> Result<Version, CommitError> {
        let sequence = place.sequence + 1;
        let (time, redeemed) = (prepared.now, prepared.redeemed.clone());
        let resets_time = prepared.resets_time;
        let writes = prepared.apply(batch, Version(sequence))?;
        let draft = Draft {
            sequence,
            time,
            resets_time,
            place: self.count,
            redeemed: &redeemed,
        };
        let pairs = (writes.iter()).map(|(key, value)| (key.as_slice(), value.as_deref()));
        let hash = draft
            .append(&mut self.entries, &place.hash, pairs)
            .ok_or_else(|| {
                StoreError(format!(
                    "a commit is larger than the {MAX_BODY} bytes that are written at once: \
                     nothing was changed"
                ))
            })?;
        batch.absorb(writes);
        self.count += 1;
        *place = Place {
            sequence,
            hash,
            time: match resets_time {
                true => time,
                false => time.max(place.time),
            },
        };
        Ok(Version(sequence))
    }
}
