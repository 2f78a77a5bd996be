//! A fault of the disk at every operation while a database is created, filled,
//! opened and rebuilt: no acknowledged commit is lost, and an I/O error is
//! never taken for damage.

use std::{collections::BTreeMap, fs, ops::Range, sync::mpsc as channel};

use super::{
    faulty_disk::{FaultyDisk, Kind},
    *,
};
use crate::{
    ledger::survey::{Names, Survey},
    maintenance::check,
};

/// The orders that fill a database.
const FILL: Range<u8> = 1..13;
/// The orders that are added after it was opened again.
const MORE: Range<u8> = 20..24;
/// The order that is added to check that the database still works.
const LAST: u8 = 40;

/// The id of another boot than the current one.
const OTHER_BOOT: [u8; 16] = [9; 16];

/// Segments are closed after two commits and merged after five.
fn small(disk: Arc<dyn Disk>) -> Options {
    Options {
        sizes: Sizes {
            segment: 600,
            merge: 1_500,
            chunk: 1_200,
        },
        disk,
        ..Options::default()
    }
}

/// Runs `work` on another thread, and fails if it hangs.
fn in_time<T: Send + 'static>(what: String, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel::channel();
    let thread = thread::spawn(move || sender.send(work()).is_ok());
    match receiver.recv_timeout(Duration::from_secs(60)) {
        Ok(value) => value,
        Err(channel::RecvTimeoutError::Timeout) => panic!("{what}: it hangs"),
        Err(channel::RecvTimeoutError::Disconnected) => {
            let panicked = thread.join().unwrap_err();
            let message = panicked.downcast_ref::<String>().cloned();
            panic!("{what}: {}", message.unwrap_or_default());
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

/// Commits `orders` at intervals of ten minutes until a commit fails. Returns
/// the acknowledged ones.
fn fill(store: &LedgerStore, orders: Range<u8>) -> Vec<u8> {
    let mut acknowledged = Vec::new();
    runtime().block_on(async {
        for n in orders {
            let now = NOW.plus(600 * u64::from(n));
            let commit = commit_at(store, now, vec![insert_order(order_of_some_size(n))]);
            match timeout(Duration::from_secs(20), commit).await.unwrap() {
                Ok(_) => acknowledged.push(n),
                Err(CommitError::Store(_)) => break,
                Err(error) => panic!("order {n}: {error:?}"),
            }
        }
    });
    acknowledged
}

/// Waits until a merge is done or has failed.
fn wait_for_a_merge(dir: &Path) {
    for _ in 0..60 {
        let names = Names::list(&SystemDisk, &crate::ledger::path(dir)).unwrap();
        if matches!(names.checkpoints[..], [only] if only > 0) {
            return;
        }
        thread::sleep(Duration::from_millis(3));
    }
}

/// Reads the files of the ledger, and the watermark.
fn record(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut record = contents(dir);
    record.retain(|path, _| {
        let name = path.to_string_lossy();
        [".checkpoint", ".segment", "watermark"]
            .iter()
            .any(|ending| name.ends_with(ending))
    });
    record
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Changes the note of a closed index to that of an index that was left open in
/// the boot `boot`, flushed up to the beginning of the last segment.
fn leave_open(dir: &Path, boot: Option<[u8; 16]>) {
    let index = index::directory(dir);
    let (mut notes, note) = NoteFile::open(&SystemDisk, &index).unwrap();
    let survey = Survey::take(&SystemDisk, dir).unwrap();
    let last = survey.segments.last().map(|last| last.header.before);
    let note = Note {
        state: State::Open,
        boot,
        flushed: last.map_or(survey.start(), |place| Start {
            segment: place.sequence + 1,
            offset: HEADER_LEN as u64,
            place,
        }),
        ..note.unwrap()
    };
    notes.write_durably(&note).unwrap();
}

/// What happens while the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// A database is created and filled.
    Create,
    /// A database is opened after a kill, and more is committed.
    AfterKill,
    /// The same after a power loss, so that the index is rebuilt.
    AfterPowerLoss,
}

const WORKS: [Work; 3] = [Work::Create, Work::AfterKill, Work::AfterPowerLoss];

/// The state before the work.
struct Base {
    dir: TempDir,
    orders: Vec<u8>,
}

impl Base {
    fn new(work: Work) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut orders = Vec::new();
        if work != Work::Create {
            let db = dir.path().join("db");
            let options = small(Arc::new(SystemDisk));
            let store = LedgerStore::create_with(&db, false, options.clone()).unwrap();
            orders = fill(&store, FILL);
            assert_eq!(orders.len(), FILL.len());
            wait_for_a_merge(&db);
            drop(store);
            let boot = match work {
                Work::AfterPowerLoss => Some(OTHER_BOOT),
                _ => options.boot_id,
            };
            leave_open(&db, boot);
        }
        Self { dir, orders }
    }
}

/// Does `work` on a copy of `base` with a disk that fails, then opens the
/// database with a disk that works. Returns which operation failed; `None` if
/// the work has no such operation.
fn fail_at(work: Work, base: &Base, kind: Kind, at: usize) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    copy(base.dir.path(), dir.path());
    let db = dir.path().join("db");
    let disk = FaultyDisk::new(kind, at);
    let options = small(Arc::new(disk.clone()));
    let mut acknowledged = base.orders.clone();
    let before = (work != Work::Create).then(|| record(&db));
    let opened = match work {
        Work::Create => LedgerStore::create_with(&db, false, options),
        _ => LedgerStore::open_with(&db, OpenMode::Any, options),
    };
    match opened {
        Ok(store) => {
            let orders = if work == Work::Create { FILL } else { MORE };
            let committed = fill(&store, orders.clone());
            if work == Work::Create && committed.len() == orders.len() {
                wait_for_a_merge(&db);
            }
            acknowledged.extend(committed);
        }
        Err(error @ OpenError::Io { .. }) => {
            let failed = disk
                .failed()
                .unwrap_or_else(|| panic!("by itself: {error}"));
            if let Some(before) = before {
                assert!(record(&db) == before, "{failed}: files were changed");
            } else if !crate::ledger::path(&db).exists() {
                let opened = LedgerStore::open(&db, OpenMode::Any).map(drop);
                let none = matches!(
                    opened,
                    Err(OpenError::Missing(_) | OpenError::Unfinished(_))
                );
                assert!(none, "{failed}: {opened:?}");
                return Some(failed);
            }
        }
        Err(error) => panic!("{:?}: {error}", disk.failed()),
    }
    let failed = disk.failed();
    let what = format!("{work:?}, {kind:?} {at}, {failed:?}");
    // A leaked handle holds sled's lock until the process ends. The copy is
    // what the next process finds.
    let next = dir.path().join("next");
    copy(&db, &next);
    assert_has(&next, &acknowledged, &what);
    failed
}

/// Asserts that the database has these orders and works, also without its
/// index.
fn assert_has(db: &Path, orders: &[u8], what: &str) {
    let report = check(db, &|_, _| {}).unwrap();
    assert!(report.is_whole(), "{what}: {report:?}");
    let mut orders = orders.to_vec();
    for power_lost in [false, true] {
        if power_lost {
            leave_open(db, Some(OTHER_BOOT));
        }
        let store = LedgerStore::open_with(db, OpenMode::Any, small(Arc::new(SystemDisk)));
        let store = store.unwrap_or_else(|error| panic!("{what}: {error}"));
        for n in &orders {
            let found = runtime().block_on(store.order(order_id(*n)));
            let found = found.unwrap().map(|order| order.value);
            let is_whole = found == Some(order_of_some_size(*n));
            assert!(is_whole, "{what}: order {n} is gone, or another");
        }
        if !power_lost {
            orders.extend(fill(&store, LAST..LAST + 1));
            assert_eq!(orders.last(), Some(&LAST), "{what}");
        }
    }
}

/// Lets every `stride`-th operation of a kind fail, one in each run; with
/// ASSAY_SOAK set, every operation. Asserts that there are at least `expected`
/// of them.
fn fail_each(kind: Kind, stride: usize, expected: usize) {
    let stride = match std::env::var_os("ASSAY_SOAK") {
        Some(_) => 1,
        None => stride,
    };
    let mut tried = 0;
    for work in WORKS {
        let base = Arc::new(Base::new(work));
        for at in (1..).step_by(stride) {
            let base = Arc::clone(&base);
            let what = format!("{work:?}, {kind:?} {at}");
            let failed = in_time(what, move || fail_at(work, &base, kind, at));
            let Some(failed) = failed else { break };
            println!("{work:?}, {kind:?} {at}: {failed}");
            tried += 1;
        }
    }
    println!("{kind:?}: {tried} points tried");
    assert!(tried * stride >= expected, "{tried} points were tried");
}

#[test]
fn a_failed_read_loses_nothing_and_is_not_reported_as_damage() {
    fail_each(Kind::Read, 4, 250);
}

#[test]
fn a_failed_write_loses_nothing() {
    fail_each(Kind::Write, 4, 200);
}

#[test]
fn a_write_that_is_cut_short_loses_nothing() {
    fail_each(Kind::Short, 3, 80);
}

#[test]
fn a_full_disk_loses_nothing() {
    fail_each(Kind::Full, 6, 180);
}

#[test]
fn a_disk_that_stays_full_loses_nothing() {
    fail_each(Kind::StaysFull, 6, 180);
}

#[test]
fn a_failed_fdatasync_that_restores_the_old_bytes_loses_nothing() {
    fail_each(Kind::Sync, 2, 60);
}
