//! The server on real sockets.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::time::Duration;

use assay_server::{ServerConfig, TlsIdentityError, serve_stream};
use assay_simulator::{HttpClient, JOSE_JSON, Jws, Trust};
use axum::http::{HeaderMap, Method};
use common::{
    World,
    running::{GET, Running, ask, closed, connector, identity, self_signed},
    url,
};
use rcgen::{CertifiedKey, KeyPair};
use rustls::{CipherSuite, version};
use rustls_pki_types::ServerName;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

const DIRECTORY: &[u8] = b"GET /acme/directory HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn tls_1_2_and_1_3_with_both_protocols_by_alpn() {
    let key = self_signed();
    let server = Running::start(|config| config.tls = Some(identity(&key))).await;
    let name = ServerName::try_from("localhost").unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        for (offered, chosen) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let mut stream = connector(&key, &[version], offered)
                .connect(name.clone(), server.connect().await)
                .await
                .unwrap();
            let alpn = stream.get_ref().1.alpn_protocol();
            assert_eq!(alpn, chosen.map(str::as_bytes));
            if chosen == Some("h2") {
                stream
                    .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
                    .await
                    .unwrap();
                let mut settings = [0; 9];
                stream.read_exact(&mut settings).await.unwrap();
                assert_eq!(settings[3], 4, "the first frame is SETTINGS");
            } else {
                assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
            }
        }
    }
}

#[tokio::test]
async fn aes_128_even_if_the_client_prefers_aes_256() {
    let key = self_signed();
    let server = Running::start(|config| config.tls = Some(identity(&key))).await;
    for (version, preferred, chosen) in [
        (
            &version::TLS13,
            CipherSuite::TLS13_AES_256_GCM_SHA384,
            CipherSuite::TLS13_AES_128_GCM_SHA256,
        ),
        (
            &version::TLS12,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ),
    ] {
        let connector = connector(&key, &[version], &[]);
        let first = (connector.config().crypto_provider().cipher_suites.iter())
            .find(|suite| suite.version() == version);
        assert_eq!(first.map(|suite| suite.suite()), Some(preferred));
        let name = ServerName::try_from("localhost").unwrap();
        let stream = connector.connect(name, server.connect().await).await;
        let suite = stream.unwrap().get_ref().1.negotiated_cipher_suite();
        assert_eq!(suite.map(|suite| suite.suite()), Some(chosen));
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_while_serving() {
    let (first, second) = (self_signed(), self_signed());
    let identity = identity(&first);
    let tls = identity.clone();
    let server = Running::start(|config| config.tls = Some(tls)).await;
    let name = ServerName::try_from("localhost").unwrap();
    let connect = async |trusted: &CertifiedKey<KeyPair>| {
        connector(trusted, &[&version::TLS13], &[])
            .connect(name.clone(), server.connect().await)
            .await
    };
    let mut open = connect(&first).await.unwrap();
    assert!(connect(&second).await.is_err());
    let chain = |key: &CertifiedKey<KeyPair>| vec![key.cert.der().to_vec()];
    let mismatch = identity.replace(chain(&second), first.signing_key.serialized_der());
    assert_eq!(
        mismatch,
        Err(TlsIdentityError::Unusable(rustls::Error::InconsistentKeys(
            rustls::InconsistentKeys::KeyMismatch
        )))
    );
    assert_eq!(
        identity.replace(Vec::new(), second.signing_key.serialized_der()),
        Err(TlsIdentityError::EmptyChain)
    );
    assert!(connect(&first).await.is_ok());
    let replaced = identity.replace(chain(&second), second.signing_key.serialized_der());
    assert_eq!(replaced, Ok(()));
    assert!(connect(&first).await.is_err());
    assert!(connect(&second).await.is_ok());
    ask(&mut open).await;
}

#[tokio::test]
async fn scenario_107_a_large_body_over_a_socket_reads_its_refusal() {
    let server = Running::start(|_| {}).await;
    let mut client = HttpClient::new(Trust::from_pem("").unwrap());
    let url = format!("http://{}/acme/new-order", server.address);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/jose+json".parse().unwrap());
    let answer = client
        .request(Method::POST, &url, headers, vec![b' '; 10 << 20].into())
        .await
        .unwrap();
    assert_eq!(answer.status, 413);
    ask(&mut server.connect().await).await;
}

#[tokio::test]
async fn connections_wait_for_a_place_and_idle_ones_give_theirs_up() {
    let server = Running::start(|config| {
        config.max_connections = 1;
        config.header_timeout = Duration::from_millis(500);
    })
    .await;
    let mut first = server.connect().await;
    ask(&mut first).await;
    let mut second = server.connect().await;
    second.write_all(DIRECTORY).await.unwrap();
    let mut buffer = [0; 15];
    let waiting = timeout(Duration::from_millis(200), second.read(&mut buffer)).await;
    assert!(waiting.is_err(), "a second connection was served");
    closed(&mut first).await;
    second.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn health_answers_when_all_places_are_taken() {
    let server = Running::start(|config| config.max_connections = 1).await;
    let mut first = server.connect().await;
    first.write_all(DIRECTORY).await.unwrap();
    first.read_exact(&mut [0; 15]).await.unwrap();
    // One after the other, more connections than the reserve has places.
    for _ in 0..100 {
        ask(&mut server.connect().await).await;
    }
    let mut waiting = server.connect().await;
    waiting.write_all(DIRECTORY).await.unwrap();
    ask(&mut server.connect().await).await;
}

/// Opens a connection from this address of the local host.
async fn connect_from(server: &Running, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let address = server.address.parse().unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn a_connection_over_the_share_of_its_address_is_closed() {
    let share = |config: &mut ServerConfig| config.connections_per_address = 2;
    let server = Running::start(share).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        ask(&mut stream).await;
        held.push(stream);
    }
    let mut third = server.connect().await;
    closed(&mut third).await;
    ask(&mut connect_from(&server, "127.0.0.2").await).await;
    for stream in &mut held {
        ask(stream).await;
    }
    drop(held.pop());
    // The place is free once the server has noticed the close.
    while timeout(Duration::from_secs(10), try_ask(&server))
        .await
        .unwrap()
        .is_none()
    {}

    let exempt = Running::start(|config| {
        share(config);
        config.rate_limits.exempt = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut stream = exempt.connect().await;
        ask(&mut stream).await;
        held.push(stream);
    }
}

/// Returns whether a new connection is served.
async fn try_ask(server: &Running) -> Option<()> {
    let mut stream = server.connect().await;
    stream.write_all(GET).await.ok()?;
    stream.read_exact(&mut [0; 15]).await.ok().map(drop)
}

/// Creates an account over this connection.
async fn prove(world: &World, stream: &mut TcpStream) {
    let url = url("/acme/new-account");
    let nonce = world.engine.nonce();
    let jws = Jws::new(&url, &json!({})).with_jwk();
    let body = jws
        .sign(&world.unregistered().key, None, Some(&nonce))
        .unwrap();
    let body = body.to_string();
    let request = format!(
        "POST /acme/new-account HTTP/1.1\r\nhost: x\r\ncontent-type: {JOSE_JSON}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 20_000];
    let count = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]);
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[tokio::test]
async fn a_site_with_all_places_gives_one_up_even_if_authenticated() {
    let world = World::new();
    let server = Running::of(&world, |config| {
        config.max_connections = 3;
        config.connections_per_address = 0;
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        prove(&world, &mut stream).await;
        held.push(stream);
    }
    let mut other = connect_from(&server, "127.1.0.1").await;
    other.write_all(DIRECTORY).await.unwrap();
    let mut start = [0; 15];
    other.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    // Only the oldest connection ended.
    let [first, second, third] = &mut held[..] else {
        panic!()
    };
    closed(first).await;
    ask(second).await;
    ask(third).await;
}

#[tokio::test]
async fn in_a_crowd_a_connection_has_five_seconds_to_prove_itself() {
    let world = World::new();
    let server = Running::of(&world, |config| config.max_connections = 2).await;
    let mut proven = server.connect().await;
    prove(&world, &mut proven).await;
    // A health request does not authenticate.
    let mut unproven = server.connect().await;
    ask(&mut unproven).await;
    // No other timeout is that short: the next head has 20 seconds.
    closed(&mut unproven).await;
    ask(&mut proven).await;
}

#[tokio::test]
async fn bodies_of_one_address_take_at_most_its_share_of_memory() {
    let server = Running::start(|_| {}).await;
    let head = |length: usize| {
        format!(
            "POST /acme/new-order HTTP/1.1\r\nhost: x\r\ncontent-type: {JOSE_JSON}\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    // Each takes 256 KiB of 32 MiB, apart from some bytes for heads.
    let mut held = Vec::new();
    for _ in 0..127 {
        let mut stream = server.connect().await;
        stream.write_all(head(200_000).as_bytes()).await.unwrap();
        stream.write_all(&[b' '; 20_000]).await.unwrap();
        held.push(stream);
    }
    // When this one is answered, the earlier ones are at least as far.
    let answer = loop {
        let mut stream = server.connect().await;
        stream.write_all(head(250_000).as_bytes()).await.unwrap();
        stream.write_all(&[b' '; 250_000]).await.unwrap();
        let mut start = vec![0; 2_000];
        let count = stream.read(&mut start).await.unwrap();
        let answer = String::from_utf8_lossy(&start[..count]).into_owned();
        if !answer.starts_with("HTTP/1.1 400 ") {
            break answer;
        }
        let mut stream = server.connect().await;
        stream.write_all(head(200_000).as_bytes()).await.unwrap();
        stream.write_all(&[b' '; 20_000]).await.unwrap();
        held.push(stream);
        assert!(held.len() < 190, "never refused");
    };
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nretry-after: 5\r\n"), "{answer}");
    // Another address is served.
    let mut other = connect_from(&server, "127.0.0.2").await;
    other.write_all(head(20_000).as_bytes()).await.unwrap();
    other.write_all(&[b' '; 20_000]).await.unwrap();
    let mut start = [0; 12];
    other.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 400");
}

#[tokio::test]
async fn a_head_that_stalls_and_an_idle_http2_connection_are_cut() {
    let key = self_signed();
    let plain = Running::start(|config| config.header_timeout = Duration::from_millis(200)).await;
    let mut slow = plain.connect().await;
    slow.write_all(b"GET /healthz HT").await.unwrap();
    closed(&mut slow).await;

    let tls = Running::start(|config| {
        config.tls = Some(identity(&key));
        config.idle_timeout = Duration::from_millis(200);
    })
    .await;
    let mut idle = connector(&key, &[&version::TLS13], &["h2"])
        .connect(
            ServerName::try_from("localhost").unwrap(),
            tls.connect().await,
        )
        .await
        .unwrap();
    closed(&mut idle).await;
}

/// Returns everything that is sent back on one connection; the last request
/// closes it.
async fn answers_to(requests: impl IntoIterator<Item = &str>) -> String {
    let (mut client, server) = tokio::io::duplex(4096);
    let world = World::new();
    let serving = tokio::spawn(serve_stream(world.engine, world.request_log, server));
    for request in requests {
        client.write_all(request.as_bytes()).await.unwrap();
    }
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.unwrap();
    serving.await.unwrap();
    answers
}

/// hyper adds a Date where there is none. Only the wire shows that it does not
/// add a second one to the engine's.
#[tokio::test]
async fn every_answer_is_dated_once_by_the_engines_clock() {
    let answers = answers_to([
        "GET /acme/directory HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /acme/new-order HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ])
    .await;
    let dates: Vec<_> = answers
        .split("\r\n")
        .filter(|line| line.starts_with("date: "))
        .collect();
    assert_eq!(dates, ["date: Fri, 15 Jan 2027 08:00:00 GMT"; 3]);
}

/// RFC 9112 section 3.2.
#[tokio::test]
async fn a_request_has_exactly_one_host() {
    let answers = answers_to([
        "GET /acme/directory HTTP/1.1\r\n\r\n",
        "GET /acme/directory HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        "GET /acme/directory HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /acme/directory HTTP/1.0\r\n\r\n",
    ])
    .await;
    let statuses: Vec<_> = answers
        .match_indices("HTTP/1.")
        .map(|(at, _)| &answers[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["400", "400", "200", "200"], "{answers}");
}
