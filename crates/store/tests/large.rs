//! Records of up to 64 KiB are merged, replayed, rebuilt, repaired and copied.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

mod common;
mod files;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use assay_engine::{
    domain::Order,
    ports::{Change, CommitError, Direction, OrderList, Store, Version},
};
use assay_store::{
    LedgerStore, LedgerView, MemoryStore, OpenMode, Options,
    maintenance::{Repaired, check, rebuild, repair},
};

use crate::{common::*, files::*};

/// The number of orders that change in turn.
const ORDERS: u8 = 12;

/// The expected orders and their versions.
type Expected = BTreeMap<u8, (Order, Version)>;

/// Makes each order grow and shrink; the longest TBSCertificate has `most`
/// bytes.
async fn churn(store: &LedgerStore, expected: &mut Expected, most: usize) {
    let lens = [most, 300, 4_000, 20_000, most - 1, 9_000];
    for round in 0..lens.len() {
        for n in 1..ORDERS {
            let len = lens[(round + usize::from(n)) % lens.len()];
            let next = in_state(order(n), processing(n, len));
            let change = match expected.get(&n) {
                None => insert_order(next.clone()),
                Some((_, version)) => Change::UpdateOrder(next.clone(), *version),
            };
            let version = commit(store, vec![change]).await.unwrap();
            expected.insert(n, (next, version));
        }
        // One order is deleted while it is large.
        let (_, version) = expected.remove(&1).unwrap();
        let gone = vec![Change::DeleteOrder(order_id(1), version)];
        commit(store, gone).await.unwrap();
    }
}

async fn assert_is(store: &dyn Store, expected: &Expected, what: &str) {
    for n in 1..ORDERS {
        let found = store.order(order_id(n)).await.unwrap();
        let found = found.map(|found| (found.value, found.version));
        assert!(found.as_ref() == expected.get(&n), "{what}: order {n}");
    }
    let listed = store
        .orders(OrderList::All, None, Direction::Newer, 99)
        .await
        .unwrap();
    assert_eq!(listed.len(), expected.len(), "{what}");
}

/// Returns the length of the longest TBSCertificate that fits into the record
/// of any order. Orders with short names have room for some bytes more.
async fn longest() -> usize {
    longest_tbs(&MemoryStore::new(), order(200)).await - 4
}

/// Segments of a few records, and merges all the time.
fn short() -> Options {
    let mut options = small();
    options.sizes.segment = 200_000;
    options.sizes.merge = 400_000;
    options.sizes.chunk = 150_000;
    options
}

/// Closes a store outside of asynchronous code, since it waits for its threads.
async fn close(store: LedgerStore) {
    (tokio::task::spawn_blocking(move || drop(store)).await).unwrap();
}

/// Returns the index's files that hold a single page each.
fn blobs(db: &Path) -> Vec<PathBuf> {
    let generations = fs::read_dir(db.join("index")).unwrap();
    (generations.map(|entry| entry.unwrap().path().join("blobs")))
        .filter(|dir| dir.is_dir())
        .flat_map(|dir| files(&dir))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_records_survive_merges_kills_power_losses_and_rebuilds() {
    let dir = tempfile::tempdir().unwrap();
    let most = longest().await;
    let mut expected = Expected::new();
    let store = LedgerStore::create_with(dir.path(), false, short()).unwrap();
    churn(&store, &mut expected, most).await;
    assert_is(&store, &expected, "as committed").await;
    assert_is(
        &LedgerView::open(dir.path()).unwrap(),
        &expected,
        "without an index",
    )
    .await;
    // The state after a kill: what was not flushed to the index is applied
    // again. The index may already hold later commits.
    let killed = copy(dir.path());
    for at in ["killed", "killed again"] {
        let store = LedgerStore::open_with(killed.path(), OpenMode::Any, short()).unwrap();
        assert_is(&store, &expected, at).await;
        close(store).await;
    }
    close(store).await;
    let report = check(dir.path(), &|_, _| {}).unwrap();
    assert!(report.is_whole(), "{report:?}");
    assert!(report.checkpoint.unwrap().0 > 0, "there was no merge");
    for how in ["closed", "power lost", "rebuilt"] {
        match how {
            "power lost" => lose_power(dir.path()),
            "rebuilt" => rebuild(dir.path(), short()).unwrap(),
            _ => {}
        }
        let store = LedgerStore::open_with(dir.path(), OpenMode::Any, short()).unwrap();
        assert_is(&store, &expected, how).await;
        churn(&store, &mut expected, most).await;
        assert_is(&store, &expected, how).await;
        close(store).await;
    }
    assert_eq!(blobs(dir.path()), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_repaired_from_an_index_with_large_records() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Expected::new();
    let store = LedgerStore::create_with(dir.path(), false, short()).unwrap();
    churn(&store, &mut expected, longest().await).await;
    close(store).await;
    let segments = ledger_files(dir.path(), "segment");
    let file = segments.last().unwrap();
    let mut bytes = fs::read(file).unwrap();
    bytes[128 + 70] ^= 1;
    fs::write(file, bytes).unwrap();
    let (report, repaired) = repair(dir.path(), false, &short()).unwrap();
    assert!(!report.is_whole());
    assert!(
        matches!(repaired, Repaired::FromIndex { .. }),
        "{repaired:?}"
    );
    assert!(check(dir.path(), &|_, _| {}).unwrap().is_whole());
    let view = LedgerView::open(dir.path()).unwrap();
    assert_is(&view, &expected, "repaired").await;
    let store = LedgerStore::open(dir.path(), OpenMode::Any).unwrap();
    assert_is(&store, &expected, "repaired").await;
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_many_large_records_is_whole_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::create(dir.path(), false).unwrap();
    let most = longest().await;
    let large = |n| in_state(order(n), processing(n, most));
    let many = |orders: std::ops::Range<u8>| orders.map(|n| insert_order(large(n)));
    // 250 records with all their index entries are 15.7 MiB, 256 would be 16.1.
    let too_many = many(0..255).chain([Change::InsertServerIntent(server_intent(1))]);
    let second = Change::InsertCertificate(assay_engine::domain::Certificate {
        der: vec![0x30; most],
        ..certificate(1)
    });
    let refused = commit(&store, too_many.chain([second]).collect()).await;
    let Err(CommitError::Store(error)) = refused else {
        panic!("more than 16 MiB were taken at once");
    };
    assert_eq!(
        error.0,
        "a commit is larger than the 16777216 bytes that are written at once: nothing was changed"
    );
    assert_eq!(
        store
            .orders(OrderList::All, None, Direction::Newer, 9)
            .await,
        Ok(vec![])
    );
    assert_eq!(store.server_intents().await, Ok(vec![]));

    let version = commit(&store, many(0..250).collect()).await.unwrap();
    assert_eq!(version, Version(1));
    for n in 0..250 {
        let found = store.order(order_id(n)).await.unwrap().unwrap();
        assert!((found.value, found.version) == (large(n), version), "{n}");
    }
    let view = LedgerView::open(dir.path()).unwrap();
    assert!(view.order(order_id(249)).await.unwrap().unwrap().value == large(249));
    close(store).await;
    assert!(check(dir.path(), &|_, _| {}).unwrap().is_whole());
    lose_power(dir.path());
    let store = LedgerStore::open(dir.path(), OpenMode::Any).unwrap();
    for n in 0..250 {
        let found = store.order(order_id(n)).await.unwrap().unwrap();
        assert!(found.value == large(n), "{n}");
    }
    close(store).await;
    assert_eq!(blobs(dir.path()), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_beside_writers_see_large_records_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(LedgerStore::create_with(dir.path(), false, short()).unwrap());
    let most = longest().await;
    let len = move |round: usize| [most, 5_000, 300, 40_000][round % 4];
    let writers: Vec<_> = (1..5)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut version = None;
                for round in 0..60 {
                    let next = in_state(order(n), processing(n, len(round)));
                    let change = match version {
                        None => insert_order(next),
                        Some(version) => Change::UpdateOrder(next, version),
                    };
                    version = Some(commit(&*store, vec![change]).await.unwrap());
                }
            })
        })
        .collect();
    let mut seen = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        for n in 1..5 {
            let Some(found) = store.order(order_id(n)).await.unwrap() else {
                continue;
            };
            let is_one = (0..4).any(|at| found.value == in_state(order(n), processing(n, len(at))));
            assert!(is_one, "order {n} is a mixture");
            seen += 1;
        }
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(seen > 0);
    let store = Arc::into_inner(store).unwrap();
    close(store).await;
}
