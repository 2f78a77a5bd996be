//! Reads a database's whole ledger and lists all damage.

use std::{ops::RangeInclusive, path::Path};

use assay_proto::Timestamp;

use crate::{
    OpenError, keys,
    ledger::{
        self,
        checkpoint::Checkpoint,
        disk::{Disk, SystemDisk},
        fault::{Damage, Fault},
        segment::{Place, Reader, Step},
        survey::{LOOKS, Names, beside_a_server, is_tear},
        watermark::Watermark,
    },
    ledger_store::{flushed, index_directory, no_ledger},
    record,
};

/// The result of [`check`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether the database was created as a laboratory's.
    pub laboratory: bool,
    /// The commit of the checkpoint, and its number of pairs.
    pub checkpoint: Option<(u64, u64)>,
    /// The total length of all keys and values in the checkpoint.
    pub live_bytes: u64,
    /// The total length of the checkpoint's file and all segments.
    pub bytes: u64,
    /// The number of segments, including those that are only kept.
    pub segments: usize,
    /// The last whole commit.
    pub last: u64,
    /// The latest time of all commits.
    pub time: Timestamp,
    /// The last commit that is known to be acknowledged.
    pub acknowledged: Option<u64>,
    /// The hash of the last whole commit's entry.
    pub(super) hash: [u8; 32],
    /// The id of the database, if the checkpoint can be read.
    pub(super) database: Option<[u8; 16]>,
    /// All damage.
    pub damage: Vec<Damage>,
    /// The missing commits.
    pub missing: Vec<RangeInclusive<u64>>,
    /// The rest of an unacknowledged write: the next start cuts it.
    pub tear: Option<Damage>,
}

impl Report {
    /// Returns whether nothing is damaged or missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.missing.is_empty()
    }
}

/// Reads the whole ledger of the database in `dir` and changes nothing. A
/// server may be running. Calls `progress` with the bytes read so far and the
/// total.
///
/// # Errors
/// There is no database, or the disk cannot be read.
pub fn check(dir: &Path, progress: &dyn Fn(u64, u64)) -> Result<Report, OpenError> {
    if !ledger::path(dir).is_dir() {
        return Err(no_ledger(dir));
    }
    beside_a_server(|| {
        let mut check = Check {
            disk: &SystemDisk,
            progress,
            done: 0,
            total: 0,
            layout: keys::SCHEMA_VERSION,
            report: Report::default(),
        };
        check.run(dir)?;
        Ok(check.report)
    })
    .map_err(|fault| OpenError::fault(dir, fault))
}

struct Check<'a> {
    disk: &'a dyn Disk,
    progress: &'a dyn Fn(u64, u64),
    done: u64,
    total: u64,
    /// The layout of the records that are read.
    layout: u32,
    report: Report,
}

impl Check<'_> {
    /// Notes damage; an I/O error ends the check.
    fn note<T>(&mut self, result: Result<T, Fault>) -> Result<Option<T>, Fault> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Fault::Damage(damage)) => {
                self.report.damage.push(damage);
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    fn run(&mut self, dir: &Path) -> Result<(), Fault> {
        // Before the files are listed: meanwhile a running server only adds to
        // them.
        let flushed = flushed(self.disk, &index_directory(dir))?;
        let acknowledged = self.note(Watermark::read(self.disk, dir))?;
        self.report.acknowledged = acknowledged;
        let ledger = ledger::path(dir);
        let names = Names::list(self.disk, &ledger)?;
        let checkpoint = match names.checkpoints.last() {
            Some(newest) => self.note(Checkpoint::open(self.disk, &ledger, *newest))?,
            None => self.note(Err(Fault::damage(&ledger, 0, "it holds no checkpoint")))?,
        };
        self.report.segments = names.segments.len();
        let mut segments = Vec::new();
        self.report.database = checkpoint.as_ref().map(|found| found.identity().database);
        let identity = checkpoint.as_ref().map(Checkpoint::identity);
        if let (Some(identity), Some((database, place))) = (identity, flushed)
            && identity.database == database
            && let Some(acknowledged) = &mut self.report.acknowledged
        {
            *acknowledged = place.sequence.max(*acknowledged);
        }
        let acknowledged = self.report.acknowledged;
        for first in &names.segments {
            let opened = Reader::open(self.disk, &ledger, *first).and_then(|reader| match identity
                .is_none_or(|identity| identity == reader.header().identity)
            {
                true => Ok(reader),
                false => Err(Fault::damage(
                    reader.path(),
                    16,
                    "it is of another database",
                )),
            });
            if let Some(reader) = self.note(opened)? {
                let path = reader.path().to_owned();
                self.total += (reader.file().len()).map_err(Fault::io("read", &path))?;
                segments.push(reader);
            }
        }
        self.total += checkpoint.as_ref().map_or(0, Checkpoint::len);
        self.report.bytes = self.total;
        // Without a checkpoint the segments are compared with each other.
        let mut place = None;
        if let Some(checkpoint) = checkpoint {
            let at = checkpoint.place();
            self.report.laboratory = checkpoint.identity().laboratory;
            self.report.live_bytes = checkpoint.bytes();
            self.report.checkpoint = Some((at.sequence, checkpoint.pairs()));
            self.layout = checkpoint.identity().layout;
            self.checkpoint(&checkpoint)?;
            // Kept segments end where the checkpoint is.
            place = (segments.first()).map(|first| match first.header().before {
                before if before.sequence < at.sequence => before,
                _ => at,
            });
            self.ends_at(at);
        }
        let count = segments.len();
        for (number, reader) in segments.into_iter().enumerate() {
            place = Some(self.segment(reader, place, number + 1 == count)?);
        }
        if let Some(place) = place
            && place.sequence >= self.report.last
        {
            self.ends_at(place);
        }
        if let Some(acknowledged) = acknowledged
            && acknowledged > self.report.last
        {
            self.report
                .missing
                .push(self.report.last + 1..=acknowledged);
        }
        Ok(())
    }

    fn ends_at(&mut self, place: Place) {
        let report = &mut self.report;
        (report.last, report.time, report.hash) = (place.sequence, place.time, place.hash);
    }

    /// Checks every block, and every record in it.
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), Fault> {
        let mut pairs = 0;
        for number in 0..checkpoint.blocks() {
            let end = checkpoint.block_offset(number + 1);
            if let Some(mut block) = self.note(checkpoint.block(number))? {
                while let Some((key, value)) = block.next_pair() {
                    pairs += 1;
                    let offset = checkpoint.block_offset(number);
                    self.record(checkpoint.path(), offset, key, value);
                }
            }
            (self.progress)(end, self.total);
        }
        self.done = checkpoint.len();
        if pairs != checkpoint.pairs() && self.report.damage.is_empty() {
            let (path, should) = (checkpoint.path(), checkpoint.pairs());
            let detail = format!("it holds {pairs} pairs instead of {should}");
            self.note::<()>(Err(Fault::damage(path, 0, detail)))?;
        }
        Ok(())
    }

    fn record(&mut self, path: &Path, offset: u64, key: &[u8], value: Option<&[u8]>) {
        if let Some(value) = value
            && record::is_record(key)
            && let Err(error) = record::check(key, value, self.layout)
        {
            self.report.damage.push(Damage {
                path: path.to_owned(),
                offset,
                detail: error.0,
            });
        }
    }

    /// Checks every entry. Behind damage it continues with the next whole one.
    fn segment(
        &mut self,
        mut reader: Reader,
        expected: Option<Place>,
        is_last: bool,
    ) -> Result<Place, Fault> {
        let (path, before) = (reader.path().to_owned(), reader.header().before);
        self.layout = reader.header().identity.layout;
        if let Some(expected) = expected
            && before != expected
        {
            if before.sequence > expected.sequence {
                let missing = expected.sequence + 1..=before.sequence;
                self.report.missing.push(missing);
            }
            let detail = "it does not follow the file before";
            self.note::<()>(Err(Fault::damage(&path, 48, detail)))?;
        }
        let mut again = 0;
        loop {
            let offset = reader.offset();
            let detail = match reader.next()? {
                Step::Entry(entry) => {
                    for (key, value) in entry.writes() {
                        self.record(&path, offset, key, value);
                    }
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
            again = 0;
            let damage = reader.damage(detail);
            let torn = reader.place().sequence + 1;
            let later = reader.whole_entries_after()?;
            let acknowledged = self.report.acknowledged.unwrap_or(u64::MAX);
            match (is_last && is_tear(torn, acknowledged, &later), damage) {
                (true, Fault::Damage(damage)) => {
                    self.report.tear = Some(damage);
                    break;
                }
                (_, fault) => self.note::<()>(Err(fault))?,
            };
            let Some(next) = later.iter().find(|found| found.sequence >= torn) else {
                break;
            };
            if next.sequence > torn {
                self.report.missing.push(torn..=next.sequence - 1);
            }
            if !reader.skip_to(next)? {
                break;
            }
        }
        self.done += reader.offset();
        (self.progress)(self.done.min(self.total), self.total);
        Ok(reader.place())
    }
}
