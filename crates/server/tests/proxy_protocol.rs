//! The PROXY protocol on real sockets: limits count the client, not the proxy.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use assay_server::{Limit, Rate, RateLimits, ServerConfig};
use common::running::{GET, Running, ask, connector, identity, self_signed};
use rustls::version;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Builds a header for a client at 203.0.113.`client`.
fn of(client: u8) -> Vec<u8> {
    let addresses = [203, 0, 113, client, 127, 0, 0, 1, 0x12, 0x67, 1, 187];
    [SIGNATURE, &[0x21, 0x11, 0, 12][..], &addresses[..]].concat()
}

/// Builds a header for the proxy itself, for a health check.
fn local() -> Vec<u8> {
    [SIGNATURE, &[0x20, 0, 0, 0][..]].concat()
}

fn proxied(config: &mut ServerConfig) {
    config.proxy_protocol = true;
    config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
}

/// Opens a connection through the proxy.
async fn connect(server: &Running, header: &[u8]) -> TcpStream {
    let mut stream = server.connect().await;
    stream.write_all(header).await.unwrap();
    stream
}

/// Returns whether a connection is closed without an answer.
async fn is_closed(stream: &mut TcpStream) -> bool {
    // The connection may be closed before everything is sent.
    let _ = stream.write_all(GET).await;
    let mut buffer = [0; 100];
    let read = timeout(Duration::from_secs(60), stream.read(&mut buffer));
    matches!(read.await.unwrap(), Ok(0) | Err(_))
}

#[tokio::test]
async fn the_share_of_connections_is_the_clients_and_not_the_proxys() {
    let server = Running::start(|config| {
        proxied(config);
        config.connections_per_address = 2;
    })
    .await;
    let mut held = Vec::new();
    for client in [1, 1, 2, 2] {
        let mut stream = connect(&server, &of(client)).await;
        ask(&mut stream).await;
        held.push(stream);
    }
    assert!(is_closed(&mut connect(&server, &of(1)).await).await);
    for stream in &mut held {
        ask(stream).await;
    }
    // The proxy's own connections have no share.
    for _ in 0..5 {
        let mut stream = connect(&server, &local()).await;
        ask(&mut stream).await;
        held.push(stream);
    }
}

#[tokio::test]
async fn the_rate_of_requests_is_the_clients() {
    let one = NonZeroU32::MIN;
    let server = Running::start(|config| {
        proxied(config);
        let mut rates = RateLimits::off();
        let rate = Rate {
            per_second: one,
            burst: one,
        };
        rates.rates.set(Limit::NewNonce, Some(rate));
        config.rate_limits = rates;
    })
    .await;
    let nonce = async |client| {
        let mut stream = connect(&server, &of(client)).await;
        stream
            .write_all(b"HEAD /acme/new-nonce HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        String::from_utf8_lossy(&start[9..]).into_owned()
    };
    let empty = async { while nonce(1).await != "429" {} };
    timeout(Duration::from_secs(60), empty).await.unwrap();
    assert_eq!(nonce(2).await, "200");
}

/// TLS is passed through, so the proxy cannot have written this header.
#[tokio::test]
async fn x_forwarded_for_of_a_named_client_is_not_trusted() {
    let one = NonZeroU32::MIN;
    let server = Running::start(|config| {
        proxied(config);
        // Clients and proxies in the same network.
        config
            .trusted_proxies
            .push("203.0.113.0/24".parse().unwrap());
        let mut rates = RateLimits::off();
        let rate = Rate {
            per_second: one,
            burst: one,
        };
        rates.rates.set(Limit::NewNonce, Some(rate));
        config.rate_limits = rates;
    })
    .await;
    let limited = async {
        for address in 1_u8.. {
            let mut stream = connect(&server, &of(1)).await;
            let request = format!(
                "HEAD /acme/new-nonce HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 198.51.{address}.1\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut start = [0; 12];
            stream.read_exact(&mut start).await.unwrap();
            if start.ends_with(b"429") {
                return true;
            }
        }
        false
    };
    let limited = timeout(Duration::from_secs(60), limited).await;
    assert!(limited.unwrap());
}

#[tokio::test]
async fn only_trusted_proxies_connect_and_only_with_a_header() {
    let server = Running::start(proxied).await;
    for header in [&b""[..], b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n"] {
        assert!(is_closed(&mut connect(&server, header).await).await);
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket
        .connect(server.address.parse().unwrap())
        .await
        .unwrap();
    let _ = other.write_all(&of(1)).await;
    assert!(is_closed(&mut other).await);
    ask(&mut connect(&server, &of(1)).await).await;
}

#[tokio::test]
async fn tls_begins_behind_the_header_however_it_arrives() {
    let key = self_signed();
    let server = Running::start(|config| {
        proxied(config);
        config.tls = Some(identity(&key));
    })
    .await;
    let name = ServerName::try_from("localhost").unwrap();
    // All bytes at once, and byte by byte.
    for pieces in [28, 1] {
        let mut stream = server.connect().await;
        stream.set_nodelay(true).unwrap();
        for piece in of(1).chunks(pieces) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut stream = connector(&key, &[&version::TLS13], &[])
            .connect(name.clone(), stream)
            .await
            .unwrap();
        ask(&mut stream).await;
    }
}

#[tokio::test]
async fn a_missing_header_ends_the_connection_after_the_handshake_timeout() {
    let server = Running::start(proxied).await;
    let begun = Instant::now();
    let mut stream = connect(&server, &of(1)[..20]).await;
    let mut buffer = [0; 1];
    let read = timeout(Duration::from_secs(60), stream.read(&mut buffer));
    assert!(matches!(read.await.unwrap(), Ok(0) | Err(_)));
    assert!(
        begun.elapsed() >= Duration::from_secs(9),
        "{:?}",
        begun.elapsed()
    );
}
