//! What a server needs of its database beside the engine's [`Store`]. Where the
//! database lies is decided in one place, `app/ledger.rs`.

use assay_engine::{
    domain::Certificate,
    ports::{Store, StoreError},
};
use assay_store::{LedgerStore, maintenance::Restored};
use async_trait::async_trait;

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
