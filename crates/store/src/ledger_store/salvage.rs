//! What maintenance commands need of the index.

use std::{fs, path::Path};

use assay_proto::Timestamp;

use super::{
    error::OpenError,
    index::{self, Refusal},
    lock::DirectoryLock,
    migrate,
    note::{self, NoteFile, State},
    open, pieces,
};
use crate::{
    keys,
    ledger::{
        checkpoint::Checkpoint,
        disk::{Disk, SystemDisk},
        fault::Fault,
        segment::{Identity, Reader},
        survey::Names,
    },
    map::Pair,
};

/// Makes the next start rebuild the index.
pub(crate) fn distrust_index(dir: &Path) -> Result<(), OpenError> {
    if !crate::ledger::path(dir).is_dir() {
        return Err(open::no_ledger(dir));
    }
    let _lock = DirectoryLock::take(dir)?;
    let index = index::directory(dir);
    let noted = (|| match note::read(&SystemDisk, &index)? {
        None => Ok(()),
        Some(note) => {
            let (mut notes, _) = NoteFile::open(&SystemDisk, &index)?;
            notes.write_durably(&note::Note {
                state: State::Asked,
                ..note
            })
        }
    })();
    noted.map_err(|fault| OpenError::fault(dir, fault))
}

/// Removes the note of the index, so that the next start makes a new index.
pub(crate) fn forget_index(disk: &dyn Disk, dir: &Path) -> Result<(), Fault> {
    let index = index::directory(dir);
    let note = note::path(&index);
    match disk.remove(&note) {
        // If the note came back after a power loss, it would be trusted.
        Ok(()) => (disk.sync_dir(&index)).map_err(Fault::io("synchronise", &index)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Fault::io("remove", &note)(error)),
    }
}

/// A copy of an index.
pub(crate) struct IndexCopy {
    pub(crate) tree: sled::Db,
    /// The last applied commit.
    pub(crate) applied: u64,
    /// The database that it belongs to.
    pub(crate) identity: Identity,
    /// The latest time up to where it was flushed.
    pub(crate) time: Timestamp,
}

impl IndexCopy {
    /// Returns all its pairs, except those that exist only in sled.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = sled::Result<Pair>> {
        let whole = (self.tree.iter()).filter_map(|found| pieces::whole(&self.tree, found));
        whole.filter(|found| {
            let is_own = |key: &[u8]| [keys::SEQUENCE, keys::SCHEMA].contains(&key);
            !found.as_ref().is_ok_and(|(key, _)| is_own(key))
        })
    }
}

/// Copies the index to `copy` and opens the copy. Returns the reason if there
/// is no index that can be trusted.
pub(crate) fn copy_of_index(
    disk: &dyn Disk,
    dir: &Path,
    copy: &Path,
    boot: Option<[u8; 16]>,
) -> Result<Result<IndexCopy, String>, Fault> {
    let index = index::directory(dir);
    let Some(note) = note::read(disk, &index)? else {
        return Ok(Err("there is no index".to_owned()));
    };
    let Some(identity) = identity(disk, dir, note.database) else {
        return Ok(Err(
            "no readable file of the ledger is of the same database".to_owned(),
        ));
    };
    if let Some(doubt) = note.doubt(identity.database, boot) {
        return Ok(Err(format!("the index cannot be trusted: {doubt}")));
    }
    if copy.exists() {
        fs::remove_dir_all(copy).map_err(Fault::io("remove", copy))?;
    }
    let from = index.join(note.generation.to_string());
    migrate::copy_sled(&from, copy).map_err(Fault::io("copy", &from))?;
    let broken = |detail| Ok(Err(format!("the index is damaged too: {detail}")));
    let tree = match index::open_sled(copy) {
        Ok(tree) => tree,
        Err(Refusal::Io(fault)) => return Err(fault),
        Err(Refusal::Broken(detail)) => return broken(detail),
    };
    let applied = index::guarded(|| tree.get(keys::SEQUENCE));
    let applied = applied.map(|number| {
        number.and_then(|number| Some(u64::from_be_bytes(number.as_ref().try_into().ok()?)))
    });
    match applied {
        Ok(Some(applied)) if applied >= note.flushed.place.sequence => Ok(Ok(IndexCopy {
            tree,
            applied,
            identity,
            time: note.flushed.place.time,
        })),
        Ok(_) => {
            index::leak(tree);
            broken("it lacks the last flushed commit".to_owned())
        }
        Err(detail) => {
            index::leak(tree);
            broken(detail)
        }
    }
}

/// Returns what the ledger's headers say about `database`.
fn identity(disk: &dyn Disk, dir: &Path, database: [u8; 16]) -> Option<Identity> {
    let ledger = crate::ledger::path(dir);
    let names = Names::list(disk, &ledger).ok()?;
    let checkpoints = (names.checkpoints.iter().rev())
        .filter_map(|sequence| Checkpoint::open(disk, &ledger, *sequence).ok())
        .map(|checkpoint| checkpoint.identity());
    let segments = (names.segments.iter())
        .filter_map(|first| Reader::open(disk, &ledger, *first).ok())
        .map(|reader| reader.header().identity);
    (checkpoints.chain(segments)).find(|identity| identity.database == database)
}
