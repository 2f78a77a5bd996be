use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
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

use crate::{
    keys,
    map::{Entries, Get, Overlay, Scan},
    query,
    record::{KeyCache, StoredAccount, StoredAuthorization, StoredCertificate, StoredOrder},
    transaction::Prepared,
};

/// A store in memory, for tests and replays: the same records, checks and indexes as on
/// the disk, and all gone with the process.
#[derive(Default)]
pub struct MemoryStore {
    cache: KeyCache,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    map: BTreeMap<Vec<u8>, IVec>,
    sequence: u64,
    latest_time: u64,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The state. No code that holds the lock leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn account(&self, id: AccountId) -> Result<Option<Versioned<Account>>, StoreError> {
        query::one::<StoredAccount>(&self.lock().map, &self.cache, &keys::account(id))
    }

    async fn account_by_key(
        &self,
        thumbprint: Thumbprint,
    ) -> Result<Option<Versioned<Account>>, StoreError> {
        query::account_by_key(&self.lock().map, &self.cache, &thumbprint)
    }

    async fn order(&self, id: OrderId) -> Result<Option<Versioned<Order>>, StoreError> {
        query::one::<StoredOrder>(&self.lock().map, &self.cache, &keys::order(id))
    }

    async fn authorization(
        &self,
        id: AuthorizationId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError> {
        query::one::<StoredAuthorization>(&self.lock().map, &self.cache, &keys::authorization(id))
    }

    async fn certificate(
        &self,
        serial: SerialNumber,
    ) -> Result<Option<Versioned<Certificate>>, StoreError> {
        query::one::<StoredCertificate>(
            &self.lock().map,
            &self.cache,
            &keys::certificate(serial.as_bytes()),
        )
    }

    async fn orders(
        &self,
        account: Option<AccountId>,
        after: Option<OrderCursor>,
        limit: usize,
    ) -> Result<Vec<OrderCursor>, StoreError> {
        query::orders(&self.lock().map, account, after, limit)
    }

    async fn open_orders(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OrderId>, StoreError> {
        query::open_orders(&self.lock().map, account, now, limit)
    }

    async fn orders_in_processing(&self) -> Result<Vec<OrderId>, StoreError> {
        query::orders_in_processing(&self.lock().map)
    }

    async fn server_intents(&self) -> Result<Vec<Versioned<ServerIntent>>, StoreError> {
        query::server_intents(&self.lock().map, &self.cache)
    }

    async fn accounts_without_orders(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<Versioned<Account>>, StoreError> {
        query::accounts_without_orders(&self.lock().map, &self.cache, before, limit)
    }

    fn latest_time(&self) -> Timestamp {
        Timestamp(self.lock().latest_time)
    }

    fn nonce_key(&self) -> Option<[u8; 32]> {
        None
    }

    fn redemptions(&self) -> Vec<Redemption> {
        Vec::new()
    }

    async fn commit(
        &self,
        _name: &'static str,
        changes: ChangeSet,
    ) -> Result<Version, CommitError> {
        let prepared = Prepared::new(changes)?;
        let now = prepared.now;
        let state = &mut *self.lock();
        let mut overlay = Overlay::new(&state.map);
        let version = prepared.apply(&mut overlay, Version(state.sequence + 1))?;
        for (key, value) in overlay.into_writes() {
            match value {
                Some(value) => state.map.insert(key, value),
                None => state.map.remove(&key),
            };
        }
        state.sequence = version.0;
        state.latest_time = state.latest_time.max(now.0);
        Ok(version)
    }
}

impl Get for BTreeMap<Vec<u8>, IVec> {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        Ok(BTreeMap::get(self, key).cloned())
    }
}

impl Scan for BTreeMap<Vec<u8>, IVec> {
    fn scan(&self, from: &[u8], to: &[u8]) -> Entries<'_> {
        // A range that ends before it begins would panic in the map.
        let range = (from < to).then(|| self.range(from.to_vec()..to.to_vec()));
        Entries(Box::new(range.into_iter().flatten().map(|(key, value)| {
            Ok((IVec::from(key.as_slice()), value.clone()))
        })))
    }
}
