//! What only a database on the disk has: opening, failing to open, damage.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use assay_engine::ports::{Change, Store, Version};
use assay_store::{OpenError, OpenMode, SledStore};
use tempfile::TempDir;

use crate::common::*;

/// A directory with a database that holds an order.
async fn filled(laboratory: bool) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::create(dir.path(), laboratory).unwrap();
    assert_eq!(store.is_laboratory(), laboratory);
    let ready = order(1).with_state(ready());
    let changes = vec![insert_order(ready), Change::InsertAccount(account(1))];
    commit(&store, changes).await.unwrap();
    dir
}

fn open(dir: &Path) -> Result<SledStore, OpenError> {
    SledStore::open(dir, OpenMode::Any)
}

/// The error of an open that must fail.
fn refusal(dir: &Path) -> OpenError {
    match open(dir) {
        Ok(_) => panic!("the database was opened"),
        Err(error) => error,
    }
}

/// Changes a value behind the store's back.
fn overwrite(dir: &Path, key: &[u8], change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let tree = sled::open(dir).unwrap();
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
    assert_eq!(found.value, order(1).with_state(ready()));
    assert_eq!(found.version, Version(1));
    assert_eq!(store.latest_time(), NOW);
    let by_key = store.account_by_key(*key(1).thumbprint()).await.unwrap();
    assert_eq!(by_key.unwrap().value.id, account_id(1));
    assert_eq!(store.orders(None, None, 9).await.unwrap().len(), 1);
    let open_orders = store.open_orders(account_id(1), NOW, 9).await;
    assert_eq!(open_orders, Ok(vec![order_id(1)]));
    // Versions go on where they were.
    let changes = vec![Change::UpdateOrder(found.value, found.version)];
    assert_eq!(commit(&store, changes).await, Ok(Version(2)));
}

#[tokio::test]
async fn the_laboratory_mark_stays() {
    for laboratory in [false, true] {
        let dir = filled(laboratory).await;
        assert_eq!(open(dir.path()).unwrap().is_laboratory(), laboratory);
        let wanted = SledStore::open(dir.path(), OpenMode::Laboratory).map(drop);
        let expected = match laboratory {
            true => Ok(()),
            false => Err(OpenError::NotLaboratory(dir.path().to_owned())),
        };
        assert_eq!(wanted, expected);
    }
}

#[tokio::test]
async fn create_never_touches_what_is_there() {
    let dir = filled(false).await;
    for laboratory in [false, true] {
        let refused = SledStore::create(dir.path(), laboratory).map(drop);
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
    drop(SledStore::create(&dir, false).unwrap());
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
async fn a_second_handle_is_kept_out() {
    let dir = filled(false).await;
    let store = open(dir.path()).unwrap();
    let in_use = OpenError::InUse(dir.path().to_owned());
    assert_eq!(refusal(dir.path()), in_use);
    assert_eq!(SledStore::create(dir.path(), true).map(drop), Err(in_use));
    drop(store);
    drop(open(dir.path()).unwrap());
}

#[tokio::test]
async fn another_layout_is_named() {
    let dir = filled(false).await;
    overwrite(dir.path(), b"mschema", |_| Some(vec![0, 0, 0, 2]));
    let expected = OpenError::Schema {
        dir: dir.path().to_owned(),
        found: 2,
    };
    assert_eq!(refusal(dir.path()), expected);
    assert!(
        expected
            .to_string()
            .contains("has layout 2, this program reads layout 3")
    );
}

#[tokio::test]
async fn a_database_without_its_first_records_is_not_begun_anew() {
    let dir = filled(false).await;
    overwrite(dir.path(), b"mschema", |_| None);
    let expected = OpenError::Unfinished(dir.path().to_owned());
    assert_eq!(refusal(dir.path()), expected);

    for key in [&b"mlaboratory"[..], b"msequence", b"mtime"] {
        for new in [None, Some(vec![1, 2, 3])] {
            let dir = filled(false).await;
            overwrite(dir.path(), key, |_| new);
            assert!(matches!(refusal(dir.path()), OpenError::Damaged { .. }));
        }
    }
}

#[tokio::test]
async fn garbage_is_refused_without_a_panic() {
    let garbage: Vec<u8> = (0..600_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for (name, content, keeps_snapshots) in [
        ("conf", None, true),
        (
            "conf",
            Some(b"no configuration of sled at all".to_vec()),
            true,
        ),
        ("db", Some(garbage), false),
        ("db", Some(vec![0xa5; 600_000]), true),
        ("db", Some(Vec::new()), false),
        ("db", Some(vec![1; 10]), false),
    ] {
        let dir = filled(false).await;
        let path = dir.path().join(name);
        match &content {
            Some(content) => fs::write(path, content).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        if !keeps_snapshots {
            remove_snapshots(dir.path());
        }
        assert!(
            matches!(
                refusal(dir.path()),
                OpenError::Damaged { .. } | OpenError::Unfinished(_)
            ),
            "{name} of {:?} bytes",
            content.map(|content| content.len())
        );
    }
}

fn remove_snapshots(dir: &Path) {
    let entries = fs::read_dir(dir).unwrap();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy();
        if name.starts_with("snap.") {
            fs::remove_file(&path).unwrap();
        }
    }
}

#[tokio::test]
async fn a_damaged_record_is_an_error_of_that_read() {
    let order_key = [&b"o"[..], &[1; 16]].concat();
    for (message, len, format) in [
        ("its format is 9, this program reads 1", 0, 9),
        ("it is too short", i32::MIN, 1),
        ("it is not the CBOR that was written", -1, 1),
        ("it is not the CBOR that was written: bytes follow it", 1, 1),
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

/// A database of some commits: what its log's file holds.
async fn with_orders(count: u8) -> (TempDir, Vec<u8>) {
    let dir = filled(false).await;
    let store = open(dir.path()).unwrap();
    for n in 2..count {
        commit(&store, vec![insert_order(order(n))]).await.unwrap();
    }
    drop(store);
    let log = fs::read(dir.path().join("db")).unwrap();
    (dir, log)
}

#[tokio::test]
async fn a_flipped_bit_never_takes_commits_away_unseen() {
    let (dir, log) = with_orders(60).await;
    let used = log.iter().rposition(|byte| *byte != 0).unwrap();
    let mut refused = 0;
    for part in 1..24 {
        let at = used * part / 24;
        let damaged = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                fs::copy(entry.path(), damaged.path().join(entry.file_name())).unwrap();
            }
        }
        let mut bytes = log.clone();
        bytes[at] ^= 1;
        fs::write(damaged.path().join("db"), bytes).unwrap();
        match open(damaged.path()) {
            Err(OpenError::Damaged { .. } | OpenError::Unfinished(_)) => refused += 1,
            Err(other) => panic!("byte {at}: {other:?}"),
            // A bit that nothing reads any more.
            Ok(store) => {
                for n in 1..60 {
                    let found = store.order(order_id(n)).await.unwrap();
                    assert!(found.is_some(), "byte {at}: order {n} is gone");
                }
            }
        }
    }
    assert!(refused > 0, "no damage was done");
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
        (&[0xff; 16], "was acknowledged"),
    ] {
        fs::write(&watermark, bytes).unwrap();
        let OpenError::Damaged { detail, .. } = refusal(dir.path()) else {
            panic!("not damaged");
        };
        assert!(detail.contains(said), "{detail}");
    }
    // What a power cut may leave: an older number.
    fs::write(&watermark, [0; 16]).unwrap();
    drop(open(dir.path()).unwrap());
    fs::remove_file(&watermark).unwrap();
    assert!(matches!(refusal(dir.path()), OpenError::Damaged { .. }));
}
