use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use assay_engine::ports::{CommitError, StoreError, Version};
use assay_proto::Timestamp;
use sled::Batch;
use tokio::sync::{mpsc, oneshot};

use super::{Disk, Progress};
use crate::{keys, map::Overlay, transaction::Prepared};

/// Commits that become durable together at most.
const BATCH_LEN: usize = 256;

/// How long a batch waits for more commits while several are under way: making
/// a batch durable costs more processor time than a signature, and is the same
/// for one commit and for many.
const GATHER: Duration = Duration::from_millis(2);

/// How much more the threads that make batches durable give way than the rest
/// of the process (nice(2)).
const NICENESS: i32 = 5;

/// Has this thread, and those that it starts from then on, give way to others:
/// on a processor that is busy more commits come together in a batch, on an
/// idle one none waits longer.
pub(super) fn give_way() {
    // Elsewhere the whole process would give way.
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::nice(NICENESS)
    {
        tracing::debug!(%error, "the priority of a thread of the store cannot be lowered");
    }
}

/// A commit that waits for its turn.
pub(super) struct Job {
    pub(super) name: &'static str,
    pub(super) prepared: Prepared,
    pub(super) answer: oneshot::Sender<Result<Version, CommitError>>,
}

/// The one thread that writes.
pub(super) struct Writer {
    pub(super) tree: sled::Db,
    pub(super) disk: Box<dyn Disk>,
    pub(super) progress: Arc<Progress>,
    /// The number of the last commit.
    pub(super) sequence: u64,
    pub(super) latest_time: Timestamp,
}

impl Writer {
    /// Serves the queue until it closes or the store is poisoned. On every
    /// other way out than closing, the poison comes: nobody waits in vain.
    pub(super) fn run(mut self, queue: mpsc::Receiver<Job>) {
        give_way();
        let progress = Arc::clone(&self.progress);
        let served = catch_unwind(AssertUnwindSafe(|| self.serve(queue)));
        let reason = match served {
            Ok(Ok(())) => return,
            Ok(Err(reason)) => reason,
            Err(_) => "the database panicked".to_owned(),
        };
        progress.poison(StoreError(format!(
            "{reason}; no more is read or written: see to the disk, then start the server again, \
             all that was acknowledged is on the disk"
        )));
    }

    fn serve(&mut self, mut queue: mpsc::Receiver<Job>) -> Result<(), String> {
        let mut several = false;
        while let Some(first) = queue.blocking_recv() {
            // A commit that comes alone, as a lone device's do, never waits.
            if several {
                thread::sleep(GATHER);
            }
            // Each commit is checked against the state that the earlier ones
            // of its batch leave.
            let tree = sled::Tree::clone(&self.tree);
            let mut batch = Overlay::new(&tree);
            let mut answers = Vec::new();
            let (mut sequence, mut latest_time) = (self.sequence, self.latest_time);
            let mut next = Some(first);
            while let Some(job) = next {
                let now = job.prepared.now;
                let result = job.prepared.apply(&mut batch, Version(sequence + 1));
                tracing::debug!(commit = job.name, ?result, "commit");
                if result.is_ok() {
                    sequence += 1;
                    latest_time = latest_time.max(now);
                }
                answers.push((job.answer, result));
                next = (answers.len() < BATCH_LEN)
                    .then(|| queue.try_recv().ok())
                    .flatten();
            }
            several = answers.len() > 1;
            if sequence > self.sequence {
                self.make_durable(batch, sequence, latest_time)?;
            }
            // A conflict too is news of this batch, so that it waited as well.
            for (answer, result) in answers {
                // Whoever went away does not hear it.
                let _ = answer.send(result);
            }
        }
        Ok(())
    }

    fn make_durable(
        &mut self,
        mut overlay: Overlay<'_>,
        sequence: u64,
        latest_time: Timestamp,
    ) -> Result<(), String> {
        overlay.put(keys::SEQUENCE.to_vec(), sequence.to_be_bytes().to_vec());
        overlay.put(
            keys::LATEST_TIME.to_vec(),
            latest_time.0.to_be_bytes().to_vec(),
        );
        let mut batch = Batch::default();
        for (key, value) in overlay.into_writes() {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.progress.applying(sequence);
        self.tree
            .apply_batch(batch)
            .map_err(|error| format!("writing to the database failed: {error}"))?;
        self.tree
            .flush()
            .map_err(|error| format!("flushing the database failed: {error}"))?;
        self.disk
            .sync(sequence)
            .map_err(|error| format!("synchronising the database's file failed: {error}"))?;
        self.progress.durable(sequence, latest_time);
        (self.sequence, self.latest_time) = (sequence, latest_time);
        Ok(())
    }
}
