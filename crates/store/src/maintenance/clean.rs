//! Removes files that were set aside and that a server no longer needs.

use std::{fs, io, path::Path};

use crate::{
    OpenError,
    ledger::{compact::UNFINISHED, path},
    ledger_store::{self, BEFORE_LAYOUT, BEFORE_LEDGER, DirectoryLock},
};

/// The prefix of a replaced ledger's name, before its number.
pub(super) const DAMAGED: &str = "ledger.damaged-";

/// A file or directory that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its name within the database's directory.
    pub name: String,
    /// The total length of its files in bytes.
    pub bytes: u64,
}

/// Removes what was set aside in the database in `dir`: replaced indexes, the
/// files of an older layout, damaged ledgers that were repaired, and incomplete
/// files of a crash. Returns what was removed.
///
/// # Errors
/// There is no database, a server is running, or a file cannot be removed.
pub fn clean(dir: &Path) -> Result<Vec<Leftover>, OpenError> {
    if !path(dir).is_dir() {
        return Err(ledger_store::no_ledger(dir));
    }
    let _lock = DirectoryLock::take(dir)?;
    let io = |error| OpenError::io(dir, &error);
    let index = ledger_store::index_directory(dir);
    let mut removed = Vec::new();
    for name in names(dir).map_err(io)? {
        let unfinished = name.ends_with(&format!(".{UNFINISHED}"));
        if name == BEFORE_LEDGER
            || name.starts_with(BEFORE_LAYOUT)
            || name.starts_with(DAMAGED)
            || unfinished
        {
            removed.push(remove(dir, &name).map_err(io)?);
        }
    }
    for name in names(&index).map_err(io)? {
        if ledger_store::is_set_aside(&name) {
            let leftover = remove(&index, &name).map_err(io)?;
            removed.push(Leftover {
                name: format!("index/{}", leftover.name),
                ..leftover
            });
        }
    }
    Ok(removed)
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                names.extend(entry?.file_name().into_string().ok());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    names.sort_unstable();
    Ok(names)
}

fn remove(dir: &Path, name: &str) -> io::Result<Leftover> {
    let path = dir.join(name);
    let bytes = size(&path)?;
    match fs::symlink_metadata(&path)?.is_dir() {
        true => fs::remove_dir_all(&path)?,
        false => fs::remove_file(&path)?,
    }
    Ok(Leftover {
        name: name.to_owned(),
        bytes,
    })
}

fn size(path: &Path) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        bytes += size(&entry?.path())?;
    }
    Ok(bytes)
}
