//! What the engine needs from outside: time, chance, the list of devices, a
//! store, and observers of what happens.

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

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The wall clock, UTC. It may jump.
    fn now(&self) -> Timestamp;

    /// Seconds since some instant before the first call, suspension included
    /// (CLOCK_BOOTTIME). It never jumps.
    fn uptime(&self) -> u64;
}

/// Gives chance.
pub trait Random: Send + Sync {
    /// Fills `bytes` with bytes that nobody can foretell; `purpose` says what
    /// they become. A source that can be foretold, as a replay needs one, gives
    /// each purpose a stream of its own, so that what one purpose draws shifts
    /// no other.
    fn fill(&self, purpose: Purpose, bytes: &mut [u8]);
}

/// What drawn bytes become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The name of an account.
    AccountId,
    /// The name of an authorization.
    AuthorizationId,
    /// The name of a challenge that is not the first of its authorization.
    ChallengeId,
    /// The number in every nonce of one process: once for each engine.
    NonceEpoch,
    /// The key that nonces are sealed under: once for each engine whose store
    /// keeps none.
    NonceKey,
    /// The name of a node: once for each engine.
    NodeId,
    /// The name of an order.
    OrderId,
    /// A certificate's serial number.
    SerialNumber,
    /// A challenge's token.
    Token,
}

impl Purpose {
    /// Its name, stable: a stream may be derived from it.
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

/// Measures the room that is left for the store.
pub trait Space: Send + Sync {
    /// Free bytes on its file system. May block for as long as a system call
    /// does.
    ///
    /// # Errors
    /// When the system does not say.
    fn free(&self) -> std::io::Result<u64>;
}

/// Sees what happens: log lines, recordings, and what else is made of events.
///
/// It is called after the commit that made the event true, where one did, often
/// within a request and before its answer: it must return at once and never
/// block. What it makes of an event has no influence on anything; an observer
/// that cannot keep something reports that itself.
pub trait Observer: Send + Sync {
    /// Something happened, once.
    fn observe(&self, event: &Event<'_>);
}

/// Validates challenges of one type by asking elsewhere: a web server, a name
/// server.
#[async_trait]
pub trait Validator: Send + Sync {
    /// The type of challenge.
    fn kind(&self) -> ChallengeType;

    /// Whether such a challenge is offered for `identifier`.
    fn serves(&self, identifier: &Identifier) -> bool;

    /// Makes one attempt. It must end within
    /// [`Engine::VALIDATION_LEASE`](crate::Engine::VALIDATION_LEASE): after
    /// that another process makes the next one.
    ///
    /// # Errors
    /// [`NotValidated`], and whether another attempt may succeed.
    async fn validate(&self, asked: AskedToValidate) -> Result<(), NotValidated>;
}

/// What a [`Validator`] is to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedToValidate {
    /// The identifier whose control is to be shown.
    pub identifier: Identifier,
    /// The challenge's token.
    pub token: Token,
    /// RFC 8555 section 8.1: the token, a dot, and the thumbprint of the
    /// account's key.
    pub key_authorization: String,
}

/// An attempt to validate that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotValidated {
    /// What the client reads.
    pub problem: Problem,
    /// The stable name of the reason.
    pub reason: &'static str,
    /// The operator's explanation.
    pub detail: String,
    /// Whether no further attempt is made.
    pub is_final: bool,
}

/// Where everything is kept.
///
/// A read shows durable data only. A commit that returned `Ok` is durable, and
/// atomic over all its changes; a commit whose versions are stale changes
/// nothing. Secondary indexes change in the same commit.
#[async_trait]
pub trait Store: Send + Sync {
    /// The account with this name.
    async fn account(&self, id: AccountId) -> Result<Option<Versioned<Account>>, StoreError>;

    /// The account of this directory with this key.
    async fn account_by_key(
        &self,
        directory: DirectoryName,
        thumbprint: Thumbprint,
    ) -> Result<Option<Versioned<Account>>, StoreError>;

    /// Whether an account of any directory has this key.
    async fn is_account_key(&self, thumbprint: Thumbprint) -> Result<bool, StoreError>;

    /// The order with this name.
    async fn order(&self, id: OrderId) -> Result<Option<Versioned<Order>>, StoreError>;

    /// The notes of an order, oldest first.
    async fn notes(&self, order: OrderId) -> Result<Vec<Note>, StoreError>;

    /// The authorization with this name.
    async fn authorization(
        &self,
        id: AuthorizationId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError>;

    /// The authorization that has the challenge of this name.
    async fn authorization_of_challenge(
        &self,
        id: ChallengeId,
    ) -> Result<Option<Versioned<Authorization>>, StoreError>;

    /// At most `limit` authorizations that are
    /// [in validation](Authorization::in_validation), the one whose next attempt
    /// is due first.
    async fn validations(&self, limit: usize) -> Result<Vec<DueValidation>, StoreError>;

    /// The certificate with this serial number.
    async fn certificate(
        &self,
        serial: SerialNumber,
    ) -> Result<Option<Versioned<Certificate>>, StoreError>;

    /// At most `limit` orders of `list`, those next to `from` in `direction`,
    /// its own place excluded; without `from` those next to the end that
    /// `direction` leads away from. Whether the order at that place is still
    /// there makes no difference.
    async fn orders(
        &self,
        list: OrderList<'_>,
        from: Option<OrderCursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<OrderCursor>, StoreError>;

    /// How many orders there are, without reading them.
    async fn count_orders(&self) -> Result<u64, StoreError>;

    /// The account's open orders at `now`: those that are pending, ready or
    /// processing, and whose `expires` has not come. The ones that end first,
    /// at most `limit`.
    async fn open_orders(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OrderId>, StoreError>;

    /// As [`Store::open_orders`], of those that name `identifier`.
    async fn open_orders_naming(
        &self,
        account: AccountId,
        identifier: &Identifier,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OrderId>, StoreError>;

    /// The orders of all accounts that name `identifier` and are not
    /// [`Order::is_proven`], that end after `after`, where it is given. The ones
    /// that end first, at most `limit`.
    async fn unproven_orders(
        &self,
        identifier: &Identifier,
        after: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<UnprovenOrder>, StoreError>;

    /// At most `limit` orders of all accounts that are pending, ready or
    /// processing, those that have expired among them, from the one after `after`
    /// on, in the order of [`OpenOrder`].
    async fn open_orders_of_all(
        &self,
        after: Option<OpenOrder>,
        limit: usize,
    ) -> Result<Vec<OpenOrder>, StoreError>;

    /// The orders whose certificate is being signed.
    async fn orders_in_processing(&self) -> Result<Vec<OrderId>, StoreError>;

    /// The intents of server certificates that were never completed.
    async fn server_intents(&self) -> Result<Vec<Versioned<ServerIntent>>, StoreError>;

    /// The lease on this work; it may have run out.
    async fn lease(&self, work: Work) -> Result<Option<Versioned<Lease>>, StoreError>;

    /// At most `limit` provisional accounts, those that are not
    /// [`Account::established`], oldest first, from the one after `after` on.
    async fn provisional_accounts(
        &self,
        after: Option<AccountCursor>,
        limit: usize,
    ) -> Result<Vec<ProvisionalAccount>, StoreError>;

    /// The latest `now` of all commits, or since the last
    /// [`ChangeSet::resetting_time`]: time never runs behind it.
    async fn latest_time(&self) -> Result<Timestamp, StoreError>;

    /// The key under which nonces are sealed: the same after a restart. `None`
    /// for a store that ends with its process: the engine draws a key.
    async fn nonce_key(&self) -> Result<Option<[u8; 32]>, StoreError>;

    /// The nonces that recent commits redeemed, as they were found when the
    /// store was opened: at least those of the last 15 minutes.
    async fn redemptions(&self) -> Result<Vec<Redemption>, StoreError>;

    /// Makes all changes, or none; `name` is for logs and metrics. Returns the
    /// version that every changed value has now.
    async fn commit(&self, name: &'static str, changes: ChangeSet) -> Result<Version, CommitError>;
}

/// A list of orders, sorted by time and then by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderList<'a> {
    /// All orders, by their creation.
    All,
    /// Those of one account, by their creation.
    OfAccount(AccountId),
    /// Those for the device of this name: those whose identifier names it, by
    /// their creation, and those whose evidence attests it as serial or UDID,
    /// by the time at which that was appraised. An order of several
    /// authorizations may be listed more than once.
    OfDevice(&'a str),
}

/// Where an order stands in a list of orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderCursor {
    /// When the order was made.
    pub created: Timestamp,
    /// The order.
    pub id: OrderId,
}

/// Where an account stands in a list of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountCursor {
    /// When the account was made.
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
    /// Whether it is pending, perhaps past its end.
    pub pending: bool,
}

/// Where an order stands in the list of all accounts' open orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenOrder {
    /// Whose order it is.
    pub account: AccountId,
    /// When the order expires.
    pub expires: Timestamp,
    /// The order.
    pub id: OrderId,
}

/// An authorization with a challenge that is validated in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueValidation {
    /// When the next attempt is due.
    pub at: Timestamp,
    /// The authorization.
    pub authorization: AuthorizationId,
}

/// A value as it was read, and the version that a change of it must name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// Its version.
    pub version: Version,
}

/// The version of a stored value: rises with each change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u64);

/// Changes that are made together or not at all. A set without changes still
/// records its time and its redemptions.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    /// The time of the decision behind the changes.
    pub now: Timestamp,
    /// The changes.
    pub changes: Vec<Change>,
    /// The nonces that the request behind the changes redeemed.
    pub redeemed: Vec<Redemption>,
    /// Takes the latest time back to `now`.
    pub time_reset: Option<TimeReset>,
}

/// What goes with taking the latest time back. `Debug` shows no key.
#[derive(Clone, Copy)]
pub struct TimeReset {
    /// The key under which nonces are sealed from the next start on: none that
    /// was issued before is accepted under it.
    pub nonce_key: [u8; 32],
}

impl fmt::Debug for TimeReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeReset").finish_non_exhaustive()
    }
}

/// A nonce that was redeemed: it must not be accepted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Redemption {
    /// The random number of the process that issued the nonce.
    pub epoch: u64,
    /// The nonce's number within that process.
    pub counter: u64,
    /// When it was issued, or somewhat later: until when it is remembered
    /// follows from it.
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

    /// No change, but `now` becomes the latest time even where it is earlier.
    #[must_use]
    pub fn resetting_time(now: Timestamp, reset: TimeReset) -> Self {
        Self {
            time_reset: Some(reset),
            ..Self::new(now, Vec::new())
        }
    }
}

/// One change: a whole new value. `Insert` wants that there is none yet;
/// `Update` and `Delete` want the version that they were computed from.
///
/// `AddNote` names no version: it is added within the commit
/// ([`Note::add_to`]), and to an order that is gone it adds nothing. An order's
/// notes go with it.
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

/// How many open orders there may be at the commit's moment, an inserted one
/// among them: counted within the commit, so that no orders at once pass by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOrders {
    /// Of the order's account.
    pub of_account: usize,
    /// Of the same account, for each of the order's identifiers.
    pub of_identifier: usize,
    /// Of all accounts, for each of the order's identifiers: those that are
    /// pending and not [`Order::is_proven`].
    pub pending: usize,
}

/// A fault of the store; nothing that the client could mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store failed: {0}")]
pub struct StoreError(pub String);

/// Why a commit did not return `Ok`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A version was stale, a value was there already or a limit is reached;
    /// nothing was changed.
    #[error("somebody else changed {0} first")]
    Conflict(ConflictOn),
    /// The store failed; whether the changes were made is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a commit was in conflict about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictOn {
    /// Another account of the directory has that key.
    AccountKey,
    /// There are too many [`OpenOrders`].
    OpenOrders,
    /// The value itself.
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
