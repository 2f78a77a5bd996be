//! Floods end at their sender: while one address floods the server, devices
//! elsewhere enrol as fast as they do when the same generator floods something
//! else, and so do devices behind the address itself, as long as what floods is
//! what fails.
//!
//! `ASSAY_FLOOD_SECONDS` says for how long at least; 10 where it is not set.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

#[path = "../e2e/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the end-to-end tests use the rest"
)]
mod support;

use std::{
    convert::Infallible,
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use assay_simulator::{
    authority::AttestationAuthority,
    load::{self, Load},
};
use http_body_util::Full;
use hyper::{Response, body::Bytes, header::CONTENT_TYPE, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, time::sleep};

use crate::support::{Server, Setup};

/// How many devices enrol in each run.
const DEVICES: u32 = 100;

/// How often they do.
const RUNS: u32 = 2;

/// The proxy that the server trusts.
const PROXY: &str = "127.9.9.9";

/// What an untrusted client can send, with a rate for each.
const EVERYTHING: [&str; 6] = [
    "nonces=60",
    "accounts=20",
    "orders=20",
    "junk=60",
    "paths=60",
    "slow=100",
];

/// What fails, or is never authenticated.
const FAILING: [&str; 3] = ["junk=60", "paths=60", "slow=100"];

/// A process that floods. Dropped, it is killed.
struct Flood(Child);

impl Flood {
    /// Floods the server from `source`, or what listens on the port of `sink` in
    /// its place.
    fn start(server: &Server, sink: Option<u16>, source: &str, what: &[&str]) -> Self {
        let own = server.process().address.unwrap().port();
        let (scheme, port) = sink.map_or(("https", own), |port| ("http", port));
        let host = if source.contains(':') {
            "[::1]"
        } else {
            "127.0.0.1"
        };
        let mut command = Command::new("nice");
        // What is measured is the server, not the generator beside it.
        command
            .args(["-n", "19"])
            .arg(program())
            .arg(&server.process().directory)
            .arg(server.root_path())
            .arg(format!("{scheme}://{host}:{port}"))
            .arg(source);
        if source == PROXY {
            command.arg("forwarded=203.0.113.9");
        }
        let mut child = command.args(what).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "flooding\n");
        Self(child)
    }

    /// The same from one address of each kind: IPv4, IPv6, behind the proxy.
    fn from_everywhere(server: &Server, sink: Option<u16>, what: &[&str]) -> Vec<Self> {
        ["127.0.0.1", "::1", PROXY]
            .map(|source| Self::start(server, sink, source, what))
            .into()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The example of the simulator, which cargo builds with the tests.
fn program() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_assay"));
    binary.parent().unwrap().join("examples/flood")
}

/// Answers everything at once, and keeps nothing.
async fn sink() -> u16 {
    let listener = TcpListener::bind("[::]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let answer = service_fn(|_| async {
                    let body = r#"{"newNonce":"https://x/n","newAccount":"https://x/a","newOrder":"https://x/o"}"#;
                    let response = Response::builder()
                        .header(CONTENT_TYPE, "application/json")
                        .header("replay-nonce", "AAAA")
                        .header("location", "https://x/account")
                        .body(Full::new(Bytes::from_static(body.as_bytes())));
                    Ok::<_, Infallible>(response.unwrap())
                });
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    });
    port
}

/// Enrols devices, from so many addresses of their own or, with none, from
/// 127.0.0.1. Returns the median of the time that one takes, in microseconds; of
/// all runs the best one, since other processes run here as well.
async fn enrol(server: &Server, sources: u32, prefix: &str) -> u64 {
    let authority = AttestationAuthority::load(&server.authority_dir()).unwrap();
    let authority = Arc::new(authority);
    let mut best = u64::MAX;
    for run in 1..=RUNS {
        let mut load = Load::new(&server.process().directory, &server.read("ca/root.pem"));
        load.devices = DEVICES;
        load.concurrency = 4;
        load.source_addresses = sources;
        load.serial_prefix = format!("{prefix}{run}-");
        let report = load::run(&load, Arc::clone(&authority), &mut |_| {}).await;
        let report = report.unwrap();
        assert_eq!(report.enrolled, DEVICES, "{prefix}: {:?}", report.failures);
        best = best.min(report.enrolment.unwrap().p50);
    }
    best
}

/// The bytes that the server has on the disk, its log among them.
fn bytes_of(server: &Server) -> u64 {
    fn of(dir: &Path) -> u64 {
        let entries = fs::read_dir(dir).unwrap();
        // A merge may remove files meanwhile.
        let entries = entries.filter_map(|entry| Some((entry.ok()?.path(), ())));
        entries
            .map(|(path, ())| match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => of(&path),
                Ok(metadata) => metadata.len(),
                Err(_) => 0,
            })
            .sum()
    }
    let log: usize = (server.process().log().iter())
        .map(|entry| entry.to_string().len() + 1)
        .sum();
    of(&server.dir()) + log as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_ends_at_its_sender() {
    let seconds = env::var("ASSAY_FLOOD_SECONDS").map_or(10, |seconds| seconds.parse().unwrap());
    let mut server = Server::init(Setup {
        config: &format!("server.trusted_proxies = [\"{PROXY}/32\"]"),
        ..Setup::default()
    });
    let devices: Vec<String> = ["SAME-CALM", "OTHER-CALM", "SAME", "OTHER"]
        .iter()
        .flat_map(|prefix| (1..=RUNS).map(move |run| format!("{prefix}{run}-")))
        .flat_map(|prefix| (1..=DEVICES).map(move |number| format!("{prefix}{number:06},,")))
        .collect();
    server.write_devices(&devices.iter().map(String::as_str).collect::<Vec<_>>());
    server.restart_on("[::]:0");
    let sink = sink().await;

    // The same generators, and none of it for the server.
    let floods = Flood::from_everywhere(&server, Some(sink), &FAILING);
    let same_before = enrol(&server, 0, "SAME-CALM").await;
    drop(floods);
    let floods = Flood::from_everywhere(&server, Some(sink), &EVERYTHING);
    let other_before = enrol(&server, DEVICES, "OTHER-CALM").await;
    drop(floods);

    let floods = Flood::from_everywhere(&server, None, &FAILING);
    let same = enrol(&server, 0, "SAME").await;
    drop(floods);

    let floods = Flood::from_everywhere(&server, None, &EVERYTHING);
    let other = enrol(&server, DEVICES, "OTHER").await;
    // What the devices write is not the flood's.
    let (before, started) = (bytes_of(&server), Instant::now());
    sleep(Duration::from_secs(seconds)).await;
    let (grown, elapsed) = (bytes_of(&server) - before, started.elapsed());
    drop(floods);
    let a_minute = grown as f64 / elapsed.as_secs_f64() * 60.0;
    eprintln!(
        "median of an enrolment, beside a flood of something else and of this server: \
         from other addresses {other_before} and {other} us, \
         from the flooding address {same_before} and {same} us; \
         {a_minute:.0} bytes a minute"
    );
    assert!(
        a_minute < 10e6,
        "the disk grows by {a_minute:.0} bytes a minute"
    );
    assert!(
        other <= 2 * other_before,
        "{other} us instead of {other_before}"
    );
    assert!(
        same <= 2 * same_before,
        "{same} us instead of {same_before}"
    );
    assert_eq!(server.terminate().code(), Some(0));
}
