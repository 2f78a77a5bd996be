//! The answers of a server that cannot serve yet.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use assay_engine::health::{Health, Part};
use assay_server::answer_while_starting;
use tokio::net::TcpListener;

fn ask(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_starting_server_is_live_and_asks_clients_to_retry() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let health = Health::default();
    health.fail(Part::Store, "/var/lib/assay/db");
    let answering = tokio::spawn(async move {
        let readiness = Arc::new(move || health.readiness());
        answer_while_starting(&listener, None, None, Arc::new(|| 42), readiness).await
    });
    let asked = tokio::task::spawn_blocking(move || {
        ["/livez", "/healthz", "/readyz", "/acme/directory"].map(|path| ask(address, path))
    });
    let [live, health, ready, directory] = asked.await.unwrap();
    answering.abort();
    assert!(live.starts_with("HTTP/1.1 200 OK\r\n"), "{live}");
    for refused in [&health, &directory] {
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        assert!(refused.contains("retry-after: 10\r\n"), "{refused}");
        assert!(refused.contains("being rebuilt (42 %)"), "{refused}");
    }
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(ready.contains(r#""store":"failing""#), "{ready}");
    assert!(!ready.contains("/var/lib"), "{ready}");
    assert!(
        directory.contains("application/problem+json"),
        "{directory}"
    );
    assert!(
        directory.contains("urn:ietf:params:acme:error:serverInternal"),
        "{directory}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_proxy_protocol_a_starting_server_answers_only_proxies() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answering = tokio::spawn(async move {
        let readiness = Arc::new(|| Health::default().readiness());
        let proxies = ["127.0.0.1/32".parse().unwrap()];
        answer_while_starting(&listener, None, Some(&proxies), Arc::new(|| 42), readiness).await
    });
    let asked = tokio::task::spawn_blocking(move || {
        let of_client = [
            &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
            &[203, 0, 113, 7, 127, 0, 0, 1, 0x12, 0x67, 1, 187],
        ];
        [of_client.concat(), Vec::new()].map(|header| {
            let mut stream = TcpStream::connect(address).unwrap();
            let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write_all(&[&header[..], request].concat()).unwrap();
            let mut answer = String::new();
            // A connection that is closed unread may be reset.
            let _ = stream.read_to_string(&mut answer);
            answer
        })
    });
    let [proxied, direct] = asked.await.unwrap();
    answering.abort();
    assert!(proxied.starts_with("HTTP/1.1 200 OK\r\n"), "{proxied}");
    assert_eq!(direct, "");
}
