//! A store with planned commit failures.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use assay_ca::SerialNumber;
use assay_engine::{
    domain::{Account, Authorization, Certificate, Lease, Note, Order, ServerIntent, Work},
    ids::{AccountId, AuthorizationId, ChallengeId, OrderId},
    names::DirectoryName,
    ports::{
        AccountCursor, ChangeSet, CommitError, ConflictOn, Direction, DueValidation, OpenOrder,
        OrderCursor, OrderList, ProvisionalAccount, Redemption, Store, StoreError, TimeReset,
        UnprovenOrder, Version, Versioned,
    },
};
use assay_jws::Thumbprint;
use assay_proto::{Identifier, Timestamp};
use assay_store::MemoryStore;
use async_trait::async_trait;

/// How the next commit with a given name fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// The commit is not made.
    Lost,
    /// The commit is made, but the caller gets an error.
    Unacknowledged,
}

/// A memory store whose commits can be made to fail.
#[derive(Default)]
pub struct FaultyStore {
    inner: MemoryStore,
    fault: Mutex<Option<(&'static str, CommitFault)>>,
    overtaking: Mutex<Option<(&'static str, ChangeSet)>>,
    replaced_nonce_key: Mutex<Option<[u8; 32]>>,
    orders_read: AtomicUsize,
    notes_read: AtomicUsize,
    commits: AtomicUsize,
    /// The names of the commits made.
    made: Mutex<Vec<&'static str>>,
    /// Makes the recorded time unreadable.
    pub timeless: AtomicBool,
    /// Makes every account unreadable.
    pub accounts_unreadable: AtomicBool,
    /// Makes the orders of a device unreadable, once.
    device_orders_unreadable: AtomicBool,
    /// The name of the commits that always conflict.
    contended: Mutex<Option<&'static str>>,
    /// The nonces that came with the requested commits.
    redeemed: Mutex<Vec<Redemption>>,
}

impl FaultyStore {
    pub fn fail_next(&self, name: &'static str, fault: CommitFault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some((name, fault));
    }

    /// Makes the orders of a device unreadable, once.
    pub fn fail_next_read_of_device_orders(&self) {
        self.device_orders_unreadable.store(true, Ordering::Relaxed);
    }

    /// Commits `changes` just before the next commit with this name.
    pub fn overtake_next(&self, name: &'static str, changes: ChangeSet) {
        let mut planned = (self.overtaking.lock()).unwrap_or_else(PoisonError::into_inner);
        *planned = Some((name, changes));
    }

    /// Makes every commit of this name conflict with another one.
    pub fn overtake_all(&self, name: &'static str) {
        let mut contended = (self.contended.lock()).unwrap_or_else(PoisonError::into_inner);
        *contended = Some(name);
    }

    /// The nonces that came with the requested commits.
    pub fn redeemed(&self) -> Vec<Redemption> {
        let redeemed = self.redeemed.lock();
        redeemed.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of commits requested.
    pub fn commits(&self) -> usize {
        self.commits.load(Ordering::Relaxed)
    }

    /// Returns at most ten certificates.
    pub fn certificates(&self) -> Vec<Certificate> {
        self.inner.certificates(10).unwrap()
    }

    /// The number of commits with this name that were made.
    pub fn committed(&self, name: &str) -> usize {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.iter().filter(|made| **made == name).count()
    }

    async fn commit_inner(
        &self,
        name: &'static str,
        changes: ChangeSet,
    ) -> Result<Version, CommitError> {
        let version = self.inner.commit(name, changes).await?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.push(name);
        Ok(version)
    }

    /// How many times notes were read.
    pub fn notes_read(&self) -> usize {
        self.notes_read.load(Ordering::Relaxed)
    }

    /// How many orders were read.
    pub fn orders_read(&self) -> usize {
        self.orders_read.load(Ordering::Relaxed)
    }

    /// The key of the last [`TimeReset`].
    pub fn replaced_nonce_key(&self) -> Option<[u8; 32]> {
        *(self.replaced_nonce_key.lock()).unwrap_or_else(PoisonError::into_inner)
    }

    fn take_overtaking(&self, name: &str) -> Option<ChangeSet> {
        let mut planned = (self.overtaking.lock()).unwrap_or_else(PoisonError::into_inner);
        let (_, changes) = planned.take_if(|(wanted, _)| *wanted == name)?;
        Some(changes)
    }

    /// Whether a planned failure has not happened yet.
    pub fn will_fail(&self) -> bool {
        let planned = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        planned.is_some()
    }

    fn take_fault(&self, name: &str) -> Option<CommitFault> {
        let mut planned = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match *planned {
            Some((wanted, fault)) if wanted == name => {
                *planned = None;
                Some(fault)
            }
            _ => None,
        }
    }
}

fn gone() -> StoreError {
    StoreError("the disk went away".to_owned())
}

#[async_trait]
impl Store for FaultyStore {
    async fn account(&self, id: AccountId) -> Result<Option<Versioned<Account>>, StoreError> {
        if self.accounts_unreadable.load(Ordering::Relaxed) {
            return Err(gone());
        }
        self.inner.account(id).await
    }
    async fn account_by_key(
        &self,
        directory: DirectoryName,
        thumbprint: Thumbprint,
    ) -> Result<Option<Versioned<Account>>, StoreError> {
        self.inner.account_by_key(directory, thumbprint).await
    }
    async fn is_account_key(&self, thumbprint: Thumbprint) -> Result<bool, StoreError> {
        self.inner.is_account_key(thumbprint).await
    }
    async fn order(&self, id: OrderId) -> Result<Option<Versioned<Order>>, StoreError> {
        self.orders_read.fetch_add(1, Ordering::Relaxed);
        self.inner.order(id).await
    }
    async fn authorization(
        &self,
        id: AuthorizationId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError> {
        self.inner.authorization(id).await
    }
    async fn authorization_of_challenge(
        &self,
        id: ChallengeId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError> {
        self.inner.authorization_of_challenge(id).await
    }
    async fn validations(&self, limit: usize) -> Result<Vec<DueValidation>, StoreError> {
        self.inner.validations(limit).await
    }
    async fn certificate(
        &self,
        serial: SerialNumber,
    ) -> Result<Option<Versioned<Certificate>>, StoreError> {
        self.inner.certificate(serial).await
    }
    async fn orders(
        &self,
        list: OrderList<'_>,
        from: Option<OrderCursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<OrderCursor>, StoreError> {
        if matches!(list, OrderList::OfDevice(_))
            && self.device_orders_unreadable.swap(false, Ordering::Relaxed)
        {
            return Err(gone());
        }
        self.inner.orders(list, from, direction, limit).await
    }
    async fn count_orders(&self) -> Result<u64, StoreError> {
        self.inner.count_orders().await
    }
    async fn notes(&self, order: OrderId) -> Result<Vec<Note>, StoreError> {
        self.notes_read.fetch_add(1, Ordering::Relaxed);
        self.inner.notes(order).await
    }
    async fn open_orders(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OrderId>, StoreError> {
        self.inner.open_orders(account, now, limit).await
    }
    async fn open_orders_of_all(
        &self,
        after: Option<OpenOrder>,
        limit: usize,
    ) -> Result<Vec<OpenOrder>, StoreError> {
        self.inner.open_orders_of_all(after, limit).await
    }
    async fn orders_in_processing(&self) -> Result<Vec<OrderId>, StoreError> {
        self.inner.orders_in_processing().await
    }
    async fn server_intents(&self) -> Result<Vec<Versioned<ServerIntent>>, StoreError> {
        self.inner.server_intents().await
    }
    async fn lease(&self, work: Work) -> Result<Option<Versioned<Lease>>, StoreError> {
        self.inner.lease(work).await
    }
    async fn open_orders_naming(
        &self,
        account: AccountId,
        identifier: &Identifier,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OrderId>, StoreError> {
        let found = self
            .inner
            .open_orders_naming(account, identifier, now, limit);
        found.await
    }
    async fn unproven_orders(
        &self,
        identifier: &Identifier,
        after: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<UnprovenOrder>, StoreError> {
        self.inner.unproven_orders(identifier, after, limit).await
    }
    async fn provisional_accounts(
        &self,
        after: Option<AccountCursor>,
        limit: usize,
    ) -> Result<Vec<ProvisionalAccount>, StoreError> {
        self.inner.provisional_accounts(after, limit).await
    }
    async fn latest_time(&self) -> Result<Timestamp, StoreError> {
        if self.timeless.load(Ordering::Relaxed) {
            return Err(StoreError("no route".to_owned()));
        }
        self.inner.latest_time().await
    }
    async fn nonce_key(&self) -> Result<Option<[u8; 32]>, StoreError> {
        self.inner.nonce_key().await
    }
    async fn redemptions(&self) -> Result<Vec<Redemption>, StoreError> {
        self.inner.redemptions().await
    }
    async fn commit(&self, name: &'static str, changes: ChangeSet) -> Result<Version, CommitError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        // Let other tasks run between a decision and its commit.
        tokio::task::yield_now().await;
        {
            let mut redeemed = self.redeemed.lock().unwrap_or_else(PoisonError::into_inner);
            redeemed.extend_from_slice(&changes.redeemed);
        }
        if *self
            .contended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            == Some(name)
        {
            return Err(CommitError::Conflict(ConflictOn::Value));
        }
        if let Some(overtaking) = self.take_overtaking(name) {
            self.inner.commit("overtaking", overtaking).await?;
        }
        if let Some(TimeReset { nonce_key }) = changes.time_reset {
            let replaced = self.replaced_nonce_key.lock();
            *replaced.unwrap_or_else(PoisonError::into_inner) = Some(nonce_key);
        }
        match self.take_fault(name) {
            None => self.commit_inner(name, changes).await,
            Some(CommitFault::Lost) => Err(gone().into()),
            Some(CommitFault::Unacknowledged) => {
                self.commit_inner(name, changes).await?;
                Err(gone().into())
            }
        }
    }
}
