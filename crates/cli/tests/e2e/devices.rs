//! The list of devices: what is found in it, which list is in force, and what
//! client and operator see of a device that is not admitted.

use std::{fs, os::unix::fs::PermissionsExt as _};

use assay_simulator::{Device, KeyType, evidence::DeviceProperties};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Server, Setup, assert_dead, assert_exit, assert_problem, json_of, mac, message,
};

const SERIAL: &str = "C02XK0AAJHD2";
const OTHER: &str = "C02XK0AAJHD3";
const UDID: &str = "00008112-000A1B2C3D4E5F60";

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02XK0AAJHD2,,"],
    config: "",
};

fn is(name: &str) -> impl Fn(&Value) -> bool {
    move |line| line["event"] == name
}

#[test]
fn config_check_shows_every_fault_and_every_warning_with_its_line() {
    let server = Server::init(SETUP);
    fs::remove_file(server.dir().join("ca/root.key")).unwrap();
    let list = server.dir().join("devices.csv");
    let swallowed = format!("serial,udid,comment\n{SERIAL},,Anna{OTHER},,Ben\n{UDID},,\n$SERIAL,,");
    fs::write(&list, swallowed).unwrap();
    let output = server.assay(["config", "check"]);
    assert_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    for said in [
        "devices.csv: line 2: the comment \"AnnaC02XK0AAJHD3,,Ben\" holds what looks like another device",
        "devices.csv: line 3: \"00008112-000A1B2C3D4E5F60\" is in the column serial, and has the form of a UDID",
        "devices.csv: line 4: \"$SERIAL\" can never match: it is a variable",
        "devices.csv: line 4: the last line has no newline",
        "printf",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let problems = json_of(&server.assay(["config", "check", "--json"]));
    let problems = problems["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 4);
    assert!(problems.iter().all(|one| one["severity"] == "warning"));

    fs::write(&list, "serial,udid,comment\nX\n,,\nY Y,,\n").unwrap();
    let message = message(&server.assay(["config", "check"]), 2);
    for line in [2, 3, 4] {
        assert!(message.contains(&format!("line {line}: ")), "{message}");
    }
}

#[tokio::test]
async fn a_server_logs_a_handful_of_warnings_and_counts_the_rest() {
    let names: Vec<String> = (0..9).map(|n| format!("c02xk0aajhd{n},,")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = Server::start(Setup {
        devices: &names,
        ..SETUP
    });
    let process = server.process();
    let rest = process.event(|line| line["event"] == "devices_warning" && line["more"] == 4);
    assert_eq!(rest["level"], "WARN");
    let lines: Vec<Value> = (process.log().into_iter())
        .filter(|line| line["event"] == "devices_warning" && line["line"].is_u64())
        .collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[4]["line"], 6);
    assert!(lines[4]["warning"].to_string().contains("lower-case"));
    // From nine to none is one more.
    server.write_devices(&[]);
    let emptied = process.event(|line| line["event"] == "devices_warning" && line["before"] == 9);
    assert_eq!(
        (&emptied["devices"], &emptied["level"]),
        (&json!(0), &json!("WARN"))
    );
    let reloaded =
        process.event(|line| line["event"] == "devices_reloaded" && line["removed"] == 9);
    assert_eq!(reloaded["devices"], 0);
}

#[tokio::test]
async fn a_list_that_lost_most_devices_waits_for_a_hangup_and_says_who_went() {
    let all: Vec<String> = (0..30).map(|n| format!("C02XK0AA{n:04},,")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let server = Server::start(Setup {
        devices: &all,
        ..SETUP
    });
    let process = server.process();
    process.event(is("devices_reloaded"));
    server.write_devices(&[&all[..10], &["C02XK0AA0099,,"]].concat());
    let kept = process.event(is("devices_kept_back"));
    assert_eq!(kept["level"], "ERROR");
    let reason = kept["reason"].as_str().unwrap();
    assert!(reason.contains("lacks 20 of the 30 in force"), "{reason}");
    let status = json_of(&server.assay(["status", "--json"]));
    assert_eq!(status["parts"]["devices"], "failing");
    let shown = status["reasons"]["devices"].as_str().unwrap();
    assert!(shown.contains("SIGHUP"), "{shown}");
    let checked = json_of(&server.assay(["config", "check", "--json"]));
    let mut problems = checked["problems"].as_array().unwrap().iter();
    let said = problems.find(|one| one["event"] == "devices_kept_back");
    assert!(said.is_some(), "a start keeps it back, too: {checked}");
    let mut client = server.client().await;
    client.order("C02XK0AA0029").await;
    process.signal(Signal::HUP);
    let reloaded = process.nth_event(1, is("devices_reloaded"));
    assert_eq!(
        (
            &reloaded["devices"],
            &reloaded["added"],
            &reloaded["removed"]
        ),
        (&json!(11), &json!(1), &json!(20))
    );
    assert_eq!(reloaded["added_names"], "C02XK0AA0099");
    let names = reloaded["removed_names"].as_str().unwrap();
    assert!(names.starts_with("C02XK0AA0010, C02XK0AA0011, "), "{names}");
    assert_eq!(names.matches("C02").count(), 10);
    let answer = client
        .new_order(&[("permanent-identifier", "C02XK0AA0029")])
        .await;
    assert_problem(&answer, 403, "rejectedIdentifier");
}

#[tokio::test]
async fn a_list_that_others_can_write_is_not_put_in_force() {
    let server = Server::start(SETUP);
    let process = server.process();
    process.event(is("devices_reloaded"));
    let list = server.dir().join("devices.csv");
    fs::set_permissions(&list, fs::Permissions::from_mode(0o666)).unwrap();
    // In place, so that the mode stays.
    let text = format!("serial,udid,comment\n{SERIAL},,\n{OTHER},,\n");
    fs::write(&list, text).unwrap();
    let refused = process.event(is("devices_refused"));
    let error = refused["error"].as_str().unwrap();
    assert!(
        error.contains("mode 666") && error.contains("chmod"),
        "{error}"
    );
    let mut client = server.client().await;
    client.order(SERIAL).await;
    let answer = client.new_order(&[("permanent-identifier", OTHER)]).await;
    assert_problem(&answer, 503, "serverInternal");
    fs::set_permissions(&list, fs::Permissions::from_mode(0o600)).unwrap();
    let reloaded = process.nth_event(1, is("devices_reloaded"));
    assert_eq!(reloaded["devices"], 2);
    client.order(OTHER).await;
}

#[tokio::test]
async fn a_bad_list_survives_a_restart_by_the_last_good_one() {
    let mut server = Server::start(SETUP);
    server.process().event(is("devices_reloaded"));
    server.terminate();
    // It is no backup's business.
    let backup = server.beside("backup.tar");
    let made = json_of(&server.assay(["backup", "--json", backup.to_str().unwrap()]));
    assert!(!made.to_string().contains("last-good"), "{made}");

    server.write_devices(&["C02XK0AAJHD2"]);
    message(&server.assay(["config", "check"]), 2);
    server.restart();
    let process = server.process();
    let started = process.event(is("devices_last_good"));
    assert_eq!(
        (&started["level"], &started["devices"]),
        (&json!("ERROR"), &json!(1))
    );
    let reason = started["reason"].as_str().unwrap();
    assert!(reason.contains("devices.csv: line 2: "), "{reason}");
    assert!(reason.contains("at fault since 2"), "{reason}");
    assert!(started["since"].as_str().is_some());
    let status = json_of(&server.assay(["status", "--json"]));
    assert_eq!(status["parts"]["devices"], "failing");
    let mut client = server.client().await;
    client.enrol(&server, &mac(SERIAL), SERIAL).await;
    let answer = client.new_order(&[("permanent-identifier", OTHER)]).await;
    assert_problem(&answer, 503, "serverInternal");

    server.write_devices(&["C02XK0AAJHD2,,", "C02XK0AAJHD3,,"]);
    process.event(is("devices_reloaded"));
    client.order(OTHER).await;
    let status = json_of(&server.assay(["status", "--json"]));
    assert_eq!(status["parts"]["devices"], "ok");

    // Without a last good list there is nothing to start from.
    server.terminate();
    fs::remove_file(server.dir().join("devices.last-good.csv")).unwrap();
    server.write_devices(&["C02XK0AAJHD2"]);
    let refused = message(&server.assay(["serve", "--listen", "127.0.0.1:0"]), 2);
    assert!(refused.contains("devices.csv: line 2: "), "{refused}");
    // Nor may the list be that file itself.
    server.configure("admission.devices = \"devices.last-good.csv\"");
    fs::write(
        server.dir().join("devices.last-good.csv"),
        "serial,udid,comment\n",
    )
    .unwrap();
    let refused = message(&server.assay(["config", "check"]), 2);
    assert!(refused.contains("name another file"), "{refused}");
}

#[tokio::test]
async fn who_is_not_admitted_is_told_little_and_the_operator_why() {
    let server = Server::start(SETUP);
    let mut client = server.client().await;
    let plain = "the device is not admitted";
    let letters = "letters count as they are written";
    let variable = "looks like a variable that the MDM did not fill in";
    for (name, client_sees, operator_sees) in [
        (OTHER, plain, "the device is not on the list"),
        (
            "c02xk0aajhd2",
            letters,
            "line 2 has \"C02XK0AAJHD2\": upper and lower case differ",
        ),
        ("c02xk0aajhd9", letters, "the device is not on the list"),
        ("$SERIALNUMBER", variable, variable),
        ("%SerialNumber%", variable, variable),
        ("{{serial}}", variable, variable),
        (
            UDID,
            plain,
            "it has the form of a UDID, and the list has serials only",
        ),
    ] {
        let answer = client.new_order(&[("permanent-identifier", name)]).await;
        let problem = assert_problem(&answer, 403, "rejectedIdentifier");
        // Some clients show the top-level detail alone.
        assert!(problem.detail.contains(client_sees), "{}", problem.detail);
        assert_eq!(problem.subproblems.len(), 1);
        assert_eq!(problem.subproblems[0]["detail"], problem.detail);
        let shown = answer.text();
        let leaked = shown.contains("line 2") || shown.contains(SERIAL);
        assert!(!leaked, "{shown}");
        let event = server.process().event(|line| {
            line["event"] == "refused" && line["identifier"].to_string().contains(name)
        });
        let detail = event["detail"].as_str().unwrap();
        assert!(detail.contains(operator_sees), "{detail}");
        assert_eq!(event["reason"], "not-admitted");
    }
    // What is listed in other letters and what is not listed look the same.
    let mut said = Vec::new();
    for name in ["c02xk0aajhd2", "c02xk0aajhd9"] {
        let answer = client.new_order(&[("permanent-identifier", name)]).await;
        said.push(answer.text().replace(name, "NAME"));
    }
    assert_eq!(said[0], said[1]);
    // Under the other attribute.
    let value = format!("{SERIAL}/1.2.840.113635.100.8.9.2");
    let answer = client.new_order(&[("hardware-module", &value)]).await;
    assert_problem(&answer, 403, "rejectedIdentifier");
    let event = server.process().event(|line| {
        line["event"] == "refused" && line["identifier"].to_string().contains(&value)
    });
    let detail = event["detail"].as_str().unwrap();
    assert!(
        detail.contains("line 2 lists it as a serial, the hardware type names"),
        "{detail}"
    );
    // Of several, each has its own.
    let identifiers = [OTHER, UDID].map(|name| ("permanent-identifier", name));
    let answer = client.new_order(&identifiers).await;
    let problem = assert_problem(&answer, 403, "rejectedIdentifier");
    assert_eq!(problem.detail, "2 of the identifiers cannot be ordered");
}

#[tokio::test]
async fn swapped_columns_are_named_at_the_challenge() {
    let row = format!("{UDID},{SERIAL},");
    let server = Server::start(Setup {
        devices: &[&row],
        ..SETUP
    });
    let device = Device::new(DeviceProperties::mac(SERIAL, UDID), KeyType::P256).unwrap();
    for (name, attested) in [(SERIAL, "serial"), (UDID, "udid")] {
        let mut client = server.client().await;
        let placed = client.order(name).await;
        let answer = client
            .answer(&placed, &server.attest(&device, &placed.token))
            .await;
        let reason = "identifier-mismatch";
        assert_dead(&server, &mut client, &placed, &answer, reason).await;
        let told = format!(
            "the ordered name is attested as the {attested}: the list's columns are swapped"
        );
        let detail = &server.refused(&placed.order)["detail"];
        assert!(detail.as_str().unwrap().contains(&told), "{detail}");
        assert!(!answer.text().contains("columns"), "{}", answer.text());
    }
}

#[tokio::test]
async fn another_udid_than_the_listed_one_is_an_event_and_no_refusal() {
    let row = format!("{SERIAL},{UDID},");
    let server = Server::start(Setup {
        devices: &[&row],
        ..SETUP
    });
    let mut client = server.client().await;
    let device_of =
        |udid: &str| Device::new(DeviceProperties::mac(SERIAL, udid), KeyType::P256).unwrap();
    let first = client.ready(&server, &device_of(UDID), SERIAL).await;
    let other = "00008112-000A1B2C3D4E5F61";
    client.enrol(&server, &device_of(other), SERIAL).await;
    let events = || {
        server
            .process()
            .log()
            .into_iter()
            .filter(is("udid_differs"))
    };
    let event = server.process().event(is("udid_differs"));
    let id = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    for (field, value) in [
        ("level", "WARN"),
        ("identifier", SERIAL),
        ("serial", SERIAL),
        ("udid", other),
        ("attribute", "udid"),
        ("listed", UDID),
        ("earlier_order", &id(&first.order)),
        ("earlier_udid", UDID),
    ] {
        assert_eq!(event[field], value, "{event}");
    }
    assert_eq!(events().count(), 1);
}
