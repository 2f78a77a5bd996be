//! Limits of the built server, and a load that comes from many addresses.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Server, Setup, assert_exit, json_of};

/// How many devices enrol behind one address, by `ASSAY_FLEET_DEVICES`: the
/// whole fleet takes longer than a test should.
fn fleet() -> u32 {
    std::env::var("ASSAY_FLEET_DEVICES").map_or(300, |devices| devices.parse().unwrap())
}

fn start(config: &str) -> Server {
    Server::start(Setup {
        init: &["--admission", "any-attested"],
        config,
        ..Setup::default()
    })
}

/// `assay simulate load` with so many devices, and what else it is told.
fn load(server: &Server, devices: u32, more: &[&str]) -> Command {
    let mut command = server.simulate("load", &server.process().directory);
    command.args(["--concurrency", "16", "--devices"]);
    command.arg(devices.to_string()).args(more);
    command
}

fn enrolled(report: &Value) -> u64 {
    report["enrolled"].as_u64().unwrap()
}

/// Limits that a tenth of the fleet would meet, and one address that is exempt
/// from them.
#[test]
fn scenario_143_a_fleet_behind_one_exempt_address_enrols_at_full_speed() {
    let devices = fleet();
    let rate = format!("{{ per_second = 1, burst = {} }}", devices / 10);
    let server = start(&format!(
        "[limits]\nexempt = [\"127.0.0.1/32\"]\nnew_nonce = {rate}\nnew_account = {rate}\nnew_order = {rate}\nchange_account = {rate}\nfailed = {rate}\n"
    ));
    let report = json_of(&load(&server, devices, &[]).output().unwrap());
    assert_eq!(enrolled(&report), u64::from(devices), "{report}");
    println!(
        "{devices} devices: {} enrolments a second, steps {}",
        report["enrolments_per_second"], report["enrolment"]
    );
    // The same fleet behind an address that is not exempt.
    let more = ["--source-addresses", "1"];
    let output = load(&server, devices, &more).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(enrolled(&report) < u64::from(devices) / 2, "{report}");
}

/// Each address has its own bucket, which one of them alone would empty.
#[test]
fn a_load_spreads_over_source_addresses() {
    let rate = "{ per_second = 1, burst = 10 }";
    let server = start(&format!("limits.new_account = {rate}\n"));
    let load = |more: &[&str]| {
        let output = load(&server, 40, more).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let report = load(&["--source-addresses", "8"]);
    assert_eq!(enrolled(&report), 40, "{report}");
    let report = load(&[]);
    assert!(enrolled(&report) < 40, "{report}");
}

#[test]
fn the_whole_world_as_one_address_is_warned_of() {
    let warned = |config: &str| {
        let server = Server::start(Setup {
            config,
            ..Setup::default()
        });
        server.process().event(|event| event["event"] == "no_tls");
        let log = server.process().log();
        log.iter()
            .any(|event| event["event"] == "no_trusted_proxies")
    };
    assert!(warned("server.tls = \"off\"\n"));
    assert!(!warned(
        "[server]\ntls = \"off\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n"
    ));
}

#[test]
fn limits_are_checked_before_they_count() {
    let server = Server::init(Setup {
        config: "[limits]\nnew_order = { per_second = 50, burst = 5000 }\ndry_run = true\n",
        ..Setup::default()
    });
    assert_exit(&server.assay(["config", "check"]), 0);
    server.configure("[limits]\nnew_ordr = 0\n");
    let output = server.assay(["config", "check"]);
    assert_exit(&output, 2);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("did you mean \"new_order\"?"), "{told}");
}

/// A dry run lets everything through, and says what it would not have.
#[test]
fn a_dry_run_logs_what_it_would_refuse() {
    let rate = "{ per_second = 1, burst = 2 }";
    let server = start(&format!("[limits]\nnew_account = {rate}\ndry_run = true\n"));
    let report = json_of(&load(&server, 12, &[]).output().unwrap());
    assert_eq!(enrolled(&report), 12, "{report}");
    let event = server
        .process()
        .event(|event| event["event"] == "limit_dry_run");
    assert_eq!(
        (
            &event["limit"],
            &event["client"],
            &event["count"],
            &event["total"]
        ),
        (
            &json!("new_account"),
            &json!("127.0.0.1"),
            &json!(1),
            &json!(1)
        )
    );
}
