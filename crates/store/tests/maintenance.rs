//! Merges, migrations, and the maintenance commands.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

mod common;
mod files;
#[path = "maintenance/layout_5.rs"]
mod layout_5;
#[path = "maintenance/layout_6.rs"]
mod layout_6;
#[path = "maintenance/migration.rs"]
mod migration;
#[path = "maintenance/older.rs"]
mod older_layouts;

use std::{fs, path::Path, thread, time::Duration};

use assay_engine::ports::{Change, CommitError, Direction, OrderList, Store, Version};
use assay_store::{
    LedgerStore, LedgerView, OlderDatabase, OpenError, OpenMode, Options,
    maintenance::{
        Repaired, Restored, RestoredFrom, Snapshot, check, clean, rebuild, repair, restore,
    },
};
use tempfile::TempDir;

use crate::{
    common::*,
    files::*,
    migration::{assert_migrated, listed},
};

fn open(dir: &Path) -> Result<LedgerStore, OpenError> {
    LedgerStore::open(dir, OpenMode::Any)
}

/// Returns a closed database with the orders 1 to `count - 1`.
async fn with_orders(count: u8, options: Options) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::create_with(dir.path(), false, options).unwrap();
    for n in 1..count {
        commit(&store, vec![insert_order(order(n))]).await.unwrap();
    }
    tokio::task::spawn_blocking(move || drop(store))
        .await
        .unwrap();
    dir
}

fn whole(dir: &Path) -> assay_store::maintenance::Report {
    let report = check(dir, &|_, _| {}).unwrap();
    assert!(report.is_whole(), "{report:?}");
    report
}

/// Waits until `happened`.
fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if happened() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} did not happen");
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_segments_become_checkpoints_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::create_with(dir.path(), false, small()).unwrap();
    for n in 1..200 {
        commit(&store, vec![insert_order(order(n))]).await.unwrap();
    }
    // Orders change and accounts are deleted: a checkpoint holds what is live.
    commit(&store, vec![Change::InsertAccount(account(1))])
        .await
        .unwrap();
    let gone = vec![Change::DeleteAccount(account_id(1), Version(200))];
    commit(&store, gone).await.unwrap();
    wait_for("a merge", || {
        let checkpoints = ledger_files(dir.path(), "checkpoint");
        checkpoints.len() == 1
            && !checkpoints[0]
                .to_string_lossy()
                .contains("00000000000000000000")
    });
    drop(store);
    whole(dir.path());
    for power_lost in [false, true] {
        if power_lost {
            lose_power(dir.path());
        }
        let store = open(dir.path()).unwrap();
        assert_orders(&store, 200, "after merges").await;
        assert!(store.account(account_id(1)).await.unwrap().is_none());
        assert_eq!(
            store
                .orders(OrderList::All, None, Direction::Newer, 999)
                .await
                .unwrap()
                .len(),
            199
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_segments_are_removed_once_a_checkpoint_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small();
    options.keep_ledger = 3600;
    let store = LedgerStore::create_with(dir.path(), false, options.clone()).unwrap();
    let mut last = 0;
    for n in 1..250 {
        let changes = vec![insert_order(order(n))];
        let now = NOW.plus(u64::from(n) * 60);
        last = commit_at(&store, now, changes).await.unwrap().0;
    }
    let store = tokio::task::spawn_blocking(move || {
        drop(store);
        LedgerStore::open_with(dir.path(), OpenMode::Any, options)
            .map(|store| (store, dir))
            .unwrap()
    });
    let (store, dir) = store.await.unwrap();
    let first = || {
        let segments = ledger_files(dir.path(), "segment");
        let name = segments[0].file_stem().unwrap().to_str().unwrap();
        name.parse::<u64>().unwrap()
    };
    // One commit for each minute, kept for an hour: at least 60 stay.
    wait_for("the removal", || first() > last - 120);
    assert!(first() <= last - 60, "{} of {last}", first());
    drop(store);
    whole(dir.path());
}

#[tokio::test]
async fn a_view_shows_what_the_store_shows_and_changes_nothing() {
    let dir = with_orders(120, small()).await;
    let before = contents(dir.path());
    let view = LedgerView::open(dir.path()).unwrap();
    let found = view
        .orders(OrderList::All, None, Direction::Newer, 999)
        .await
        .unwrap();
    for n in 1..120 {
        assert_eq!(
            view.order(order_id(n)).await.unwrap().unwrap().value,
            order(n)
        );
    }
    assert!(view.order(order_id(200)).await.unwrap().is_none());
    // In reverse order, in pages that end within and between blocks.
    for limit in [1, 7, 999] {
        let (mut back, mut before) = (Vec::new(), None);
        loop {
            let page = view
                .orders(OrderList::All, before, Direction::Older, limit)
                .await
                .unwrap();
            before = page.last().copied();
            if before.is_none() {
                break;
            }
            back.extend(page);
        }
        assert!(back.iter().eq(found.iter().rev()), "{limit}");
    }
    let page = view
        .orders(
            OrderList::OfAccount(account_id(1)),
            Some(found[9]),
            Direction::Newer,
            5,
        )
        .await
        .unwrap();
    assert_eq!(page, found[10..15]);
    assert_eq!(view.recorded_time(), NOW);
    let refused = commit(&view, vec![insert_order(order(130))]).await;
    assert!(matches!(refused, Err(CommitError::Store(_))));
    assert_eq!(contents(dir.path()), before);
    let store = open(dir.path()).unwrap();
    assert_eq!(
        store
            .orders(OrderList::All, None, Direction::Newer, 999)
            .await
            .unwrap(),
        found
    );
}

#[tokio::test]
async fn a_check_lists_all_damage_and_changes_nothing() {
    let dir = with_orders(60, small()).await;
    let report = whole(dir.path());
    assert_eq!((report.last, report.acknowledged), (59, Some(59)));
    assert!(report.checkpoint.is_some());
    // One byte in the middle of every file.
    let mut files = ledger_files(dir.path(), "segment");
    files.extend(ledger_files(dir.path(), "checkpoint"));
    assert!(files.len() > 2);
    for file in &files {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    }
    let before = contents(dir.path());
    let report = check(dir.path(), &|_, _| {}).unwrap();
    for file in &files {
        let found = report.damage.iter().any(|damage| damage.path == *file);
        assert!(found, "{}: {report:?}", file.display());
    }
    assert!(!report.missing.is_empty());
    assert_eq!(contents(dir.path()), before);
}

/// Damages the first entry of the second to last segment.
fn damage_an_entry(dir: &Path) {
    let segments = ledger_files(dir, "segment");
    let file = &segments[segments.len() - 2];
    let mut bytes = fs::read(file).unwrap();
    bytes[128 + 70] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_ledger_is_repaired_from_the_index_without_a_loss() {
    let dir = with_orders(60, small()).await;
    damage_an_entry(dir.path());
    let damaged = contents(&dir.path().join("ledger"));
    let (report, repaired) = repair(dir.path(), false, &Options::default()).unwrap();
    assert!(!report.is_whole());
    assert_eq!(repaired, Repaired::FromIndex { last: 59 });
    whole(dir.path());
    let kept = contents(&dir.path().join("ledger.damaged-1"));
    assert_eq!(
        kept.into_values().collect::<Vec<_>>(),
        damaged.into_values().collect::<Vec<_>>()
    );
    let store = open(dir.path()).unwrap();
    assert_orders(&store, 60, "after a repair").await;
    assert_eq!(store.restored().unwrap(), None);
    assert_eq!(
        commit(&store, vec![insert_order(order(99))]).await,
        Ok(Version(60))
    );
    drop(store);
    let (_, repaired) = repair(dir.path(), true, &Options::default()).unwrap();
    assert_eq!(repaired, Repaired::Nothing);
    assert_eq!(clean(dir.path()).unwrap()[0].name, "ledger.damaged-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_accepted_explicitly_named_and_marked() {
    let dir = with_orders(60, small()).await;
    damage_an_entry(dir.path());
    lose_power(dir.path());
    let before = contents(dir.path());
    let (report, refused) = repair(dir.path(), false, &Options::default()).unwrap();
    let Repaired::Refused(reason) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(reason, "there is no index");
    assert_eq!(contents(dir.path()), before);
    let [missing] = report.missing.as_slice() else {
        panic!("{report:?}");
    };
    let lost = *missing.start();
    assert_eq!(missing.clone(), lost..=lost);

    let (_, repaired) = repair(dir.path(), true, &Options::default()).unwrap();
    let Repaired::WithLoss {
        last,
        missing,
        blocks,
    } = repaired
    else {
        panic!("{repaired:?}");
    };
    assert_eq!((last, missing, blocks), (59, vec![lost..=lost], 0));
    whole(dir.path());
    let store = open(dir.path()).unwrap();
    for n in 1..60 {
        let found = store.order(order_id(n)).await.unwrap();
        assert_eq!(found.is_none(), u64::from(n) == lost, "order {n}");
    }
    // No list leads to a lost record.
    assert_eq!(
        store
            .orders(OrderList::All, None, Direction::Newer, 99)
            .await
            .unwrap()
            .len(),
        58
    );
    let restored = store.restored().unwrap().unwrap();
    assert_eq!(restored.from, RestoredFrom::Loss);
    assert_eq!(restored.sequence, lost - 1);
    let store = tokio::task::spawn_blocking(move || {
        store.set_restored(None).unwrap();
        store
    });
    assert_eq!(store.await.unwrap().restored().unwrap(), None);
}

#[tokio::test]
async fn an_index_is_rebuilt_on_demand() {
    let dir = with_orders(30, Options::default()).await;
    rebuild(dir.path(), Options::default()).unwrap();
    assert!(dir.path().join("index/2").is_dir());
    assert_eq!(clean(dir.path()).unwrap()[0].name, "index/1.aside");
    let store = open(dir.path()).unwrap();
    assert_orders(&store, 30, "after a rebuild").await;
    assert!(matches!(
        rebuild(dir.path(), Options::default()),
        Err(OpenError::InUse(_))
    ));
    assert!(matches!(clean(dir.path()), Err(OpenError::InUse(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_130_a_snapshot_of_a_running_store_is_restored() {
    let dir = with_orders(40, small()).await;
    let store = open(dir.path()).unwrap();
    let snapshot = Snapshot::take(dir.path()).unwrap();
    assert_eq!((snapshot.sequence, snapshot.time), (39, NOW));
    // Later commits are not part of the snapshot.
    commit(&store, vec![insert_order(order(99))]).await.unwrap();
    let from = tempfile::tempdir().unwrap();
    fs::create_dir(from.path().join("ledger")).unwrap();
    for mut file in snapshot.files {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, file.len);
        fs::write(from.path().join("ledger").join(&file.name), bytes).unwrap();
    }
    let to = tempfile::tempdir().unwrap();
    let db = to.path().join("db");
    let expected = Restored {
        from: RestoredFrom::Backup,
        sequence: 39,
        time: NOW,
    };
    let (from, restored) = tokio::task::spawn_blocking({
        let db = db.clone();
        move || {
            let restored = restore(from.path(), 39, &db).unwrap();
            (from, restored)
        }
    })
    .await
    .unwrap();
    drop(from);
    assert_eq!(restored, expected);
    whole(&db);
    let other = open(&db).unwrap();
    assert_orders(&other, 40, "restored").await;
    assert!(other.order(order_id(99)).await.unwrap().is_none());
    assert_eq!(other.restored().unwrap(), Some(expected));
    assert_ne!(other.nonce_key().await, store.nonce_key().await);
    assert_eq!(
        commit(&other, vec![insert_order(order(50))]).await,
        Ok(Version(41))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_beside_a_running_store_never_see_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(LedgerStore::create_with(dir.path(), false, small()).unwrap());
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..4_u8)
        .map(|writer| {
            let (store, stop) = (store.clone(), stop.clone());
            tokio::spawn(async move {
                let mut version = None;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let change = match version {
                        None => insert_order(order(writer)),
                        Some(version) => Change::UpdateOrder(order(writer), version),
                    };
                    version = Some(commit(&*store, vec![change]).await.unwrap());
                }
                version.unwrap().0
            })
        })
        .collect();
    let path = dir.path().to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        let (mut last, mut round) = (0, 0);
        let start = std::time::Instant::now();
        while last < 300 || start.elapsed() < Duration::from_secs(2) {
            round += 1;
            match round % 3 {
                0 => drop(LedgerView::open(&path).unwrap()),
                1 => {
                    let report = check(&path, &|_, _| {}).unwrap();
                    assert!(report.is_whole(), "{report:?}");
                    assert!(report.last >= last);
                    last = report.last;
                }
                _ => assert!(Snapshot::take(&path).unwrap().sequence >= last),
            }
        }
    });
    let looked = looked.await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    looked.unwrap();
}
