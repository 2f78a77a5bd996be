//! The health answers for load balancers and supervisors, on the public
//! listener and on the separate one.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

mod common;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use assay_engine::health::Part;
use assay_server::serve_health;
use axum::{body::Body, http::Request};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::common::{NOW, World};

async fn readyz(world: &World) -> (u16, Value) {
    let request = Request::get("/readyz").body(Body::empty()).unwrap();
    let answer = world.unregistered().bare(request).await;
    (answer.status, serde_json::from_str(&answer.text()).unwrap())
}

#[tokio::test]
async fn readyz_names_every_part_and_no_reason() {
    let world = World::new();
    let parts = json!({
        "clock": "ok",
        "devices": "ok",
        "free_space": "ok",
        "recordings": "ok",
        "signer": "ok",
        "store": "ok",
    });
    assert_eq!(
        readyz(&world).await,
        (200, json!({"ready": true, "parts": parts}))
    );
    for part in [
        Part::Devices,
        Part::FreeSpace,
        Part::Recordings,
        Part::Signer,
        Part::Store,
    ] {
        let name = part.as_str();
        let mut expected = parts.clone();
        expected[name] = json!("failing");
        world.health.fail(part, "/var/lib/assay/secret");
        assert_eq!(
            readyz(&world).await,
            (503, json!({"ready": false, "parts": expected})),
            "{name}"
        );
        world.health.degrade(part, "/var/lib/assay/secret");
        assert_eq!(
            readyz(&world).await,
            (200, json!({"ready": true, "parts": expected})),
            "{name}"
        );
        world.health.recover(part);
    }
    assert_eq!(readyz(&world).await.0, 200);
}

#[tokio::test]
async fn a_clock_in_doubt_is_reported_and_devices_still_enrol() {
    let world = World::new();
    world.clock.set(NOW + 7200);
    let (status, body) = readyz(&world).await;
    assert_eq!((status, &body["parts"]["clock"]), (200, &json!("failing")));
    let readiness = world.engine.readiness();
    assert_eq!(
        readiness.reasons["clock"],
        "the wall clock says 2027-01-15T10:00:00Z, 7200 s ahead of the server's time 2027-01-15T08:00:00Z"
    );
    world.clock.set(NOW);
    assert_eq!(readyz(&world).await.1["parts"]["clock"], "ok");
}

#[tokio::test]
async fn an_expired_ca_is_not_ready() {
    let world = World::new();
    // The clock is not in doubt afterwards: the step is confirmed.
    let later = NOW + 30 * 365 * 86_400;
    world.clock.set(later);
    let confirmed = assay_proto::Timestamp(later);
    world.engine.accept_clock(confirmed).await.unwrap();
    let (status, body) = readyz(&world).await;
    assert_eq!((status, &body["parts"]["signer"]), (503, &json!("failing")));
    assert!(world.engine.readiness().reasons["signer"].contains("CA's certificate ended at"));
}

fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_of_health_names_the_reasons() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let health = Arc::clone(&world.health);
    let serving = tokio::spawn(serve_health(listener, Arc::new(move || health.readiness())));
    world.health.fail(Part::FreeSpace, "900 MiB are free");
    let asked = tokio::task::spawn_blocking(move || {
        [
            ("GET", "/livez"),
            ("HEAD", "/healthz"),
            ("GET", "/readyz"),
            ("POST", "/readyz"),
            ("GET", "/acme/directory"),
        ]
        .map(|(method, path)| ask(address, method, path))
    });
    let [live, head, ready, post, elsewhere] = asked.await.unwrap();
    serving.abort();
    assert!(live.starts_with("HTTP/1.1 200 OK\r\n"), "{live}");
    assert!(live.ends_with("\r\n\r\nok\n"), "{live}");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(
        ready.ends_with(r#""reasons":{"free_space":"900 MiB are free"}}"#),
        "{ready}"
    );
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    assert!(elsewhere.starts_with("HTTP/1.1 404 "), "{elsewhere}");
}
