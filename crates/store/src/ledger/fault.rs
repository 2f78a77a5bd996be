//! Why the ledger cannot be read or written.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// A fault of the ledger. Damage and I/O errors are strictly separate: damage
/// persists when the same bytes are read again, an I/O error may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// A file does not hold what was written.
    #[error("{0}")]
    Damage(Damage),
    /// The records have a layout that only a newer program can read.
    #[error("its records have layout {0}, which only a newer program reads")]
    Layout(u32),
    /// The work was stopped before it was complete.
    #[error("it was stopped")]
    Stopped,
    /// The operating system refused an operation.
    #[error("cannot {doing} {}: {detail}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        kind: io::ErrorKind,
        detail: String,
    },
}

/// Where a file is damaged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// The offset of the first byte that is wrong or missing.
    pub offset: u64,
    /// What is wrong there.
    pub detail: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, offset) = (self.path.display(), self.offset);
        write!(f, "{path} is damaged at byte {offset}: {}", self.detail)
    }
}

impl Fault {
    /// Creates the fault for damage at `offset` of `path`.
    pub(crate) fn damage(path: &Path, offset: u64, detail: impl Into<String>) -> Self {
        Self::Damage(Damage {
            path: path.to_owned(),
            offset,
            detail: detail.into(),
        })
    }

    /// Creates the fault for a failed operation `doing` on `path`.
    pub(crate) fn io<'a>(
        doing: &'static str,
        path: &'a Path,
    ) -> impl Fn(io::Error) -> Self + use<'a> {
        move |error| Self::Io {
            doing,
            path: path.to_owned(),
            kind: error.kind(),
            detail: error.to_string(),
        }
    }
}
