//! What operators and supervisors see of a running server's health.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use serde_json::{Value, json};

use crate::support::{Server, Setup, assert_exit, json_of, message};

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02A,,"],
    config: "health.listen = \"127.0.0.1:0\"",
};

/// Where `[health] listen` is bound.
fn health_address(server: &Server) -> SocketAddr {
    let event = server
        .process()
        .event(|event| event["event"] == "health_listening");
    event["address"].as_str().unwrap().parse().unwrap()
}

fn readyz(address: SocketAddr) -> (String, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.lines().next().unwrap().to_owned();
    (status, serde_json::from_str(body).unwrap())
}

#[test]
fn status_and_the_listener_of_health_name_what_fails() {
    let server = Server::start(SETUP);
    let address = health_address(&server);
    let well = json_of(&server.assay(["status", "--json"]));
    assert_eq!(
        (&well["running"], &well["ready"]),
        (&json!(true), &json!(true))
    );
    let states = well["parts"].as_object().unwrap();
    assert_eq!(states.len(), 6, "{states:?}");
    assert!(states.values().all(|state| state == "ok"), "{states:?}");
    assert_eq!(well["reasons"], Value::Null);
    assert_eq!(well["directory"], server.process().directory.as_str());
    let (status, body) = readyz(address);
    assert_eq!(
        (status.as_str(), &body["ready"]),
        ("HTTP/1.1 200 OK", &json!(true))
    );

    // A list that cannot be used: the last good one serves.
    server.write_devices(&["C02A,,", "C02A,UDID,"]);
    server
        .process()
        .event(|event| event["event"] == "devices_refused");
    let (status, body) = readyz(address);
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(body["parts"]["devices"], "failing");
    let reason = body["reasons"]["devices"].as_str().unwrap();
    assert!(reason.contains("is listed already"), "{reason}");
    let shown = server.assay(["status"]);
    assert_exit(&shown, 0);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains(&format!("devices      FAILING: {reason}")),
        "{shown}"
    );
    assert!(shown.contains("\n  store        ok\n"), "{shown}");

    server.write_devices(&["C02A,,"]);
    server
        .process()
        .nth_event(1, |event| event["event"] == "devices_reloaded");
    assert_eq!(readyz(address).1["parts"]["devices"], "ok");
}

#[test]
fn status_of_no_server_is_exit_code_1() {
    let server = Server::init(SETUP);
    let shown = server.assay(["status", "--json"]);
    let json: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(json, json!({"running": false, "ready": false}));
    assert!(
        message(&shown, 1).contains("no server runs in"),
        "{}",
        message(&shown, 1)
    );
}

#[test]
fn a_listener_of_health_that_cannot_be_bound_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let server = Server::init(SETUP);
    server.configure(&format!("health.listen = \"{address}\""));
    let ended = server.assay(["serve", "--listen", "127.0.0.1:0"]);
    let said = message(&ended, 3);
    assert!(
        said.contains(&format!("health.listen: cannot listen on {address}")),
        "{said}"
    );
    assert!(fs::metadata(server.dir().join("db")).is_ok());
}

/// Nothing was judged yet.
#[test]
fn status_names_a_place_that_no_recording_can_be_written_to() {
    let server = Server::init(Setup {
        config: "recording.keep = \"all\"",
        ..SETUP
    });
    let folder = server.dir().join("recordings");
    fs::write(&folder, "in the way").unwrap();
    let mut server = server;
    server.restart();
    server
        .process()
        .event(|event| event["event"] == "recording_failed");
    let told = json_of(&server.assay(["status", "--json"]));
    assert_eq!(
        (&told["ready"], &told["parts"]["recordings"]),
        (&json!(true), &json!("failing"))
    );
    let reason = told["reasons"]["recordings"].as_str().unwrap();
    assert!(reason.starts_with("cannot write to "), "{reason}");
    // It is tried again though no device enrols.
    fs::remove_file(folder).unwrap();
    server
        .process()
        .event(|event| event["event"] == "recording_resumed");
    let told = json_of(&server.assay(["status", "--json"]));
    assert_eq!(told["parts"]["recordings"], "ok");
}
