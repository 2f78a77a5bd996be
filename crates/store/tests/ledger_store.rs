//! What only a database on disk has: opening, refusals, damage.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

mod common;
mod files;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use assay_engine::ports::{Change, Direction, OrderList, Store, Version};
use assay_store::{LedgerStore, OpenError, OpenMode, maintenance::check};
use tempfile::TempDir;

use crate::{common::*, files::*};

/// Returns a directory with a database that holds one order.
async fn filled(laboratory: bool) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::create(dir.path(), laboratory).unwrap();
    assert_eq!(store.is_laboratory(), laboratory);
    let ready = in_state(order(1), ready());
    let changes = vec![insert_order(ready), Change::InsertAccount(account(1))];
    commit(&store, changes).await.unwrap();
    dir
}

fn open(dir: &Path) -> Result<LedgerStore, OpenError> {
    LedgerStore::open(dir, OpenMode::Any)
}

/// Returns the error of an open that must fail.
fn refusal(dir: &Path) -> OpenError {
    match open(dir) {
        Ok(_) => panic!("the database was opened"),
        Err(error) => error,
    }
}

/// Changes a value of the index without the store. The note says that the index
/// was closed, so that it is trusted.
fn overwrite(dir: &Path, key: &[u8], change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let tree = sled::open(dir.join("index/1")).unwrap();
    let old = tree.get(key).unwrap().unwrap().to_vec();
    match change(old) {
        Some(new) => tree.insert(key, new).unwrap(),
        None => tree.remove(key).unwrap(),
    };
    tree.flush().unwrap();
}

#[tokio::test]
async fn scenario_64_a_ready_order_outlives_a_restart() {
    let dir = filled(false).await;
    let store = open(dir.path()).unwrap();
    let found = store.order(order_id(1)).await.unwrap().unwrap();
    assert_eq!(found.value, in_state(order(1), ready()));
    assert_eq!(found.version, Version(1));
    assert_eq!(store.recorded_time(), NOW);
    let by_key = store
        .account_by_key(Default::default(), *key(1).thumbprint())
        .await
        .unwrap();
    assert_eq!(by_key.unwrap().value.id, account_id(1));
    assert_eq!(
        store
            .orders(OrderList::All, None, Direction::Newer, 9)
            .await
            .unwrap()
            .len(),
        1
    );
    let open_orders = store.open_orders(account_id(1), NOW, 9).await;
    assert_eq!(open_orders, Ok(vec![order_id(1)]));
    // Versions continue from their old values.
    let changes = vec![Change::UpdateOrder(found.value, found.version)];
    assert_eq!(commit(&store, changes).await, Ok(Version(2)));
}

#[tokio::test]
async fn the_laboratory_mark_stays() {
    for laboratory in [false, true] {
        let dir = filled(laboratory).await;
        assert_eq!(open(dir.path()).unwrap().is_laboratory(), laboratory);
        let wanted = LedgerStore::open(dir.path(), OpenMode::Laboratory).map(drop);
        let expected = match laboratory {
            true => Ok(()),
            false => Err(OpenError::NotLaboratory(dir.path().to_owned())),
        };
        assert_eq!(wanted, expected);
    }
}

#[tokio::test]
async fn create_never_changes_an_existing_database() {
    let dir = filled(false).await;
    for laboratory in [false, true] {
        let refused = LedgerStore::create(dir.path(), laboratory).map(drop);
        assert_eq!(refused, Err(OpenError::Exists(dir.path().to_owned())));
    }
    let store = open(dir.path()).unwrap();
    assert!(store.order(order_id(1)).await.unwrap().is_some());
}

#[test]
fn create_makes_the_directory_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/b");
    drop(LedgerStore::create(&dir, false).unwrap());
    let mode = fs::metadata(&dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    drop(open(&dir).unwrap());
}

#[test]
fn open_never_makes_a_database() {
    let parent = tempfile::tempdir().unwrap();
    for dir in [parent.path().to_owned(), parent.path().join("none")] {
        assert_eq!(refusal(&dir), OpenError::Missing(dir));
    }
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_second_handle_is_refused() {
    let dir = filled(false).await;
    let store = open(dir.path()).unwrap();
    let in_use = OpenError::InUse(dir.path().to_owned());
    assert_eq!(refusal(dir.path()), in_use);
    assert_eq!(LedgerStore::create(dir.path(), true).map(drop), Err(in_use));
    drop(store);
    drop(open(dir.path()).unwrap());
}

#[tokio::test]
async fn a_damaged_record_is_an_error_of_that_read() {
    let order_key = [&b"o"[..], &[1; 16]].concat();
    for (message, len, format) in [
        ("its format is 9, this program reads 1", 0, 9),
        ("it is too short", i32::MIN, 1),
        ("its CBOR is invalid", -1, 1),
        ("its CBOR is invalid: bytes follow it", 1, 1),
    ] {
        let dir = filled(false).await;
        overwrite(dir.path(), &order_key, |mut old| {
            let len = old.len().saturating_add_signed(len as isize).max(8);
            old.resize(len, 0);
            old[0] = format;
            Some(old)
        });
        let store = Arc::new(open(dir.path()).unwrap());
        let error = store.order(order_id(1)).await.unwrap_err();
        assert!(error.0.contains(message), "{error}");
        assert!(
            error.0.starts_with("an order under the key 6f01"),
            "{error}"
        );
        assert!(store.account(account_id(1)).await.unwrap().is_some());
    }
}

/// Returns a database with `count - 1` orders, and the files of its ledger.
async fn with_orders(count: u8) -> (TempDir, Vec<PathBuf>) {
    let dir = filled(false).await;
    let store = open(dir.path()).unwrap();
    for n in 2..count {
        commit(&store, vec![insert_order(order(n))]).await.unwrap();
    }
    drop(store);
    let files = files(&dir.path().join("ledger"));
    (dir, files)
}

#[tokio::test]
async fn every_flipped_byte_of_the_ledger_is_named_and_nothing_is_changed() {
    let (dir, files) = with_orders(6).await;
    let damaged = copy(dir.path());
    lose_power(damaged.path());
    // A check reads what opening reads, and opening takes longer.
    let stride = match std::env::var_os("ASSAY_SOAK") {
        Some(_) => 1,
        None => 20,
    };
    let mut tried = 0;
    for file in &files {
        let name = file.strip_prefix(dir.path()).unwrap();
        let bytes = fs::read(file).unwrap();
        for at in 0..bytes.len() {
            let target = damaged.path().join(name);
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            fs::write(&target, &flipped).unwrap();
            let before = contents(damaged.path());
            let report = check(damaged.path(), &|_, _| {}).unwrap();
            let named = report.damage.iter().any(|damage| damage.path == target);
            assert!(named, "{name:?}, byte {at}: {report:?}");
            assert_eq!(contents(damaged.path()), before, "{name:?}, byte {at}");
            tried += 1;
            if at % stride > 0 {
                continue;
            }
            let OpenError::Damaged { detail, .. } = refusal(damaged.path()) else {
                panic!("{name:?}, byte {at}: not damaged");
            };
            assert!(detail.contains("is damaged at byte"), "{detail}");
            assert!(
                detail.contains(".segment") || detail.contains(".checkpoint"),
                "{detail}"
            );
            assert_eq!(contents(damaged.path()), before, "{name:?}, byte {at}");
        }
        fs::write(damaged.path().join(name), bytes).unwrap();
    }
    assert!(tried > 2000, "{tried}");
}

#[tokio::test]
async fn a_missing_or_broken_index_is_rebuilt() {
    let (dir, _) = with_orders(20).await;
    let garbage: Vec<u8> = (0..600_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let index = |name: &str| PathBuf::from("index/1").join(name);
    for (what, path, content) in [
        ("the note", "index/note".into(), None),
        (
            "the note's content",
            "index/note".into(),
            Some(vec![7; 1024]),
        ),
        ("conf", index("conf"), None),
        (
            "conf's content",
            index("conf"),
            Some(b"nothing of sled's".to_vec()),
        ),
        ("db", index("db"), None),
        ("db's content", index("db"), Some(garbage)),
        ("db's content", index("db"), Some(Vec::new())),
    ] {
        let damaged = copy(dir.path());
        let target = damaged.path().join(&path);
        match content {
            Some(content) => fs::write(&target, content).unwrap(),
            None => fs::remove_file(&target).unwrap(),
        }
        let store = open(damaged.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_orders(&store, 20, what).await;
        assert_eq!(
            commit(&store, vec![insert_order(order(99))]).await,
            Ok(Version(20))
        );
        drop(store);
        let store = open(damaged.path()).unwrap();
        assert_orders(&store, 20, what).await;
        assert!(store.order(order_id(99)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn bytes_of_the_index_are_flipped_and_nothing_is_lost() {
    let (dir, _) = with_orders(60).await;
    let log = fs::read(dir.path().join("index/1/db")).unwrap();
    let used = log.iter().rposition(|byte| *byte != 0).unwrap();
    for part in 1..24 {
        let at = used * part / 24;
        let damaged = copy(dir.path());
        let mut bytes = log.clone();
        bytes[at] ^= 1;
        fs::write(damaged.path().join("index/1/db"), bytes).unwrap();
        let store = open(damaged.path()).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        let mut failed = false;
        for n in 1..60 {
            match store.order(order_id(n)).await {
                Ok(found) => assert!(found.is_some(), "byte {at}: order {n} is gone"),
                Err(_) => failed = true,
            }
        }
        // Damage that was found only by a read: the next start rebuilds the
        // index.
        drop(store);
        if failed {
            let store = open(damaged.path()).unwrap();
            assert_orders(&store, 60, "after a failed read").await;
        }
    }
}

#[tokio::test]
async fn a_missing_segment_is_named() {
    let (dir, files) = with_orders(8).await;
    let segments: Vec<&PathBuf> = (files.iter())
        .filter(|file| file.extension().is_some_and(|ending| ending == "segment"))
        .collect();
    assert_eq!(segments.len(), 2);
    for missing in &segments {
        for power_lost in [true, false] {
            let damaged = copy(dir.path());
            if power_lost {
                lose_power(damaged.path());
            }
            let name = missing.strip_prefix(dir.path()).unwrap();
            fs::remove_file(damaged.path().join(name)).unwrap();
            let before = contents(damaged.path());
            let opened = open(damaged.path());
            // An index that was closed has everything: only `store check` and
            // merges notice that the first segment is missing.
            if opened.is_ok() && !power_lost && *missing == segments[0] {
                continue;
            }
            let Err(OpenError::Damaged { detail, .. }) = opened.map(drop) else {
                panic!("{name:?}: not damaged");
            };
            let said = [
                "commits 1 to 1 are missing",
                "but commit 7 was acknowledged",
            ];
            assert!(said.iter().any(|said| detail.contains(said)), "{detail}");
            assert_eq!(contents(damaged.path()), before);
        }
    }
}

#[tokio::test]
async fn a_tear_above_the_watermark_is_cut_and_damage_is_not() {
    let (dir, files) = with_orders(8).await;
    let last = files.last().unwrap();
    let name = last.strip_prefix(dir.path()).unwrap();
    let bytes = fs::read(last).unwrap();
    // The start of the last entry: orders have the same length.
    let entries = bytes.windows(4).enumerate();
    let starts: Vec<usize> = entries
        .filter(|(_, window)| window == b"ENTR")
        .map(|(at, _)| at)
        .collect();
    let (before_last, last_start) = (starts[starts.len() - 2], starts[starts.len() - 1]);
    let watermark = |number: u64| [number.to_be_bytes(), number.to_be_bytes()].concat();
    let case = |content: &[u8], acknowledged: u64| {
        let damaged = copy(dir.path());
        lose_power(damaged.path());
        fs::write(damaged.path().join(name), content).unwrap();
        fs::write(damaged.path().join("watermark"), watermark(acknowledged)).unwrap();
        damaged
    };

    // Only a part of the last write reached the disk, and it was never
    // acknowledged.
    for len in [last_start + 1, last_start + 70, bytes.len() - 1] {
        let torn = case(&bytes[..len], 6);
        let store = open(torn.path()).unwrap();
        assert!(store.order(order_id(6)).await.unwrap().is_some());
        assert!(store.order(order_id(7)).await.unwrap().is_none());
        assert_eq!(
            commit(&store, vec![insert_order(order(7))]).await,
            Ok(Version(7))
        );
        drop(store);
        lose_power(torn.path());
        assert_orders(&open(torn.path()).unwrap(), 8, "after a tear").await;
    }
    // The same for an acknowledged write, and a loss below the acknowledged
    // commits.
    for (content, acknowledged) in [(&bytes[..bytes.len() - 1], 7), (&bytes[..last_start], 7)] {
        let damaged = case(content, acknowledged);
        assert!(matches!(refusal(damaged.path()), OpenError::Damaged { .. }));
    }
    // Above an old watermark, but a later write succeeded.
    let mut middle = bytes.clone();
    middle[before_last + 65] ^= 1;
    let damaged = case(&middle, 3);
    let before = contents(damaged.path());
    assert!(matches!(refusal(damaged.path()), OpenError::Damaged { .. }));
    assert_eq!(contents(damaged.path()), before);
}

#[tokio::test]
async fn a_database_without_its_watermark_is_not_opened() {
    let (dir, _) = with_orders(3).await;
    let watermark = dir.path().join("watermark");
    let right = fs::read(&watermark).unwrap();
    for (bytes, said) in [
        (&[][..], "holds no number"),
        (&right[..15], "holds no number"),
        (&[&right[..8], &[0xff; 8]].concat(), "holds no number"),
        (&[0xff; 16], "holds no number"),
        (&[[0, 0, 0, 0, 0, 0, 1, 0]; 2].concat(), "was acknowledged"),
    ] {
        fs::write(&watermark, bytes).unwrap();
        let OpenError::Damaged { detail, .. } = refusal(dir.path()) else {
            panic!("not damaged");
        };
        assert!(detail.contains(said), "{detail}");
    }
    // A power cut may leave an older number.
    fs::write(&watermark, [0; 16]).unwrap();
    drop(open(dir.path()).unwrap());
    fs::remove_file(&watermark).unwrap();
    assert!(matches!(refusal(dir.path()), OpenError::Damaged { .. }));
}
