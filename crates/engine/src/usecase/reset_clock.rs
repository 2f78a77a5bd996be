//! Taking the recorded time back, after a clock that was wrong was believed.

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

/// Values that one commit changes at most.
const BATCH: usize = 64;

/// Everything that expires by the recorded time, so that it would last too long,
/// or come back to life, once that is taken back. An aggregate that expires is
/// named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiring {
    /// Provisional accounts: the age that keeps one its place begins again.
    ProvisionalAccounts,
    /// Orders that are not final, with their authorizations, and the
    /// authorizations of final orders that were made while the clock was ahead:
    /// they end, and challenges that are being validated fail.
    Orders,
    /// Nonces: none that was issued before is accepted, under a new key.
    Nonces,
    /// The leases of nodes on background work: they run out.
    Leases,
    /// The intents of server certificates: they are dropped. Their processes do
    /// not run any more.
    ServerIntents,
}

/// What became of a clock that was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReset {
    /// The time that was recorded before.
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

/// Takes the recorded time of `store` back to `wall`. What expires by it ends
/// first, and the time changes in the last commit: after a crash in between it
/// is done again from the beginning. No server may run on the store.
///
/// # Errors
/// Faults of the store.
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
            // The last commit gives them another key.
            Expiring::Nonces => {}
            Expiring::Leases => end_leases(store, wall).await?,
            Expiring::ServerIntents => drop_server_intents(store).await?,
        }
    }
    let last = ChangeSet::resetting_time(wall, TimeReset { nonce_key });
    store.commit("reset-clock", last).await?;
    Ok(reset)
}

/// Provisional accounts that were made after `wall` count as made then.
async fn restart_provisional_accounts(store: &dyn Store, wall: Timestamp) -> Result<(), Error> {
    // The list is by creation: those before it stay as they are.
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

/// Ends what `wall` would find unexpired, or would let last too long. Returns the
/// number of the orders.
///
/// Only open orders are looked at, and those that were made after `wall`: a
/// database keeps all orders that ever were.
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
    // A final order is as it was; its authorizations would last as long as the
    // clock was ahead. Those of orders that were made before end as they should.
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

/// Ends an order, unless it is final, and its authorizations, in one commit.
/// Returns 1 where the order ended.
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

/// An order whose certificate is being signed ends as well: its lease may last
/// as long as the clock was ahead, and nothing of it was given out.
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

/// The authorization, ending at `wall`; a validation under way fails, whose next
/// attempt would be due when the clock was ahead.
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

/// Under the time that is recorded still: only the last commit takes it back.
async fn commit(store: &dyn Store, changes: Vec<Change>) -> Result<(), Error> {
    let changes = ChangeSet::new(store.latest_time().await?, changes);
    store.commit("end-by-clock", changes).await?;
    Ok(())
}
