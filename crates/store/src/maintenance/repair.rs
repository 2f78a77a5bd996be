//! Repairs a damaged ledger: from the index if that holds all acknowledged
//! commits, else by giving up what is damaged.

use std::{fs, path::Path, sync::atomic::AtomicBool};

use assay_engine::ports::StoreError;
use assay_proto::Timestamp;

use super::{
    check::{Report, check},
    clean::DAMAGED,
    restored::{Restored, RestoredFrom},
};
use crate::{
    OpenError, Options, keys,
    ledger::{
        self,
        checkpoint::{Block, Checkpoint},
        compact::{self, UNFINISHED},
        disk::Disk,
        entry::Hash,
        fault::Fault,
        segment::{Identity, Place, Reader, Step},
        sort::Sorter,
        survey::Names,
        watermark::Watermark,
    },
    ledger_store::{self, DirectoryLock, IndexCopy},
    record,
};

/// The result of [`repair`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// Nothing was damaged, and nothing was changed.
    Nothing,
    /// Only the file `watermark` was damaged or missing. The index was closed
    /// cleanly where the ledger ends, so nothing else can have been
    /// acknowledged, and the file was written again.
    Watermark {
        /// The last commit.
        last: u64,
    },
    /// The index had all acknowledged commits.
    FromIndex {
        /// The last commit.
        last: u64,
    },
    /// The damaged parts were given up.
    WithLoss {
        /// The last commit.
        last: u64,
        /// Ranges of commits that are lost.
        missing: Vec<std::ops::RangeInclusive<u64>>,
        /// How many blocks of the checkpoint are lost.
        blocks: usize,
    },
    /// The repair would lose data, which was not accepted: nothing was changed.
    /// Contains why the index cannot be used.
    Refused(String),
}

/// Where a new ledger begins, and its identity.
struct Base {
    identity: Identity,
    place: Place,
}

/// Repairs the ledger of the database in `dir`. The damaged one is kept beside
/// it. With `accept_loss` damage that cannot be repaired is given up: every
/// intact entry is kept, and the database is marked as restored.
///
/// # Errors
/// [`OpenError`] if the disk fails or nothing can be kept.
pub fn repair(
    dir: &Path,
    accept_loss: bool,
    options: &Options,
) -> Result<(Report, Repaired), OpenError> {
    let checked = check(dir, &|_, _| {})?;
    // The database of a running server must not be repaired, nor reported as
    // intact.
    let _lock = DirectoryLock::take(dir)?;
    let report = checked;
    if report.is_whole() {
        return Ok((report, Repaired::Nothing));
    }
    let fault = |fault| OpenError::fault(dir, fault);
    let repair = Repair {
        dir,
        options,
        disk: options.disk.as_ref(),
        report: &report,
    };
    if repair.lacks_only_its_watermark().map_err(fault)? {
        let last = report.last;
        Watermark::replace(repair.disk, dir, last).map_err(fault)?;
        return Ok((report, Repaired::Watermark { last }));
    }
    let repaired = match repair.by_index(accept_loss).map_err(fault)? {
        Ok(repaired) => repaired,
        Err(reason) if !accept_loss => Repaired::Refused(reason),
        Err(_) => repair.with_loss().map_err(fault)?,
    };
    Ok((report, repaired))
}

struct Repair<'a> {
    dir: &'a Path,
    options: &'a Options,
    disk: &'a dyn Disk,
    report: &'a Report,
}

impl Repair<'_> {
    /// Returns whether only the watermark is damaged, and the index proves that
    /// the ledger holds everything that was acknowledged.
    ///
    /// The proof is a clean close: the process that closed the index had
    /// acknowledged exactly what it noted, including the hash of the last
    /// entry, and no later process committed anything, or its note would be
    /// there. After a kill the note is only a lower bound: commits after it may
    /// have been acknowledged, and a ledger that was cut at the end of an entry
    /// looks complete.
    fn lacks_only_its_watermark(&self) -> Result<bool, Fault> {
        let report = self.report;
        let watermark = Watermark::path(self.dir);
        let is_alone = report.acknowledged.is_none()
            && report.missing.is_empty()
            && report.tear.is_none()
            && report.damage.iter().all(|damage| damage.path == watermark);
        if !is_alone {
            return Ok(false);
        }
        let index = ledger_store::index_directory(self.dir);
        let closed = ledger_store::closed_at(self.disk, &index)?;
        let end = Place {
            sequence: report.last,
            hash: report.hash,
            time: report.time,
        };
        Ok(closed
            .is_some_and(|(database, place)| report.database == Some(database) && place == end))
    }

    /// Makes a new ledger from the index if it holds all commits up to the last
    /// acknowledged one, or at least up to where the ledger is intact again;
    /// otherwise returns why not. With `accept_loss` it is enough that the
    /// index reaches further than the ledger.
    fn by_index(&self, accept_loss: bool) -> Result<Result<Repaired, String>, Fault> {
        if self.report.acknowledged.is_none() && !accept_loss {
            return Ok(Err(
                "the file watermark, which says what was acknowledged last, is damaged or missing, \
                 and nothing proves that the ledger holds all of it: the database was not closed \
                 cleanly, or more than that file is damaged"
                    .to_owned(),
            ));
        }
        let copy = self.dir.join(format!("copy.{UNFINISHED}"));
        let found = ledger_store::copy_of_index(self.disk, self.dir, &copy, self.options.boot_id);
        let found = match found? {
            Ok(found) => found,
            Err(reason) => return Ok(Err(reason)),
        };
        let made = self.by_tree(&found, accept_loss);
        ledger_store::leak(found.tree);
        fs::remove_dir_all(&copy).map_err(Fault::io("remove", &copy))?;
        made
    }

    fn by_tree(
        &self,
        found: &IndexCopy,
        accept_loss: bool,
    ) -> Result<Result<Repaired, String>, Fault> {
        let (applied, identity, time) = (found.applied, found.identity, found.time);
        let damaged = self
            .report
            .missing
            .iter()
            .map(|missing| *missing.end())
            .max();
        // The entries after those in the index, all whole and in order.
        let mut place = Place {
            sequence: applied,
            hash: [0; 32],
            time: self.report.time.max(time),
        };
        let mut rest: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        self.entries(Some(identity), |entry| {
            if entry.head.sequence <= place.sequence {
                if entry.head.sequence == applied {
                    place.hash = entry.hash;
                }
            } else if entry.head.sequence == place.sequence + 1 {
                place = Place {
                    sequence: entry.head.sequence,
                    hash: entry.hash,
                    time: place.time,
                };
                let writes = entry.writes();
                rest.extend(writes.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))));
            }
            Ok(())
        })?;
        let acknowledged = self.report.acknowledged.unwrap_or_default();
        let needed = acknowledged.max(damaged.unwrap_or_default());
        let reached = place.sequence;
        let is_complete = reached >= needed && self.report.acknowledged.is_some();
        let is_acceptable = accept_loss && reached >= self.report.last;
        if !(is_complete || is_acceptable) {
            return Ok(Err(format!(
                "the index and the intact entries after it reach commit {reached} only, of {needed}"
            )));
        }
        let mark = match is_complete {
            true => None,
            false => Some(self.marked(reached, place.time)?),
        };
        // Lost acknowledged commits keep their numbers.
        place.sequence = reached.max(needed);
        let mut broken = None;
        let base = Base { identity, place };
        self.replace(&base, |sorter| {
            let mut pairs = found.pairs();
            loop {
                match ledger_store::guarded(|| pairs.next().transpose()) {
                    Ok(None) => break,
                    Ok(Some((key, value))) => sorter.push(&key, Some(&value))?,
                    Err(detail) => {
                        broken = Some(detail);
                        return Err(Fault::Stopped);
                    }
                }
            }
            rest.iter()
                .try_for_each(|(key, value)| sorter.push(key, value.as_deref()))?;
            match &mark {
                Some(mark) => sorter.push(keys::RESTORED, Some(mark)),
                None => Ok(()),
            }
        })
        .map(|()| {
            Ok(match is_complete {
                true => Repaired::FromIndex { last: reached },
                false => Repaired::WithLoss {
                    last: place.sequence,
                    missing: (reached < needed)
                        .then(|| reached + 1..=needed)
                        .into_iter()
                        .collect(),
                    blocks: 0,
                },
            })
        })
        .or_else(|fault| match broken {
            Some(detail) => Ok(Err(format!("the index is damaged too: {detail}"))),
            None => Err(fault),
        })
    }

    /// Makes a new ledger from every intact block and entry.
    fn with_loss(&self) -> Result<Repaired, Fault> {
        let ledger = ledger::path(self.dir);
        let names = Names::list(self.disk, &ledger)?;
        // The newest one that can be read at all.
        let checkpoint = (names.checkpoints.iter().rev())
            .find_map(|sequence| Checkpoint::open(self.disk, &ledger, *sequence).ok());
        let Some(checkpoint) = checkpoint else {
            return Err(Fault::damage(
                &ledger,
                0,
                "no checkpoint can be read: restore a backup",
            ));
        };
        let at = checkpoint.place();
        // Key ranges of lost blocks: entries before the checkpoint may still
        // have the values.
        let mut lost = Vec::new();
        for number in 0..checkpoint.blocks() {
            if checkpoint.block(number).is_err() {
                lost.push(checkpoint.keys_of_block(number));
            }
        }
        let is_lost = |key: &[u8]| {
            lost.iter().any(|(from, to)| {
                key >= from.as_slice() && to.as_ref().is_none_or(|to| key < to.as_slice())
            })
        };
        let last = self.report.last.max(self.report.acknowledged.unwrap_or(0));
        let mut hash: Hash = at.hash;
        let mut restored_time = at.time;
        let runs = self.dir.join(format!("records.{UNFINISHED}"));
        let mut sorter = Sorter::new(self.disk, &runs, self.options.sizes.chunk)?;
        let identity = Some(checkpoint.identity());
        self.entries(identity, |entry| {
            if entry.head.sequence <= at.sequence {
                for (key, value) in entry.writes().filter(|(key, _)| is_lost(key)) {
                    sorter.push(key, value)?;
                }
            }
            Ok(())
        })?;
        for number in 0..checkpoint.blocks() {
            if let Ok(mut block) = checkpoint.block(number) {
                push_all(&mut block, &mut sorter)?;
            }
        }
        self.entries(identity, |entry| {
            if entry.head.sequence > at.sequence {
                hash = entry.hash;
                restored_time = entry.head.latest_time(restored_time);
                for (key, value) in entry.writes() {
                    sorter.push(key, value)?;
                }
            }
            Ok(())
        })?;
        let first_missing = self
            .report
            .missing
            .iter()
            .map(|missing| *missing.start())
            .min();
        let before = first_missing.map_or(at.sequence, |first| first - 1);
        let marked = self.marked(before, restored_time)?;
        let base = Base {
            identity: checkpoint.identity(),
            place: Place {
                sequence: last,
                hash,
                time: self.report.time.max(restored_time),
            },
        };
        self.replace(&base, |into| {
            sorter.merge(None, |key, value| {
                push_record(key, value, base.identity.layout, into)
            })?;
            into.push(keys::RESTORED, Some(&marked))
        })?;
        fs::remove_dir_all(&runs).map_err(Fault::io("remove", &runs))?;
        Ok(Repaired::WithLoss {
            last,
            missing: self.report.missing.clone(),
            blocks: lost.len(),
        })
    }

    /// Creates the mark of a database that lost the commits after `sequence`.
    fn marked(&self, sequence: u64, time: Timestamp) -> Result<Vec<u8>, Fault> {
        let restored = Restored {
            from: RestoredFrom::Loss,
            sequence,
            time,
        };
        restored.encode().map_err(|StoreError(detail)| Fault::Io {
            doing: "encode",
            path: self.dir.to_owned(),
            kind: std::io::ErrorKind::Other,
            detail,
        })
    }

    /// Calls `each` with all whole entries, also of kept segments, oldest
    /// first.
    fn entries(
        &self,
        identity: Option<Identity>,
        mut each: impl FnMut(&ledger::entry::Entry<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let ledger = ledger::path(self.dir);
        for first in Names::list(self.disk, &ledger)?.segments {
            let mut reader = match Reader::open(self.disk, &ledger, first) {
                // A file of another database has no entries of this one.
                Ok(reader) if identity.is_some_and(|ours| ours != reader.header().identity) => {
                    continue;
                }
                Ok(reader) => reader,
                Err(Fault::Damage(_)) => Reader::open_headless(self.disk, &ledger, first)?,
                Err(fault) => return Err(fault),
            };
            loop {
                match reader.next()? {
                    Step::Entry(entry) => each(&entry)?,
                    Step::End => break,
                    Step::Bad(_) => {
                        let found = reader.whole_entries_after()?;
                        match found.first() {
                            Some(found) if reader.skip_to(found)? => {}
                            _ => break,
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Replaces the damaged ledger, which is kept, with a new one that holds
    /// what `fill` adds.
    fn replace(
        &self,
        base: &Base,
        fill: impl FnOnce(&mut Sorter<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let unfinished = self.dir.join(format!("ledger.{UNFINISHED}"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(Fault::io("remove", &unfinished))?;
        }
        self.disk
            .create_dir(&unfinished)
            .map_err(Fault::io("create", &unfinished))?;
        let runs = unfinished.join(compact::RUNS);
        let mut sorter = Sorter::new(self.disk, &runs, self.options.sizes.chunk)?;
        fill(&mut sorter)?;
        let job = compact::Job {
            disk: self.disk,
            ledger: &unfinished,
            chunk_len: self.options.sizes.chunk,
            stop: &AtomicBool::new(false),
        };
        job.write(base.identity, base.place, sorter, None)?;
        ledger_store::mark_complete(self.disk, self.dir, &unfinished)?;
        let ledger = ledger::path(self.dir);
        let mut number = 1;
        while self.dir.join(format!("{DAMAGED}{number}")).exists() {
            number += 1;
        }
        let kept = self.dir.join(format!("{DAMAGED}{number}"));
        self.disk
            .rename(&ledger, &kept)
            .map_err(Fault::io("rename", &ledger))?;
        // An index that reaches further than the new ledger cannot be used.
        ledger_store::forget_index(self.disk, self.dir)?;
        // After a kill from here on, the next start continues.
        ledger_store::finish(self.disk, self.dir, &unfinished)
    }
}

fn push_all(block: &mut Block, sorter: &mut Sorter<'_>) -> Result<(), Fault> {
    while let Some((key, value)) = block.next_pair() {
        sorter.push(key, value)?;
    }
    Ok(())
}

/// Keeps a record that can be read, and makes its index entries again: after a
/// loss, old entries may lead to missing records.
fn push_record(key: &[u8], value: &[u8], layout: u32, into: &mut Sorter<'_>) -> Result<(), Fault> {
    if [keys::NONCE_KEY, keys::ISSUER].contains(&key) {
        return into.push(key, Some(value));
    }
    if !record::is_record(key) || record::check(key, value, layout).is_err() {
        return Ok(());
    }
    into.push(key, Some(value))?;
    let upgraded = record::upgrade(key, value, layout);
    let index = upgraded.and_then(|value| record::index_of(key, &value));
    for entry in index.unwrap_or_default() {
        into.push(&entry.key, Some(&entry.value))?;
    }
    Ok(())
}
