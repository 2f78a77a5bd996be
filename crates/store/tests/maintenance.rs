//! Merges, migration, and what an operator does with a database.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

mod common;
mod files;
#[path = "maintenance/layout_5.rs"]
mod layout_5;
#[path = "maintenance/layout_6.rs"]
mod layout_6;
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

use crate::{common::*, files::*};

fn open(dir: &Path) -> Result<LedgerStore, OpenError> {
    LedgerStore::open(dir, OpenMode::Any)
}

/// A database with the orders 1 to `count - 1`, closed.
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
    // Orders change and accounts go: a checkpoint holds what is live.
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
async fn segments_go_once_a_checkpoint_holds_them_and_they_are_old_enough() {
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
    // An hour, a minute a commit: 60 of them stay at least.
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
    // Backwards, in pages that end within blocks and between them.
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

/// What the program of an older layout listed.
fn listed(dir: &Path) -> serde_json::Value {
    let orders = fs::read_to_string(dir.join("orders.json")).unwrap();
    serde_json::from_str(&orders).unwrap()
}

async fn assert_migrated(db: &Path, listed: &serde_json::Value) {
    let store = open(db).unwrap();
    assert!(store.is_laboratory());
    let orders = listed["orders"].as_array().unwrap();
    let cursors = store
        .orders(OrderList::All, None, Direction::Newer, 99)
        .await
        .unwrap();
    assert_eq!(cursors.len(), orders.len());
    let mut valid = 0;
    for (cursor, listed) in cursors.iter().zip(orders) {
        let order = store.order(cursor.id).await.unwrap().unwrap().value;
        assert_eq!(cursor.id.to_string(), listed["id"]);
        let account = store.account(order.account).await.unwrap().unwrap().value;
        let by_key = store
            .account_by_key(Default::default(), *account.key.thumbprint())
            .await
            .unwrap();
        assert_eq!(by_key.unwrap().value.id, account.id);
        for id in &order.authorizations {
            assert!(store.authorization(*id).await.unwrap().is_some());
        }
        let open = store
            .open_orders(order.account, order.created, 9)
            .await
            .unwrap();
        let expected = match listed["status"].as_str().unwrap() {
            "invalid" | "valid" => vec![],
            _ => vec![order.id],
        };
        assert_eq!(open, expected, "{listed}");
        if let assay_engine::domain::OrderState::Valid { certificate } = order.state() {
            assert!(
                store
                    .certificate(certificate.clone())
                    .await
                    .unwrap()
                    .is_some()
            );
            valid += 1;
        }
    }
    assert_eq!(valid, 1);
    assert!(store.nonce_key().await.unwrap().is_some());
    drop(store);
    assert!(whole(db).laboratory);
}

#[tokio::test]
async fn scenario_147_every_older_layout_is_migrated_and_its_files_are_kept() {
    for layout in 1..=3 {
        let dir = older(layout);
        let listed = listed(dir.path());
        let db = dir.path().join("db");
        let before = fs::read(db.join("db")).unwrap();
        assert!(matches!(
            LedgerView::open(&db),
            Err(OpenError::NotMigrated(_))
        ));
        assert_migrated(&db, &listed).await;
        assert_eq!(fs::read(db.join("before-ledger/db")).unwrap(), before);
        // What an older program reads in the old place.
        let mark = copy(&db);
        let mark = sled::open(mark.path()).unwrap();
        assert_eq!(mark.get("mschema").unwrap().unwrap(), LAYOUT.to_be_bytes());
        let removed = clean(&db).unwrap();
        assert_eq!(removed[0].name, "before-ledger");
        assert!(removed[0].bytes > before.len() as u64);
        assert_migrated(&db, &listed).await;
    }
}

/// Layout 4 was the first ledger: its files name no layout.
#[tokio::test]
async fn scenario_147_a_ledger_of_an_older_layout_is_migrated_and_kept() {
    let dir = older(4);
    let listed = listed(dir.path());
    let db = dir.path().join("db");
    let before = contents(&db.join("ledger"));
    assert!(matches!(
        LedgerView::open(&db),
        Err(OpenError::NotMigrated(_))
    ));
    assert_migrated(&db, &listed).await;
    assert_eq!(
        contents(&db.join(before_layout()))
            .into_values()
            .collect::<Vec<_>>(),
        before.into_values().collect::<Vec<_>>()
    );
    for file in ledger_files(&db, "checkpoint") {
        let bytes = fs::read(file).unwrap();
        assert_eq!((bytes[11], &bytes[80..84]), (2, &LAYOUT.to_be_bytes()[..]));
    }
    let store = open(&db).unwrap();
    // Accounts that had ordered count as established, the other does not.
    let provisional = store.provisional_accounts(None, 9).await.unwrap();
    assert_eq!(provisional.len(), 1);
    let account = provisional[0].cursor.id;
    assert_eq!(provisional[0].origin, None);
    assert_eq!(
        store
            .orders(OrderList::OfAccount(account), None, Direction::Newer, 9)
            .await,
        Ok(vec![])
    );
    for cursor in store
        .orders(OrderList::All, None, Direction::Newer, 9)
        .await
        .unwrap()
    {
        let order = store.order(cursor.id).await.unwrap().unwrap().value;
        assert!(order.is_proven());
        let account = store.account(order.account).await.unwrap().unwrap();
        assert!(account.value.established.is_some());
        let unproven = store.unproven_orders(&order.identifiers[0], None, 9).await;
        assert_eq!(unproven, Ok(vec![]));
    }
    drop(store);
    let removed = clean(&db).unwrap();
    assert_eq!(removed[0].name, before_layout());
    assert_migrated(&db, &listed).await;
}

/// A step of the migration that was the last before a kill.
#[tokio::test]
async fn scenario_147_a_migration_of_a_ledger_that_was_killed_goes_on() {
    for layout in 4..LAYOUT {
        let whole = older(layout);
        let listed = listed(whole.path());
        drop(open(&whole.path().join("db")).unwrap());
        let migrated = whole.path().join("db");
        for (begun, moved) in [(true, false), (false, true), (true, true)] {
            let dir = older(layout);
            let db = dir.path().join("db");
            if begun && !moved {
                // Half made, and not said to be complete.
                fs::create_dir(db.join("ledger.unfinished")).unwrap();
                fs::write(db.join("ledger.unfinished/junk"), b"junk").unwrap();
                fs::create_dir(db.join("records.unfinished")).unwrap();
            }
            if moved {
                // Complete, and the old ledger has moved.
                let unfinished = db.join("ledger.unfinished");
                fs::create_dir(&unfinished).unwrap();
                for file in ledger_files(&migrated, "checkpoint") {
                    fs::copy(&file, unfinished.join(file.file_name().unwrap())).unwrap();
                }
                fs::write(unfinished.join("migrated"), b"").unwrap();
                fs::rename(db.join("ledger"), db.join(before_layout())).unwrap();
            }
            if begun && moved {
                fs::remove_file(db.join("index/note")).unwrap();
            }
            assert_migrated(&db, &listed).await;
        }
    }
}

#[tokio::test]
async fn a_ledger_of_a_newer_layout_is_refused_and_never_mended() {
    let dir = with_orders(3, Options::default()).await;
    let mut files = ledger_files(dir.path(), "segment");
    files.extend(ledger_files(dir.path(), "checkpoint"));
    for file in &files {
        let mut bytes = fs::read(file).unwrap();
        bytes[80..84].copy_from_slice(&(LAYOUT + 1).to_be_bytes());
        let hash = assay_engine::sha256(&bytes[..96]);
        bytes[96..128].copy_from_slice(&hash);
        fs::write(file, bytes).unwrap();
    }
    let before = contents(dir.path());
    let expected = OpenError::Schema {
        dir: dir.path().to_owned(),
        found: LAYOUT + 1,
    };
    assert_eq!(open(dir.path()).map(drop), Err(expected.clone()));
    assert_eq!(
        LedgerView::open(dir.path()).map(drop),
        Err(expected.clone())
    );
    let checked = check(dir.path(), &|_, _| {}).map(drop);
    assert_eq!(checked, Err(expected.clone()));
    for accept_loss in [false, true] {
        let repaired = repair(dir.path(), accept_loss, &Options::default());
        assert_eq!(repaired.map(drop), Err(expected.clone()));
    }
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn a_layout_that_is_not_known_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tree = sled::open(dir.path()).unwrap();
    tree.insert("mschema", &[0, 0, 0, 9]).unwrap();
    tree.flush().unwrap();
    drop(tree);
    let expected = OpenError::Schema {
        dir: dir.path().to_owned(),
        found: 9,
    };
    assert_eq!(open(dir.path()).map(drop), Err(expected));
}

#[tokio::test]
async fn a_check_lists_all_damage_and_changes_nothing() {
    let dir = with_orders(60, small()).await;
    let report = whole(dir.path());
    assert_eq!((report.last, report.acknowledged), (59, Some(59)));
    assert!(report.checkpoint.is_some());
    // A byte in the middle of every file.
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

/// Damages the first entry of the last segment but one.
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
    // No list leads to what is lost.
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
    // What comes later is not part of it.
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
async fn what_reads_beside_a_running_store_never_sees_damage() {
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
