//! Why a command failed, and its exit code.

use std::{fmt, io, path::Path};

use anyhow::anyhow;
use assay_store::OpenError;
use rustix::fs::Access;

use crate::{dir::Dir, permissions};

/// The failure of a command.
#[derive(Debug)]
pub struct Stop {
    kind: Kind,
    error: anyhow::Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Refused = 1,
    Usage = 2,
    Fault = 3,
}

impl Stop {
    /// The exit code for a wrong command line or configuration.
    pub const USAGE: u8 = Kind::Usage as u8;

    /// A request was refused, or a check found a difference.
    pub fn refused(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Kind::Refused, error)
    }

    /// The command or the configuration is wrong.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Kind::Usage, error)
    }

    /// The server, the network or the machine failed.
    pub fn fault(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Kind::Fault, error)
    }

    fn new(kind: Kind, error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        let kind = match kind {
            // A change of the command or the configuration does not fix a disk.
            Kind::Usage if is_disk_error(&error) => Kind::Fault,
            kind => kind,
        };
        Self { kind, error }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        self.kind as u8
    }
}

/// Whether the disk is full, read-only or failing.
fn is_disk_error(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(
            kind,
            Some(
                io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::StorageFull
            )
        )
    })
}

impl From<OpenError> for Stop {
    /// Damage and I/O errors are faults of the machine; for all other errors
    /// the command, its user or its directory is wrong.
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io {
                ref dir,
                kind: io::ErrorKind::PermissionDenied,
                ..
            } => {
                let denied = permissions::denied(dir, Access::READ_OK | Access::WRITE_OK);
                Self::usage(anyhow!("the database cannot be used: {denied}"))
            }
            OpenError::Missing(ref dir) if has_ca_beside(dir) => Self::usage(anyhow!(
                "there is no database in {}, and there is a CA beside it: restore a backup into another directory, or, if there is none, create an empty database for this CA with `assay init --keep-ca`",
                dir.display()
            )),
            OpenError::Damaged { .. } | OpenError::InTheWay { .. } | OpenError::Io { .. } => {
                Self::fault(error)
            }
            _ => Self::usage(error),
        }
    }
}

/// Whether a server's CA is beside the database's location.
fn has_ca_beside(db: &Path) -> bool {
    let server = db.parent().map(Dir::new);
    server.is_some_and(|server| server.ca_certificate("issuing").exists())
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some errors include their cause in their own text.
        let mut said = self.error.to_string();
        for cause in self.error.chain().skip(1).map(ToString::to_string) {
            if !said.contains(&cause) {
                said = format!("{said}: {cause}");
            }
        }
        f.write_str(&said)
    }
}

/// Converts errors to [`Stop`]s, with a description of the operation.
pub trait OrStop<T> {
    /// The command or the configuration is wrong.
    fn or_usage(self, doing: impl fmt::Display) -> Result<T, Stop>;
    /// The server, the network or the machine failed.
    fn or_fault(self, doing: impl fmt::Display) -> Result<T, Stop>;
}

impl<T, E: Into<anyhow::Error>> OrStop<T> for Result<T, E> {
    fn or_usage(self, doing: impl fmt::Display) -> Result<T, Stop> {
        self.map_err(|error| Stop::usage(error.into().context(doing.to_string())))
    }

    fn or_fault(self, doing: impl fmt::Display) -> Result<T, Stop> {
        self.map_err(|error| Stop::fault(error.into().context(doing.to_string())))
    }
}
