//! What distinguishes one store from another: where the ordered map is, and how
//! a commit changes it. [`Backed`] does everything else.

use assay_engine::{
    SerialNumber, Thumbprint,
    domain::{Account, Authorization, Certificate, Lease, Note, Order, ServerIntent, Work},
    ids::{AccountId, AuthorizationId, ChallengeId, OrderId},
    names::DirectoryName,
    ports::{
        AccountCursor, ChangeSet, CommitError, Direction, DueValidation, OpenOrder, OrderCursor,
        OrderList, ProvisionalAccount, Redemption, Store, StoreError, UnprovenOrder, Version,
        Versioned,
    },
};
use assay_proto::{Identifier, Timestamp};
use async_trait::async_trait;

use crate::{
    keys,
    map::Scan,
    query,
    record::{
        KeyCache, Record, StoredAccount, StoredAuthorization, StoredCertificate, StoredLease,
        StoredNotes, StoredOrder,
    },
    transaction::Prepared,
};

/// An ordered map that commits change.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// Calls `read` with the map as of the last commit.
    fn read<T>(
        &self,
        read: impl FnOnce(&dyn Scan) -> Result<T, StoreError>,
    ) -> Result<T, StoreError>;

    fn latest_time(&self) -> Timestamp;

    fn nonce_key(&self) -> Option<[u8; 32]>;

    fn redemptions(&self) -> Vec<Redemption>;

    /// Commits. Returns once the commit is durable.
    async fn commit(&self, name: &'static str, prepared: Prepared) -> Result<Version, CommitError>;
}

/// A store on top of a map.
#[derive(Default)]
pub struct Backed<B> {
    pub(crate) backend: B,
    cache: KeyCache,
}

impl<B> Backed<B> {
    pub(crate) fn over(backend: B) -> Self {
        Self {
            backend,
            cache: KeyCache::default(),
        }
    }
}

#[expect(private_bounds, reason = "back ends are private to this crate")]
impl<B: Backend> Backed<B> {
    /// Returns at most `limit` certificates, in the order of their serial
    /// numbers, which are random: a sample.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn certificates(&self, limit: usize) -> Result<Vec<Certificate>, StoreError> {
        (self.backend).read(|map| query::certificates(map, &self.cache, limit))
    }

    /// [`Store::latest_time`] for synchronous code: these stores have it in
    /// memory.
    #[must_use]
    pub fn recorded_time(&self) -> Timestamp {
        self.backend.latest_time()
    }

    fn one<R: Record>(&self, key: &[u8]) -> Result<Option<Versioned<R::Domain>>, StoreError> {
        (self.backend).read(|map| query::one::<R>(map, &self.cache, key))
    }
}

#[async_trait]
impl<B: Backend> Store for Backed<B> {
    async fn account(&self, id: AccountId) -> Result<Option<Versioned<Account>>, StoreError> {
        self.one::<StoredAccount>(&keys::account(id))
    }

    async fn account_by_key(
        &self,
        directory: DirectoryName,
        thumbprint: Thumbprint,
    ) -> Result<Option<Versioned<Account>>, StoreError> {
        (self.backend).read(|map| query::account_by_key(map, &self.cache, directory, &thumbprint))
    }

    async fn is_account_key(&self, thumbprint: Thumbprint) -> Result<bool, StoreError> {
        (self.backend).read(|map| query::is_account_key(map, &thumbprint))
    }

    async fn order(&self, id: OrderId) -> Result<Option<Versioned<Order>>, StoreError> {
        self.one::<StoredOrder>(&keys::order(id))
    }

    async fn notes(&self, order: OrderId) -> Result<Vec<Note>, StoreError> {
        let found = self.one::<StoredNotes>(&keys::notes(order))?;
        Ok(found.map(|notes| notes.value).unwrap_or_default())
    }

    async fn authorization(
        &self,
        id: AuthorizationId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError> {
        self.one::<StoredAuthorization>(&keys::authorization(id))
    }

    async fn authorization_of_challenge(
        &self,
        id: ChallengeId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError> {
        (self.backend).read(|map| query::authorization_of_challenge(map, &self.cache, id))
    }

    async fn validations(&self, limit: usize) -> Result<Vec<DueValidation>, StoreError> {
        self.backend.read(|map| query::validations(map, limit))
    }

    async fn certificate(
        &self,
        serial: SerialNumber,
    ) -> Result<Option<Versioned<Certificate>>, StoreError> {
        self.one::<StoredCertificate>(&keys::certificate(serial.as_bytes()))
    }

    async fn orders(
        &self,
        list: OrderList<'_>,
        from: Option<OrderCursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<OrderCursor>, StoreError> {
        (self.backend).read(|map| query::orders(map, list, from, direction, limit))
    }

    async fn count_orders(&self) -> Result<u64, StoreError> {
        self.backend.read(query::count_orders)
    }

    async fn open_orders(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OrderId>, StoreError> {
        (self.backend).read(|map| query::open_orders(map, account, None, now, limit))
    }

    async fn open_orders_naming(
        &self,
        account: AccountId,
        identifier: &Identifier,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OrderId>, StoreError> {
        (self.backend).read(|map| query::open_orders(map, account, Some(identifier), now, limit))
    }

    async fn unproven_orders(
        &self,
        identifier: &Identifier,
        after: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<UnprovenOrder>, StoreError> {
        (self.backend).read(|map| query::unproven_orders(map, identifier, after, limit))
    }

    async fn open_orders_of_all(
        &self,
        after: Option<OpenOrder>,
        limit: usize,
    ) -> Result<Vec<OpenOrder>, StoreError> {
        (self.backend).read(|map| query::open_orders_of_all(map, after, limit))
    }

    async fn orders_in_processing(&self) -> Result<Vec<OrderId>, StoreError> {
        self.backend.read(query::orders_in_processing)
    }

    async fn server_intents(&self) -> Result<Vec<Versioned<ServerIntent>>, StoreError> {
        (self.backend).read(|map| query::server_intents(map, &self.cache))
    }

    async fn lease(&self, work: Work) -> Result<Option<Versioned<Lease>>, StoreError> {
        self.one::<StoredLease>(&keys::lease(work.as_str()))
    }

    async fn provisional_accounts(
        &self,
        after: Option<AccountCursor>,
        limit: usize,
    ) -> Result<Vec<ProvisionalAccount>, StoreError> {
        (self.backend).read(|map| query::provisional_accounts(map, after, limit))
    }

    async fn latest_time(&self) -> Result<Timestamp, StoreError> {
        Ok(self.backend.latest_time())
    }

    async fn nonce_key(&self) -> Result<Option<[u8; 32]>, StoreError> {
        Ok(self.backend.nonce_key())
    }

    async fn redemptions(&self) -> Result<Vec<Redemption>, StoreError> {
        Ok(self.backend.redemptions())
    }

    async fn commit(&self, name: &'static str, changes: ChangeSet) -> Result<Version, CommitError> {
        let prepared = Prepared::new(changes)?;
        self.backend.commit(name, prepared).await
    }
}
