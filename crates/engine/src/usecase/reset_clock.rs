//! Taking the recorded time back, after a clock that was wrong was believed.

use assay_proto::{Problem, ProblemType, Timestamp};

use crate::{
    domain::{Account, Authorization, AuthorizationStatus, Failure, Gate, Order, OrderState},
    error::Error,
    ids::AccountId,
    ports::{AccountCursor, Change, ChangeSet, Store, TimeReset, Versioned},
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
    /// Orders that are not final, and the authorizations of all: they end.
    Orders,
    /// Nonces: none that was issued before is accepted, under a new key.
    Nonces,
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
    pub const ALL: [Self; 3] = [Self::ProvisionalAccounts, Self::Orders, Self::Nonces];
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
        before: store.latest_time(),
        orders: 0,
    };
    for expiring in Expiring::ALL {
        match expiring {
            Expiring::ProvisionalAccounts => restart_provisional_accounts(store, wall).await?,
            Expiring::Orders => reset.orders = end_orders(store, wall).await?,
            // The last commit gives them another key.
            Expiring::Nonces => {}
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

/// Ends what `wall` would find unexpired: orders that are not final, and their
/// authorizations. Returns the number of the orders.
async fn end_orders(store: &dyn Store, wall: Timestamp) -> Result<usize, Error> {
    let mut ended = 0;
    let mut after = None;
    loop {
        let page = store.orders(None, after, BATCH).await?;
        let Some(last) = page.last() else {
            return Ok(ended);
        };
        after = Some(*last);
        for cursor in page {
            let Some(order) = store.order(cursor.id).await? else {
                continue;
            };
            let mut changes = Vec::new();
            for id in &order.value.authorizations {
                let authorization = store.authorization(*id).await?;
                changes.extend(authorization.and_then(|found| end_authorization(found, wall)));
            }
            if let Some(change) = end_order(order, wall) {
                changes.push(change);
                ended += 1;
            }
            if !changes.is_empty() {
                commit(store, changes).await?;
            }
        }
    }
}

/// An order whose certificate is being signed ends as well: its lease may last
/// as long as the clock was ahead, and nothing of it was given out.
fn end_order(order: Versioned<Order>, wall: Timestamp) -> Option<Change> {
    let Versioned { value, version } = order;
    let open = match value.state {
        OrderState::Pending(_) | OrderState::Ready(_) => value.expires > wall,
        OrderState::Processing(_) => true,
        OrderState::Invalid(_) | OrderState::Valid(_) => false,
    };
    let failure = Failure {
        problem: Problem::new(
            ProblemType::Malformed,
            "the order ended when the server's clock was corrected: make a new one",
        ),
        gate: Gate::Issuance,
        reason: "clock-reset".to_owned(),
        detail: format!(
            "the recorded time was taken back to {wall} by `assay store reset-clock`; the order \
             was to expire at {}",
            value.expires
        ),
        object_sha256: None,
        at: wall,
    };
    open.then(|| Change::UpdateOrder(value.fail(failure), version))
}

fn end_authorization(authorization: Versioned<Authorization>, wall: Timestamp) -> Option<Change> {
    let Versioned { value, version } = authorization;
    let lives = matches!(
        value.status(wall),
        AuthorizationStatus::Pending | AuthorizationStatus::Valid
    );
    let expires = wall;
    lives.then(|| Change::UpdateAuthorization(Authorization { expires, ..value }, version))
}

/// Under the time that is recorded still: only the last commit takes it back.
async fn commit(store: &dyn Store, changes: Vec<Change>) -> Result<(), Error> {
    let changes = ChangeSet::new(store.latest_time(), changes);
    store.commit("end-by-clock", changes).await?;
    Ok(())
}
