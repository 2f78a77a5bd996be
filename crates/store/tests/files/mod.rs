//! Helpers that damage, copy and compare the files of a database.

#![allow(dead_code, reason = "each test binary uses a part of these")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use assay_store::{LedgerStore, Options, Sizes};
use tempfile::TempDir;

use crate::common::*;

/// The layout that this program writes.
pub(crate) const LAYOUT: u32 = 7;

/// Returns where a migration keeps a ledger of an older layout.
pub(crate) fn before_layout() -> String {
    format!("ledger.before-layout-{LAYOUT}")
}

/// Returns options with which segments are closed and merged all the time.
pub(crate) fn small() -> Options {
    let mut options = Options::default();
    options.sizes = Sizes {
        segment: 2_000,
        merge: 5_000,
        chunk: 3_000,
    };
    options
}

/// Returns the files in a directory, sorted.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// Returns the files of a ledger with this ending.
pub(crate) fn ledger_files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = files(&dir.join("ledger"));
    files.retain(|file| file.extension().is_some_and(|found| found == ending));
    files
}

/// Reads all files below a directory.
pub(crate) fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// Copies a database.
pub(crate) fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for (path, content) in contents(from) {
        let target = to.path().join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, content).unwrap();
    }
    to
}

/// Returns a database as a program of this layout left it, in `db` within the
/// directory, and what that program listed.
pub(crate) fn older(layout: u32) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../testdata/databases/layout-{layout}.tar.gz"));
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(dir.path())
        .status();
    assert!(status.unwrap().success());
    let inner = dir.path().join(format!("layout-{layout}"));
    for entry in fs::read_dir(&inner).unwrap() {
        let entry = entry.unwrap();
        fs::rename(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

/// Simulates a power loss: the index must not be trusted.
pub(crate) fn lose_power(dir: &Path) {
    fs::remove_file(dir.join("index/note")).unwrap();
}

pub(crate) async fn assert_orders(store: &LedgerStore, count: u8, what: &str) {
    use assay_engine::ports::Store as _;

    for n in 1..count {
        let found = store.order(order_id(n)).await.unwrap();
        assert!(found.is_some(), "{what}: order {n} is gone");
    }
}
