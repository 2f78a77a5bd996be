//! Faults of the index while the store is open: the store is poisoned, the
//! handle of the index never writes again, and the next start rebuilds the
//! index.

use std::fs;

use super::*;

/// Returns a database with orders that was closed and opened again, so that no
/// part of the index is in memory.
async fn reopened() -> (TempDir, Arc<LedgerStore>) {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::create(dir.path(), false).unwrap();
    for n in 1..40 {
        commit(&store, vec![insert_order(order_of_some_size(n))])
            .await
            .unwrap();
    }
    drop(store);
    let store = LedgerStore::open(dir.path(), OpenMode::Any).unwrap();
    (dir, Arc::new(store))
}

/// Overwrites sled's whole file, as a disk may that loses its content.
fn garble(dir: &Path) {
    let path = dir.join("index/1/db");
    let len = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let garbage = vec![0xa5; usize::try_from(len).unwrap()];
    DiskFile::write_all_at(&file, &garbage, 0).unwrap();
}

fn noted(dir: &Path) -> State {
    let note = note::read(&SystemDisk, &index::directory(dir)).unwrap();
    note.unwrap().state
}

/// Asserts that the store is poisoned and writes nothing any more, and that the
/// next start makes a new index with the orders 1 to `count - 1`.
async fn assert_rebuilt(dir: &Path, store: Arc<LedgerStore>, count: u8) {
    let reason = timeout(Duration::from_secs(10), store.poisoned()).await;
    let reason = reason.unwrap();
    assert!(reason.0.contains("the index is then rebuilt"), "{reason}");
    assert_eq!(store.order(order_id(1)).await, Err(reason.clone()));
    let late = commit(&*store, vec![insert_order(order(99))]).await;
    assert_eq!(late, Err(reason.into()));

    let index = dir.join("index");
    while noted(dir) != State::Failed {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // A flush that was running when the index failed may still write.
    let mut before = contents(&index.join("1"));
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = contents(&index.join("1"));
        if now == before {
            break;
        }
        before = now;
    }
    drop(store);
    assert!(contents(&index.join("1")) == before, "the handle wrote");

    let store = LedgerStore::open(dir, OpenMode::Any).unwrap();
    assert!(
        contents(&index.join("1.aside"))
            .values()
            .eq(before.values())
    );
    assert!(index.join("2").is_dir());
    for n in 1..count {
        let found = store.order(order_id(n)).await.unwrap();
        let is_whole = found.is_some_and(|order| order.value == order_of_some_size(n));
        assert!(is_whole, "order {n} is gone, or another");
    }
    assert!(store.order(order_id(99)).await.unwrap().is_none());
    assert!(store.nonce_key().await.unwrap().is_some());
}

#[tokio::test]
async fn a_read_that_panics_has_the_index_rebuilt() {
    // The first commit is flushed at once, perhaps while the read panics. The
    // second waits, so that the handle has something to write.
    for round in 0..6 {
        let (dir, store) = reopened().await;
        for n in 40..42 {
            commit(&*store, vec![insert_order(order_of_some_size(n))])
                .await
                .unwrap();
            thread::sleep(Duration::from_micros(300 * round));
        }
        let read: Result<(), _> = store.backend.read(|_| panic!("as sled may"));
        let error = read.unwrap_err();
        assert!(
            error.0.contains("stopped with an internal error"),
            "{error}"
        );
        assert_rebuilt(dir.path(), store, 42).await;
    }
}

#[tokio::test]
async fn a_read_that_fails_has_the_index_rebuilt() {
    let (dir, store) = reopened().await;
    garble(dir.path());
    let error = store.order(order_id(20)).await.unwrap_err();
    assert!(
        error.0.starts_with("reading from the index failed"),
        "{error}"
    );
    assert_rebuilt(dir.path(), store, 40).await;
}

#[tokio::test]
async fn a_read_that_fails_within_a_commit_has_the_index_rebuilt() {
    let (dir, store) = reopened().await;
    garble(dir.path());
    let changes = vec![Change::UpdateOrder(
        in_state(order(20), ready()),
        Version(20),
    )];
    let refused = commit(&*store, changes).await;
    assert!(matches!(refused, Err(CommitError::Store(_))), "{refused:?}");
    assert_rebuilt(dir.path(), store, 40).await;
}

#[test]
fn an_index_whose_lock_is_held_a_little_longer_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let held = index::open_sled(dir.path()).ok().unwrap();
    let dropped = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        drop(held);
    });
    assert!(index::open_sled(dir.path()).is_ok());
    dropped.join().unwrap();
}
