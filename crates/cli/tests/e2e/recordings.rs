//! Recordings of the real server, judged again by `assay replay`.

mod bless;
mod explained;
mod folders;
mod issuance;
mod junit;
mod read;
mod replay;
mod roots;
mod standard_input;

use std::{fs, path::PathBuf};

use assay_simulator::CsrRequest;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::support::{Client, Placed, Server, Setup, assert_ready, json_of, mac, now};

const SERIAL: &str = "C02RECORD001";

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02RECORD001,,"],
    config: "recording.keep = \"all\"",
};

/// Where the recordings of a server are.
fn folder(server: &Server) -> PathBuf {
    server.dir().join("recordings")
}

/// The file of an order for one identifier.
fn file(server: &Server, placed: &Placed) -> PathBuf {
    let last = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    let (order, authorization) = (last(&placed.order), last(&placed.authorizations[0]));
    folder(server).join(format!("order-{order}-{authorization}.json"))
}

fn read(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// An order that is answered by another device than the one that was ordered
/// for.
async fn refused(server: &Server, client: &mut Client) -> Placed {
    let placed = client.order(SERIAL).await;
    let object = server.attest(&mac("C02STRANGER1"), &placed.token);
    assert_eq!(client.answer(&placed, &object).await.status, 400);
    placed
}

#[tokio::test]
async fn scenario_122_record_mode_writes_what_was_judged() {
    let mut server = Server::start(SETUP);
    let mut client = server.client().await;
    let thumbprint = client.acme.key().thumbprint();
    let device = mac(SERIAL);
    let began = now();

    let good = client.order(SERIAL).await;
    let object = server.attest(&device, &good.token);
    let answer = client.answer(&good, &object).await;
    assert_ready(&mut client, &good, &answer).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    client.certificate(&good, &csr).await;
    let bad = refused(&server, &mut client).await;
    let sorry = client.order(SERIAL).await;
    let answer = client
        .post(&sorry.challenge, &json!({"error": "no\nway"}))
        .await;
    assert_eq!(answer.status, 400);
    let empty = client.order(SERIAL).await;
    assert_eq!(client.answer(&empty, b"").await.status, 400);
    assert!(server.terminate().success());

    let recorded = read(file(&server, &good));
    let time = recorded["time"].as_str().unwrap();
    let time = assay_proto::Timestamp::parse(time).unwrap().0;
    assert!((began..=now()).contains(&time), "{time}");
    let root = BASE64URL_NOPAD.encode(server.authority.root_der());
    for (key, value) in [
        ("assay_recording", json!(2)),
        ("source", json!("acme")),
        ("token", json!(good.token)),
        ("account", json!(thumbprint)),
        (
            "identifier",
            json!({"type": "permanent-identifier", "value": SERIAL}),
        ),
        (
            "admission",
            json!({"rule": "listed", "attribute": "serial", "value": SERIAL}),
        ),
        ("attestation_object", json!(BASE64URL_NOPAD.encode(&object))),
        ("csr", json!(BASE64URL_NOPAD.encode(&csr))),
        ("verdict", json!({"outcome": "accepted"})),
        ("embedded_root", json!(root)),
    ] {
        assert_eq!(recorded[key], value, "{key}");
    }
    assert_eq!(recorded["facts"]["serial"], SERIAL);
    assert_eq!(recorded["facts"]["sip"], "enabled");

    let refusal = |reason: &str| json!({"outcome": "refused", "reason": reason});
    let recorded = read(file(&server, &bad));
    assert_eq!(recorded["verdict"], refusal("identifier-mismatch"));
    assert_eq!(recorded["facts"]["serial"], "C02STRANGER1");
    assert_eq!(recorded["csr"], Value::Null);
    let recorded = read(file(&server, &sorry));
    assert_eq!(recorded["verdict"], refusal("device-could-not-attest"));
    assert_eq!(recorded["device_error"], "no\u{fffd}way");
    assert_eq!(recorded["attestation_object"], Value::Null);
    let recorded = read(file(&server, &empty));
    assert_eq!(recorded["verdict"], refusal("object-empty"));
    assert_eq!(recorded["attestation_object"], "");
    assert_eq!(recorded["facts"], Value::Null);
    assert_eq!(fs::read_dir(folder(&server)).unwrap().count(), 4);

    let replay = ["replay", "--json", "--root"].map(str::to_owned);
    let root = server
        .authority_dir()
        .join("root.pem")
        .display()
        .to_string();
    let folder = folder(&server).display().to_string();
    let told = json_of(&server.assay(replay.into_iter().chain([root, folder])));
    assert_eq!(
        told["totals"],
        json!({"recordings": 4, "same": 4, "different": 0, "unreadable": 0, "under_embedded_roots": 0})
    );
}

#[tokio::test]
async fn scenario_122_what_is_not_to_be_kept_is_not() {
    for (keep, count) in [("none", None), ("refused", Some(1))] {
        let mut server = Server::start(Setup {
            config: &format!("recording.keep = \"{keep}\""),
            ..SETUP
        });
        let mut client = server.client().await;
        client.enrol(&server, &mac(SERIAL), SERIAL).await;
        let bad = refused(&server, &mut client).await;
        assert!(server.terminate().success());
        let found = fs::read_dir(folder(&server)).ok().map(Iterator::count);
        assert_eq!(found, count, "{keep}");
        assert_eq!(file(&server, &bad).exists(), count.is_some());
    }
}

#[tokio::test]
async fn scenario_122_a_place_that_cannot_be_written_to_stops_recordings_and_nothing_else() {
    let server = Server::init(SETUP);
    fs::write(folder(&server), "in the way").unwrap();
    let mut server = server;
    server.restart();
    let mut client = server.client().await;
    let device = mac(SERIAL);
    for _ in 0..3 {
        client.enrol(&server, &device, SERIAL).await;
    }
    refused(&server, &mut client).await;
    let failed = |event: &Value| event["event"] == "recording_failed";
    let event = server.process().event(failed);
    assert_eq!(event["level"], "ERROR");
    let error = event["error"].as_str().unwrap();
    assert!(error.contains("recordings: "), "{error}");
    let message = event["message"].as_str().unwrap();
    assert!(message.contains("Make room on the disk"), "{message}");
    let log = server.process().log();
    assert_eq!(log.iter().filter(|event| failed(event)).count(), 1);
    assert!(server.terminate().success());
    assert_eq!(server.read("recordings"), "in the way");
}
