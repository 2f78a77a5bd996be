//! Starts and repairs that are refused, and what proves that nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

mod common;
mod files;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use assay_engine::ports::Change;
use assay_store::{
    LedgerStore, OpenError, OpenMode, Options,
    maintenance::{Repaired, check, peek, repair},
};
use tempfile::TempDir;

use crate::{common::*, files::*};

/// Returns a closed database with the orders 1 to 39.
async fn closed() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = LedgerStore::create_with(dir.path(), false, small()).unwrap();
    for n in 1..40 {
        commit(&store, vec![insert_order(order(n))]).await.unwrap();
    }
    close(store).await;
    dir
}

async fn close(store: LedgerStore) {
    let closed = tokio::task::spawn_blocking(move || drop(store));
    closed.await.unwrap();
}

/// Lists everything below a directory, and reads the files.
fn everything(dir: &Path) -> (BTreeSet<PathBuf>, impl PartialEq + std::fmt::Debug) {
    fn names(dir: &Path, into: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names(&path, into);
            }
            into.insert(path);
        }
    }
    let mut found = BTreeSet::new();
    names(dir, &mut found);
    (found, contents(dir))
}

fn flip(file: &Path, offset: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[offset] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_refused_start_creates_nothing() {
    let right = closed().await;
    // Like a copy of the ledger without the index.
    fs::remove_dir_all(right.path().join("index")).unwrap();
    fs::remove_file(right.path().join("lock")).unwrap();
    let segment = |dir: &Path| ledger_files(dir, "segment").pop().unwrap();
    type Harm<'a> = (&'a str, OpenMode, &'a dyn Fn(&Path));
    let cases: [Harm<'_>; 6] = [
        ("an entry", OpenMode::Any, &|dir| {
            flip(&segment(dir), 128 + 70)
        }),
        ("a block", OpenMode::Any, &|dir| {
            let checkpoint = ledger_files(dir, "checkpoint").pop().unwrap();
            let middle = fs::metadata(&checkpoint).unwrap().len() / 2;
            flip(&checkpoint, usize::try_from(middle).unwrap());
        }),
        ("a header", OpenMode::Any, &|dir| flip(&segment(dir), 20)),
        ("the watermark", OpenMode::Any, &|dir| {
            fs::write(dir.join("watermark"), "garbage").unwrap();
        }),
        ("a segment", OpenMode::Any, &|dir| {
            fs::remove_file(segment(dir)).unwrap();
        }),
        ("the mark", OpenMode::Laboratory, &|_| {}),
    ];
    for (what, mode, harm) in cases {
        let dir = copy(right.path());
        harm(dir.path());
        let before = everything(dir.path());
        assert!(LedgerStore::open(dir.path(), mode).is_err(), "{what}");
        let after = everything(dir.path());
        assert_eq!(after.0, before.0, "{what}");
        assert_eq!(after.1, before.1, "{what}");
    }
    // The ledger is that of a complete database.
    drop(LedgerStore::open(right.path(), OpenMode::Production).unwrap());
}

#[test]
fn a_refused_database_is_not_migrated_either() {
    let dir = older(3);
    let db = dir.path().join("db");
    let laboratory = {
        let twin = copy(&db);
        let store = LedgerStore::open(twin.path(), OpenMode::Any).unwrap();
        store.is_laboratory()
    };
    let (other, expected) = match laboratory {
        true => (OpenMode::Production, OpenError::IsLaboratory(db.clone())),
        false => (OpenMode::Laboratory, OpenError::NotLaboratory(db.clone())),
    };
    // Programs of every version create the lock before they refuse.
    fs::write(db.join("lock"), "").unwrap();
    let before = everything(&db);
    assert_eq!(LedgerStore::open(&db, other).map(drop), Err(expected));
    assert_eq!(everything(&db).0, before.0);
}

#[tokio::test]
async fn a_file_in_the_place_of_a_part_is_named_with_the_remedy() {
    for (name, is_file) in [("index", true), ("lock", false)] {
        let dir = closed().await;
        let path = dir.path().join(name);
        if is_file {
            fs::remove_dir_all(&path).unwrap();
            fs::write(&path, "").unwrap();
        } else {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        }
        let before = everything(dir.path());
        let error = LedgerStore::open(dir.path(), OpenMode::Any).map(drop);
        let said = error.unwrap_err().to_string();
        assert!(said.starts_with(&path.display().to_string()), "{said}");
        assert!(said.contains("move it away, then try again"), "{said}");
        assert_eq!(everything(dir.path()).0, before.0, "{name}");
        assert_eq!(peek(dir.path()), Ok(None), "{name}");
        // The advice in the error works.
        fs::rename(&path, dir.path().join("moved")).unwrap();
        let store = LedgerStore::open(dir.path(), OpenMode::Any).unwrap();
        assert_orders(&store, 40, name).await;
    }
}

#[tokio::test]
async fn a_damaged_watermark_alone_is_replaced_after_a_clean_close() {
    for bytes in [Some(&b"garbage"[..]), Some(&[0xff; 16]), Some(&[]), None] {
        let dir = closed().await;
        let watermark = dir.path().join("watermark");
        fs::remove_file(&watermark).unwrap();
        if let Some(bytes) = bytes {
            fs::write(&watermark, bytes).unwrap();
        }
        let (report, repaired) = repair(dir.path(), false, &Options::default()).unwrap();
        assert!(!report.is_whole());
        assert_eq!(repaired, Repaired::Watermark { last: 39 });
        let report = check(dir.path(), &|_, _| {}).unwrap();
        assert!(report.is_whole(), "{report:?}");
        assert_eq!(report.acknowledged, Some(39));
        let store = LedgerStore::open(dir.path(), OpenMode::Any).unwrap();
        assert_orders(&store, 40, "after the repair").await;
        assert_eq!(store.restored().unwrap(), None);
    }
}

/// Cuts off the last entry, so that the rest looks complete.
fn cut_the_last_entry(dir: &Path) {
    let file = ledger_files(dir, "segment").pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    for len in (128..bytes.len()).rev() {
        fs::write(&file, &bytes[..len]).unwrap();
        let report = check(dir, &|_, _| {}).unwrap();
        if report.damage.len() == 1 && report.last == 38 {
            return;
        }
    }
    panic!("it has no last entry");
}

#[tokio::test]
async fn a_damaged_watermark_is_not_replaced_without_a_proof_of_the_rest() {
    let right = closed().await;
    // Killed: commits after the last note may have been acknowledged.
    let killed = {
        let store = LedgerStore::open(right.path(), OpenMode::Any).unwrap();
        let killed = copy(right.path());
        close(store).await;
        killed
    };
    fn slots(dir: &Path) -> Vec<u64> {
        let bytes = fs::read(dir.join("index/note")).unwrap();
        let counter = |slot: usize| bytes[slot + 8..slot + 16].try_into().unwrap();
        [0, 512]
            .map(|slot| u64::from_be_bytes(counter(slot)))
            .into()
    }
    type Harm<'a> = (&'a str, &'a Path, &'a dyn Fn(&Path));
    let cases: [Harm<'_>; 6] = [
        ("killed", killed.path(), &|_| {}),
        ("cut short", right.path(), &cut_the_last_entry),
        ("no note", right.path(), &lose_power),
        ("another fault", right.path(), &|dir| {
            flip(&ledger_files(dir, "segment").pop().unwrap(), 128 + 70);
        }),
        // The unreadable slot might have been a later one.
        ("a slot", right.path(), &|dir| {
            let counters = slots(dir);
            let older = usize::from(counters[1] < counters[0]) * 512;
            flip(&dir.join("index/note"), older + 20);
        }),
        ("two slots apart", right.path(), &|dir| {
            let bytes = fs::read(dir.join("index/note")).unwrap();
            let counters = slots(dir);
            let newer = usize::from(counters[1] > counters[0]) * 512;
            // The same slot twice: there was no "open" before it.
            let slot = bytes[newer..newer + 160].to_vec();
            let mut twice = vec![0; 1024];
            twice[..160].copy_from_slice(&slot);
            twice[512..672].copy_from_slice(&slot);
            fs::write(dir.join("index/note"), twice).unwrap();
        }),
    ];
    for (what, from, harm) in cases {
        let dir = copy(from);
        fs::write(dir.path().join("watermark"), "garbage").unwrap();
        harm(dir.path());
        let before = contents(dir.path());
        let (_, repaired) = repair(dir.path(), false, &Options::default()).unwrap();
        let Repaired::Refused(reason) = repaired else {
            panic!("{what}: {repaired:?}");
        };
        assert!(reason.contains("nothing proves"), "{what}: {reason}");
        assert_eq!(contents(dir.path()), before, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issuing_ca_is_noted_and_outlives_a_repair_with_a_loss() {
    let dir = closed().await;
    let store = LedgerStore::open(dir.path(), OpenMode::Any).unwrap();
    assert_eq!(store.issuer().unwrap(), None);
    let noted = tokio::task::spawn_blocking(move || {
        store.set_issuer([7; 32]).unwrap();
        store
    });
    let store = noted.await.unwrap();
    assert_eq!(store.issuer().unwrap(), Some([7; 32]));
    let certificates = (1..4).map(|n| Change::InsertCertificate(certificate(n)));
    commit(&store, certificates.collect()).await.unwrap();
    assert_eq!(store.certificates(2).unwrap().len(), 2);
    assert_eq!(store.certificates(9).unwrap().len(), 3);
    let time = store.recorded_time();
    close(store).await;
    assert_eq!(peek(dir.path()).unwrap(), None);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let facts = peek(dir.path()).unwrap().unwrap();
    assert_eq!((facts.issuer, facts.latest_time), (Some([7; 32]), time));
    assert!(!facts.laboratory);
    assert!(!dir.path().join("index").exists());

    flip(&ledger_files(dir.path(), "segment")[0], 128 + 70);
    let (_, repaired) = repair(dir.path(), true, &Options::default()).unwrap();
    assert!(
        matches!(repaired, Repaired::WithLoss { .. }),
        "{repaired:?}"
    );
    let facts = peek(dir.path()).unwrap().unwrap();
    assert_eq!(facts.issuer, Some([7; 32]));
    let store = LedgerStore::open(dir.path(), OpenMode::Any).unwrap();
    assert_eq!(store.issuer().unwrap(), Some([7; 32]));
}
