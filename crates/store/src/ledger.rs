//! The ledger: the record of every commit, in this project's own file format.
//!
//! `db/ledger/` holds one checkpoint (all live pairs at one commit), and
//! segments with an entry for each commit after it. Everything else that the
//! store keeps can be rebuilt from these.
//!
//! * [`entry`], [`segment`], [`checkpoint`]: the format, byte by byte,
//! * [`survey`]: finds out what is there, without changes,
//! * [`compact`], [`sort`]: make the next checkpoint,
//! * [`watermark`]: the last commit that was acknowledged,
//! * [`disk`]: the file operations, in which tests inject faults.

pub(crate) mod checkpoint;
pub(crate) mod compact;
pub(crate) mod disk;
pub(crate) mod entry;
pub(crate) mod fault;
pub(crate) mod segment;
pub(crate) mod sort;
pub(crate) mod survey;
pub(crate) mod watermark;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use self::{
    compact::UNFINISHED,
    disk::{Disk, DiskFile},
    fault::Fault,
    segment::{HEADER_LEN, Header, Identity, Place},
    survey::{Start, Survey},
    watermark::Watermark,
};

/// Returns the ledger's directory within the database's.
pub(crate) fn path(db: &Path) -> PathBuf {
    db.join("ledger")
}

/// A ledger that is open for appending.
pub(crate) struct Ledger {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    identity: Identity,
    /// The last durable entry.
    place: Place,
    active: Option<Active>,
    /// The length at which a segment is closed.
    segment_len: u64,
    watermark: Watermark,
}

/// The segment that is being written.
struct Active {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    first: u64,
    len: u64,
}

/// The result of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    /// Where the next entry goes.
    pub(crate) next: Start,
    /// The segment that was closed before the append, if any, and its length.
    pub(crate) closed: Option<(u64, u64)>,
}

impl Ledger {
    /// Continues a ledger that ends at `place`, in a new segment. The rest of
    /// an unacknowledged write must have been cut before.
    pub(crate) fn resume(
        disk: Arc<dyn Disk>,
        db: &Path,
        identity: Identity,
        place: Place,
        segment_len: u64,
    ) -> Result<Self, Fault> {
        let watermark = Watermark::open(disk.as_ref(), db)?;
        watermark.write(place.sequence)?;
        Ok(Self {
            disk,
            dir: path(db),
            identity,
            place,
            active: None,
            segment_len,
            watermark,
        })
    }

    /// Returns the last durable entry.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Appends whole entries, the last of which is at `place`. Returns once
    /// they are durable.
    ///
    /// # Errors
    /// After a fault nothing may be appended any more: the content of the disk
    /// is unknown.
    pub(crate) fn append(&mut self, entries: &[u8], place: Place) -> Result<Appended, Fault> {
        let mut closed = None;
        let active = match self.active.take() {
            Some(active) if active.len < self.segment_len => active,
            full => {
                closed = full.map(|full| (full.first, full.len));
                self.begin_segment()?
            }
        };
        let active = self.active.insert(active);
        active
            .file
            .write_all_at(entries, active.len)
            .map_err(Fault::io("write", &active.path))?;
        active
            .file
            .sync()
            .map_err(Fault::io("synchronise", &active.path))?;
        active.len += entries.len() as u64;
        self.watermark.write(place.sequence)?;
        self.place = place;
        let next = Start {
            segment: active.first,
            offset: active.len,
            place,
        };
        Ok(Appended { next, closed })
    }

    /// Creates the segment for the next entry. It is renamed to its final name
    /// when its header is durable.
    fn begin_segment(&self) -> Result<Active, Fault> {
        let first = self.place.sequence + 1;
        let path = segment::path(&self.dir, first);
        let unfinished = path.with_extension(UNFINISHED);
        let header = Header {
            identity: self.identity,
            before: self.place,
        };
        let disk = self.disk.as_ref();
        let file = disk
            .create(&unfinished)
            .map_err(Fault::io("create", &unfinished))?;
        file.write_all_at(&header.encode(), 0)
            .map_err(Fault::io("write", &unfinished))?;
        file.sync().map_err(Fault::io("synchronise", &unfinished))?;
        disk.rename(&unfinished, &path)
            .map_err(Fault::io("rename", &unfinished))?;
        disk.sync_dir(&self.dir)
            .map_err(Fault::io("synchronise", &self.dir))?;
        Ok(Active {
            file,
            path,
            first,
            len: HEADER_LEN as u64,
        })
    }
}

/// Prepares a surveyed ledger for appending: cuts the rest of an unacknowledged
/// write, removes incomplete files, and makes the last segment durable.
pub(crate) fn settle(
    disk: &dyn Disk,
    survey: &Survey,
    tear: Option<&(PathBuf, u64)>,
) -> Result<(), Fault> {
    let ledger = &survey.ledger;
    for name in survey::Names::list(disk, ledger)?.other {
        if name.ends_with(UNFINISHED) {
            let path = ledger.join(name);
            disk.remove(&path).map_err(Fault::io("remove", &path))?;
        }
    }
    let runs = ledger.join(compact::RUNS);
    if disk.list(&runs).is_ok() {
        sort::clear(disk, &runs)?;
    }
    if let Some(last) = survey.segments.last() {
        let path = segment::path(ledger, last.first);
        let file = disk
            .open_to_write(&path)
            .map_err(Fault::io("open", &path))?;
        if let Some((torn, len)) = tear {
            tracing::warn!(
                event = "ledger_tear_cut",
                file = %torn.display(),
                offset = len,
                "cut the rest of an unacknowledged write"
            );
            file.truncate(*len).map_err(Fault::io("truncate", torn))?;
        }
        // A killed process may have left it only in the page cache.
        file.sync().map_err(Fault::io("synchronise", &path))?;
    }
    Ok(())
}
