//! The server on real sockets.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::time::Duration;

use assay_server::{TlsIdentityError, serve_stream};
use assay_simulator::{HttpClient, Trust};
use axum::http::{HeaderMap, Method};
use common::{
    World,
    running::{Running, ask, closed, connector, identity, self_signed},
};
use rcgen::{CertifiedKey, KeyPair};
use rustls::{CipherSuite, version};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

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
async fn aes_128_even_when_the_client_would_rather_have_aes_256() {
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
    let waiting = timeout(Duration::from_millis(200), ask(&mut second)).await;
    assert!(waiting.is_err(), "a second connection was served");
    closed(&mut first).await;
    let mut buffer = [0; 15];
    second.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_head_that_does_not_come_and_an_idle_http2_connection_are_cut() {
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

/// All that is sent back on one connection; the last request closes it.
async fn answers_to(requests: impl IntoIterator<Item = &str>) -> String {
    let (mut client, server) = tokio::io::duplex(4096);
    let serving = tokio::spawn(serve_stream(World::new().engine, server));
    for request in requests {
        client.write_all(request.as_bytes()).await.unwrap();
    }
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.unwrap();
    serving.await.unwrap();
    answers
}

/// hyper dates what is not dated: that no other Date stands beside the
/// engine's shows only on the wire.
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
