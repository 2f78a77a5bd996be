//! Which orders are displaced by a new one, so that other clients cannot lock
//! out a device, and which ended orders are deleted.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use assay_proto::{Identifier, OrderStatus, Timestamp};

use super::end::end_order;
use crate::{
    Engine, Error,
    census::{Bound, Census, Displaced, Member, RefusalRule, Room},
    domain::{Failure, Order},
    ids::OrderId,
    ports::{Change, OpenOrders, UnprovenOrder, Versioned},
    time::ClockReading,
};

/// For how many seconds orders of other accounts cannot displace a pending
/// order. Apple's servers attest within a few seconds.
const PROTECTED: u64 = 120;
/// How many ended orders without a valid authorization are kept per identifier.
const KEPT: usize = 20;
/// The most ended orders of an identifier that one commit deletes: more than it
/// adds.
const MOST_REMOVED: usize = 8;
/// Entries of an identifier's list per read: more than may be pending.
const SCAN: usize = 512;

/// Orders that a commit in progress displaces. No other new order chooses them,
/// so that many concurrent ones do not conflict again and again.
#[derive(Default)]
pub(crate) struct BeingDisplaced(Mutex<HashSet<OrderId>>);

impl BeingDisplaced {
    fn lock(&self) -> MutexGuard<'_, HashSet<OrderId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The changes that accompany the insertion of an order.
pub(super) struct OrderRoom<'a> {
    being_displaced: &'a BeingDisplaced,
    /// Changes that end or delete orders.
    pub(super) changes: Vec<Change>,
    /// How many other orders may exist beside those.
    pub(super) limits: OpenOrders,
    /// The displaced orders, of all accounts.
    pub(super) displaced: Vec<Displaced<OrderId>>,
    /// The orders reserved against other new orders.
    reserved: Vec<OrderId>,
    /// The orders in `changes`: an order with several identifiers may be chosen
    /// for each of them.
    chosen: HashSet<OrderId>,
}

impl Engine {
    /// Makes room for `order` among the orders of all accounts that name its
    /// identifiers.
    pub(super) async fn room_among_all(
        &self,
        order: &Order,
        clock: &ClockReading,
    ) -> Result<OrderRoom<'_>, Error> {
        let mut room = OrderRoom {
            being_displaced: &self.being_displaced,
            changes: Vec::new(),
            limits: self.limits.open_orders,
            displaced: Vec::new(),
            reserved: Vec::new(),
            chosen: HashSet::new(),
        };
        for identifier in &order.identifiers {
            let all = self.store.unproven_orders(identifier, None, SCAN).await?;
            let pending = match all.len() {
                SCAN => {
                    let after = Some(clock.now);
                    self.store.unproven_orders(identifier, after, SCAN).await?
                }
                _ => all.clone(),
            };
            let is_pending = |one: &UnprovenOrder| one.pending && one.expires > clock.now;
            let pending = pending.into_iter().filter(is_pending).collect();
            self.displace(order, pending, clock.now, &mut room).await?;
            self.remove_ended(all, clock, &mut room).await?;
        }
        Ok(room)
    }

    /// Displaces the oldest of the heaviest network's pending orders, or
    /// refuses the new order if it is the heaviest network's.
    async fn displace(
        &self,
        order: &Order,
        pending: Vec<UnprovenOrder>,
        now: Timestamp,
        room: &mut OrderRoom<'_>,
    ) -> Result<(), Error> {
        if pending.len() < self.limits.open_orders.pending {
            return Ok(());
        }
        for one in self.choose(order, &pending, now, room)? {
            let found = self.store.order(one.member.id).await?;
            if let Some(found) = found.filter(|found| is_pending(&found.value, now)) {
                let why = "there were too many for the same identifier";
                let detail = format!(
                    "too many pending orders of all accounts name the identifier, most of them \
                     from {}",
                    one.network
                );
                let failure = Failure::displaced(why, detail, now);
                self.end_displaced(found, failure, room).await?;
                room.displaced.push(one);
            }
        }
        Ok(())
    }

    /// Chooses the pending orders to displace.
    fn choose(
        &self,
        order: &Order,
        pending: &[UnprovenOrder],
        now: Timestamp,
        room: &mut OrderRoom<'_>,
    ) -> Result<Vec<Displaced<OrderId>>, Error> {
        let bound = Bound {
            limit: self.limits.open_orders.pending,
            protected: PROTECTED,
            refused: RefusalRule::Heaviest,
        };
        let mut reserved = room.being_displaced.lock();
        let mut census: Census<OrderId> = (pending.iter())
            .filter(|one| !reserved.contains(&one.id))
            .map(|one| Member {
                id: one.id,
                created: one.created,
                origin: one.origin,
            })
            .collect();
        let others = pending.len() - census.count();
        let newcomer = Member {
            id: order.id,
            created: order.created,
            origin: order.origin,
        };
        let displaced = match census.make_room(newcomer, now, bound) {
            Room::Made(displaced) => displaced,
            Room::None(wait) => {
                self.displaced_orders.add_refused();
                let what = "pending orders for this identifier";
                return Err(Error::Crowded { what, wait });
            }
        };
        for one in &displaced {
            reserved.insert(one.member.id);
            room.chosen.insert(one.member.id);
            room.reserved.push(one.member.id);
        }
        // The commit counts again, so concurrent orders cannot exceed the
        // limit.
        room.limits.pending = room.limits.pending.max(census.count() + others);
        Ok(displaced)
    }

    /// Deletes ended orders except the latest.
    async fn remove_ended(
        &self,
        all: Vec<UnprovenOrder>,
        clock: &ClockReading,
        room: &mut OrderRoom<'_>,
    ) -> Result<(), Error> {
        // While the clock is in doubt, no expiry is final.
        let past = |one: &UnprovenOrder| !clock.in_doubt && one.expires <= clock.now;
        let mut ended: Vec<_> = (all.into_iter())
            .filter(|one| !one.pending || past(one))
            .collect();
        let excess = ended.len().saturating_sub(KEPT).min(MOST_REMOVED);
        ended.sort_unstable_by_key(|one| (one.created, one.id));
        for one in &ended[..excess] {
            if !room.chosen.insert(one.id) {
                continue;
            }
            match self.store.order(one.id).await? {
                Some(order)
                    if !order.value.is_proven()
                        && order.value.status(clock.now) == OrderStatus::Invalid =>
                {
                    (room.changes).extend(self.removal_of_order(order).await?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the changes that delete an order and its authorizations.
    pub(super) async fn removal_of_order(
        &self,
        order: Versioned<Order>,
    ) -> Result<Vec<Change>, Error> {
        let mut changes = vec![Change::DeleteOrder(order.value.id, order.version)];
        for id in &order.value.authorizations {
            if let Some(found) = self.store.authorization(*id).await? {
                changes.push(Change::DeleteAuthorization(*id, found.version));
            }
        }
        Ok(changes)
    }

    /// Makes room for `order` among its account's own orders: the oldest
    /// pending ones end.
    pub(super) async fn room_in_account(
        &self,
        order: &Order,
        now: Timestamp,
        room: &mut OrderRoom<'_>,
    ) -> Result<(), Error> {
        let OpenOrders {
            of_account,
            of_identifier,
            ..
        } = self.limits.open_orders;
        let (account, all) = (order.account, usize::MAX);
        for identifier in &order.identifiers {
            let open = self.store.open_orders_naming(account, identifier, now, all);
            let why = "its account created another one for the same identifier";
            self.end_oldest(open.await?, of_identifier, why, Some(identifier), now, room)
                .await?;
        }
        let open = self.store.open_orders(account, now, all).await?;
        let why = "its account created another one and had too many";
        self.end_oldest(open, of_account, why, None, now, room)
            .await
    }

    async fn end_oldest(
        &self,
        open: Vec<OrderId>,
        limit: usize,
        why: &str,
        identifier: Option<&Identifier>,
        now: Timestamp,
        room: &mut OrderRoom<'_>,
    ) -> Result<(), Error> {
        let open: Vec<_> = (open.into_iter())
            .filter(|id| !room.chosen.contains(id))
            .collect();
        let excess = (open.len() + 1).saturating_sub(limit);
        if excess == 0 {
            return Ok(());
        }
        let mut pending = Vec::new();
        for id in open {
            let found = self.store.order(id).await?;
            pending.extend(found.filter(|found| is_pending(&found.value, now)));
        }
        if pending.len() < excess {
            return Err(Error::TooManyOpenOrders);
        }
        pending.sort_unstable_by_key(|order| (order.value.created, order.value.id));
        pending.truncate(excess);
        for order in pending {
            let of = identifier.map_or("", |_| " for the same identifier");
            let detail = format!("the account has more than {limit} open orders{of}");
            let failure = Failure::displaced(why, detail, now);
            self.end_displaced(order, failure, room).await?;
        }
        Ok(())
    }

    async fn end_displaced(
        &self,
        order: Versioned<Order>,
        failure: Failure,
        room: &mut OrderRoom<'_>,
    ) -> Result<(), Error> {
        room.chosen.insert(order.value.id);
        let ended = end_order(&*self.store, order, failure, &[]).await?;
        room.changes.extend(ended.changes);
        Ok(())
    }
}

impl Drop for OrderRoom<'_> {
    fn drop(&mut self) {
        let mut reserved = self.being_displaced.lock();
        for id in &self.reserved {
            reserved.remove(id);
        }
    }
}

fn is_pending(order: &Order, now: Timestamp) -> bool {
    order.status(now) == OrderStatus::Pending
}
