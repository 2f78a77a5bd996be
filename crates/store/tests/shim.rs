//! Faults in the index's own files, below sled, and kills at each change of a
//! file: no acknowledged commit is lost after them.
//!
//! The program is `examples/power_cut.rs`, with `shim/shim.c` preloaded.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test ends with a panic, and says what it tried"
)]

mod common;
mod files;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use assay_engine::{
    domain::OrderState,
    ports::{Direction, OrderList, Store},
};
use assay_store::{LedgerView, maintenance::check};
use tempfile::TempDir;

use crate::files::*;

/// The number of enrolments before the run with the fault, and in it.
const BEFORE: &str = "12";
const DURING: &str = "10";

/// Returns the example's path. cargo builds it into a directory beside this
/// program's.
fn program() -> PathBuf {
    let this = env::current_exe().unwrap();
    let profile = this.parent().and_then(Path::parent).unwrap();
    let program = profile.join("examples/power_cut");
    assert!(
        program.is_file(),
        "there is no {}: build it with `cargo build --examples`",
        program.display()
    );
    program
}

/// Compiles the shim.
fn compile(dir: &Path) -> PathBuf {
    let library = dir.join("shim.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/shim.c");
    let status = Command::new("gcc")
        .args(["-Wall", "-Werror", "-O2", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .status();
    assert!(status.unwrap().success());
    library
}

/// Runs a command, and fails if it hangs.
fn run(command: &mut Command, what: &str) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("{what}: it hangs: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(3));
    }
    child.wait_with_output().unwrap()
}

/// The state of the database before the run with the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Missing.
    Missing,
    /// Closed.
    Closed,
    /// Without the note of its index, so that the index is rebuilt.
    Distrusted,
}

struct Test {
    /// The directory of the library.
    _dir: TempDir,
    program: PathBuf,
    library: PathBuf,
    /// Selects the files whose operations are counted.
    path: &'static str,
    kind: &'static str,
    errno: &'static str,
}

impl Test {
    /// Creates a test of faults in the index.
    fn new(kind: &'static str, errno: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            program: program(),
            library: compile(dir.path()),
            path: "/index/",
            kind,
            errno,
            _dir: dir,
        }
    }

    /// Creates a test of kills.
    fn kills() -> Self {
        Self {
            path: "/db/",
            ..Self::new("kill", "")
        }
    }

    /// Returns the command that commits `count` enrolments.
    fn some(&self, db: &Path, first: &str, count: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("some").arg(db).args([first, count]);
        command
    }

    /// The same with a fault.
    fn faulty(&self, db: &Path, count: &str, at: usize, log: &Path) -> Command {
        let mut command = self.some(db, "1000", count);
        command
            .env("LD_PRELOAD", &self.library)
            .env("ASSAY_SHIM_FAIL", at.to_string())
            .env("ASSAY_SHIM_PATH", self.path)
            .env("ASSAY_SHIM_KIND", self.kind)
            .env("ASSAY_SHIM_ERRNO", self.errno)
            .env("ASSAY_SHIM_LOG", log);
        command
    }

    /// Returns the database that runs begin with, and its acknowledged commits.
    fn base(&self, before: Before) -> (TempDir, String) {
        let base = tempfile::tempdir().unwrap();
        if before == Before::Missing {
            return (base, String::new());
        }
        let db = base.path().join("db");
        let output = run(&mut self.some(&db, "1", BEFORE), "base");
        assert!(output.status.success(), "{output:?}");
        if before == Before::Distrusted {
            lose_power(&db);
        }
        (base, String::from_utf8(output.stdout).unwrap())
    }

    /// Lets operation number `at` fail on a copy of `base`, and compares the
    /// result. Returns which operation failed; `None` if there is no such
    /// operation.
    fn fail_at(
        &self,
        before: Before,
        base: &Path,
        acknowledged: &str,
        at: usize,
    ) -> Option<String> {
        let copied = copy(base);
        let db = copied.path().join("db");
        let log = copied.path().join("failed");
        let what = format!("{before:?}, {} {at}", self.kind);
        let faulty = run(&mut self.faulty(&db, DURING, at, &log), &what);
        let failed = fs::read_to_string(&log).ok();
        let what = format!("{what}, {failed:?}");
        let code = faulty.status.code();
        let expected: &[Option<i32>] = match (failed.is_some(), self.kind) {
            (false, _) => &[Some(0)],
            (true, "kill") => &[None],
            (true, _) => &[Some(0), Some(2), Some(3)],
        };
        assert!(expected.contains(&code), "{what}: {faulty:?}");

        let mut acknowledged = acknowledged.to_owned();
        acknowledged += std::str::from_utf8(&faulty.stdout).unwrap();
        if acknowledged.is_empty() {
            // The database was not created, or its first commit failed.
            assert!(code != Some(0), "{what}: {faulty:?}");
            return failed;
        }
        let report = check(&db, &|_, _| {}).unwrap();
        assert!(report.is_whole(), "{what}: {report:?}");
        let mut how = "killed";
        if self.kind == "kill" {
            // More commits follow, so that segments are closed and merged; then
            // the power fails.
            how = "cut";
            let next = run(&mut self.some(&db, "2000", DURING), &what);
            assert!(next.status.success(), "{what}: {next:?}");
            acknowledged += std::str::from_utf8(&next.stdout).unwrap();
            lose_power(&db);
        }
        let file = copied.path().join("acknowledged");
        fs::write(&file, acknowledged).unwrap();
        let checked = run(
            Command::new(&self.program)
                .arg("check")
                .arg(&db)
                .arg(&file)
                .args([how, "small"]),
            &what,
        );
        assert!(
            checked.status.success(),
            "{what}: {checked:?}\nafter {faulty:?}"
        );
        failed
    }

    /// Lets the first `early` operations and every `stride`-th later one fail,
    /// one in each run; with ASSAY_SOAK set, every operation. Asserts that
    /// there are at least `expected` of them.
    fn fail_each(&self, early: usize, stride: usize, expected: usize) {
        let stride = match env::var_os("ASSAY_SOAK") {
            Some(_) => 1,
            None => stride,
        };
        let mut tried = 0;
        for before in [Before::Missing, Before::Closed, Before::Distrusted] {
            let (base, acknowledged) = self.base(before);
            let points = (1..=early).chain((early + 1..).step_by(stride));
            for at in points {
                let failed = self.fail_at(before, base.path(), &acknowledged, at);
                let Some(failed) = failed else { break };
                println!("{before:?}, {} {at}: {failed}", self.kind);
                tried += 1;
            }
        }
        println!("{}: {tried} points tried", self.kind);
        assert!(tried * stride >= expected, "{tried} points were tried");
    }
}

#[test]
fn a_failed_read_of_the_index_loses_nothing() {
    Test::new("read", "EIO").fail_each(24, 12, 140);
}

#[test]
fn a_failed_write_to_the_index_loses_nothing() {
    Test::new("write", "ENOSPC").fail_each(8, 8, 200);
}

#[test]
fn a_write_to_the_index_that_is_cut_short_loses_nothing() {
    Test::new("short", "EIO").fail_each(8, 8, 200);
}

#[test]
fn a_failed_synchronisation_of_the_index_loses_nothing() {
    Test::new("sync", "EIO").fail_each(8, 8, 200);
}

#[test]
fn a_kill_at_any_change_of_a_file_loses_nothing() {
    Test::kills().fail_each(8, 24, 1000);
}

/// Returns everything that a database holds.
async fn records(db: &Path) -> Vec<String> {
    let view = LedgerView::open(db).unwrap();
    assert!(view.is_laboratory());
    let mut records = Vec::new();
    for cursor in view
        .orders(OrderList::All, None, Direction::Newer, 99)
        .await
        .unwrap()
    {
        let order = view.order(cursor.id).await.unwrap().unwrap().value;
        let account = view.account(order.account).await.unwrap().unwrap().value;
        let by_key = view
            .account_by_key(Default::default(), *account.key.thumbprint())
            .await;
        records.push(format!("{cursor:?} {account:?} {by_key:?}"));
        for id in &order.authorizations {
            records.push(format!("{:?}", view.authorization(*id).await.unwrap()));
        }
        if let OrderState::Valid { certificate } = order.state() {
            let serial = certificate.clone();
            records.push(format!("{:?}", view.certificate(serial).await.unwrap()));
        }
        records.push(format!("{order:?}"));
    }
    records
}

#[tokio::test]
async fn scenario_147_a_kill_at_any_change_of_a_migration_loses_nothing() {
    // The last sled layout and the ledger layouts at more points than the
    // oldest one.
    for (layout, stride, points) in [
        (1, 9, 60),
        (2, 9, 60),
        (3, 3, 60),
        (4, 3, 30),
        (5, 3, 30),
        (6, 3, 30),
    ] {
        kill_at_any_change_of_a_migration_from(layout, stride, points).await;
    }
}

async fn kill_at_any_change_of_a_migration_from(layout: u32, stride: usize, points: usize) {
    let test = Test::kills();
    let start = |db: &Path, at| {
        let mut command = test.faulty(db, "0", at, &db.join("failed"));
        run(&mut command, "migration").status.code()
    };
    let base = older(layout);
    let migrated = copy(base.path());
    let db = migrated.path().join("db");
    assert_eq!(start(&db, 0), Some(0));
    let expected = records(&db).await;
    // Two orders, one of them with a certificate. Layout 6 has a third order.
    let count = if layout < 6 { 7 } else { 10 };
    assert_eq!(expected.len(), count, "{expected:?}");

    let stride = match env::var_os("ASSAY_SOAK") {
        Some(_) => 1,
        None => stride,
    };
    let mut tried = 0;
    for at in (1..).step_by(stride) {
        let killed = copy(base.path());
        let db = killed.path().join("db");
        if start(&db, at).is_some() {
            break;
        }
        tried += 1;
        let failed = fs::read_to_string(db.join("failed")).unwrap();
        println!("migration from {layout}, kill {at}: {failed}");
        assert_eq!(start(&db, 0), Some(0), "{at}: {failed}");
        assert_eq!(records(&db).await, expected, "{at}: {failed}");
        let report = check(&db, &|_, _| {}).unwrap();
        assert!(report.is_whole(), "{at}: {failed}: {report:?}");
    }
    println!("{tried} points tried");
    assert!(tried * stride >= points, "{tried} points were tried");
}
