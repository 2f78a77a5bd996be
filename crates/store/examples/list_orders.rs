//! Measures how long pages of orders take for operators.
//!
//! ```text
//! cargo run --release -p assay-store --example list_orders -- DIR COUNT
//! ```
//!
//! Makes a database with COUNT orders in DIR, one for each second, and prints
//! how long the newest hundred take, with and without a count of all orders:
//! from an open database as in a server, and from the ledger as `assay orders
//! list` reads it without a server.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement, whose failed step is a failed run"
)]

use std::{env, path::Path, time::Instant};

use assay_engine::{
    domain::{Order, OrderDetails, OrderState},
    ids::{AccountId, OrderId},
    operator::{Sources, answer},
    ports::{Change, ChangeSet, OpenOrders, Store},
};
use assay_proto::{
    Timestamp,
    admin::{ListOrders, Request, Response},
};
use assay_store::{LedgerStore, LedgerView};

const START: Timestamp = Timestamp(1_800_000_000);
/// How often each request is repeated.
const TIMES: u32 = 20;

#[tokio::main]
async fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [dir, count] = &arguments[..] else {
        panic!("list_orders DIR COUNT");
    };
    let (dir, count) = (Path::new(dir), count.parse().unwrap());
    let store = LedgerStore::create(dir, false).unwrap();
    let began = Instant::now();
    fill(&store, count).await;
    println!("{count} orders made in {:?}", began.elapsed());
    measure("open database", &store).await;
    drop(store);
    let began = Instant::now();
    let view = LedgerView::open(dir).unwrap();
    println!("ledger read in {:?}", began.elapsed());
    measure("ledger", &view).await;
}

async fn fill(store: &LedgerStore, count: u64) {
    let limits = OpenOrders {
        of_account: usize::MAX,
        of_identifier: usize::MAX,
        pending: usize::MAX,
    };
    for first in (0..count).step_by(100) {
        let orders = (first..count.min(first + 100)).map(|n| {
            let hash = assay_engine::sha256(&n.to_be_bytes());
            let name = |from: usize| <[u8; 16]>::try_from(&hash[from..from + 16]).unwrap();
            let details = OrderDetails {
                id: OrderId::from_bytes(name(0)),
                account: AccountId::from_bytes(name(16)),
                directory: Default::default(),
                profile: Default::default(),
                identifiers: Vec::new(),
                authorizations: Vec::new(),
                not_before: None,
                not_after: None,
                created: START.plus(n),
                expires: START.plus(n + 3_600),
                origin: None,
            };
            let order = Order::restore(details, OrderState::Ready, true);
            Change::InsertOrder(order, limits)
        });
        let set = ChangeSet::new(START.plus(first), orders.collect());
        store.commit("fill", set).await.unwrap();
    }
}

async fn measure(what: &str, store: &dyn Store) {
    for counts in [true, false] {
        let request = Request::Page(ListOrders {
            limit: 100,
            count: counts,
            ..ListOrders::default()
        });
        let began = Instant::now();
        let mut read = 0;
        for _ in 0..TIMES {
            let sources = Sources {
                store,
                running: None,
            };
            match answer(sources, &request, START).await.unwrap() {
                Response::Page(page) => {
                    assert_eq!(page.orders.len(), 100);
                    read = page.read;
                }
                other => panic!("{other:?}"),
            }
        }
        println!(
            "{what}, {}: {:?} a page, {read} entries",
            if counts { "counting" } else { "not counting" },
            began.elapsed() / TIMES
        );
    }
}
