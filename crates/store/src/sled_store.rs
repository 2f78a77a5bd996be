mod disk;
mod open;
mod progress;
mod writer;

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use assay_ca::SerialNumber;
use assay_engine::{
    domain::{Account, Authorization, Certificate, Order, ServerIntent},
    ids::{AccountId, AuthorizationId, OrderId},
    ports::{
        ChangeSet, CommitError, OrderCursor, Redemption, Store, StoreError, Version, Versioned,
    },
};
use assay_jws::Thumbprint;
use assay_proto::Timestamp;
use async_trait::async_trait;
use sled::IVec;
use tokio::sync::{mpsc, oneshot};

use self::{
    disk::Disk,
    open::Database,
    progress::Progress,
    writer::{Job, Writer},
};
use crate::{
    keys,
    map::{Entries, Get, Scan},
    query,
    record::{
        KeyCache, Record, StoredAccount, StoredAuthorization, StoredCertificate, StoredOrder,
    },
    transaction::Prepared,
};

pub use self::open::{OpenError, OpenMode};

/// Commits that may wait for the writer; further ones wait for their place.
const QUEUE_LEN: usize = 1024;

/// The store of a single server: sled, in one directory, durable to the disk.
///
/// One thread writes. It makes all commits that wait durable together and only
/// then answers them. Readers see what is applied, and wait until that is
/// durable before they return it.
///
/// When the disk fails, what is in memory and what is on the disk may differ:
/// the store is poisoned, refuses everything, and the process should end; see
/// [`poisoned`](Self::poisoned).
pub struct SledStore {
    tree: sled::Db,
    cache: KeyCache,
    laboratory: bool,
    progress: Arc<Progress>,
    /// `None` only while the store is dropped.
    queue: Option<mpsc::Sender<Job>>,
    /// `None` only while the store is dropped.
    writer: Option<JoinHandle<()>>,
    /// Keeps other processes out.
    _lock: File,
}

impl SledStore {
    /// Makes the database in `dir`, which need not exist yet. Whether it is a
    /// laboratory's is decided here and never changes.
    ///
    /// # Errors
    /// [`OpenError::Exists`] rather than touch what is there; otherwise as
    /// [`open`](Self::open).
    pub fn create(dir: &Path, laboratory: bool) -> Result<Self, OpenError> {
        let (database, file) = open::create(dir, laboratory)?;
        Self::start(database, Box::new(file))
    }

    /// Opens the database in `dir`; never makes a new one.
    ///
    /// # Errors
    /// [`OpenError`], whose message says what to do.
    pub fn open(dir: &Path, mode: OpenMode) -> Result<Self, OpenError> {
        let (database, file) = open::open(dir, mode)?;
        Self::start(database, Box::new(file))
    }

    fn start(database: Database, disk: Box<dyn Disk>) -> Result<Self, OpenError> {
        let Database {
            dir,
            tree,
            lock,
            laboratory,
            sequence,
            latest_time,
        } = database;
        let progress = Arc::new(Progress::new(sequence, latest_time));
        let (queue, jobs) = mpsc::channel(QUEUE_LEN);
        let writer = Writer {
            tree: tree.clone(),
            disk,
            progress: Arc::clone(&progress),
            sequence,
            latest_time,
        };
        let writer = thread::Builder::new()
            .name("assay-store".to_owned())
            .spawn(move || writer.run(jobs))
            .map_err(|error| OpenError::io(&dir, &error))?;
        Ok(Self {
            tree,
            cache: KeyCache::default(),
            laboratory,
            progress,
            queue: Some(queue),
            writer: Some(writer),
            _lock: lock,
        })
    }

    /// Whether the database was created as a laboratory's.
    #[must_use]
    pub fn is_laboratory(&self) -> bool {
        self.laboratory
    }

    /// Completes when the store is poisoned, with the reason: the server logs
    /// it and ends. Pends for ever when the store is dropped in health.
    pub fn poisoned(&self) -> impl Future<Output = StoreError> + Send + use<> {
        self.progress.poisoned()
    }

    /// One record, once the commit that wrote it is durable.
    async fn one<R: Record>(
        &self,
        key: Vec<u8>,
    ) -> Result<Option<Versioned<R::Domain>>, StoreError> {
        let found = self.read(|map| query::one::<R>(map, &self.cache, &key))?;
        self.settled(found).await
    }

    /// `found`, once the commit that wrote it is durable. That there is
    /// nothing may be the doing of any commit that is visible.
    async fn settled<T>(
        &self,
        found: Option<Versioned<T>>,
    ) -> Result<Option<Versioned<T>>, StoreError> {
        let sequence = match &found {
            Some(Versioned {
                version: Version(sequence),
                ..
            }) => *sequence,
            None => self.progress.applied(),
        };
        self.progress.wait(sequence).await?;
        Ok(found)
    }

    /// What a list shows, once all commits that it may show are durable: those
    /// too that took entries out.
    async fn list<T>(
        &self,
        read: impl FnOnce(&dyn Scan) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let list = self.read(read)?;
        self.progress.wait(self.progress.applied()).await?;
        Ok(list)
    }

    /// Reads from the tree. sled panics on some damaged pages: as good a
    /// reason to stop as a failed write.
    fn read<T>(
        &self,
        read: impl FnOnce(&dyn Scan) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        catch_unwind(AssertUnwindSafe(|| read(&*self.tree))).unwrap_or_else(|_| {
            let reason = StoreError("the database panicked while it was read".to_owned());
            self.progress.poison(reason.clone());
            Err(reason)
        })
    }
}

#[async_trait]
impl Store for SledStore {
    async fn account(&self, id: AccountId) -> Result<Option<Versioned<Account>>, StoreError> {
        self.one::<StoredAccount>(keys::account(id)).await
    }

    async fn account_by_key(
        &self,
        thumbprint: Thumbprint,
    ) -> Result<Option<Versioned<Account>>, StoreError> {
        let found = self.read(|map| query::account_by_key(map, &self.cache, &thumbprint))?;
        self.settled(found).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<Versioned<Order>>, StoreError> {
        self.one::<StoredOrder>(keys::order(id)).await
    }

    async fn authorization(
        &self,
        id: AuthorizationId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError> {
        self.one::<StoredAuthorization>(keys::authorization(id))
            .await
    }

    async fn certificate(
        &self,
        serial: SerialNumber,
    ) -> Result<Option<Versioned<Certificate>>, StoreError> {
        self.one::<StoredCertificate>(keys::certificate(serial.as_bytes()))
            .await
    }

    async fn orders(
        &self,
        account: Option<AccountId>,
        after: Option<OrderCursor>,
        limit: usize,
    ) -> Result<Vec<OrderCursor>, StoreError> {
        self.list(|map| query::orders(map, account, after, limit))
            .await
    }

    async fn open_orders(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OrderId>, StoreError> {
        self.list(|map| query::open_orders(map, account, now, limit))
            .await
    }

    async fn orders_in_processing(&self) -> Result<Vec<OrderId>, StoreError> {
        self.list(query::orders_in_processing).await
    }

    async fn server_intents(&self) -> Result<Vec<Versioned<ServerIntent>>, StoreError> {
        self.list(|map| query::server_intents(map, &self.cache))
            .await
    }

    async fn accounts_without_orders(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<Versioned<Account>>, StoreError> {
        self.list(|map| query::accounts_without_orders(map, &self.cache, before, limit))
            .await
    }

    fn latest_time(&self) -> Timestamp {
        self.progress.latest_time()
    }

    fn nonce_key(&self) -> Option<[u8; 32]> {
        None
    }

    fn redemptions(&self) -> Vec<Redemption> {
        Vec::new()
    }

    async fn commit(&self, name: &'static str, changes: ChangeSet) -> Result<Version, CommitError> {
        let prepared = Prepared::new(changes)?;
        let (answer, answered) = oneshot::channel();
        let job = Job {
            name,
            prepared,
            answer,
        };
        if let Some(queue) = &self.queue
            && queue.send(job).await.is_ok()
            && let Ok(result) = answered.await
        {
            return result;
        }
        // The writer is gone, and never goes without a reason.
        Err(self.progress.poisoned().await.into())
    }
}

impl Drop for SledStore {
    /// Waits until the commits that were accepted are durable.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was caught and told already.
            let _ = writer.join();
        }
    }
}

impl Get for sled::Tree {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        Self::get(self, key).map_err(|error| read_failed(&error))
    }
}

impl Scan for sled::Tree {
    fn scan(&self, from: &[u8], to: &[u8]) -> Entries<'_> {
        let entries = self.range(from..to);
        Entries(Box::new(
            entries.map(|entry| entry.map_err(|error| read_failed(&error))),
        ))
    }
}

fn read_failed(error: &sled::Error) -> StoreError {
    StoreError(format!("reading from the database failed: {error}"))
}

#[cfg(test)]
mod tests;
