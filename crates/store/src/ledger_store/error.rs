use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{keys, ledger::fault::Fault};

/// Which databases may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Any.
    Any,
    /// Only laboratory databases, for settings that must never be used with
    /// production data.
    Laboratory,
    /// Only databases that are not a laboratory's.
    Production,
}

impl OpenMode {
    /// Refuses the database in `dir` if its mark does not match.
    pub(super) fn check(self, dir: &Path, laboratory: bool) -> Result<(), OpenError> {
        match self {
            Self::Laboratory if !laboratory => Err(OpenError::NotLaboratory(dir.to_owned())),
            Self::Production if laboratory => Err(OpenError::IsLaboratory(dir.to_owned())),
            _ => Ok(()),
        }
    }
}

/// Why a database could not be opened or created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Files of the database are damaged. Nothing was changed.
    #[error(
        "the database in {} cannot be opened: {detail}. Nothing was changed. `assay store check` \
         lists all damage, `assay store repair` repairs what it can, or restore a backup",
        dir.display()
    )]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// Which file is damaged, at which byte and how.
        detail: String,
    },
    /// There is a database already.
    #[error(
        "{} holds a database already, and it is never overwritten: name another directory, or \
         start the server on this one",
        .0.display()
    )]
    Exists(PathBuf),
    /// Another process has the database open.
    #[error(
        "the database in {} is in use by another process: stop that first",
        .0.display()
    )]
    InUse(PathBuf),
    /// Another file is in the place of a file or directory of the database.
    #[error(
        "{} is in the way, where {wanted} should be: move it away, then try again; {then}. Nothing \
         was changed",
        path.display()
    )]
    InTheWay {
        /// The path of the other file.
        path: PathBuf,
        /// What should be there.
        wanted: &'static str,
        /// What happens once it is moved away.
        then: &'static str,
    },
    /// The directory or its files cannot be read or written.
    #[error("the database in {} cannot be used: {detail}; {}", dir.display(), remedy(*kind))]
    Io {
        /// The directory.
        dir: PathBuf,
        /// The kind of the error.
        kind: io::ErrorKind,
        /// The error text of the operating system.
        detail: String,
    },
    /// The database was created as a laboratory's.
    #[error(
        "the database in {} was created as a laboratory's, which cannot be changed: use another \
         directory for production",
        .0.display()
    )]
    IsLaboratory(PathBuf),
    /// There is no database.
    #[error(
        "there is no database in {}: make one with `assay init`, or name the right directory",
        .0.display()
    )]
    Missing(PathBuf),
    /// A laboratory database was requested, but this is not one.
    #[error(
        "the database in {} was not created as a laboratory's, which cannot be changed: \
         use another directory for laboratory settings",
        .0.display()
    )]
    NotLaboratory(PathBuf),
    /// The database has an older layout, which only `serve` migrates.
    #[error(
        "the database in {} is of an older layout: start `assay serve` once, which migrates it",
        .0.display()
    )]
    NotMigrated(PathBuf),
    /// The caller's check refused the migration of an older layout.
    #[error(
        "{0}. The database is of an older layout, and was not migrated: nothing was changed, and \
         the program that wrote it still opens it"
    )]
    NotToMigrate(String),
    /// This program does not support the layout.
    #[error(
        "the database in {} has layout {found}, this program reads layouts up to {}: use the \
         version of the program that wrote it",
        dir.display(),
        keys::SCHEMA_VERSION
    )]
    Schema {
        /// The directory.
        dir: PathBuf,
        /// The layout's number.
        found: u32,
    },
    /// The database lacks its first records.
    #[error(
        "the database in {} was never completed, or lost its first records: if `assay init` was \
         interrupted, remove the directory and repeat it, otherwise restore a backup",
        .0.display()
    )]
    Unfinished(PathBuf),
}

/// Returns what to do about an error of the operating system.
fn remedy(kind: io::ErrorKind) -> &'static str {
    use io::ErrorKind::{
        IsADirectory, NotADirectory, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem,
        StorageFull,
    };
    match kind {
        IsADirectory => "a directory is where a file should be: move it away",
        NotADirectory => "a file is where a directory should be: move it away",
        io::ErrorKind::InvalidInput => "move away what is in the place of the file",
        NotFound => "check that the path is right and that nothing was removed",
        PermissionDenied => "run the command as the user who owns the files",
        QuotaExceeded | StorageFull => "make room on the disk, then try again",
        ReadOnlyFilesystem => "mount the file system writable, then try again",
        _ => "check the disk and the system's log, then try again",
    }
}

impl OpenError {
    pub(crate) fn io(dir: &Path, error: &io::Error) -> Self {
        Self::Io {
            dir: dir.to_owned(),
            kind: error.kind(),
            detail: error.to_string(),
        }
    }

    /// Converts a fault of the files in `dir`.
    pub(crate) fn fault(dir: &Path, fault: Fault) -> Self {
        match fault {
            Fault::Damage(damage) => Self::Damaged {
                dir: dir.to_owned(),
                detail: damage.to_string(),
            },
            Fault::Io { kind, .. } => Self::Io {
                dir: dir.to_owned(),
                kind,
                detail: fault.to_string(),
            },
            Fault::Layout(found) => Self::Schema {
                dir: dir.to_owned(),
                found,
            },
            Fault::Stopped => Self::Io {
                dir: dir.to_owned(),
                kind: io::ErrorKind::Interrupted,
                detail: fault.to_string(),
            },
        }
    }
}
