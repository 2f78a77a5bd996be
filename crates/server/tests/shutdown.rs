//! The shutdown of a server: what is answered, what is cut, what it waits for.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::time::Duration;

use assay_proto::Base64Url;
use assay_simulator::{CsrRequest, Device, JOSE_JSON, Jws, KeyType, evidence::DeviceProperties};
use axum::http::{Method, Request};
use common::{
    BASE, Client, SLOW_LOOKUPS, World, fulfil,
    running::{GET, Running, ask, closed, connector, http2, identity, self_signed},
    url,
};
use http_body_util::Full;
use hyper::body::Bytes;
use rustls::version;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

/// Longer than the shutdown waits for a connection without a complete request.
const LONG: Duration = Duration::from_millis(1_300);
/// Much shorter than that.
const SHORT: Duration = Duration::from_millis(200);

/// Builds a signed request for this URL, ready to send.
fn signed(world: &World, client: &Client, url: &str, payload: &Value) -> String {
    let nonce = world.engine.nonce();
    let jws = Jws::new(url, payload).sign(&client.key, client.account.as_deref(), Some(&nonce));
    jws.unwrap().to_string()
}

/// Builds an order that takes the server this many milliseconds.
fn slow_order(world: &World, client: &Client, milliseconds: u32) -> String {
    let value = format!("C02SLOW{milliseconds}");
    let identifiers = json!([{"type": "permanent-identifier", "value": value}]);
    let payload = json!({"identifiers": identifiers});
    signed(world, client, &url("/acme/new-order"), &payload)
}

/// Returns the bytes of a POST.
fn post(url: &str, body: &str) -> Vec<u8> {
    let path = url.strip_prefix(BASE).unwrap();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {JOSE_JSON}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Reads until the server closes the connection.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    timeout(Duration::from_secs(10), end).await.unwrap().ok();
    String::from_utf8(rest).unwrap()
}

/// Shuts the server down. Returns how long that took.
async fn end(server: Running) -> Duration {
    let asked = Instant::now();
    server.stop.send(()).unwrap();
    let ended = timeout(Duration::from_secs(20), server.ended).await;
    ended.unwrap().unwrap();
    asked.elapsed()
}

/// Asserts that the answer has this status and closes its connection.
#[track_caller]
fn assert_last(answer: &str, status: u16) {
    let start = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&start), "{answer:?}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer:?}");
}

#[tokio::test]
async fn a_running_request_is_answered_and_no_connection_accepted() {
    let world = World::new();
    let client = world.client().await;
    let server = Running::of(&world, |_| {}).await;
    let address = server.address.clone();
    let mut stream = server.connect().await;
    let body = slow_order(&world, &client, 2_000);
    let request = post(&url("/acme/new-order"), &body);
    stream.write_all(&request).await.unwrap();
    sleep(SHORT).await;
    let ending = tokio::spawn(end(server));
    sleep(SHORT).await;
    assert!(TcpStream::connect(&address).await.is_err());
    assert_last(&rest(&mut stream).await, 201);
    let took = ending.await.unwrap();
    assert!(took < Duration::from_millis(2_900), "{took:?}");
}

#[tokio::test]
async fn a_running_request_is_cut_after_the_drain_timeout() {
    let world = World::new();
    let client = world.client().await;
    let limit = Duration::from_millis(1_500);
    let server = Running::of(&world, |config| config.drain_timeout = limit).await;
    let mut stream = server.connect().await;
    let body = slow_order(&world, &client, 60_000);
    let request = post(&url("/acme/new-order"), &body);
    stream.write_all(&request).await.unwrap();
    sleep(SHORT).await;
    let took = end(server).await;
    assert!(took >= limit && took < limit + LONG, "{took:?}");
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn idle_and_slow_clients_are_cut_at_once() {
    let key = self_signed();
    let server = Running::start(|_| {}).await;
    let tls = Running::start(|config| config.tls = Some(identity(&key))).await;
    let mut idle = server.connect().await;
    ask(&mut idle).await;
    let mut silent = server.connect().await;
    let mut handshake = tls.connect().await;
    handshake.write_all(&[22, 3, 1]).await.unwrap();
    // This client does not even read the GOAWAY of HTTP/2.
    let mut silent_http2 = connector(&key, &[&version::TLS13], &["h2"])
        .connect(
            ServerName::try_from("localhost").unwrap(),
            tls.connect().await,
        )
        .await
        .unwrap();
    silent_http2
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    // One client sends the head of its request a byte at a time, the other the
    // body.
    let mut slow_head = server.connect().await;
    let mut slow_body = server.connect().await;
    let order = post(&url("/acme/new-order"), "{}");
    let (start, _) = order.split_at(order.len() - 2);
    slow_body.write_all(start).await.unwrap();
    for byte in &GET[..4] {
        slow_head.write_all(&[*byte]).await.unwrap();
        sleep(LONG / 4).await;
    }
    slow_body.write_all(b"{").await.unwrap();
    for (server, connections) in [
        (
            server,
            vec![&mut idle, &mut silent, &mut slow_head, &mut slow_body],
        ),
        (tls, vec![&mut handshake]),
    ] {
        let took = end(server).await;
        assert!(took < Duration::from_millis(700), "{took:?}");
        for connection in connections {
            closed(connection).await;
        }
    }
    closed(&mut silent_http2).await;
}

/// A device in the middle of an enrolment, whose client does not retry.
#[tokio::test]
async fn a_request_just_before_the_shutdown_is_answered() {
    let key = self_signed();
    let server = Running::start(|_| {}).await;
    let tls = Running::start(|config| config.tls = Some(identity(&key))).await;
    let handshake = tls.connect().await;
    let mut between = server.connect().await;
    ask(&mut between).await;
    let mut in_head = server.connect().await;
    in_head.write_all(&GET[..4]).await.unwrap();
    let mut in_body = server.connect().await;
    let order = post(&url("/acme/new-order"), "{}");
    let (start, end_of_it) = order.split_at(order.len() - 1);
    in_body.write_all(start).await.unwrap();
    sleep(SHORT / 2).await;
    let ending = [tokio::spawn(end(server)), tokio::spawn(end(tls))];
    sleep(SHORT).await;

    between.write_all(GET).await.unwrap();
    assert_last(&rest(&mut between).await, 200);
    in_head.write_all(&GET[4..]).await.unwrap();
    assert_last(&rest(&mut in_head).await, 200);
    in_body.write_all(end_of_it).await.unwrap();
    assert_last(&rest(&mut in_body).await, 400);
    let mut stream = connector(&key, &[&version::TLS13], &[])
        .connect(ServerName::try_from("localhost").unwrap(), handshake)
        .await
        .unwrap();
    stream.write_all(GET).await.unwrap();
    assert_last(&rest(&mut stream).await, 200);
    for ending in ending {
        let took = ending.await.unwrap();
        assert!(took < Duration::from_millis(900), "{took:?}");
    }
}

#[tokio::test]
async fn a_request_just_before_the_shutdown_has_a_second_and_nothing_prolongs_it() {
    let server = Running::start(|_| {}).await;
    let mut silent = server.connect().await;
    let mut prolonged = server.connect().await;
    sleep(SHORT / 2).await;
    let ending = tokio::spawn(end(server));
    sleep(Duration::from_millis(500)).await;
    let order = post(&url("/acme/new-order"), "{}");
    prolonged
        .write_all(&order[..order.len() - 1])
        .await
        .unwrap();
    closed(&mut silent).await;
    closed(&mut prolonged).await;
    let took = ending.await.unwrap().as_millis();
    assert!((700..1_400).contains(&took), "{took} ms");
}

#[tokio::test]
async fn running_http2_requests_are_answered() {
    let key = self_signed();
    let world = World::new();
    let client = world.client().await;
    let server = Running::of(&world, |config| config.tls = Some(identity(&key))).await;
    let (mut sender, connection) = http2(&server, &key).await;
    let connection = tokio::spawn(connection);
    let body = slow_order(&world, &client, 1_500);
    let request = Request::builder()
        .method(Method::POST)
        .uri(url("/acme/new-order"))
        .header("content-type", JOSE_JSON)
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let answer = tokio::spawn(sender.send_request(request));
    sleep(SHORT).await;
    let took = end(server).await;
    assert_eq!(answer.await.unwrap().unwrap().status(), 201);
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    drop(connection);
}

/// The client has disconnected and the drain timeout is over, but the task
/// completes.
#[tokio::test]
async fn the_task_of_a_request_is_waited_for() {
    let world = World::new();
    let client = world.client().await;
    let serial = "C02SLOW901";
    let (order_url, order) = client.order(serial).await;
    let limit = Duration::from_millis(100);
    let server = Running::of(&world, |config| config.drain_timeout = limit).await;
    let device = Device::new(DeviceProperties::default(), KeyType::P256).unwrap();
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let finalize = order["finalize"].as_str().unwrap();
    fulfil(&world, &order_url, &device.spki_der()).await;
    let payload = json!({"csr": Base64Url::encode(&csr)});
    let body = signed(&world, &client, finalize, &payload);
    let mut stream = server.connect().await;
    stream.write_all(&post(finalize, &body)).await.unwrap();
    sleep(SHORT).await;
    drop(stream);
    let took = end(server).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    let lookups = SLOW_LOOKUPS.lock().unwrap();
    let lookups = lookups.iter().filter(|name| *name == serial).count();
    assert_eq!(lookups, 2, "at newOrder and at finalize");
}
