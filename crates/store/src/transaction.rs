//! Converts a change set to writes, with all checks of versions and uniqueness
//! and the maintenance of the indexes, for every store.

use assay_engine::{
    domain::Note,
    ids::OrderId,
    ports::{
        Change, ChangeSet, CommitError, ConflictOn, OpenOrders, Redemption, StoreError, TimeReset,
        Version,
    },
};
use assay_proto::Timestamp;

use crate::{
    keys,
    map::{Get, Overlay, Writes},
    query,
    record::{
        self, IndexEntry, KeyCache, Record, StoredAccount, StoredAuthorization, StoredCertificate,
        StoredLease, StoredNotes, StoredOrder, StoredServerIntent,
    },
};

/// A change set with encoded values: everything that can be done before the
/// writer's turn.
pub(crate) struct Prepared {
    pub(crate) now: Timestamp,
    pub(crate) redeemed: Vec<Redemption>,
    /// Whether `now` replaces the latest time instead of raising it.
    pub(crate) resets_time: bool,
    steps: Vec<Step>,
    /// The store's own values, which have no versions.
    own: Writes,
}

enum Step {
    Note(OrderId, Note),
    Operation(Operation),
}

struct Operation {
    key: Vec<u8>,
    /// The version that must be stored; `None`: the key must be free.
    expected: Option<Version>,
    /// The new value without its version; `None` deletes the key.
    value: Option<Vec<u8>>,
    /// The key to delete together with this one, if it exists.
    along: Option<Vec<u8>>,
    index: Vec<IndexEntry>,
    /// Lists of open orders and the maximum of each, this order included.
    limits: Vec<(Vec<u8>, usize)>,
    /// Lists of unproven orders and the maximum of pending ones in each, this
    /// order included.
    pending_limits: Vec<(Vec<u8>, usize)>,
}

impl Prepared {
    /// Encodes the values of `set`.
    ///
    /// # Errors
    /// A value is larger than a record may be.
    pub(crate) fn new(set: ChangeSet) -> Result<Self, StoreError> {
        let steps = (set.changes.into_iter())
            .map(|change| {
                let operation = match change {
                    Change::AddNote(order, note) => return Ok(Step::Note(order, note)),
                    Change::InsertAccount(account) => {
                        Operation::put(StoredAccount::from(account), None)
                    }
                    Change::InsertAuthorization(authorization) => {
                        Operation::put(StoredAuthorization::from(authorization), None)
                    }
                    Change::InsertCertificate(certificate) => {
                        Operation::put(StoredCertificate::from(certificate), None)
                    }
                    Change::InsertLease(lease) => Operation::put(StoredLease::from(lease), None),
                    Change::InsertOrder(order, limits) => {
                        Operation::insert_order(StoredOrder::from(order), limits)
                    }
                    Change::InsertServerIntent(intent) => {
                        Operation::put(StoredServerIntent::from(intent), None)
                    }
                    Change::UpdateAccount(account, version) => {
                        Operation::put(StoredAccount::from(account), Some(version))
                    }
                    Change::UpdateAuthorization(authorization, version) => {
                        Operation::put(StoredAuthorization::from(authorization), Some(version))
                    }
                    Change::UpdateCertificate(certificate, version) => {
                        Operation::put(StoredCertificate::from(certificate), Some(version))
                    }
                    Change::UpdateLease(lease, version) => {
                        Operation::put(StoredLease::from(lease), Some(version))
                    }
                    Change::UpdateOrder(order, version) => {
                        Operation::put(StoredOrder::from(order), Some(version))
                    }
                    Change::DeleteAccount(id, version) => {
                        Ok(Operation::delete(keys::account(id), version))
                    }
                    Change::DeleteAuthorization(id, version) => {
                        Ok(Operation::delete(keys::authorization(id), version))
                    }
                    Change::DeleteOrder(id, version) => Ok(Operation {
                        along: Some(keys::notes(id)),
                        ..Operation::delete(keys::order(id), version)
                    }),
                    Change::DeleteServerIntent(serial, version) => Ok(Operation::delete(
                        keys::server_intent(serial.as_bytes()),
                        version,
                    )),
                };
                operation.map(Step::Operation)
            })
            .collect::<Result<_, StoreError>>()?;
        let mut own = Writes::new();
        if let Some(TimeReset { nonce_key }) = set.time_reset {
            own.insert(keys::NONCE_KEY.to_vec(), Some(nonce_key.to_vec()));
        }
        Ok(Self {
            now: set.now,
            redeemed: set.redeemed,
            resets_time: set.time_reset.is_some(),
            steps,
            own,
        })
    }

    /// Creates a commit that only changes the store's own values.
    pub(crate) fn raw(now: Timestamp, own: Writes) -> Self {
        Self {
            now,
            redeemed: Vec::new(),
            resets_time: false,
            steps: Vec::new(),
            own,
        }
    }

    /// Creates a commit that never succeeds: it waits for its turn like any
    /// other and changes nothing.
    pub(crate) fn probe() -> Self {
        Self {
            steps: vec![Step::Operation(Operation::delete(
                keys::PROBE.to_vec(),
                Version(0),
            ))],
            ..Self::raw(Timestamp(0), Writes::new())
        }
    }

    /// Returns the writes of all changes on top of `map`, as the commit with
    /// this number; `map` itself is unchanged.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] if a version is stale, a value already exists,
    /// another account has the key, or a limit is reached.
    pub(crate) fn apply(self, map: &Overlay<'_>, version: Version) -> Result<Writes, CommitError> {
        let mut own = Overlay::new(map);
        let mut orders = OrderCount::default();
        for step in self.steps {
            match step {
                Step::Note(order, note) => add_note(order, note, &mut own, version)?,
                Step::Operation(operation) => {
                    orders.add(&operation);
                    operation.apply(&mut own, version, self.now)?;
                }
            }
        }
        orders.keep(map, &mut own)?;
        own.absorb(self.own);
        Ok(own.into_writes())
    }
}

/// Counts how many orders a commit adds and removes.
#[derive(Default)]
struct OrderCount {
    added: u64,
    removed: u64,
}

impl OrderCount {
    fn add(&mut self, operation: &Operation) {
        if operation.key.first() != Some(&keys::ORDER) {
            return;
        }
        match (operation.expected, &operation.value) {
            (None, Some(_)) => self.added += 1,
            (Some(_), None) => self.removed += 1,
            // An order is changed, or nothing is.
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    /// Updates the stored number of orders. A database of an older program has
    /// none, so its orders are counted here once.
    fn keep(self, map: &Overlay<'_>, own: &mut Overlay<'_>) -> Result<(), StoreError> {
        if self.added == self.removed {
            return Ok(());
        }
        let count = query::count_orders(map)? + self.added;
        let count = count.saturating_sub(self.removed);
        own.put(keys::ORDER_COUNT.to_vec(), count.to_be_bytes().to_vec());
        Ok(())
    }
}

/// Adds a note to an order, if the order exists.
fn add_note(
    order: OrderId,
    note: Note,
    map: &mut Overlay<'_>,
    version: Version,
) -> Result<(), StoreError> {
    if map.get(&keys::order(order))?.is_none() {
        return Ok(());
    }
    let key = keys::notes(order);
    let found = query::one::<StoredNotes>(map, &KeyCache::default(), &key)?;
    let mut notes = found.map(|notes| notes.value).unwrap_or_default();
    note.add_to(&mut notes);
    let mut value = record::encode(&StoredNotes::new(order, notes))?;
    record::stamp(&mut value, version);
    map.put(key, value);
    Ok(())
}

impl Operation {
    fn put<R: Record>(record: R, expected: Option<Version>) -> Result<Self, StoreError> {
        Ok(Self {
            key: record.key(),
            expected,
            value: Some(record::encode(&record)?),
            along: None,
            index: record.index(),
            limits: Vec::new(),
            pending_limits: Vec::new(),
        })
    }

    fn insert_order(record: StoredOrder, limits: OpenOrders) -> Result<Self, StoreError> {
        let (of_account, of_identifiers) = record.open_lists();
        let mut lists = vec![(of_account, limits.of_account)];
        lists.extend(of_identifiers.map(|list| (list, limits.of_identifier)));
        let pending_limits = (record.unproven_lists())
            .map(|list| (list, limits.pending))
            .collect();
        Ok(Self {
            limits: lists,
            pending_limits,
            ..Self::put(record, None)?
        })
    }

    fn delete(key: Vec<u8>, expected: Version) -> Self {
        Self {
            key,
            expected: Some(expected),
            value: None,
            along: None,
            index: Vec::new(),
            limits: Vec::new(),
            pending_limits: Vec::new(),
        }
    }

    fn apply(
        self,
        map: &mut Overlay<'_>,
        version: Version,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        for (list, limit) in self.limits {
            if query::is_full(map, list, now, limit)? {
                return Err(CommitError::Conflict(ConflictOn::OpenOrders));
            }
        }
        for (list, limit) in self.pending_limits {
            if query::has_pending(map, list, now, limit)? {
                return Err(CommitError::Conflict(ConflictOn::OpenOrders));
            }
        }
        let old = map.get(&self.key)?;
        let found = old
            .as_ref()
            .map(|old| record::version(&self.key, old))
            .transpose()?;
        if found != self.expected {
            return Err(CommitError::Conflict(ConflictOn::Value));
        }
        let old_index = match old {
            Some(old) => record::index_of(&self.key, &old)?,
            None => Vec::new(),
        };
        for entry in &old_index {
            if !self.index.contains(entry) {
                map.delete(entry.key.clone());
            }
        }
        for entry in self.index {
            if old_index.contains(&entry) {
                continue;
            }
            if entry.unique && map.get(&entry.key)?.is_some() {
                return Err(CommitError::Conflict(ConflictOn::AccountKey));
            }
            map.put(entry.key, entry.value);
        }
        if let Some(along) = self.along
            && map.get(&along)?.is_some()
        {
            map.delete(along);
        }
        match self.value {
            Some(mut value) => {
                record::stamp(&mut value, version);
                map.put(self.key, value);
            }
            None => map.delete(self.key),
        }
        Ok(())
    }
}
