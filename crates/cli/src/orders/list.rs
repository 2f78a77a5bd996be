//! `assay orders list`: pages of orders, newest first.
//!
//! A store may hold a million orders, and the control socket a question for
//! seconds only: each page reads a bounded number, and says where the next one
//! begins.

use std::collections::HashSet;

use assay_engine::{
    domain::Order,
    ids::OrderId,
    ports::{OrderCursor, Store},
};
use assay_proto::{OrderStatus, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Answer, Question, Source, story::Summary};
use crate::{
    args::{ListArgs, StatusFilter},
    now, print, print_json,
    progress::Progress,
    stop::Stop,
};

/// How much one page reads, in entries of an index.
const COST_OF_PAGE: usize = 100_000;
/// What an order costs that is looked at.
const COST_OF_ORDER: usize = 25;
/// Entries that are read at once.
const STEP: usize = 500;

/// Which orders are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Those that were ordered for this device, or whose evidence attests it.
    pub device: Option<String>,
    /// Those of this status.
    pub status: Option<StatusFilter>,
    /// Those that were made then or later.
    pub since: Option<Timestamp>,
}

/// Where a page begins: before this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    created: Timestamp,
    id: String,
}

/// A question for a page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageQuestion {
    /// Which orders.
    pub filter: Filter,
    /// Where the page begins; absent: with the newest.
    pub before: Option<Before>,
    /// How many orders to return; the others are counted.
    pub limit: usize,
}

/// One page of orders.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The newest of those that match, the newest first.
    pub orders: Vec<Summary>,
    /// How many match, those among them that are not returned.
    pub matching: usize,
    /// How many were read.
    pub read: usize,
    /// Where the next page begins, where there is one.
    pub next: Option<Before>,
}

/// `assay orders list`
pub async fn run(source: &mut Source<'_>, args: &ListArgs) -> Result<(), Stop> {
    if let Some(device) = &args.device {
        super::check_length("--device", device)?;
    }
    let mut question = PageQuestion {
        filter: Filter {
            device: args.device.clone(),
            status: args.status,
            since: args.since.map(|since| since.before(Timestamp(now()))),
        },
        before: None,
        limit: args.limit as usize,
    };
    let progress = Progress::new("reading orders");
    let (mut orders, mut total, mut read) = (Vec::new(), 0, 0);
    loop {
        let Answer::Page(page) = source.ask(&Question::Page(question.clone())).await? else {
            return Err(super::another_answer());
        };
        question.limit -= page.orders.len();
        orders.extend(page.orders);
        (total, read) = (total + page.matching, read + page.read);
        question.before = page.next;
        if question.before.is_none() {
            break;
        }
        progress.count(read);
    }
    progress.end();
    // The newest last, above the prompt.
    orders.reverse();
    let left_out = total.saturating_sub(orders.len());
    if args.json {
        return print_json(&serde_json::json!({
            "orders": orders,
            "total": total,
            "left_out": left_out,
        }));
    }
    if orders.is_empty() {
        return match question.filter == Filter::default() {
            true => print("There are no orders yet."),
            false => print("No order matches."),
        };
    }
    orders.iter().try_for_each(print)?;
    if left_out > 0 {
        super::message(format_args!(
            "{} of {} shown, the newest: --limit N shows more",
            grouped(orders.len()),
            grouped(total)
        ));
    }
    Ok(())
}

/// Answers a question for a page, as things are at `now`.
pub async fn page(
    store: &dyn Store,
    question: &PageQuestion,
    now: Timestamp,
) -> anyhow::Result<Page> {
    let filter = &question.filter;
    let mut before = match &question.before {
        Some(Before { created, id }) => Some(OrderCursor {
            created: *created,
            id: OrderId::parse(id).ok_or_else(|| anyhow::anyhow!("no place in the list"))?,
        }),
        None => None,
    };
    let mut page = Page::default();
    let mut seen = HashSet::new();
    let mut cost = 0;
    loop {
        let step = match &filter.device {
            Some(device) => store.orders_of_device(device, before, STEP).await?,
            None => store.latest_orders(before, STEP).await?,
        };
        for cursor in &step {
            // What was appraised before then was ordered before, too.
            if filter.since.is_some_and(|since| cursor.created < since) {
                return Ok(page);
            }
            page.read += 1;
            cost += 1;
            let is_plain = filter.device.is_none() && filter.status.is_none();
            if is_plain && page.orders.len() >= question.limit {
                page.matching += 1;
                continue;
            }
            if filter.device.is_some() && !seen.insert(cursor.id) {
                continue;
            }
            cost += COST_OF_ORDER;
            let Some(order) = store.order(cursor.id).await? else {
                continue;
            };
            if !may_match(filter, &order.value, now) {
                continue;
            }
            let wants_more = page.orders.len() < question.limit;
            if !wants_more && filter.status != Some(StatusFilter::Revoked) {
                page.matching += 1;
                continue;
            }
            cost += COST_OF_ORDER;
            let summary = Summary::read(store, &order.value, now).await?;
            if filter.status == Some(StatusFilter::Revoked) && summary.revoked.is_none() {
                continue;
            }
            page.matching += 1;
            if wants_more {
                page.orders.push(summary);
            }
        }
        before = step.last().copied();
        if before.is_none() {
            return Ok(page);
        }
        if cost >= COST_OF_PAGE {
            page.next = before.map(|before| Before {
                created: before.created,
                id: before.id.to_string(),
            });
            return Ok(page);
        }
    }
}

/// Whether an order matches, as far as its record says.
fn may_match(filter: &Filter, order: &Order, now: Timestamp) -> bool {
    let of_status = filter.status.is_none_or(|status| {
        order.status(now)
            == match status {
                StatusFilter::Pending => OrderStatus::Pending,
                StatusFilter::Ready => OrderStatus::Ready,
                StatusFilter::Processing => OrderStatus::Processing,
                StatusFilter::Valid | StatusFilter::Revoked => OrderStatus::Valid,
                StatusFilter::Invalid => OrderStatus::Invalid,
            }
    });
    of_status && filter.since.is_none_or(|since| order.created >= since)
}

/// A number with its thousands set apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use assay_engine::{
        domain::{OrderDetails, OrderState},
        ids::AccountId,
        ports::{Change, ChangeSet, OpenOrders},
    };
    use assay_store::MemoryStore;

    use super::*;

    const START: Timestamp = Timestamp(1_800_000_000);

    /// A store with so many orders, one a second; every tenth is ready.
    async fn with_orders(count: u64) -> MemoryStore {
        let store = MemoryStore::new();
        let orders = (0..count).map(|n| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            let details = OrderDetails {
                id: OrderId::from_bytes(id),
                account: AccountId::from_bytes([1; 16]),
                directory: Default::default(),
                profile: Default::default(),
                identifiers: Vec::new(),
                authorizations: Vec::new(),
                not_before: None,
                not_after: None,
                created: START.plus(n),
                expires: START.plus(1_000_000),
                origin: None,
            };
            let state = match n % 10 {
                0 => OrderState::Ready,
                _ => OrderState::Pending,
            };
            let order = Order::restore(details, state, true);
            let limits = OpenOrders {
                of_account: usize::MAX,
                of_identifier: usize::MAX,
                pending: usize::MAX,
            };
            Change::InsertOrder(order, limits)
        });
        let set = ChangeSet::new(START, orders.collect());
        store.commit("test", set).await.unwrap();
        store
    }

    /// All pages: the orders, how many match, and how many each page read.
    async fn all(
        store: &MemoryStore,
        filter: Filter,
        limit: usize,
    ) -> (Vec<u64>, usize, Vec<usize>) {
        let mut question = PageQuestion {
            filter,
            before: None,
            limit,
        };
        let (mut orders, mut matching, mut read) = (Vec::new(), 0, Vec::new());
        loop {
            let page = page(store, &question, START).await.unwrap();
            question.limit -= page.orders.len();
            orders.extend(page.orders.iter().map(|order| order.created.0 - START.0));
            matching += page.matching;
            read.push(page.read);
            question.before = page.next;
            if question.before.is_none() {
                return (orders, matching, read);
            }
        }
    }

    #[tokio::test]
    async fn a_page_reads_a_bounded_number_of_orders_and_the_next_goes_on() {
        let store = with_orders(12_000).await;
        let (orders, matching, read) = all(&store, Filter::default(), 100).await;
        let newest: Vec<u64> = (11_900..12_000).rev().collect();
        assert_eq!((orders, matching), (newest, 12_000));
        assert_eq!(read, [12_000], "what is only counted is cheap");

        let ready = || Filter {
            status: Some(StatusFilter::Ready),
            ..Filter::default()
        };
        let (orders, matching, read) = all(&store, ready(), 3).await;
        assert_eq!((orders, matching), (vec![11_990, 11_980, 11_970], 1_200));
        assert!(
            read.len() >= 3 && read.iter().all(|one| *one < 5_000),
            "{read:?}"
        );
        assert_eq!(read.iter().sum::<usize>(), 12_000);
        let (orders, matching, _) = all(&store, ready(), 5_000).await;
        assert_eq!((orders.len(), matching), (1_200, 1_200));
        assert!(orders.is_sorted_by(|one, other| one > other));
    }

    #[tokio::test]
    async fn what_is_older_than_asked_for_is_not_read() {
        let store = with_orders(1_000).await;
        let filter = Filter {
            since: Some(START.plus(950)),
            ..Filter::default()
        };
        let (orders, matching, read) = all(&store, filter, 10).await;
        assert_eq!((orders.len(), matching), (10, 50));
        assert_eq!(read, [50]);
    }

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
