//! Stores with invented orders.

use std::collections::BTreeSet;

use assay_engine::{
    domain::{Order, OrderDetails, OrderState},
    ids::{AccountId, AuthorizationId, OrderId},
    operator::{RequestError, Sources, answer},
    ports::{Change, ChangeSet, OpenOrders, OrderCursor, Store},
};
use assay_proto::{
    Identifier, Timestamp, WireIdentifier,
    admin::{Cursor, ListOrders, Page, Request, Response, Summary},
};
use assay_store::MemoryStore;

pub(crate) use super::support::START;

/// An order of an invented client, with the fields that lists use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placed {
    pub(crate) created: u64,
    pub(crate) id: u64,
    pub(crate) account: u8,
    pub(crate) device: u8,
    pub(crate) ready: bool,
}

impl Placed {
    pub(crate) fn id(self) -> OrderId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.id.to_be_bytes());
        OrderId::from_bytes(id)
    }

    pub(crate) fn cursor(self) -> Cursor {
        let cursor = OrderCursor {
            created: START.plus(self.created),
            id: self.id(),
        };
        Cursor {
            created: cursor.created,
            id: cursor.id.to_string(),
        }
    }

    pub(crate) fn order(self) -> Order {
        self.order_with(Vec::new())
    }

    pub(crate) fn order_with(self, authorizations: Vec<AuthorizationId>) -> Order {
        let details = OrderDetails {
            id: self.id(),
            account: account(self.account),
            directory: Default::default(),
            profile: Default::default(),
            identifiers: vec![device(self.device)],
            authorizations,
            not_before: None,
            not_after: None,
            created: START.plus(self.created),
            expires: START.plus(1_000_000),
            origin: None,
        };
        let state = match self.ready {
            true => OrderState::Ready,
            false => OrderState::Pending,
        };
        Order::restore(details, state, true)
    }
}

pub(crate) fn account(n: u8) -> AccountId {
    AccountId::from_bytes([n; 16])
}

pub(crate) fn device(n: u8) -> Identifier {
    let wire = WireIdentifier {
        kind: "permanent-identifier".to_owned(),
        value: format!("DEVICE{n}"),
    };
    Identifier::parse(&wire).unwrap()
}

/// One order a second, every tenth ready; from many clients, because an
/// insertion counts the open orders of its account.
pub(crate) fn one_a_second(count: u64) -> impl Iterator<Item = Placed> {
    (0..count).map(|n| Placed {
        created: n,
        id: n,
        account: u8::try_from(n % 250).unwrap(),
        device: u8::try_from(n % 250).unwrap(),
        ready: n % 10 == 0,
    })
}

pub(crate) async fn insert(store: &dyn Store, orders: impl IntoIterator<Item = Placed>) {
    let limits = OpenOrders {
        of_account: usize::MAX,
        of_identifier: usize::MAX,
        pending: usize::MAX,
    };
    let orders = orders.into_iter();
    let changes = orders.map(|placed| Change::InsertOrder(placed.order(), limits));
    let set = ChangeSet::new(START, changes.collect());
    store.commit("test", set).await.unwrap();
}

pub(crate) async fn delete(store: &dyn Store, placed: Placed) {
    let order = store.order(placed.id()).await.unwrap().unwrap();
    let change = Change::DeleteOrder(placed.id(), order.version);
    let set = ChangeSet::new(START, vec![change]);
    store.commit("test", set).await.unwrap();
}

pub(crate) async fn with_orders(count: u64) -> MemoryStore {
    let store = MemoryStore::new();
    insert(&store, one_a_second(count)).await;
    store
}

pub(crate) async fn ask(store: &dyn Store, request: Request) -> Result<Response, RequestError> {
    let sources = Sources {
        store,
        running: None,
    };
    answer(sources, &request, START).await
}

pub(crate) async fn page(store: &dyn Store, request: &ListOrders) -> Page {
    match ask(store, Request::Page(request.clone())).await {
        Ok(Response::Page(page)) => page,
        other => panic!("{other:?}"),
    }
}

/// The ages of the orders, in seconds since the start.
pub(crate) fn ages(orders: &[Summary]) -> Vec<u64> {
    let ages = orders.iter().map(|order| order.created.0 - START.0);
    ages.collect()
}

/// The IDs of the orders; checks that none appears twice.
pub(crate) fn names(orders: &[Summary]) -> BTreeSet<String> {
    let names: BTreeSet<_> = orders.iter().map(|order| order.id.clone()).collect();
    assert_eq!(names.len(), orders.len(), "an order is listed twice");
    names
}

/// The time this many seconds after the start.
pub(crate) fn at(seconds: u64) -> Timestamp {
    START.plus(seconds)
}
