//! Which orders give way to a new one, so that no device is locked out by what
//! others did, and which ended ones go for good.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use assay_proto::{Identifier, OrderStatus, Timestamp};

use super::end::end_order;
use crate::{
    Engine, Error,
    census::{Bound, Census, Displaced, Member, Refused, Room},
    domain::{Failure, Order},
    ids::OrderId,
    ports::{Change, OpenOrders, UnprovenOrder, Versioned},
    time::ClockReading,
};

/// For how many seconds a pending order keeps its place against other
/// accounts' orders: Apple's servers attest within a few.
const PROTECTED: u64 = 120;
/// How many ended orders without a valid authorization an identifier keeps.
const KEPT: usize = 20;
/// How many ended orders of an identifier one commit removes at most: more than
/// it adds.
const MOST_REMOVED: usize = 8;
/// How many entries of an identifier's list are read at once: more than may be
/// pending.
const SCAN: usize = 512;

/// Orders of which a commit that is under way decides that they give way: no
/// other newcomer chooses them, so that many at once do not overtake each other
/// again and again.
#[derive(Default)]
pub(crate) struct GivingWay(Mutex<HashSet<OrderId>>);

impl GivingWay {
    fn lock(&self) -> MutexGuard<'_, HashSet<OrderId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What goes with the insertion of an order.
pub(super) struct OrderRoom<'a> {
    giving_way: &'a GivingWay,
    /// Orders that end or go.
    pub(super) changes: Vec<Change>,
    /// How many others there may be, beside those.
    pub(super) limits: OpenOrders,
    /// The orders of all accounts that give way.
    pub(super) displaced: Vec<Displaced<OrderId>>,
    /// The orders that no other newcomer chooses meanwhile.
    reserved: Vec<OrderId>,
    /// The orders in `changes`: an order of several identifiers may be chosen
    /// for each.
    chosen: HashSet<OrderId>,
}

impl Engine {
    /// Makes room for `order` among all orders that name its identifiers.
    pub(super) async fn room_among_all(
        &self,
        order: &Order,
        clock: &ClockReading,
    ) -> Result<OrderRoom<'_>, Error> {
        let mut room = OrderRoom {
            giving_way: &self.giving_way,
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

    /// Has the oldest of the heaviest network's pending orders give way, or
    /// refuses the heaviest network's new order.
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
                self.give_way(found, failure, room).await?;
                room.displaced.push(one);
            }
        }
        Ok(())
    }

    /// Chooses which of the pending orders give way.
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
            refused: Refused::Heaviest,
        };
        let mut leaving = room.giving_way.lock();
        let mut census: Census<OrderId> = (pending.iter())
            .filter(|one| !leaving.contains(&one.id))
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
            leaving.insert(one.member.id);
            room.chosen.insert(one.member.id);
            room.reserved.push(one.member.id);
        }
        // Counted again within the commit, so that no orders at once pass by.
        room.limits.pending = room.limits.pending.max(census.count() + others);
        Ok(displaced)
    }

    /// Removes ended orders but the latest.
    async fn remove_ended(
        &self,
        all: Vec<UnprovenOrder>,
        clock: &ClockReading,
        room: &mut OrderRoom<'_>,
    ) -> Result<(), Error> {
        // While the clock is in doubt nothing has expired for good.
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

    /// What removes an order with its authorizations.
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

    /// Makes room for `order` among its account's own: the oldest that are
    /// pending end.
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
            let why = "its account made another one for the same identifier";
            self.end_oldest(open.await?, of_identifier, why, Some(identifier), now, room)
                .await?;
        }
        let open = self.store.open_orders(account, now, all).await?;
        let why = "its account made another one, and had too many";
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
            self.give_way(order, failure, room).await?;
        }
        Ok(())
    }

    async fn give_way(
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
        let mut leaving = self.giving_way.lock();
        for id in &self.reserved {
            leaving.remove(id);
        }
    }
}

fn is_pending(order: &Order, now: Timestamp) -> bool {
    order.status(now) == OrderStatus::Pending
}
