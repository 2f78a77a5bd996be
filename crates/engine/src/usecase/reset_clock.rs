//! Resetting the recorded time after a wrong clock was followed.

use assay_proto::{Problem, ProblemType, Timestamp};

use super::end::end_order;
use crate::{
    domain::{Account, Authorization, AuthorizationStatus, Failure, Gate, Order, OrderState, Work},
    error::Error,
    ids::{AccountId, OrderId},
    ports::{
        AccountCursor, Change, ChangeSet, Direction, OrderCursor, OrderList, Store, TimeReset,
        Versioned,
    },
};

/// The most values changed by one commit.
const BATCH: usize = 64;

/// Everything that expires by the recorded time, and so would last too long or
/// become valid again after a reset. Every aggregate that expires must be
/// listed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiring {
    /// Provisional accounts: the age that protects them starts again.
    ProvisionalAccounts,
    /// Orders that are not final, with their authorizations, and authorizations
    /// of final orders created while the clock was ahead: they end. Challenges
    /// in validation fail.
    Orders,
    /// Nonces: a new key makes all earlier ones invalid.
    Nonces,
    /// Leases of nodes on background work: they expire.
    Leases,
    /// Intents of server certificates: they are dropped. Their processes no
    /// longer run.
    ServerIntents,
}

/// The result of a clock reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReset {
    /// The previously recorded time.
    pub before: Timestamp,
    /// How many orders ended.
    pub orders: usize,
}

impl Expiring {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ProvisionalAccounts,
        Self::Orders,
        Self::Nonces,
        Self::Leases,
        Self::ServerIntents,
    ];
}

/// Resets the recorded time of `store` to `wall`. First everything that expires
/// by it ends; the last commit changes the time, so after a crash in between
/// the reset starts again. No server may run on the store.
///
/// # Errors
/// When the store fails.
pub async fn reset_clock(
    store: &dyn Store,
    wall: Timestamp,
    nonce_key: [u8; 32],
) -> Result<ClockReset, Error> {
    let mut reset = ClockReset {
        before: store.latest_time().await?,
        orders: 0,
    };
    for expiring in Expiring::ALL {
        match expiring {
            Expiring::ProvisionalAccounts => restart_provisional_accounts(store, wall).await?,
            Expiring::Orders => reset.orders = end_orders(store, wall).await?,
            // The last commit changes their key.
            Expiring::Nonces => {}
            Expiring::Leases => end_leases(store, wall).await?,
            Expiring::ServerIntents => drop_server_intents(store).await?,
        }
    }
    let last = ChangeSet::resetting_time(wall, TimeReset { nonce_key });
    store.commit("reset-clock", last).await?;
    Ok(reset)
}

/// Sets the creation time of provisional accounts created after `wall` to
/// `wall`.
async fn restart_provisional_accounts(store: &dyn Store, wall: Timestamp) -> Result<(), Error> {
    // The list is sorted by creation: earlier accounts do not change.
    let mut after = Some(AccountCursor {
        created: wall,
        id: AccountId::from_bytes([0xff; 16]),
    });
    loop {
        let late = store.provisional_accounts(after, BATCH).await?;
        let Some(last) = late.last() else {
            return Ok(());
        };
        after = Some(last.cursor);
        let mut changes = Vec::new();
        for account in late {
            let found = store.account(account.cursor.id).await?;
            changes.extend(found.map(|Versioned { value, version }| {
                let created = wall;
                Change::UpdateAccount(Account { created, ..value }, version)
            }));
        }
        commit(store, changes).await?;
    }
}

/// Ends orders that would be unexpired at `wall`, or would last too long.
/// Returns their number.
///
/// Reads only open orders and those created after `wall`, since a database may
/// keep every order ever made.
async fn end_orders(store: &dyn Store, wall: Timestamp) -> Result<usize, Error> {
    let mut ended = 0;
    for id in store.orders_in_processing().await? {
        ended += end_order_and_authorizations(store, id, wall).await?;
    }
    let mut after = None;
    loop {
        let page = store.open_orders_of_all(after, BATCH).await?;
        let Some(last) = page.last() else { break };
        after = Some(*last);
        for open in page.iter().filter(|open| open.expires > wall) {
            ended += end_order_and_authorizations(store, open.id, wall).await?;
        }
    }
    // A final order does not change, but its authorizations would last as long
    // as the clock was ahead. Those of earlier orders end at the right time.
    let mut after = Some(OrderCursor {
        created: wall,
        id: OrderId::from_bytes([0xff; 16]),
    });
    loop {
        let page = store
            .orders(OrderList::All, after, Direction::Newer, BATCH)
            .await?;
        let Some(last) = page.last() else {
            return Ok(ended);
        };
        after = Some(*last);
        for cursor in page {
            ended += end_order_and_authorizations(store, cursor.id, wall).await?;
        }
    }
}

/// Ends an order that is not final, and its authorizations, in one commit.
/// Returns 1 if the order ended.
async fn end_order_and_authorizations(
    store: &dyn Store,
    id: OrderId,
    wall: Timestamp,
) -> Result<usize, Error> {
    let Some(order) = store.order(id).await? else {
        return Ok(0);
    };
    let mut changes = Vec::new();
    let will_end = would_last(&order.value, wall);
    let failure = clock_reset(&order.value, wall);
    for id in &order.value.authorizations {
        if let Some(found) = store.authorization(*id).await? {
            changes.extend(end_authorization(found, &failure, wall)?);
        }
    }
    if will_end {
        let authorizations = order.value.authorizations.clone();
        let ended = end_order(store, order, failure, &authorizations).await?;
        changes.extend(ended.changes);
    }
    if !changes.is_empty() {
        commit(store, changes).await?;
    }
    Ok(usize::from(will_end))
}

/// An order whose certificate is being signed ends too: its lease may last as
/// long as the clock was ahead, and its certificate was not returned to any
/// client.
fn would_last(order: &Order, wall: Timestamp) -> bool {
    match order.state() {
        OrderState::Pending | OrderState::Ready => order.expires > wall,
        OrderState::Processing(_) => true,
        OrderState::Invalid(_) | OrderState::Valid { .. } => false,
    }
}

fn clock_reset(order: &Order, wall: Timestamp) -> Failure {
    Failure {
        problem: Problem::new(
            ProblemType::Malformed,
            "the order ended when the server's clock was corrected: make a new one",
        ),
        gate: Gate::Issuance,
        reason: "clock-reset".to_owned(),
        detail: format!(
            "the recorded time was taken back to {wall} by `assay store reset-clock`; the order \
             was to expire at {}",
            order.expires
        ),
        object_sha256: None,
        at: wall,
    }
}

/// Ends the authorization at `wall`. A validation in progress fails, because
/// its next attempt would be due at a time ahead.
fn end_authorization(
    authorization: Versioned<Authorization>,
    failure: &Failure,
    wall: Timestamp,
) -> Result<Option<Change>, Error> {
    let Versioned { value, version } = authorization;
    let lives = matches!(
        value.status(wall),
        AuthorizationStatus::Pending | AuthorizationStatus::Valid
    );
    if !lives {
        return Ok(None);
    }
    let ended = match value.in_validation().map(|(challenge, _)| challenge.id()) {
        Some(id) => value.fail(id, failure.clone())?,
        None => value,
    };
    Ok(Some(Change::UpdateAuthorization(
        ended.end_at(wall),
        version,
    )))
}

async fn end_leases(store: &dyn Store, wall: Timestamp) -> Result<(), Error> {
    for work in Work::ALL {
        if let Some(Versioned { value, version }) = store.lease(work).await? {
            commit(store, vec![Change::UpdateLease(value.end(wall), version)]).await?;
        }
    }
    Ok(())
}

async fn drop_server_intents(store: &dyn Store) -> Result<(), Error> {
    for Versioned { value, version } in store.server_intents().await? {
        commit(
            store,
            vec![Change::DeleteServerIntent(value.serial, version)],
        )
        .await?;
    }
    Ok(())
}

/// Commits under the recorded time; only the last commit resets it.
async fn commit(store: &dyn Store, changes: Vec<Change>) -> Result<(), Error> {
    let changes = ChangeSet::new(store.latest_time().await?, changes);
    store.commit("end-by-clock", changes).await?;
    Ok(())
}
