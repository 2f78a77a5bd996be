//! Floods a server at fixed rates until it is killed, with the requests that an untrusted client
//! can send without owning a device.
//!
//! ```text
//! flood DIRECTORY CA_BUNDLE ORIGIN SOURCE [forwarded=ADDRESS] KIND=RATE...
//! ```
//!
//! All requests go to `ORIGIN` (`https://[::1]:8443`), whatever host the URLs name, from the local
//! address `SOURCE`; `forwarded` is the value of X-Forwarded-For. A rate is in requests per second;
//! for `slow` it is the number of connections that send one byte per second.
//!
//! Used by the flood test, and for testing limits by hand.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test program: it panics if setup fails"
)]

use std::{
    env, fs,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use assay_simulator::{AccountKey, AcmeClient, Algorithm, HttpClient, JOSE_JSON, Trust};
use hyper::{HeaderMap, Method, header::HeaderValue};
use tokio::{
    io::AsyncWriteExt,
    net::TcpSocket,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

/// The number of connections for each kind of request.
const WORKERS: u32 = 4;

/// What to send, and from which address.
#[derive(Clone)]
struct Flood {
    directory: String,
    trust: Trust,
    origin: String,
    source: IpAddr,
    forwarded: Option<HeaderValue>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = env::args().skip(1);
    let directory = args.next().unwrap();
    let trust = Trust::from_pem(&fs::read_to_string(args.next().unwrap()).unwrap()).unwrap();
    let mut flood = Flood {
        directory,
        trust,
        origin: args.next().unwrap(),
        source: args.next().unwrap().parse().unwrap(),
        forwarded: None,
    };
    let mut kinds = Vec::new();
    for arg in args {
        match arg.split_once('=').unwrap() {
            ("forwarded", address) => flood.forwarded = Some(address.parse().unwrap()),
            (kind, rate) => kinds.push((kind.to_owned(), rate.parse::<u32>().unwrap())),
        }
    }
    // The parent process waits for this line.
    println!("flooding");
    io::stdout().flush().unwrap();
    let mut workers = JoinSet::new();
    for (kind, rate) in kinds {
        if kind == "slow" {
            for _ in 0..rate {
                workers.spawn(flood.clone().crawl());
            }
        } else {
            for _ in 0..WORKERS {
                workers.spawn(flood.clone().send(kind.clone(), rate));
            }
        }
    }
    // The workers end only by a panic.
    workers.join_all().await;
}

impl Flood {
    /// Sends a share of the requests of one kind and ignores the responses.
    async fn send(self, kind: String, rate: u32) {
        let mut ticks = interval(Duration::from_secs(1) * WORKERS / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut client = self.client().await;
        let mut number = 0_u64;
        loop {
            ticks.tick().await;
            number += 1;
            let order = client.resource("newOrder").unwrap();
            let sent = match kind.as_str() {
                "nonces" => client.fetch_nonce().await.map(drop),
                "accounts" => {
                    client.set_key(AccountKey::generate(Algorithm::Es256).unwrap());
                    client.new_account().await.map(drop)
                }
                "orders" => {
                    if client.account().is_none() {
                        drop(client.new_account().await);
                    }
                    let serial = format!("FLOOD-{}-{number}", std::process::id());
                    let identifiers = [("permanent-identifier", serial.as_str())];
                    client.new_order(&identifiers).await.map(drop)
                }
                "junk" => {
                    let body = vec![b'{'; 8 * 1024];
                    client.post_raw(&order, body, JOSE_JSON).await.map(drop)
                }
                "paths" => {
                    let url = format!("{}/{}", self.directory, "x".repeat(2_000));
                    client.plain(Method::GET, &url).await.map(drop)
                }
                _ => panic!("unknown kind of request: {kind}"),
            };
            if sent.is_err() {
                // Refused connections must not cause a busy loop.
                sleep(Duration::from_millis(10)).await;
            }
        }
    }

    async fn client(&self) -> AcmeClient {
        loop {
            let mut http = HttpClient::new(self.trust.clone());
            http.connect_from(self.source);
            http.send_via(&self.origin).unwrap();
            if let Some(address) = &self.forwarded {
                let mut headers = HeaderMap::new();
                headers.insert("x-forwarded-for", address.clone());
                http.always_send(headers);
            }
            let key = AccountKey::generate(Algorithm::Es256).unwrap();
            if let Ok(client) = AcmeClient::connect_over(http, &self.directory, key).await {
                return client;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Opens a connection and sends one byte per second, repeatedly.
    async fn crawl(self) {
        let authority = self.origin.split('/').nth(2).unwrap();
        let server: SocketAddr = authority.parse().unwrap();
        loop {
            let socket = match self.source {
                IpAddr::V4(_) => TcpSocket::new_v4().unwrap(),
                IpAddr::V6(_) => TcpSocket::new_v6().unwrap(),
            };
            if socket.bind(SocketAddr::new(self.source, 0)).is_ok()
                && let Ok(mut stream) = socket.connect(server).await
            {
                while stream.write_all(b"\x16").await.is_ok() {
                    sleep(Duration::from_secs(1)).await;
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}
