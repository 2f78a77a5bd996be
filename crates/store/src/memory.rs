use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use assay_engine::ports::{CommitError, Redemption, StoreError, Version};
use assay_proto::Timestamp;
use async_trait::async_trait;

use crate::{
    backend::{Backed, Backend},
    map::{Entries, Get, Overlay, Scan},
    transaction::Prepared,
};

/// A store in memory, for tests and replays: it has the same records, checks
/// and indexes as the one on disk, but is lost with the process.
pub type MemoryStore = Backed<Memory>;

/// The map of a [`MemoryStore`].
#[derive(Default)]
pub struct Memory(Mutex<State>);

#[derive(Default)]
struct State {
    map: BTreeMap<Vec<u8>, Vec<u8>>,
    sequence: u64,
    latest_time: u64,
    nonce_key: Option<[u8; 32]>,
    redeemed: Vec<Redemption>,
}

impl Backed<Memory> {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty store that keeps a nonce key and all redemptions, as
    /// the one on disk does: an engine on it accepts the nonces of an earlier
    /// engine.
    #[must_use]
    pub fn with_nonce_key(key: [u8; 32]) -> Self {
        Self::over(Memory(Mutex::new(State {
            nonce_key: Some(key),
            ..State::default()
        })))
    }
}

impl Memory {
    /// Locks the state. No code leaves it inconsistent while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Backend for Memory {
    fn read<T>(
        &self,
        read: impl FnOnce(&dyn Scan) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(&self.lock().map)
    }

    fn latest_time(&self) -> Timestamp {
        Timestamp(self.lock().latest_time)
    }

    fn nonce_key(&self) -> Option<[u8; 32]> {
        self.lock().nonce_key
    }

    fn redemptions(&self) -> Vec<Redemption> {
        self.lock().redeemed.clone()
    }

    async fn commit(
        &self,
        _name: &'static str,
        prepared: Prepared,
    ) -> Result<Version, CommitError> {
        let (now, resets_time) = (prepared.now, prepared.resets_time);
        let redeemed = prepared.redeemed.clone();
        let state = &mut *self.lock();
        let version = Version(state.sequence + 1);
        let writes = prepared.apply(&Overlay::new(&state.map), version)?;
        for (key, value) in writes {
            match value {
                Some(value) => state.map.insert(key, value),
                None => state.map.remove(&key),
            };
        }
        if state.nonce_key.is_some() {
            state.redeemed.extend(redeemed);
        }
        state.sequence = version.0;
        state.latest_time = if resets_time {
            now.0
        } else {
            state.latest_time.max(now.0)
        };
        Ok(version)
    }
}

impl Get for BTreeMap<Vec<u8>, Vec<u8>> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(BTreeMap::get(self, key).cloned())
    }
}

impl Scan for BTreeMap<Vec<u8>, Vec<u8>> {
    fn scan(&self, from: &[u8], to: &[u8]) -> Entries<'_> {
        // The map panics on a range that ends before it begins.
        let range = (from < to).then(|| self.range(from.to_vec()..to.to_vec()));
        Entries(Box::new(
            range
                .into_iter()
                .flatten()
                .map(|(key, value)| Ok((key.clone(), value.clone()))),
        ))
    }

    fn scan_back(&self, from: &[u8], to: &[u8]) -> Entries<'_> {
        let range = (from < to).then(|| self.range(from.to_vec()..to.to_vec()));
        let range = range.into_iter().flatten().rev();
        Entries(Box::new(
            range.map(|(key, value)| Ok((key.clone(), value.clone()))),
        ))
    }
}
