//! What docs/operations.md says, tried.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    log_events::documented,
    support::{Server, Setup, assert_exit, json_of, mac},
};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document(name: &str) -> String {
    fs::read_to_string(top().join("docs").join(name)).unwrap()
}

/// The part of a document under this heading.
fn section(text: &str, heading: &str) -> String {
    let (_, rest) = text
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading:?}"));
    rest.split("\n## ").next().unwrap().to_owned()
}

/// The texts between backticks that may be names of ours.
fn names(text: &str) -> BTreeSet<String> {
    let is_name =
        |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(is_name).map(str::to_owned).collect()
}

/// The first cells of the rows of all tables.
fn first_cells(text: &str) -> String {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    cells.collect::<Vec<_>>().join("\n")
}

#[test]
fn alerts_name_existing_events_and_parts() {
    let alerts = first_cells(&section(&document("operations.md"), "Alerts"));
    let parts = first_cells(&document("cli.md"));
    let known: BTreeSet<_> = documented().union(&names(&parts)).cloned().collect();
    let named = names(&alerts);
    assert!(named.len() > 20, "{named:?}");
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // Each part has an alert.
    for part in [
        "clock",
        "devices",
        "free_space",
        "recordings",
        "signer",
        "store",
    ] {
        assert!(named.contains(part), "{part}");
    }
}

#[test]
fn a_list_is_replaced_by_the_commands_of_the_document() {
    let server = Server::start(Setup {
        devices: &["C02OLD000001,,"],
        ..Setup::default()
    });
    let text = section(&document("operations.md"), "Replace a list");
    let script = text.split("```").nth(1).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", script]).current_dir(server.dir());
    assert!(shell.status().unwrap().success());
    let reloaded = |event: &Value| event["event"] == "devices_reloaded" && event["devices"] == 2;
    server.process().event(reloaded);
    let log = server.process().log();
    assert!(
        log.iter().all(|event| event["event"] != "devices_refused"),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_lost_device_that_left_the_list_gets_nothing_more() {
    const SERIAL: &str = "C02LOST00001";
    let server = Server::start(Setup {
        devices: &["C02LOST00001,,"],
        ..Setup::default()
    });
    let mut client = server.client().await;
    let device = mac(SERIAL);
    let placed = client.ready(&server, &device, SERIAL).await;
    let csr = device.csr(&assay_simulator::CsrRequest::default()).unwrap();
    client.certificate(&placed, &csr).await;
    // One more is under way.
    let late = client.ready(&server, &device, SERIAL).await;

    server.write_devices(&[]);
    let empty = |event: &Value| event["event"] == "devices_reloaded" && event["devices"] == 0;
    server.process().event(empty);
    assert_eq!(client.finalize(&late, &csr).await.status, 403);
    let refused = |reason: &'static str| move |event: &Value| event["reason"] == reason;
    server.process().event(refused("no-longer-admitted"));

    // Its certificate is found by its name.
    let orders = json_of(&server.assay(["orders", "list", "--json"]));
    let serials = (orders["orders"].as_array().unwrap().iter())
        .filter(|order| order["identifiers"][0]["value"] == SERIAL)
        .filter(|order| order["certificate"].is_string());
    assert_eq!(serials.count(), 1, "{orders}");
}

#[test]
fn a_server_goes_back_to_the_backup_before_an_upgrade() {
    let server = Server::start(Setup::default());
    let backup = server.beside("before-upgrade.tar");
    let mut command = server.command(["backup"]);
    assert_exit(&command.arg(&backup).output().unwrap(), 0);
    let new = server.beside("new");
    let assay = |args: &[&str]| {
        let mut command = crate::support::assay();
        command.arg("--dir").arg(&new).args(args);
        if args == ["restore"] {
            command.arg(&backup);
        }
        command.output().unwrap()
    };
    assert_exit(&assay(&["restore"]), 0);
    assert_exit(&assay(&["store", "acknowledge"]), 0);
    assert_exit(&assay(&["config", "check"]), 0);
}

fn bytes_in(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

#[test]
fn an_enrolment_takes_as_much_of_the_ledger_as_the_document_says() {
    const DEVICES: u64 = 40;
    let text = section(&document("operations.md"), "Size");
    let (_, rest) = text.split_once("certificate) adds ").unwrap();
    let figure = rest.split(' ').next().unwrap().replace(',', "");
    let documented: u64 = figure.parse().unwrap();

    let devices: Vec<_> = (1..=DEVICES).map(|n| format!("LOAD-{n:06},,")).collect();
    let devices: Vec<_> = devices.iter().map(String::as_str).collect();
    let server = Server::start(Setup {
        devices: &devices,
        ..Setup::default()
    });
    let ledger = server.dir().join("db/ledger");
    let before = bytes_in(&ledger);
    let count = DEVICES.to_string();
    let mut load = server.simulate("load", &server.process().directory);
    load.args(["--devices", &count, "--concurrency", "2"]);
    assert_eq!(json_of(&load.output().unwrap())["enrolled"], DEVICES);
    let each = (bytes_in(&ledger) - before) / DEVICES;
    let share = each * 100 / documented;
    assert!(
        (75..=125).contains(&share),
        "{each} bytes, {documented} in the document"
    );
}
