//! Attestation objects that are none.

use std::time::{Duration, Instant};

use assay_simulator::evidence::Cbor;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use super::{DEVICES, SERVER, object_is_refused, serial};
use crate::support::{Server, Setup, assert_dead, assert_problem, assert_ready, mac};

#[tokio::test]
async fn scenario_43_an_answer_without_evidence_is_refused_for_good() {
    let server = SERVER.server();
    for (reason, payload) in [
        ("object-empty", json!({})),
        ("object-empty", json!({"attObj": ""})),
        // The empty CBOR map.
        ("format-missing", json!({"attObj": "oA"})),
    ] {
        let mut client = server.client().await;
        let placed = client.order(serial()).await;
        let answer = client.post(&placed.challenge, &payload).await;
        assert_dead(&server, &mut client, &placed, &answer, reason).await;
    }
}

#[tokio::test]
async fn scenario_43_what_cannot_be_read_may_be_sent_again() {
    let server = SERVER.server();
    let device = mac(serial());
    let mut client = server.client().await;
    let placed = client.order(serial()).await;
    let object = server.attest(&device, &placed.token);
    let padded = format!("{}=", BASE64URL_NOPAD.encode(&object));
    for text in [padded.as_str(), "not base64url!", "a+b/", "oA==", "o A"] {
        let answer = client
            .post(&placed.challenge, &json!({"attObj": text}))
            .await;
        assert_problem(&answer, 400, "malformed");
        assert_eq!(client.status(&placed.challenge).await, "pending");
        assert_eq!(client.status(&placed.order).await, "pending");
    }
    let answer = client.answer(&placed, &object).await;
    assert_ready(&mut client, &placed, &answer).await;
}

#[tokio::test]
async fn scenario_44_cbor_that_is_no_map_is_refused() {
    let server = SERVER.server();
    for object in [
        Cbor::Unsigned(7),
        Cbor::Array(vec![]),
        Cbor::text("apple"),
        Cbor::Bytes(vec![1, 2]),
    ] {
        object_is_refused(&server, "object-not-map", |_| object.encode()).await;
    }
    object_is_refused(&server, "object-not-cbor", |_| vec![0xa1]).await;
}

#[tokio::test]
async fn scenario_45_bombs_are_refused_quickly_and_in_little_memory() {
    // Its memory is looked at: nobody else may use it.
    let server = Server::start(Setup {
        devices: &DEVICES,
        ..Setup::default()
    });
    object_is_refused(&server, "object-empty", |_| Vec::new()).await;
    let before = server.process().peak_memory();
    let claim = |major: u8| [&[major | 26][..], &100_000_000_u32.to_be_bytes()].concat();
    let within = |bomb: Vec<u8>| {
        Cbor::Map(vec![
            (Cbor::text("fmt"), Cbor::text("apple")),
            (Cbor::text("attStmt"), Cbor::Raw(bomb)),
        ])
        .encode()
    };
    let nested = vec![0x81; 10_000];
    let started = Instant::now();
    for (reason, bomb) in [
        ("object-not-map", nested.clone()),
        ("too-deep", within(nested)),
        ("object-not-map", claim(0x40)),
        ("object-not-cbor", within(claim(0x40))),
        ("object-not-cbor", within(claim(0x80))),
        ("too-many-keys", claim(0xa0)),
        ("indefinite-length", vec![0xbf, 0xff]),
        ("object-too-large", vec![0xa0; 64 * 1024 + 1]),
    ] {
        object_is_refused(&server, reason, |_| bomb.clone()).await;
    }
    assert!(started.elapsed() < Duration::from_secs(60));
    let grown = server.process().peak_memory() - before;
    assert!(grown < 20 * 1024, "{grown} KiB");
}

#[tokio::test]
async fn scenario_46_a_key_that_stands_there_twice_is_refused() {
    let server = SERVER.server();
    let device = mac(serial());
    for key in ["fmt", "attStmt", "unknown"] {
        object_is_refused(&server, "duplicate-key", |placed| {
            let evidence = server.evidence(&device, &placed.token);
            let mut entries = vec![
                (Cbor::text("fmt"), Cbor::text("apple")),
                (Cbor::text("attStmt"), evidence.statement()),
                (Cbor::text("unknown"), Cbor::Unsigned(1)),
            ];
            let again = entries
                .iter()
                .find(|(name, _)| *name == Cbor::text(key))
                .unwrap()
                .clone();
            entries.push(again);
            Cbor::Map(entries).encode()
        })
        .await;
    }
}

#[tokio::test]
async fn scenarios_47_and_48_other_formats_are_refused_even_around_a_good_chain() {
    let server = SERVER.server();
    let device = mac(serial());
    for format in [
        "none",
        "tpm",
        "packed",
        "step",
        "android-key",
        "Apple",
        "apple ",
    ] {
        let (mut client, placed) = object_is_refused(&server, "format-not-supported", |placed| {
            let evidence = server.evidence(&device, &placed.token);
            Cbor::attestation_object(format, evidence.statement()).encode()
        })
        .await;
        let detail = client.read(&placed.challenge).await["error"]["detail"].to_string();
        assert!(
            detail.contains("fmt") && detail.contains("apple"),
            "{detail}"
        );
        let finding = server.story(&placed.order)["failure"]["detail"].to_string();
        assert!(finding.contains(format), "{finding}");
    }
}
