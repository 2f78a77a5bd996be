//! Merges the previous checkpoint and the segments after it into the next
//! checkpoint.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    checkpoint::{self, Checkpoint, Walk, Writer},
    disk::Disk,
    fault::Fault,
    segment::{Identity, Place, Reader, Step},
    sort::Sorter,
};

/// The directory for a merge's sorted runs, within the ledger's.
pub(crate) const RUNS: &str = "runs";

/// The suffix of an incomplete file's name.
pub(crate) const UNFINISHED: &str = "unfinished";

/// A merge.
pub(crate) struct Job<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) ledger: &'a Path,
    /// How many bytes of pairs are sorted in memory at once.
    pub(crate) chunk_len: usize,
    /// Whether the merge should stop.
    pub(crate) stop: &'a AtomicBool,
}

impl Job<'_> {
    /// Merges `base` and the closed segments that follow it, named by their
    /// first entries, into a new checkpoint. Returns it once it is durable and
    /// was read back.
    pub(crate) fn merge(&self, base: &Checkpoint, segments: &[u64]) -> Result<Checkpoint, Fault> {
        let runs = self.ledger.join(RUNS);
        let mut sorter = Sorter::new(self.disk, &runs, self.chunk_len)?;
        let mut place = base.place();
        for first in segments {
            let mut reader = Reader::open(self.disk, self.ledger, *first)?;
            if reader.header().before != place {
                return Err(Fault::damage(
                    reader.path(),
                    32,
                    "it does not follow the file before",
                ));
            }
            loop {
                match reader.next()? {
                    Step::Entry(entry) => {
                        self.go_on()?;
                        for (key, value) in entry.writes() {
                            sorter.push(key, value)?;
                        }
                    }
                    Step::End => break,
                    Step::Bad(detail) => return Err(reader.damage(detail)),
                }
            }
            place = reader.place();
        }
        let walk = Walk::new(Checkpoint::open_file(self.disk, base.path())?)?;
        self.write(base.identity(), place, sorter, Some(walk))
    }

    /// Writes the checkpoint at `place`: the pairs of `base` with the changes
    /// in `sorter`.
    pub(crate) fn write(
        &self,
        identity: Identity,
        place: Place,
        sorter: Sorter<'_>,
        base: Option<Walk>,
    ) -> Result<Checkpoint, Fault> {
        let path = checkpoint::path(self.ledger, place.sequence);
        let unfinished = path.with_extension(UNFINISHED);
        if self.disk.open(&unfinished).is_ok() {
            self.disk
                .remove(&unfinished)
                .map_err(Fault::io("remove", &unfinished))?;
        }
        let mut writer = Writer::create(self.disk, &unfinished, identity, place)?;
        sorter.merge(base, |key, value| {
            self.go_on()?;
            writer.push(key, Some(value))
        })?;
        writer.finish()?;
        // Verify what the disk returns, not what is in the page cache.
        let written = Checkpoint::open_file(self.disk, &unfinished)?;
        written
            .file()
            .drop_cache()
            .map_err(Fault::io("read back", &unfinished))?;
        written.verify(|_| {})?;
        self.disk
            .rename(&unfinished, &path)
            .map_err(Fault::io("rename", &unfinished))?;
        self.disk
            .sync_dir(self.ledger)
            .map_err(Fault::io("synchronise", self.ledger))?;
        Checkpoint::open(self.disk, self.ledger, place.sequence)
    }

    fn go_on(&self) -> Result<(), Fault> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(Fault::Stopped),
            false => Ok(()),
        }
    }
}
