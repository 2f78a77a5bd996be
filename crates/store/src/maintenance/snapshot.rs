//! Makes a consistent copy of a database while a server may be running, and a
//! database from such a copy.

use std::{
    io::{self, Read},
    path::Path,
};

use assay_engine::ports::StoreError;
use assay_proto::Timestamp;

use super::restored::{Restored, RestoredFrom};
use crate::{
    LedgerStore, OpenError, OpenMode, Options, keys,
    ledger::{
        self,
        checkpoint::{Checkpoint, Walk},
        disk::{Disk, DiskFile, SystemDisk},
        fault::Fault,
        segment::{self, HEADER_LEN, Identity, Place},
        sort::Sorter,
        survey::{Survey, beside_a_server},
        watermark::Watermark,
    },
    ledger_store,
};

/// The open files of a ledger at one commit. Renaming or removing them has no
/// effect on the snapshot.
pub struct Snapshot {
    /// The last commit.
    pub sequence: u64,
    /// The latest time of all commits.
    pub time: Timestamp,
    /// Whether the database was created as a laboratory's.
    pub laboratory: bool,
    /// The checkpoint and the segments.
    pub files: Vec<SnapshotFile>,
    survey: Survey,
    end: Place,
}

/// A file of a [`Snapshot`]. Reading returns its content.
pub struct SnapshotFile {
    /// Its name in the ledger's directory.
    pub name: String,
    /// Its length, without what a running server appends later.
    pub len: u64,
    file: Box<dyn DiskFile>,
    offset: u64,
}

impl Snapshot {
    /// Opens and verifies the files of the database in `dir`: a damaged
    /// database must not become a backup.
    ///
    /// # Errors
    /// [`OpenError`], whose text says what to do.
    pub fn take(dir: &Path) -> Result<Self, OpenError> {
        if !ledger::path(dir).is_dir() {
            return Err(ledger_store::no_ledger(dir));
        }
        beside_a_server(|| Self::try_take(&SystemDisk, dir))
            .map_err(|fault| OpenError::fault(dir, fault))
    }

    fn try_take(disk: &dyn Disk, dir: &Path) -> Result<Self, Fault> {
        let survey = ledger_store::survey(disk, dir)?;
        let mut files = vec![SnapshotFile::open(
            disk,
            survey.checkpoint.path(),
            survey.checkpoint.len(),
        )?];
        for found in &survey.segments {
            let path = segment::path(&survey.ledger, found.first);
            files.push(SnapshotFile::open(disk, &path, found.len)?);
        }
        let walk = Checkpoint::open_file(disk, survey.checkpoint.path())?;
        walk.verify(|_| {})?;
        let mut last = None;
        let end = survey.read(disk, survey.start(), |_, next| {
            last = Some(next);
            Ok(())
        })?;
        // The server may have written more since the survey.
        if let (Some(file), Some(segment)) = (files.last_mut(), survey.segments.last()) {
            file.len = match last {
                Some(last) if last.segment == segment.first => last.offset,
                _ => HEADER_LEN as u64,
            };
        }
        Ok(Self {
            sequence: end.place.sequence,
            time: end.place.time,
            laboratory: survey.identity().laboratory,
            files,
            end: end.place,
            survey,
        })
    }
}

impl Snapshot {
    /// Returns a copy without the current and earlier nonce keys, written into
    /// `scratch` as one checkpoint.
    ///
    /// # Errors
    /// [`OpenError::Io`]
    pub fn without_nonce_key(self, scratch: &Path) -> Result<Self, OpenError> {
        let options = Options::default();
        let disk = options.disk.as_ref();
        let ledger = scratch.join("ledger");
        let made = ledger_store::begin_ledger(
            disk,
            &ledger,
            self.survey.identity(),
            self.end,
            &options,
            |sorter| {
                copy_pairs(disk, &self.survey, sorter)?;
                sorter.push(keys::NONCE_KEY, None)
            },
        );
        made.and_then(|()| {
            let checkpoint = Checkpoint::open(disk, &ledger, self.sequence)?;
            let file = SnapshotFile::open(disk, checkpoint.path(), checkpoint.len())?;
            Ok(Self {
                files: vec![file],
                ..self
            })
        })
        .map_err(|fault| OpenError::fault(scratch, fault))
    }
}

/// Adds all pairs of a ledger to `sorter`.
fn copy_pairs(disk: &dyn Disk, survey: &Survey, sorter: &mut Sorter<'_>) -> Result<(), Fault> {
    let mut walk = Walk::new(Checkpoint::open_file(disk, survey.checkpoint.path())?)?;
    while let Some((key, value)) = walk.peek() {
        sorter.push(key, value)?;
        walk.advance()?;
    }
    survey.read(disk, survey.start(), |entry, _| {
        (entry.writes()).try_for_each(|(key, value)| sorter.push(key, value))
    })?;
    Ok(())
}

impl SnapshotFile {
    fn open(disk: &dyn Disk, path: &Path, len: u64) -> Result<Self, Fault> {
        let file = disk.open(path).map_err(Fault::io("open", path))?;
        let name = path.file_name().unwrap_or_default();
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            len,
            file,
            offset: 0,
        })
    }
}

impl Read for SnapshotFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len - self.offset).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count as u64;
        Ok(count)
    }
}

/// Makes a new database in `dir` from the files of a [`Snapshot`], which are in
/// `from/ledger/`. It gets a new id and nonce key, and an entry that says what
/// it was restored from. The files in `from` cannot be used afterwards.
///
/// # Errors
/// [`OpenError`]: damage, or a ledger that does not end with `sequence`.
pub fn restore(from: &Path, sequence: u64, dir: &Path) -> Result<Restored, OpenError> {
    let options = Options::default();
    let disk = options.disk.as_ref();
    let fault = |fault| OpenError::fault(from, fault);
    let io = |error| OpenError::io(dir, &error);
    Watermark::create(disk, from, sequence).map_err(fault)?;
    let survey = Survey::take(disk, from).map_err(fault)?;
    let identity = Identity {
        database: ledger_store::random(),
        laboratory: survey.identity().laboratory,
        // An older layout is migrated when the database is opened, below.
        layout: survey.identity().layout,
    };
    disk.create_dir(dir).map_err(io)?;
    let end = survey
        .read(disk, survey.start(), |_, _| Ok(()))
        .map_err(fault)?;
    if end.place.sequence != sequence {
        let last = end.place.sequence;
        return Err(OpenError::Damaged {
            dir: from.to_owned(),
            detail: format!("the backup ends with commit {last} instead of {sequence}"),
        });
    }
    let place = end.place;
    let ledger = dir.join(format!("ledger.{}", ledger::compact::UNFINISHED));
    ledger_store::begin_ledger(disk, &ledger, identity, place, &options, |sorter| {
        copy_pairs(disk, &survey, sorter)?;
        // Nonces of the copied database must not be valid here.
        let nonce_key: [u8; 32] = ledger_store::random();
        sorter.push(keys::NONCE_KEY, Some(&nonce_key))
    })
    .and_then(|()| ledger_store::mark_for_older_programs(disk, dir))
    .and_then(|()| ledger_store::finish_ledger(disk, dir, &ledger, place.sequence))
    .map_err(fault)?;
    let restored = Restored {
        from: RestoredFrom::Backup,
        sequence,
        time: place.time,
    };
    let store = LedgerStore::open_with(dir, OpenMode::Any, options)?;
    store
        .set_restored(Some(restored))
        .map_err(|StoreError(detail)| OpenError::Io {
            dir: dir.to_owned(),
            kind: io::ErrorKind::Other,
            detail,
        })?;
    Ok(restored)
}
