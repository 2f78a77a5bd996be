//! Finds out what a ledger consists of, without changing anything on disk.

use std::{
    io,
    path::{Path, PathBuf},
};

use assay_engine::ports::Redemption;
use assay_proto::Timestamp;

use super::{
    checkpoint::Checkpoint,
    disk::Disk,
    entry::Entry,
    fault::Fault,
    segment::{self, Found, HEADER_LEN, Header, Identity, Place, Reader, Step},
    watermark::Watermark,
};

/// How often to look again for files that a running server merged meanwhile.
const ATTEMPTS: usize = 5;

/// Reads a ledger that a running server may be merging: if a file is gone,
/// `read` starts again and finds the new files.
pub(crate) fn beside_a_server<T>(mut read: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match read() {
            Err(Fault::Io {
                kind: io::ErrorKind::NotFound,
                ..
            }) if attempts < ATTEMPTS => {}
            result => return result,
        }
    }
}

/// How often a bad end is read again, since a server may be writing there.
pub(crate) const LOOKS: u32 = 3;

/// The files of a ledger.
pub(crate) struct Survey {
    pub(crate) ledger: PathBuf,
    /// The newest checkpoint.
    pub(crate) checkpoint: Checkpoint,
    /// The segments after it, oldest first.
    pub(crate) segments: Vec<Segment>,
    /// Segments whose entries the checkpoint contains, named by their first
    /// entries.
    pub(crate) older_segments: Vec<u64>,
    /// Older checkpoints.
    pub(crate) older_checkpoints: Vec<u64>,
    /// The last commit that is known to be acknowledged.
    pub(crate) acknowledged: u64,
}

/// A segment with a verified header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    pub(crate) header: Header,
    pub(crate) len: u64,
}

/// Where to start reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The first entry of the segment.
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) place: Place,
}

/// The end of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) place: Place,
    /// The rest of an unacknowledged write: the file, and the length to cut it
    /// to.
    pub(crate) tear: Option<(PathBuf, u64)>,
}

/// The names of a ledger's files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) checkpoints: Vec<u64>,
    pub(crate) segments: Vec<u64>,
    /// Other names.
    pub(crate) other: Vec<String>,
}

impl Names {
    pub(crate) fn list(disk: &dyn Disk, ledger: &Path) -> Result<Self, Fault> {
        let mut names = Self::default();
        for name in disk.list(ledger).map_err(Fault::io("list", ledger))? {
            let number = |ending: &str| {
                let number = name.strip_suffix(ending)?;
                (number.len() == 20).then(|| number.parse().ok())?
            };
            if let Some(sequence) = number(".checkpoint") {
                names.checkpoints.push(sequence);
            } else if let Some(first) = number(".segment") {
                names.segments.push(first);
            } else {
                names.other.push(name);
            }
        }
        Ok(names)
    }
}

impl Survey {
    /// Surveys the ledger of the database in `db`: all headers, the
    /// checkpoint's index, the watermark.
    pub(crate) fn take(disk: &dyn Disk, db: &Path) -> Result<Self, Fault> {
        let ledger = super::path(db);
        let acknowledged = Watermark::read(disk, db)?;
        let mut names = Names::list(disk, &ledger)?;
        let newest = names
            .checkpoints
            .pop()
            .ok_or_else(|| Fault::damage(&ledger, 0, "it holds no checkpoint"))?;
        let checkpoint = Checkpoint::open(disk, &ledger, newest)?;
        let (older_segments, after): (Vec<u64>, Vec<u64>) =
            (names.segments.into_iter()).partition(|first| *first <= newest);
        let mut segments = Vec::with_capacity(after.len());
        for first in after {
            let reader = Reader::open(disk, &ledger, first)?;
            let header = *reader.header();
            if header.identity != checkpoint.identity() {
                return Err(Fault::damage(
                    reader.path(),
                    16,
                    "it is of another database",
                ));
            }
            let len = reader
                .file()
                .len()
                .map_err(Fault::io("read", reader.path()))?;
            segments.push(Segment { first, header, len });
        }
        Ok(Self {
            ledger,
            checkpoint,
            segments,
            older_segments,
            older_checkpoints: names.checkpoints,
            acknowledged,
        })
    }

    /// Records that commits up to `sequence` were acknowledged, from another
    /// source than the watermark.
    pub(crate) fn raise_acknowledged(&mut self, sequence: u64) {
        self.acknowledged = self.acknowledged.max(sequence);
    }

    /// Returns the identity of the ledger's database.
    pub(crate) fn identity(&self) -> Identity {
        self.checkpoint.identity()
    }

    /// Returns where the entries after the checkpoint begin.
    pub(crate) fn start(&self) -> Start {
        Start {
            segment: self.checkpoint.place().sequence + 1,
            offset: HEADER_LEN as u64,
            place: self.checkpoint.place(),
        }
    }

    /// Returns where to start reading so that everything after `flushed` is
    /// verified. This is `flushed` itself, or the start of the segment before
    /// if no segment begins with the next entry yet, so that its end is
    /// checked. `None` if `flushed` cannot belong to these files.
    pub(crate) fn resume_at(&self, flushed: Start) -> Option<Start> {
        let is_there = |segment: &&Segment| segment.first == flushed.segment;
        if let Some(segment) = self.segments.iter().find(is_there) {
            return (segment.len >= flushed.offset).then_some(flushed);
        }
        if self.older_segments.contains(&flushed.segment) {
            return Some(flushed);
        }
        let before = (self.segments.iter()).rfind(|segment| segment.first < flushed.segment);
        match before {
            Some(segment) => Some(Start {
                segment: segment.first,
                offset: HEADER_LEN as u64,
                place: segment.header.before,
            }),
            // The checkpoint contains everything.
            None => (self.checkpoint.place() == flushed.place).then(|| self.start()),
        }
    }

    /// Returns the redeemed nonces, at least those of commits from `since` to
    /// `now`, the latest time of all commits.
    pub(crate) fn redemptions(
        &self,
        disk: &dyn Disk,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Redemption>, Fault> {
        let mut all: Vec<u64> = self.older_segments.clone();
        all.extend(self.segments.iter().map(|segment| segment.first));
        // The first segment that may hold one: the next one begins later.
        let mut from = all.len();
        while from > 0 {
            from -= 1;
            let reader = Reader::open(disk, &self.ledger, all[from])?;
            // A time in the future was taken back: its nonces are void.
            if !(since..=now).contains(&reader.header().before.time) {
                break;
            }
        }
        let mut redeemed = Vec::new();
        for first in &all[from.min(all.len())..] {
            // Damage was found before, or it is the rest of an unacknowledged
            // write.
            let mut reader = Reader::open_verified(disk, &self.ledger, *first)?;
            while let Step::Entry(entry) = reader.next()? {
                let found = entry.redemptions();
                redeemed.extend(found.into_iter().filter(|nonce| nonce.time >= since));
            }
        }
        Ok(redeemed)
    }

    /// Reads and verifies all entries from `start` on. Calls `each` with every
    /// entry and where the next one begins, and finds the end.
    ///
    /// # Errors
    /// Damage, unless it is only the rest of an unacknowledged last write; then
    /// it is in [`End::tear`].
    pub(crate) fn read(
        &self,
        disk: &dyn Disk,
        start: Start,
        mut each: impl FnMut(&Entry<'_>, Start) -> Result<(), Fault>,
    ) -> Result<End, Fault> {
        let mut end = End {
            place: start.place,
            tear: None,
        };
        let segments: Vec<u64> = (self.older_segments.iter().copied())
            .chain(self.segments.iter().map(|segment| segment.first))
            .filter(|first| *first >= start.segment)
            .collect();
        for (number, first) in segments.iter().copied().enumerate() {
            let is_first = number == 0 && first == start.segment;
            let path = segment::path(&self.ledger, first);
            let expected = end.place.sequence + 1;
            if !is_first && first != expected {
                return Err(missing(&path, expected, first - 1));
            }
            let mut reader = Reader::open(disk, &self.ledger, first)?;
            let is_last = number + 1 == segments.len();
            if is_last {
                (reader.file().drop_cache()).map_err(Fault::io("read back", &path))?;
            }
            if is_first && start.offset > HEADER_LEN as u64 {
                reader.seek(start.offset, start.place);
            } else if reader.header().before != end.place {
                return Err(Fault::damage(
                    &path,
                    48,
                    "it does not follow the file before",
                ));
            }
            let (mut offset, mut again) = (reader.offset(), 0);
            loop {
                let detail = match reader.next()? {
                    Step::Entry(entry) => {
                        offset += entry.head.entry_len() as u64;
                        end.place = Place {
                            sequence: entry.head.sequence,
                            hash: entry.hash,
                            time: entry.head.latest_time(end.place.time),
                        };
                        let next = Start {
                            segment: first,
                            offset,
                            place: end.place,
                        };
                        each(&entry, next)?;
                        again = 0;
                        continue;
                    }
                    Step::End => break,
                    Step::Bad(detail) => detail,
                };
                if is_last && again < LOOKS {
                    again += 1;
                    reader.look_again();
                    continue;
                }
                if is_last && self.is_tear(&mut reader)? {
                    end.tear = Some((path.clone(), reader.offset()));
                    break;
                }
                return Err(reader.damage(detail));
            }
        }
        if end.place.sequence < self.acknowledged {
            return Err(self.too_short(end.place.sequence));
        }
        Ok(end)
    }

    fn is_tear(&self, reader: &mut Reader) -> Result<bool, Fault> {
        let torn = reader.place().sequence + 1;
        let later = reader.whole_entries_after()?;
        Ok(is_tear(torn, self.acknowledged, &later))
    }

    /// Returns the fault for missing acknowledged commits after `last`.
    fn too_short(&self, last: u64) -> Fault {
        let acknowledged = self.acknowledged;
        let detail = format!(
            "the ledger ends with commit {last}, but commit {acknowledged} was acknowledged"
        );
        match self.segments.last() {
            Some(segment) => {
                let path = segment::path(&self.ledger, segment.first);
                Fault::damage(&path, segment.len, detail)
            }
            None => Fault::damage(&self.ledger, 0, detail),
        }
    }
}

/// Returns whether the bad entry `torn` at the end of the last segment was
/// never acknowledged: it is above the last acknowledged commit, and no later
/// write succeeded.
pub(crate) fn is_tear(torn: u64, acknowledged: u64, later: &[Found]) -> bool {
    // Entries of the same write may have reached the disk without it. An entry
    // of a later write proves that this one was durable once.
    torn > acknowledged && later.iter().all(|found| found.first_of_write <= torn)
}

fn missing(path: &Path, from: u64, to: u64) -> Fault {
    let detail = format!("commits {from} to {to} are missing before it: a segment is gone");
    Fault::damage(path, 32, detail)
}
