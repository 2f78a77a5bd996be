//! The log: it neither stops the server nor is filled by its clients, and what
//! must be in it is.

use std::{
    io::{BufRead, BufReader, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe},
    net::TcpStream,
    process::{Child, Stdio},
};

use assay_simulator::{AccountKey, Algorithm, JOSE_JSON, Jws};
use rustix::{
    fs::{OFlags, fcntl_setfl},
    process::{Pid, Signal, kill_process},
};
use serde_json::{Value, json};

use crate::support::{Client, Server, Setup, assert_problem};

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02LOG000001,,"],
    // Junk must go on, for what it does to the log.
    config: "server.tls = \"off\"\nlimits.failed = 0",
};

/// A server whose log goes to this pipe.
struct Piped {
    child: Child,
    port: u16,
}

impl Piped {
    fn start(server: &Server, log: PipeWriter) -> Self {
        let mut command = server.command(["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command
            .env("ASSAY_LOG", "debug")
            .env("ASSAY_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let port = line.split(['/', ':']).find_map(|part| part.parse().ok());
        Self {
            child,
            port: port.unwrap(),
        }
    }

    /// Sends so many requests on one connection; each gets its answer.
    fn ask(&self, path: &str, status: u16, count: usize) {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).unwrap());
        for _ in 0..count {
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.get_mut().write_all(request.as_bytes()).unwrap();
            let (mut line, mut length) = (String::new(), 0);
            stream.read_line(&mut line).unwrap();
            assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{line}");
            while line != "\r\n" {
                line.clear();
                stream.read_line(&mut line).unwrap();
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
        }
    }

    async fn client(&self) -> Client {
        let origin = format!("http://127.0.0.1:{}", self.port);
        let directory = format!("https://localhost:{}/acme/directory", self.port);
        Client::connect(&directory, &origin, "").await
    }

    fn terminate(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe into which nothing more goes.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    for length in [4096, 1] {
        let refused = loop {
            if let Err(error) = writer.write(&vec![b'x'; length]) {
                break error;
            }
        };
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    }
    fcntl_setfl(&writer, OFlags::empty()).unwrap();
    (reader, writer)
}

#[test]
fn a_reader_of_the_log_that_reads_nothing_stops_neither_requests_nor_the_end() {
    let server = Server::init(SETUP);
    let (reader, log) = full_pipe();
    let process = Piped::start(&server, log);
    process.ask("/nowhere", 404, 3_000);
    process.ask("/healthz", 200, 1);
    process.terminate();
    drop(reader);
}

#[test]
fn an_error_at_start_ends_the_process_though_nobody_reads_it() {
    let server = Server::init(SETUP);
    server.configure("server.max_connections = 0");
    let (reader, log) = full_pipe();
    let mut command = server.command(["serve"]);
    let status = command.stdin(Stdio::null()).stderr(log).status().unwrap();
    assert_eq!(status.code(), Some(2));
    drop(reader);
}

#[tokio::test]
async fn dropped_lines_are_counted_and_lines_of_requests_drop_no_event() {
    let server = Server::init(SETUP);
    let (reader, log) = pipe().unwrap();
    let process = Piped::start(&server, log);
    process.ask("/nowhere", 404, 4_000);
    let mut client = process.client().await;
    assert_eq!(client.acme.new_account().await.unwrap().status, 201);
    let account = client.acme.account().unwrap().to_owned();
    let answer = client
        .post(&account, &json!({"status": "deactivated"}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut events = BufReader::new(reader)
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let event = events.next().expect("both come");
        if event["event"] == "log_lines_dropped" {
            assert_eq!(event["queue"], "requests");
            assert!(event["count"].as_u64().unwrap() > 100, "{event}");
            seen.push("dropped");
        }
        if event["event"] == "account_deactivated" {
            seen.push("deactivated");
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, ["deactivated", "dropped"]);
    std::thread::spawn(move || events.for_each(drop));
    process.terminate();
}

/// All texts of a line, those of its spans too.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(all) => all.iter().for_each(|value| texts(value, found)),
        Value::Object(all) => all.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn nothing_that_a_client_chose_is_longer_than_its_limit_in_the_log() {
    let server = Server::init(SETUP);
    let (reader, log) = pipe().unwrap();
    let process = Piped::start(&server, log);
    let reading = std::thread::spawn(move || {
        let lines = BufReader::new(reader).lines();
        lines.map_while(Result::ok).collect::<Vec<_>>()
    });
    process.ask(&format!("/{}", "p".repeat(8_000)), 404, 1);
    let mut client = process.client().await;
    assert_eq!(client.acme.new_account().await.unwrap().status, 201);
    let long = "\"\u{1b}é".repeat(8_000);
    for value in [&long[..256], &long] {
        for kind in ["permanent-identifier", value] {
            let answer = client
                .new_order(&[(kind, value), ("permanent-identifier", "b/")])
                .await;
            assert_eq!(answer.status, 400);
            assert!(answer.text().len() < 5_000, "{}", answer.text().len());
        }
    }
    let account = client.acme.account().unwrap().to_owned();
    for payload in [json!({"contact": [&long]}), json!({"contact": &long})] {
        assert_eq!(client.post(&account, &payload).await.status, 400);
    }
    let kid = client
        .acme
        .account()
        .map(|url| format!("{url}{}", "k".repeat(1_000)));
    client.acme.set_account(kid);
    let answer = client.get(&account).await;
    assert_problem(&answer, 400, "accountDoesNotExist");
    process.terminate();
    let lines = reading.join().unwrap();
    let mut refused = 0;
    for line in &lines {
        let event: Value = serde_json::from_str(line).unwrap();
        refused += usize::from(event["event"] == "refused");
        let mut found = Vec::new();
        let mut event = event;
        // A finding quotes the client in words of the server's.
        if event["event"] == "refused" {
            let detail = event["detail"].take();
            assert!(detail.as_str().unwrap().len() <= 512, "{line}");
        }
        texts(&event, &mut found);
        let in_request = event.get("span").is_some();
        for text in found {
            assert!(text.len() <= 128 || !in_request, "{line}");
            assert!(text.len() <= 1024, "{line}");
        }
        assert!(line.len() < 4_000, "{line}");
    }
    assert!(refused >= 4, "{lines:?}");
}

#[tokio::test]
async fn what_becomes_of_accounts_and_authorizations_is_an_event() {
    let server = Server::start(Setup {
        config: "",
        ..SETUP
    });
    let mut client = server.client().await;
    let account = client.acme.account().unwrap().to_owned();
    let id = account.rsplit('/').next().unwrap().to_owned();
    let of_account = |name: &'static str| {
        let event = server
            .process()
            .event(|event| event["event"] == name && event["account"] == id.as_str());
        assert_eq!(event["client"], "127.0.0.1", "{event}");
        event
    };
    let thumbprint = of_account("account_created")["thumbprint"].clone();

    let contact = json!({"contact": ["mailto:a@example.org", "mailto:b@example.org"]});
    assert_eq!(client.post(&account, &contact).await.status, 200);
    let changed = of_account("account_changed");
    assert_eq!(changed["contacts_before"], 0);
    assert_eq!(changed["contacts"], 2);

    // A take-over names the key before and the key after.
    let old_key: Value = client.acme.key().jwk();
    let key = AccountKey::generate(Algorithm::Es256).unwrap();
    let url = client.acme.resource("keyChange").unwrap();
    let inner = Jws::new(&url, &json!({"account": account, "oldKey": old_key}));
    let inner = inner.sign(&key, None, None).unwrap();
    assert_eq!(client.post(&url, &inner).await.status, 200);
    client.acme.set_key(key);
    let event = of_account("account_key_changed");
    assert_eq!(event["old_thumbprint"], thumbprint);
    assert_ne!(event["new_thumbprint"], thumbprint);
    assert_eq!(event["new_thumbprint"].as_str().unwrap().len(), 43);

    let placed = client.order("C02LOG000001").await;
    client.order("C02LOG000001").await;
    let deactivate = json!({"status": "deactivated"});
    client.post(&placed.authorizations[0], &deactivate).await;
    let event = of_account("authorization_deactivated");
    let last = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    assert_eq!(event["authorization"], last(&placed.authorizations[0]));
    assert_eq!(event["order"], last(&placed.order));
    assert_eq!(event["order_ended"], true);

    client.post(&account, &deactivate).await;
    assert_eq!(of_account("account_deactivated")["orders_ended"], 1);
}

#[tokio::test]
async fn refusals_of_unauthenticated_requests_are_summed_and_others_have_a_rate() {
    let server = Server::start(Setup {
        config: "",
        ..SETUP
    });
    // How many requests were refused so, with lines of their own and without.
    let refused = |kind: &str, until: u64| {
        let (mut lines, mut summed, mut authenticated) = (0, 0, 0);
        let mut seen = 0;
        while lines + summed < until {
            let of_kind = |event: &Value| {
                let names = ["request_refused", "requests_refused"];
                names.iter().any(|name| event["event"] == *name) && event["kind"] == kind
            };
            let event = server.process().nth_event(seen, of_kind);
            seen += 1;
            if event["event"] == "request_refused" {
                lines += 1;
            } else {
                summed += event["count"].as_u64().unwrap();
                authenticated += event["authenticated"].as_u64().unwrap();
            }
        }
        (lines, summed, authenticated)
    };
    let mut client = server.client().await;
    let order = client.acme.resource("newOrder").unwrap();
    for _ in 0..30 {
        let answer = client.acme.post_raw(&order, "{}", JOSE_JSON).await.unwrap();
        assert_problem(&answer, 400, "malformed");
    }
    assert_eq!(refused("malformed", 30), (0, 30, 0));

    const REQUESTS: u64 = 400;
    let account = client.acme.account().unwrap();
    let missing = account.replace("/account/", "/order/");
    for _ in 0..REQUESTS {
        assert_problem(&client.get(&missing).await, 403, "unauthorized");
    }
    let (lines, summed, authenticated) = refused("unauthorized", REQUESTS);
    assert_eq!(lines + summed, REQUESTS);
    assert_eq!(summed, authenticated);
    assert!(lines >= 50, "{lines}");
    // Ten a second: these take less than fifteen.
    assert!(summed > REQUESTS / 2, "{summed}");
}
