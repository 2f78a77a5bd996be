//! What the engine needs from outside: time, random bytes, validators, a store,
//! and observers of events.

mod blocking;
mod nonces;

use std::fmt;

use assay_ca::SerialNumber;
use assay_jws::Thumbprint;
use assay_proto::{ChallengeType, Identifier, Problem, Timestamp};
use async_trait::async_trait;

pub use assay_proto::admin::Direction;

pub use self::{
    blocking::{Blocking, Job, Unfinished},
    nonces::{NonceService, NotRedeemed},
};
pub use crate::appraisal::Answer;
use crate::{
    domain::{
        Account, Authorization, Certificate, Lease, Note, Order, Origin, ServerIntent, Token, Work,
    },
    events::Event,
    ids::{AccountId, AuthorizationId, ChallengeId, OrderId},
    names::DirectoryName,
};

/// The clocks.
pub trait Clock: Send + Sync {
    /// Returns the wall clock in UTC. It may jump.
    fn now(&self) -> Timestamp;

    /// Returns seconds since some instant before the first call, time in
    /// suspension included (CLOCK_BOOTTIME). It never jumps.
    fn uptime(&self) -> u64;
}

/// The source of random bytes.
pub trait Random: Send + Sync {
    /// Fills `bytes` with unpredictable bytes; `purpose` says what they are
    /// for. A predictable source, as replays need one, gives each purpose its
    /// own stream, so that a draw for one purpose does not shift the others.
    fn fill(&self, purpose: Purpose, bytes: &mut [u8]);
}

/// What random bytes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The ID of an account.
    AccountId,
    /// The ID of an authorization.
    AuthorizationId,
    /// The ID of a challenge that is not the first of its authorization.
    ChallengeId,
    /// The epoch in every nonce of one process: drawn once per engine.
    NonceEpoch,
    /// The key that nonces are sealed under: drawn once per engine if the store
    /// keeps none.
    NonceKey,
    /// The ID of a node: drawn once per engine.
    NodeId,
    /// The ID of an order.
    OrderId,
    /// A certificate's serial number.
    SerialNumber,
    /// A challenge's token.
    Token,
}

impl Purpose {
    /// Returns the stable name; a stream may be derived from it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccountId => "account-id",
            Self::AuthorizationId => "authorization-id",
            Self::ChallengeId => "challenge-id",
            Self::NonceEpoch => "nonce-epoch",
            Self::NonceKey => "nonce-key",
            Self::NodeId => "node-id",
            Self::OrderId => "order-id",
            Self::SerialNumber => "serial-number",
            Self::Token => "token",
        }
    }
}

/// Measures the free space for the store.
pub trait Space: Send + Sync {
    /// Returns the free bytes of the store's file system. May block for one
    /// system call.
    ///
    /// # Errors
    /// When the system call fails.
    fn free(&self) -> std::io::Result<u64>;
}

/// Receives events: log lines, recordings and other outputs are made of them.
///
/// Called after the commit that made the event true (if there is one), often
/// within a request and before its response: it must return at once and never
/// block. Its result influences nothing; an observer that cannot keep something
/// reports that itself.
pub trait Observer: Send + Sync {
    /// Receives one event. Each event is passed once.
    fn observe(&self, event: &Event<'_>);
}

/// Validates challenges of one type by connecting to another host: a web
/// server, a name server.
#[async_trait]
pub trait Validator: Send + Sync {
    /// Returns the challenge type.
    fn kind(&self) -> ChallengeType;

    /// Whether this challenge type is offered for `identifier`.
    fn serves(&self, identifier: &Identifier) -> bool;

    /// Makes one attempt. It must end within
    /// [`Engine::VALIDATION_LEASE`](crate::Engine::VALIDATION_LEASE); after
    /// that another process may make the next one.
    ///
    /// # Errors
    /// [`ValidationError`], which says whether a retry may succeed.
    async fn validate(&self, asked: ValidationRequest) -> Result<(), ValidationError>;
}

/// What a [`Validator`] must check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationRequest {
    /// The identifier that the client must prove control over.
    pub identifier: Identifier,
    /// The challenge's token.
    pub token: Token,
    /// RFC 8555 section 8.1: the token, a dot, and the thumbprint of the
    /// account's key.
    pub key_authorization: String,
}

/// A failed validation attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationError {
    /// The problem document for the client.
    pub problem: Problem,
    /// The stable name of the reason.
    pub reason: &'static str,
    /// The explanation for the operator.
    pub detail: String,
    /// Whether the failure is final: no retry follows.
    pub is_final: bool,
}

/// The store of all state.
///
/// Reads return durable data only. A commit that returned `Ok` is durable and
/// atomic over all its changes; a commit with stale versions changes nothing.
/// Secondary indexes change in the same commit.
#[async_trait]
pub trait Store: Send + Sync {
    /// Returns the account with this ID.
    async fn account(&self, id: AccountId) -> Result<Option<Versioned<Account>>, StoreError>;

    /// Returns the account of this directory with this key.
    async fn account_by_key(
        &self,
        directory: DirectoryName,
        thumbprint: Thumbprint,
    ) -> Result<Option<Versioned<Account>>, StoreError>;

    /// Whether an account of any directory has this key.
    async fn is_account_key(&self, thumbprint: Thumbprint) -> Result<bool, StoreError>;

    /// Returns the order with this ID.
    async fn order(&self, id: OrderId) -> Result<Option<Versioned<Order>>, StoreError>;

    /// Returns the notes on an order, oldest first.
    async fn notes(&self, order: OrderId) -> Result<Vec<Note>, StoreError>;

    /// Returns the authorization with this ID.
    async fn authorization(
        &self,
        id: AuthorizationId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError>;

    /// Returns the authorization that has the challenge with this ID.
    async fn authorization_of_challenge(
        &self,
        id: ChallengeId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError>;

    /// Returns at most `limit` authorizations that are [in
    /// validation](Authorization::in_validation), the one whose next attempt is
    /// due first.
    async fn validations(&self, limit: usize) -> Result<Vec<DueValidation>, StoreError>;

    /// Returns the certificate with this serial number.
    async fn certificate(
        &self,
        serial: SerialNumber,
    ) -> Result<Option<Versioned<Certificate>>, StoreError>;

    /// Returns at most `limit` orders of `list` next to `from` in `direction`,
    /// `from` excluded. Without `from` it starts at the end that `direction`
    /// leads away from. The order at `from` need not exist any more.
    async fn orders(
        &self,
        list: OrderList<'_>,
        from: Option<OrderCursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<OrderCursor>, StoreError>;

    /// Returns the number of orders without reading them.
    async fn count_orders(&self) -> Result<u64, StoreError>;

    /// Returns at most `limit` of the account's open orders at `now` (pending,
    /// ready or processing, and not expired), the ones that expire first.
    async fn open_orders(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OrderId>, StoreError>;

    /// As [`Store::open_orders`], but only those that name `identifier`.
    async fn open_orders_naming(
        &self,
        account: AccountId,
        identifier: &Identifier,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OrderId>, StoreError>;

    /// Returns at most `limit` orders of all accounts that name `identifier`
    /// and are not [`Order::is_proven`], the ones that expire first; with
    /// `after`, only those that expire after it.
    async fn unproven_orders(
        &self,
        identifier: &Identifier,
        after: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<UnprovenOrder>, StoreError>;

    /// Returns at most `limit` orders of all accounts that are pending, ready
    /// or processing, expired ones included, following `after` in the order of
    /// [`OpenOrder`].
    async fn open_orders_of_all(
        &self,
        after: Option<OpenOrder>,
        limit: usize,
    ) -> Result<Vec<OpenOrder>, StoreError>;

    /// Returns the orders whose certificate is being signed.
    async fn orders_in_processing(&self) -> Result<Vec<OrderId>, StoreError>;

    /// Returns the intents of server certificates that were never completed.
    async fn server_intents(&self) -> Result<Vec<Versioned<ServerIntent>>, StoreError>;

    /// Returns the lease on this work; it may have expired.
    async fn lease(&self, work: Work) -> Result<Option<Versioned<Lease>>, StoreError>;

    /// Returns at most `limit` provisional accounts, those that are not
    /// [`Account::established`], following `after`, oldest first.
    async fn provisional_accounts(
        &self,
        after: Option<AccountCursor>,
        limit: usize,
    ) -> Result<Vec<ProvisionalAccount>, StoreError>;

    /// Returns the latest `now` of all commits, or since the last
    /// [`ChangeSet::resetting_time`]. The server's time is never behind it.
    async fn latest_time(&self) -> Result<Timestamp, StoreError>;

    /// Returns the key that nonces are sealed under, the same after a restart.
    /// `None` for a store in memory: the engine draws a key.
    async fn nonce_key(&self) -> Result<Option<[u8; 32]>, StoreError>;

    /// Returns the nonces that recent commits redeemed, as of the opening of
    /// the store: at least those of the last 15 minutes.
    async fn redemptions(&self) -> Result<Vec<Redemption>, StoreError>;

    /// Applies all changes, or none; `name` is for logs and metrics. Returns
    /// the new version of every changed value.
    async fn commit(&self, name: &'static str, changes: ChangeSet) -> Result<Version, CommitError>;
}

/// A list of orders, sorted by time and then by ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderList<'a> {
    /// All orders, by creation.
    All,
    /// The orders of one account, by creation.
    OfAccount(AccountId),
    /// The orders for the device with this name: those whose identifier names
    /// it, by creation, and those whose evidence attests it as serial or UDID,
    /// by the time of the appraisal. An order with several authorizations may
    /// appear more than once.
    OfDevice(&'a str),
}

/// The position of an order in a list of orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderCursor {
    /// The creation time of the order.
    pub created: Timestamp,
    /// The order.
    pub id: OrderId,
}

/// The position of an account in a list of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountCursor {
    /// The creation time of the account.
    pub created: Timestamp,
    /// The account.
    pub id: AccountId,
}

/// An account without a valid authorization, usable or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvisionalAccount {
    /// The account.
    pub cursor: AccountCursor,
    /// [`Account::origin`].
    pub origin: Option<Origin>,
}

/// An order that is not [`Order::is_proven`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnprovenOrder {
    /// The order.
    pub id: OrderId,
    /// [`OrderDetails::created`](crate::domain::OrderDetails::created).
    pub created: Timestamp,
    /// [`OrderDetails::expires`](crate::domain::OrderDetails::expires).
    pub expires: Timestamp,
    /// [`OrderDetails::origin`](crate::domain::OrderDetails::origin).
    pub origin: Option<Origin>,
    /// Whether it is pending, even if it has expired.
    pub pending: bool,
}

/// The position of an order in the list of all accounts' open orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenOrder {
    /// The account of the order.
    pub account: AccountId,
    /// The time at which the order expires.
    pub expires: Timestamp,
    /// The order.
    pub id: OrderId,
}

/// An authorization with a challenge that is validated in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueValidation {
    /// The time at which the next attempt is due.
    pub at: Timestamp,
    /// The authorization.
    pub authorization: AuthorizationId,
}

/// A value as it was read, with the version that a change must name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// Its version.
    pub version: Version,
}

/// The version of a stored value; it rises with each change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u64);

/// Changes that are applied together or not at all. Even a set without changes
/// records its time and its redemptions.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    /// The time of the decision behind the changes.
    pub now: Timestamp,
    /// The changes.
    pub changes: Vec<Change>,
    /// The nonces redeemed by the request behind the changes.
    pub redeemed: Vec<Redemption>,
    /// Resets the latest time to `now`.
    pub time_reset: Option<TimeReset>,
}

/// The other effects of a time reset. `Debug` does not show the key.
#[derive(Clone, Copy)]
pub struct TimeReset {
    /// The key that nonces are sealed under from the next start on; it makes
    /// all earlier nonces invalid.
    pub nonce_key: [u8; 32],
}

impl fmt::Debug for TimeReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeReset").finish_non_exhaustive()
    }
}

/// A redeemed nonce, which must not be accepted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Redemption {
    /// The random number of the process that issued the nonce.
    pub epoch: u64,
    /// The nonce's number within that process.
    pub counter: u64,
    /// The issue time of the nonce, or a later time. It determines how long the
    /// redemption is remembered.
    pub time: Timestamp,
}

impl ChangeSet {
    /// Changes that redeem no nonce.
    #[must_use]
    pub fn new(now: Timestamp, changes: Vec<Change>) -> Self {
        Self {
            now,
            changes,
            redeemed: Vec::new(),
            time_reset: None,
        }
    }

    /// No changes, but `now` becomes the latest time, even if it is earlier.
    #[must_use]
    pub fn resetting_time(now: Timestamp, reset: TimeReset) -> Self {
        Self {
            time_reset: Some(reset),
            ..Self::new(now, Vec::new())
        }
    }
}

/// One change: a complete new value. `Insert` requires that the value does not
/// exist yet; `Update` and `Delete` require the version that they were computed
/// from.
///
/// `AddNote` names no version: the commit itself adds the note
/// ([`Note::add_to`]), unless the order is gone. The notes of an order are
/// deleted with it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant names the type that it carries")]
pub enum Change {
    AddNote(OrderId, Note),
    InsertAccount(Account),
    InsertAuthorization(Authorization),
    InsertCertificate(Certificate),
    InsertLease(Lease),
    InsertOrder(Order, OpenOrders),
    InsertServerIntent(ServerIntent),
    UpdateAccount(Account, Version),
    UpdateAuthorization(Authorization, Version),
    UpdateCertificate(Certificate, Version),
    UpdateLease(Lease, Version),
    UpdateOrder(Order, Version),
    DeleteAccount(AccountId, Version),
    DeleteAuthorization(AuthorizationId, Version),
    DeleteOrder(OrderId, Version),
    DeleteServerIntent(SerialNumber, Version),
}

/// Limits on open orders at the time of the commit, an inserted one included.
/// The commit itself counts them, so concurrent orders cannot exceed a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOrders {
    /// Open orders of the order's account.
    pub of_account: usize,
    /// Open orders of the account, for each of the order's identifiers.
    pub of_identifier: usize,
    /// Orders of all accounts that are pending and not [`Order::is_proven`],
    /// for each of the order's identifiers.
    pub pending: usize,
}

/// The store failed; the client cannot fix that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store failed: {0}")]
pub struct StoreError(pub String);

/// Why a commit failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A version was stale, a value already existed or a limit is reached;
    /// nothing was changed.
    #[error("another request changed {0} first")]
    Conflict(ConflictOn),
    /// The store failed; it is unknown whether the changes were made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a commit conflicted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictOn {
    /// Another account of the directory has the key.
    AccountKey,
    /// A limit of [`OpenOrders`] is reached.
    OpenOrders,
    /// The value itself was changed.
    Value,
}

impl fmt::Display for ConflictOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccountKey => "the account with that key",
            Self::OpenOrders => "the number of open orders",
            Self::Value => "the value",
        })
    }
}
