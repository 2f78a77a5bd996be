//! Pages of orders.
//!
//! A store may hold a million orders, and the control socket must answer within
//! seconds: each page reads a bounded number of index entries and returns where
//! the next page begins.

use assay_proto::{
    OrderStatus, Timestamp,
    admin::{ListOrders, Page, StatusFilter},
};

use super::{RequestError, place, story};
use crate::{
    domain::{DeviceFacts, Order},
    ids::AccountId,
    ports::{Direction, OrderCursor, OrderList, Store, StoreError},
};

/// The most one page may read, in index entries.
const COST_OF_PAGE: usize = 100_000;
/// The cost of reading an order, in index entries.
const COST_OF_ORDER: usize = 25;
/// Index entries per read.
const STEP: usize = 500;

/// Reads a page of orders as of `now`.
pub(super) async fn list(
    store: &dyn Store,
    request: &ListOrders,
    now: Timestamp,
) -> Result<Page, RequestError> {
    let mut reading = Reading::new(store, request, now)?;
    let end = reading.read().await?;
    Ok(reading.finish(end).await?)
}

/// The filter, parsed.
struct Filter<'a> {
    account: Option<AccountId>,
    device: Option<&'a str>,
    status: Option<StatusFilter>,
    since: Option<Timestamp>,
}

/// Why reading a page ended.
enum End {
    /// The page is complete, and at least one more entry exists.
    Full,
    /// The list has no more entries that could match.
    List,
    /// The page reached its cost limit.
    Cost,
}

/// A page being read.
struct Reading<'a> {
    store: &'a dyn Store,
    filter: Filter<'a>,
    list: OrderList<'a>,
    /// The request's cursor.
    cursor: Option<OrderCursor>,
    direction: Direction,
    limit: usize,
    /// Whether matches beyond the limit are counted.
    counts: bool,
    now: Timestamp,
    page: Page,
    cost: usize,
    /// The entry read last.
    read: Option<OrderCursor>,
    /// The entries of the first and the last order on the page.
    listed: Option<(OrderCursor, OrderCursor)>,
    /// Whether an entry was read after the page was full.
    has_more: bool,
}

impl<'a> Reading<'a> {
    fn new(
        store: &'a dyn Store,
        request: &'a ListOrders,
        now: Timestamp,
    ) -> Result<Self, RequestError> {
        let account = match &request.filter.account {
            Some(name) => {
                let account = AccountId::parse(name);
                Some(account.ok_or_else(|| RequestError::InvalidAccountId(name.clone()))?)
            }
            None => None,
        };
        let filter = Filter {
            account,
            device: request.filter.device.as_deref(),
            status: request.filter.status,
            since: request.filter.since,
        };
        Ok(Self {
            store,
            list: match (filter.device, account) {
                (Some(device), _) => OrderList::OfDevice(device),
                (None, Some(account)) => OrderList::OfAccount(account),
                (None, None) => OrderList::All,
            },
            filter,
            cursor: request.cursor.as_ref().map(place::parse).transpose()?,
            direction: request.direction,
            limit: request.limit,
            counts: request.count,
            now,
            page: Page::default(),
            cost: 0,
            read: None,
            listed: None,
            has_more: false,
        })
    }

    /// Reads entries until the page ends.
    async fn read(&mut self) -> Result<End, StoreError> {
        let mut from = self.start();
        loop {
            let step = self.step();
            let entries = self
                .store
                .orders(self.list, from, self.direction, step)
                .await?;
            for entry in &entries {
                if self.is_too_old(entry) {
                    return Ok(End::List);
                }
                if self.is_full() {
                    self.has_more = true;
                    if !self.counts {
                        return Ok(End::Full);
                    }
                }
                self.visit(*entry).await?;
            }
            if entries.len() < step {
                return Ok(End::List);
            }
            from = self.read;
            if self.cost >= COST_OF_PAGE {
                return Ok(End::Cost);
            }
        }
    }

    /// Returns where reading begins: entries older than requested are not read.
    fn start(&self) -> Option<OrderCursor> {
        let oldest = self.filter.since.and_then(place::before_all_since);
        match self.direction {
            Direction::Newer => self.cursor.max(oldest),
            Direction::Older => self.cursor,
        }
    }

    /// Returns how many entries to read at once: if all match, no more than the
    /// page needs, plus one to see whether there are more.
    fn step(&self) -> usize {
        if self.counts || !self.is_plain() {
            return STEP;
        }
        let missing = self.limit.saturating_sub(self.page.orders.len());
        missing.saturating_add(1).min(STEP)
    }

    /// An order is never younger than its appraisal, so an appraisal that is
    /// too old suffices.
    fn is_too_old(&self, entry: &OrderCursor) -> bool {
        let since = self.filter.since;
        self.direction == Direction::Older && since.is_some_and(|since| entry.created < since)
    }

    fn is_full(&self) -> bool {
        self.page.orders.len() >= self.limit
    }

    /// Whether every entry of the list is an order that matches.
    fn is_plain(&self) -> bool {
        self.filter.device.is_none() && self.filter.status.is_none()
    }

    async fn visit(&mut self, entry: OrderCursor) -> Result<(), StoreError> {
        self.read = Some(entry);
        self.page.read += 1;
        self.cost += 1;
        let is_full = self.is_full();
        if is_full && self.is_plain() {
            self.page.matching += 1;
            return Ok(());
        }
        self.cost += COST_OF_ORDER;
        let Some(order) = self.store.order(entry.id).await? else {
            return Ok(());
        };
        let order = order.value;
        if !self.filter.may_match(&order, self.now) || !self.is_first_entry(&order, entry).await? {
            return Ok(());
        }
        if is_full && self.filter.status != Some(StatusFilter::Revoked) {
            self.page.matching += 1;
            return Ok(());
        }
        self.cost += COST_OF_ORDER;
        let summary = story::summary(self.store, &order, self.now).await?;
        if self.filter.status == Some(StatusFilter::Revoked) && summary.revoked.is_none() {
            return Ok(());
        }
        self.page.matching += 1;
        if !is_full {
            self.page.orders.push(summary);
            let first = self.listed.map_or(entry, |(first, _)| first);
            self.listed = Some((first, entry));
        }
        Ok(())
    }

    /// Whether `entry` is the order's oldest entry in this list. That entry
    /// never moves, so no page lists the order twice, and none misses it
    /// because another identifier is appraised between two pages.
    async fn is_first_entry(
        &mut self,
        order: &Order,
        entry: OrderCursor,
    ) -> Result<bool, StoreError> {
        let Some(device) = self.filter.device else {
            return Ok(true);
        };
        if order.identifiers.iter().any(|one| one.device() == device) {
            return Ok(entry.created == order.created);
        }
        // A single authorization has a single entry.
        if order.authorizations.len() == 1 {
            return Ok(true);
        }
        for id in &order.authorizations {
            self.cost += COST_OF_ORDER;
            let authorization = self.store.authorization(*id).await?;
            let evidence = authorization.as_ref().and_then(|one| one.value.evidence());
            if evidence.is_some_and(|evidence| {
                attests(&evidence.facts, device) && evidence.at < entry.created
            }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Builds the page, with the cursors of its neighbours.
    async fn finish(mut self, end: End) -> Result<Page, StoreError> {
        let beyond = match end {
            End::Cost if !self.is_full() => self.read,
            End::List if !self.has_more => None,
            End::Cost | End::Full | End::List => self.listed.map(|(_, last)| last).or(self.cursor),
        };
        let back = self.way_back().await?;
        let (older, newer) = match self.direction {
            Direction::Older => (beyond, back),
            Direction::Newer => (back, beyond),
        };
        if self.direction == Direction::Newer {
            self.page.orders.reverse();
        }
        if matches!(end, End::Cost) && (self.counts || !self.is_full()) {
            self.page.next = self.read.map(place::wire);
        }
        if !self.counts && self.is_unfiltered() {
            self.page.total = Some(self.store.count_orders().await?);
        }
        self.page.older = older.map(place::wire);
        self.page.newer = newer.map(place::wire);
        Ok(self.page)
    }

    fn is_unfiltered(&self) -> bool {
        self.is_plain() && self.filter.account.is_none() && self.filter.since.is_none()
    }

    /// Returns the cursor of the page in the other direction, if it has an
    /// entry.
    async fn way_back(&self) -> Result<Option<OrderCursor>, StoreError> {
        let back = self.direction.reversed();
        let from = match (self.listed, self.cursor) {
            (Some((first, _)), _) => first,
            // The order at the cursor is not on any page yet.
            (None, Some(cursor)) => place::next_to(cursor, self.direction),
            (None, None) => return Ok(None),
        };
        let nearest = self.store.orders(self.list, Some(from), back, 1).await?;
        let is_there = nearest.first().is_some_and(|nearest| match back {
            Direction::Newer => true,
            Direction::Older => (self.filter.since).is_none_or(|since| nearest.created >= since),
        });
        Ok(is_there.then_some(from))
    }
}

impl Filter<'_> {
    /// Whether an order matches, judged by its record.
    fn may_match(&self, order: &Order, now: Timestamp) -> bool {
        let of_status = self.status.is_none_or(|status| {
            order.status(now)
                == match status {
                    StatusFilter::Pending => OrderStatus::Pending,
                    StatusFilter::Ready => OrderStatus::Ready,
                    StatusFilter::Processing => OrderStatus::Processing,
                    StatusFilter::Valid | StatusFilter::Revoked => OrderStatus::Valid,
                    StatusFilter::Invalid => OrderStatus::Invalid,
                }
        });
        of_status
            && self.since.is_none_or(|since| order.created >= since)
            && self.account.is_none_or(|account| order.account == account)
    }
}

/// Whether evidence names this device.
fn attests(facts: &DeviceFacts, device: &str) -> bool {
    let named = [&facts.serial, &facts.udid];
    named.into_iter().flatten().any(|name| name == device)
}
