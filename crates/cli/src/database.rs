//! What the binary needs of its database beside the engine's [`Store`]. Where the
//! database of a server lies is decided in one place, `app/ledger.rs`.

use std::{io, sync::Arc};

use assay_engine::{
    domain::Certificate,
    ports::{Store, StoreError},
};
use assay_store::{
    LedgerStore, Options,
    maintenance::{Restored, RestoredFrom},
};
use async_trait::async_trait;

use crate::{
    dir::Dir,
    permissions::give_to_owner_of,
    progress::Progress,
    stop::{OrStop, Stop},
};

/// The database of a server. What is not async may block: it is for the start
/// of a server.
#[async_trait]
pub trait Database: Store {
    /// That it was restored from a backup, or repaired with a loss, and that is
    /// not acknowledged.
    fn restored(&self) -> Result<Option<Restored>, StoreError>;

    /// The key of the CA that issues for it, as it was noted: the SHA-256 of its
    /// SubjectPublicKeyInfo.
    fn issuer(&self) -> Result<Option<[u8; 32]>, StoreError>;

    /// Notes which CA issues for it.
    fn set_issuer(&self, spki_sha256: [u8; 32]) -> Result<(), StoreError>;

    /// A sample of at most `limit` certificates.
    fn certificates(&self, limit: usize) -> Result<Vec<Certificate>, StoreError>;

    /// Returns once it would take a commit. Writes nothing.
    async fn respond(&self) -> Result<(), StoreError>;

    /// Completes when it takes no commit any more and only another start can
    /// mend that, with the reason.
    async fn poisoned(&self) -> StoreError;
}

#[async_trait]
impl Database for LedgerStore {
    fn restored(&self) -> Result<Option<Restored>, StoreError> {
        Self::restored(self)
    }

    fn issuer(&self) -> Result<Option<[u8; 32]>, StoreError> {
        Self::issuer(self)
    }

    fn set_issuer(&self, spki_sha256: [u8; 32]) -> Result<(), StoreError> {
        Self::set_issuer(self, spki_sha256)
    }

    fn certificates(&self, limit: usize) -> Result<Vec<Certificate>, StoreError> {
        Self::certificates(self, limit)
    }

    async fn respond(&self) -> Result<(), StoreError> {
        Self::respond(self).await
    }

    async fn poisoned(&self) -> StoreError {
        Self::poisoned(self).await
    }
}

/// Ends a command that may have written the database: gives files that root
/// created to the owner of the directory, whose server could not start
/// otherwise.
pub fn hand_over(dir: &Dir, ended: Result<(), Stop>) -> Result<(), Stop> {
    let given = match give_to_owner_of(dir.path(), &dir.db()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let doing = format!("cannot give {} to its owner", dir.db().display());
    ended.and(given.or_fault(&doing))
}

/// Options that show the progress of an index rebuild.
pub fn with_progress() -> Options {
    let progress = Progress::new("rebuild of the index");
    let mut options = Options::default();
    options.on_rebuild = Arc::new(move |done, total| progress.show(done, total));
    options
}

/// Describes what happened to a restored database.
pub fn describe_restored(restored: &Restored) -> String {
    let Restored {
        from,
        sequence,
        time,
    } = restored;
    match from {
        RestoredFrom::Backup => format!(
            "the database was restored from a backup that ends with commit {sequence} ({time}); certificates issued or revoked after that are unknown"
        ),
        RestoredFrom::Recreated => format!(
            "the database was lost, and an empty one was created for its CA at {time}: everything issued, revoked or ordered before that is unknown"
        ),
        RestoredFrom::Loss => format!(
            "the database was damaged after commit {sequence}, and repaired with a loss; certificates issued or revoked after that may be unknown"
        ),
    }
}
