//! The sample systemd unit: how systemd rates it, and whether the server can run
//! under what it denies.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;

use crate::support::{Process, Server, Setup, assert_exit, json_of};

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02SERVICE01,,"],
    config: "",
};

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/systemd/assay.service")
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; .ci/test installs what it needs"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text
}

#[test]
fn systemd_rates_the_unit_2_or_better() {
    // The threshold is in tenths; above it the command fails.
    run(Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
        .arg(unit()));
}

/// The system calls that the unit allows, as systemd adds and takes them away.
fn allowed() -> BTreeSet<String> {
    let unit = fs::read_to_string(unit()).unwrap();
    let filters = unit
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="));
    let mut allowed = members("@default");
    for filter in filters {
        let (names, is_denied) = match filter.strip_prefix('~') {
            Some(names) => (names, true),
            None => (filter, false),
        };
        for name in names.split_whitespace().flat_map(members) {
            if is_denied {
                allowed.remove(&name);
            } else {
                allowed.insert(name);
            }
        }
    }
    allowed
}

/// The system calls of a set, and of the sets in it.
fn members(name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return [name.to_owned()].into();
    }
    let text = run(Command::new("systemd-analyze").args(["syscall-filter", "--no-pager", name]));
    (text.lines().skip(1).map(str::trim))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .flat_map(members)
        .collect()
}

#[test]
fn an_enrolment_needs_no_system_call_that_the_unit_denies() {
    let server = Server::init(SETUP);
    let trace = server.beside("trace");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_assay"))
        .arg("--dir")
        .arg(server.dir())
        .args(["serve", "--listen", "127.0.0.1:0"]);
    let process = Process::serve(command);
    let mut enroll = server.simulate("enroll", &process.directory);
    enroll.args([
        "--serial",
        "C02SERVICE01",
        "--udid",
        "00008112-000A5E5E5E5E5E5E",
    ]);
    assert_eq!(json_of(&enroll.output().unwrap())["result"], "enrolled");
    assert_exit(&server.assay(["status"]), 0);
    // strace passes it on.
    let child = fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.id())).unwrap();
    let child: i32 = child.trim().parse().unwrap();
    let child = rustix::process::Pid::from_raw(child).unwrap();
    rustix::process::kill_process(child, Signal::TERM).unwrap();
    assert_eq!(process.exited().code(), Some(0));

    // `PID name(arguments) = result`
    let text = fs::read_to_string(&trace).unwrap();
    let used: BTreeSet<String> = (text.lines())
        .filter_map(|line| line.split_whitespace().nth(1)?.split_once('('))
        .map(|(name, _)| name.to_owned())
        .filter(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
        .collect();
    assert!(
        used.contains("fdatasync") && used.contains("execve"),
        "{used:?}"
    );
    let denied: Vec<_> = used.difference(&allowed()).cloned().collect();
    assert!(denied.is_empty(), "denied: {denied:?}");
}
