//! The cost of a durable commit, alone and together with others.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark ends with a panic; criterion's macros make undocumented items"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use assay_engine::ids::{AccountId, OrderId};
use assay_store::LedgerStore;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::{runtime::Runtime, task::JoinSet};

/// Measures `iterations` rounds in which each of `waiters` commits a new order.
async fn rounds(
    store: &Arc<LedgerStore>,
    next: &Arc<AtomicU64>,
    iterations: u64,
    waiters: u64,
) -> Duration {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..waiters {
        let (store, next) = (Arc::clone(store), Arc::clone(next));
        tasks.spawn(async move {
            for _ in 0..iterations {
                let n = u128::from(next.fetch_add(1, Ordering::Relaxed)).to_be_bytes();
                let order = common::with(common::order(1), |order| {
                    order.id = OrderId::from_bytes(n);
                    // The open orders of an account are counted.
                    order.account = AccountId::from_bytes(n);
                });
                common::commit(&*store, vec![common::insert_order(order)])
                    .await
                    .unwrap();
            }
        });
    }
    tasks.join_all().await;
    start.elapsed()
}

fn commit(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(LedgerStore::create(dir.path(), false).unwrap());
    let next = Arc::new(AtomicU64::new(0));
    let mut group = criterion.benchmark_group("commit");
    for waiters in [1, 64] {
        group.throughput(Throughput::Elements(waiters));
        group.bench_function(format!("{waiters} waiters"), |bencher| {
            bencher.iter_custom(|iterations| {
                runtime.block_on(rounds(&store, &next, iterations, waiters))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, commit);
criterion_main!(benches);
