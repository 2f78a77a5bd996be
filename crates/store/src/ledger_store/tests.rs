//! Faults of the disk, and what readers see before a commit is durable.

mod faults;
mod faulty_disk;
mod index_faults;

use std::{
    collections::BTreeMap,
    fs, io,
    pin::pin,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use assay_engine::ports::{Change, ConflictOn, Direction, OrderList, Store};
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::{
    common::*,
    ledger::{
        disk::{Disk, DiskFile, SystemDisk},
        segment::HEADER_LEN,
    },
};

/// A disk on which the fdatasync of a segment behaves as the test says.
#[derive(Clone, Default)]
struct TestDisk(Arc<Inner>);

#[derive(Default)]
struct Inner {
    syncs: AtomicUsize,
    behaviour: Mutex<Behaviour>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Behaviour {
    Fails,
    Hangs,
    Panics,
    #[default]
    Works,
}

impl TestDisk {
    fn set(&self, behaviour: Behaviour) {
        *self.0.behaviour.lock().unwrap() = behaviour;
        self.0.changed.notify_all();
    }

    fn syncs(&self) -> usize {
        self.0.syncs.load(Ordering::SeqCst)
    }
}

/// A segment's file.
struct TestFile {
    file: Box<dyn DiskFile>,
    disk: TestDisk,
}

impl DiskFile for TestFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        // The sync of the header does not count.
        if self.file.len()? == HEADER_LEN as u64 {
            return self.file.sync();
        }
        let inner = &self.disk.0;
        inner.syncs.fetch_add(1, Ordering::SeqCst);
        let behaviour = inner.behaviour.lock().unwrap();
        let behaviour = *inner
            .changed
            .wait_while(behaviour, |behaviour| *behaviour == Behaviour::Hangs)
            .unwrap();
        match behaviour {
            Behaviour::Fails => Err(io::Error::from(io::ErrorKind::StorageFull)),
            Behaviour::Panics => panic!("on purpose"),
            Behaviour::Hangs | Behaviour::Works => Ok(()),
        }
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }
}

impl Disk for TestDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        SystemDisk.open(path)
    }
    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        SystemDisk.open_to_write(path)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = SystemDisk.create(path)?;
        // Segments have other names than checkpoints: the first one is 1.
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_segment = !name.contains("checkpoint") && name.ends_with("unfinished");
        Ok(
            match is_segment && !name.starts_with("00000000000000000000.") {
                true => Box::new(TestFile {
                    file,
                    disk: self.clone(),
                }),
                false => file,
            },
        )
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        SystemDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        SystemDisk.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        SystemDisk.sync_dir(path)
    }
}

/// Reads all files below a directory.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

fn store() -> (Arc<LedgerStore>, TestDisk, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let disk = TestDisk::default();
    let options = Options {
        disk: Arc::new(disk.clone()),
        ..Options::default()
    };
    let store = LedgerStore::create_with(dir.path(), false, options).unwrap();
    (Arc::new(store), disk, dir)
}

/// Starts a commit on another task. Returns when `disk` has received it.
async fn start_commit(
    store: &Arc<LedgerStore>,
    disk: &TestDisk,
    changes: Vec<Change>,
) -> tokio::task::JoinHandle<Result<Version, CommitError>> {
    let syncs = disk.syncs();
    let store = Arc::clone(store);
    let task = tokio::spawn(async move { commit_at(&*store, NOW.plus(1), changes).await });
    while disk.syncs() == syncs {
        tokio::task::yield_now().await;
    }
    task
}

async fn is_pending(future: impl Future) -> bool {
    timeout(Duration::from_millis(30), future).await.is_err()
}

#[tokio::test]
async fn no_reader_sees_a_commit_before_it_is_durable() {
    let (store, disk, _dir) = store();
    let changes = vec![
        Change::InsertAccount(account(1)),
        insert_order(order(1)),
        insert_order(order(2)),
        Change::InsertServerIntent(server_intent(1)),
    ];
    commit(&*store, changes).await.unwrap();

    disk.set(Behaviour::Hangs);
    let changes = vec![
        Change::UpdateAccount(account(1).with_key(key(2)), Version(1)),
        Change::UpdateOrder(in_state(order(1), ready()), Version(1)),
        insert_order(order(3)),
        Change::DeleteServerIntent(serial(1), Version(1)),
    ];
    let task = start_commit(&store, &disk, changes).await;

    // Changed, added and deleted records are all as before.
    let first = store.order(order_id(1)).await.unwrap().unwrap();
    assert_eq!((first.value, first.version), (order(1), Version(1)));
    let by_key = async |n| {
        store
            .account_by_key(Default::default(), *key(n).thumbprint())
            .await
            .unwrap()
    };
    assert!(by_key(1).await.is_some());
    assert!(by_key(2).await.is_none());
    assert!(store.order(order_id(3)).await.unwrap().is_none());
    assert_eq!(
        store
            .orders(OrderList::All, None, Direction::Newer, 9)
            .await
            .unwrap()
            .len(),
        2
    );
    assert!(store.orders_in_processing().await.unwrap().is_empty());
    assert_eq!(store.server_intents().await.unwrap().len(), 1);
    assert_eq!(store.recorded_time(), NOW);

    disk.set(Behaviour::Works);
    assert_eq!(task.await.unwrap(), Ok(Version(2)));
    let read = store.order(order_id(1)).await.unwrap().unwrap();
    assert_eq!(read.value, in_state(order(1), ready()));
    assert_eq!(store.recorded_time(), NOW.plus(1));
    assert!(by_key(1).await.is_none());
    assert!(store.server_intents().await.unwrap().is_empty());
}

#[tokio::test]
async fn waiting_commits_become_durable_together() {
    let (store, disk, _dir) = store();
    disk.set(Behaviour::Hangs);
    let first = start_commit(&store, &disk, vec![insert_order(order(0))]).await;
    let rest: Vec<_> = (1..=64)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { commit(&*store, vec![insert_order(order(n))]).await })
        })
        .collect();
    tokio::task::yield_now().await;
    disk.set(Behaviour::Works);
    assert_eq!(first.await.unwrap(), Ok(Version(1)));
    let mut versions = Vec::new();
    for task in rest {
        versions.push(task.await.unwrap().unwrap().0);
    }
    versions.sort_unstable();
    assert_eq!(versions, Vec::from_iter(2..=65));
    assert!(disk.syncs() <= 3, "{} syncs", disk.syncs());
}

#[tokio::test]
async fn later_commits_of_a_batch_are_checked_against_earlier_ones() {
    let (store, disk, _dir) = store();
    disk.set(Behaviour::Hangs);
    let first = start_commit(&store, &disk, vec![insert_order(order(1))]).await;
    let rest: Vec<_> = (0..10)
        .map(|_| {
            let store = Arc::clone(&store);
            let change = Change::UpdateOrder(in_state(order(1), ready()), Version(1));
            tokio::spawn(async move { commit(&*store, vec![change]).await })
        })
        .collect();
    tokio::task::yield_now().await;
    disk.set(Behaviour::Works);
    first.await.unwrap().unwrap();
    let mut won = 0;
    for task in rest {
        match task.await.unwrap() {
            Ok(version) => {
                assert_eq!(version, Version(2));
                won += 1;
            }
            Err(error) => assert_eq!(error, CommitError::Conflict(ConflictOn::Value)),
        }
    }
    assert_eq!(won, 1);
}

/// Commits of one batch replace and delete large records, some of them twice.
/// No piece without a head stays in the index.
#[tokio::test]
async fn commits_leave_no_piece_of_replaced_values() {
    let (store, disk, _dir) = store();
    let with_tbs = |n, len| in_state(order(n), processing(n, len));
    let changes = (1..9).map(|n| insert_order(with_tbs(n, 60_000))).collect();
    let version = commit(&*store, changes).await.unwrap();
    let further = |store: &LedgerStore| {
        let tree = store.backend.tree.as_ref().unwrap();
        tree.scan_prefix([0xff]).count()
    };
    assert_eq!(further(&store), 8 * 14);

    disk.set(Behaviour::Hangs);
    let first = start_commit(&store, &disk, vec![insert_order(order(20))]).await;
    let mut rest = Vec::new();
    for n in 1..9 {
        let mut changes = vec![Change::UpdateOrder(with_tbs(n, 9_000), version)];
        if n % 4 == 0 {
            changes = vec![Change::DeleteOrder(order_id(n), version)];
        }
        let store = Arc::clone(&store);
        rest.push(tokio::spawn(async move { commit(&*store, changes).await }));
    }
    // Version 3 is that of the first of them.
    let changes = vec![Change::UpdateOrder(with_tbs(1, 5_000), Version(3))];
    let again = Arc::clone(&store);
    rest.push(tokio::spawn(async move { commit(&*again, changes).await }));
    tokio::task::yield_now().await;
    disk.set(Behaviour::Works);
    first.await.unwrap().unwrap();
    for task in rest {
        task.await.unwrap().unwrap();
    }
    assert!(disk.syncs() <= 4, "{} syncs", disk.syncs());
    assert_eq!(further(&store), 5 * 2 + 1);
}

#[tokio::test]
async fn a_conflict_writes_nothing() {
    let (store, disk, _dir) = store();
    let changes = vec![Change::UpdateOrder(order(1), Version(1))];
    let conflict = Err(CommitError::Conflict(ConflictOn::Value));
    assert_eq!(commit(&*store, changes).await, conflict);
    assert_eq!(disk.syncs(), 0);
}

#[tokio::test]
async fn a_store_responds_without_a_write_and_not_while_its_disk_hangs() {
    let (store, disk, dir) = store();
    let size = || {
        let entries = fs::read_dir(dir.path().join("ledger")).unwrap();
        entries
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum::<u64>()
    };
    let before = size();
    store.respond().await.unwrap();
    assert_eq!((disk.syncs(), size()), (0, before));

    disk.set(Behaviour::Hangs);
    let hanging = start_commit(&store, &disk, vec![insert_order(order(1))]).await;
    let mut responding = pin!(store.respond());
    assert!(is_pending(&mut responding).await);
    disk.set(Behaviour::Works);
    responding.await.unwrap();
    hanging.await.unwrap().unwrap();

    disk.set(Behaviour::Fails);
    let failing = commit(&*store, vec![insert_order(order(2))]).await;
    assert!(failing.is_err());
    assert!(store.respond().await.is_err());
}

#[tokio::test]
async fn a_failing_disk_poisons_the_store() {
    for (behaviour, reason) in [
        (Behaviour::Fails, "cannot synchronise "),
        (Behaviour::Panics, "the database panicked"),
    ] {
        let (store, disk, dir) = store();
        commit(&*store, vec![insert_order(order(1))]).await.unwrap();
        let mut poisoned = pin!(store.poisoned());
        assert!(is_pending(&mut poisoned).await);

        disk.set(Behaviour::Hangs);
        let failing = start_commit(&store, &disk, vec![insert_order(order(2))]).await;
        let queued = {
            let store = Arc::clone(&store);
            tokio::spawn(async move { commit(&*store, vec![insert_order(order(3))]).await })
        };
        tokio::task::yield_now().await;
        disk.set(behaviour);

        let error = poisoned.await;
        assert!(error.0.starts_with(reason), "{error}");
        assert_eq!(failing.await.unwrap(), Err(error.clone().into()));
        assert_eq!(queued.await.unwrap(), Err(error.clone().into()));
        disk.set(Behaviour::Works);
        let syncs = disk.syncs();
        let late = commit(&*store, vec![insert_order(order(4))]).await;
        assert_eq!(late, Err(error.clone().into()));
        assert_eq!(store.order(order_id(1)).await, Err(error.clone()));
        assert_eq!(
            store
                .orders(OrderList::All, None, Direction::Newer, 9)
                .await,
            Err(error)
        );
        assert_eq!(disk.syncs(), syncs);

        // Acknowledged commits are still there after a restart.
        drop(store);
        let store = LedgerStore::open(dir.path(), OpenMode::Any).unwrap();
        assert!(store.order(order_id(1)).await.unwrap().is_some());
        assert!(store.order(order_id(3)).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_commit_outlives_its_caller_and_a_drop_waits_for_it() {
    let (store, disk, dir) = store();
    disk.set(Behaviour::Hangs);
    let task = start_commit(&store, &disk, vec![insert_order(order(1))]).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let poisoned = store.poisoned();
    disk.set(Behaviour::Works);
    drop(store);
    assert!(is_pending(poisoned).await);
    let store = LedgerStore::open(dir.path(), OpenMode::Any).unwrap();
    assert!(store.order(order_id(1)).await.unwrap().is_some());
}
