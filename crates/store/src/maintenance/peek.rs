//! Reads facts about a database before it is opened.

use std::path::Path;

use assay_proto::Timestamp;

use crate::{
    OpenError, keys,
    ledger::{
        self,
        checkpoint::Checkpoint,
        disk::{Disk, SystemDisk},
        fault::Fault,
        survey::beside_a_server,
    },
    ledger_store,
};

/// What decides whether a server may start with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether the database was created as a laboratory's.
    pub laboratory: bool,
    /// The latest time of all commits.
    pub latest_time: Timestamp,
    /// The recorded key of the CA that issues for it: the SHA-256 of its
    /// SubjectPublicKeyInfo.
    pub issuer: Option<[u8; 32]>,
}

/// Reads the ledger of the database in `dir` if it has no index yet, so that a
/// start that is refused need not build one. Changes nothing. `None` if there
/// is an index, or if the database must be migrated first.
///
/// # Errors
/// [`OpenError`], as the start would return it.
pub fn peek(dir: &Path) -> Result<Option<Facts>, OpenError> {
    let index = ledger_store::index_directory(dir);
    // If another file is in the place of the index, the start reports it.
    let in_the_way = index.exists() && !index.is_dir();
    if in_the_way || ledger_store::note_path(&index).exists() || !ledger::path(dir).is_dir() {
        return Ok(None);
    }
    beside_a_server(|| read(&SystemDisk, dir))
        .map(Some)
        .map_err(|fault| OpenError::fault(dir, fault))
}

/// Checks that there is a database of any layout in `dir`, without reading it.
/// Changes nothing.
///
/// # Errors
/// [`OpenError`], as the start would return it.
pub fn check_present(dir: &Path) -> Result<(), OpenError> {
    match ledger::path(dir).is_dir() {
        true => Ok(()),
        false => match ledger_store::no_ledger(dir) {
            OpenError::NotMigrated(_) => Ok(()),
            error => Err(error),
        },
    }
}

fn read(disk: &dyn Disk, dir: &Path) -> Result<Facts, Fault> {
    let survey = ledger_store::survey(disk, dir)?;
    let mut issuer = in_checkpoint(&survey.checkpoint, keys::ISSUER)?;
    let end = survey.read(disk, survey.start(), |entry, _| {
        for (key, value) in entry.writes() {
            if key == keys::ISSUER {
                issuer = value.map(<[u8]>::to_vec);
            }
        }
        Ok(())
    })?;
    Ok(Facts {
        laboratory: survey.identity().laboratory,
        latest_time: end.place.time,
        issuer: issuer.and_then(|issuer| issuer.try_into().ok()),
    })
}

fn in_checkpoint(checkpoint: &Checkpoint, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    if checkpoint.blocks() == 0 {
        return Ok(None);
    }
    let mut block = checkpoint.block(checkpoint.block_of(key))?;
    while let Some((found, value)) = block.next_pair() {
        if found == key {
            return Ok(value.map(<[u8]>::to_vec));
        }
    }
    Ok(None)
}
