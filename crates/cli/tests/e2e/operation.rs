//! A server that is raced, killed, reconfigured and asked to end.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use assay_simulator::{CsrRequest, Jws};
use hyper::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Server, Setup, Shared, assert_exit, assert_problem, json_of, mac, message};

const SERIAL: &str = "C02OPERATE01";

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02OPERATE01,,"],
    config: "",
};

static SERVER: Shared = Shared::new(SETUP);

#[tokio::test]
async fn scenarios_61_and_63_finalize_needs_a_ready_order() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let mut client = server.client().await;
    let pending = client.order(SERIAL).await;
    assert_problem(&client.finalize(&pending, &csr).await, 403, "orderNotReady");
    assert_eq!(client.status(&pending.order).await, "pending");

    let placed = client.ready(&server, &device, SERIAL).await;
    let certificate = client.certificate(&placed, &csr).await;
    for csr in [csr, b"garbage".to_vec()] {
        assert_problem(&client.finalize(&placed, &csr).await, 403, "orderNotReady");
    }
    let again = client.download(&placed).await;
    assert_eq!((again.url, again.der), (certificate.url, certificate.der));
}

#[tokio::test]
async fn scenario_62_twenty_finalizes_at_once_make_one_certificate() {
    const CLIENTS: usize = 20;
    let server = SERVER.server();
    let device = mac(SERIAL);
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    let answers = client
        .at_once(&server, CLIENTS, |_, mut client| {
            let (placed, csr) = (placed.clone(), csr.clone());
            async move { client.finalize(&placed, &csr).await }
        })
        .await;
    let mut finalized = 0;
    for answer in answers {
        if answer.status == 200 {
            finalized += 1;
        } else {
            assert_problem(&answer, 403, "orderNotReady");
        }
    }
    assert_eq!(finalized, 1);
    let certificate = client.download(&placed).await;
    let id = placed.order.rsplit('/').next().unwrap();
    let issued: BTreeSet<_> = server
        .process()
        .log()
        .into_iter()
        .filter(|event| event["event"] == "issued" && event["order"] == id)
        .map(|event| event["serial"].as_str().unwrap().to_owned())
        .collect();
    let serial = certificate.url.rsplit('/').next().unwrap().to_owned();
    assert_eq!(issued, BTreeSet::from([serial]));
}

#[tokio::test]
async fn scenario_64_a_ready_order_survives_a_crash() {
    let mut server = Server::start(SETUP);
    let device = mac(SERIAL);
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    let valid = client.ready(&server, &device, SERIAL).await;
    let before = client.certificate(&valid, &csr).await;
    server.kill();
    // The dead server's control socket is in nobody's way.
    assert_eq!(server.story(&placed.order)["status"], "ready");
    server.restart();
    assert_eq!(server.story(&placed.order)["status"], "ready");
    let mut client = client.again(&server).await;
    assert_eq!(client.status(&placed.order).await, "ready");
    assert_eq!(client.status(&placed.authorizations[0]).await, "valid");
    let certificate = client.certificate(&placed, &csr).await;
    assert_eq!(certificate.spki, device.spki_der());
    assert_eq!(client.download(&valid).await.der, before.der);
    // And an end in good order.
    let pending = client.order(SERIAL).await;
    assert_eq!(server.terminate().code(), Some(0));
    server.restart();
    let mut client = client.again(&server).await;
    let answer = client
        .answer(&pending, &server.attest(&device, &pending.token))
        .await;
    assert_eq!(
        answer.json().unwrap()["status"],
        "valid",
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_device_taken_off_the_list_is_refused_at_finalize() {
    let server = Server::start(SETUP);
    let device = mac(SERIAL);
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    server.write_devices(&["C02OTHER,,", "C02ANOTHER,,"]);
    server
        .process()
        .event(|event| event["event"] == "devices_reloaded" && event["devices"] == 2);
    assert_problem(&client.finalize(&placed, &csr).await, 403, "unauthorized");
    assert_eq!(
        server.refused(&placed.order)["reason"],
        "no-longer-admitted"
    );
    assert_eq!(client.status(&placed.order).await, "ready");
    server.write_devices(&["C02OTHER,,", "C02OPERATE01,,", "C02ANOTHER,,"]);
    server
        .process()
        .event(|event| event["event"] == "devices_reloaded" && event["devices"] == 3);
    client.certificate(&placed, &csr).await;
}

#[tokio::test]
async fn scenario_131_a_bad_list_of_devices_keeps_the_old_one() {
    let server = Server::start(SETUP);
    let mut client = server.client().await;
    let process = server.process();
    server.write_devices(&["C02NEW,,", "# a comment", "C02TWICE,,", "C02TWICE,UDID,"]);
    let event = process.event(|event| event["event"] == "devices_refused");
    let error = event["error"].as_str().unwrap();
    assert!(error.contains("devices.csv: line 5: "), "{error}");
    assert!(
        error.contains("\"C02TWICE\" is listed already in line 4"),
        "{error}"
    );
    let status = json_of(&server.assay(["status", "--json"]));
    assert_eq!(status["parts"]["devices"], "failing");
    client.order(SERIAL).await;
    // It may be listed in the list that cannot be used: no refusal that is final.
    let answer = client
        .new_order(&[("permanent-identifier", "C02NEW")])
        .await;
    assert_problem(&answer, 503, "serverInternal");
    assert_eq!(answer.header("retry-after"), Some("10"));
    let fault = process.event(|event| event["event"] == "fault");
    let fault = fault.to_string();
    assert!(fault.contains("is at fault since 2"), "{fault}");
    assert!(fault.contains("C02NEW"), "{fault}");

    // SIGHUP reads it again though it did not change, and finds it as bad.
    process.signal(Signal::HUP);
    process.nth_event(1, |event| event["event"] == "devices_refused");
    client.order(SERIAL).await;

    // Gone is as bad.
    fs::remove_file(server.dir().join("devices.csv")).unwrap();
    process.nth_event(2, |event| event["event"] == "devices_refused");
    client.order(SERIAL).await;

    server.write_devices(&["C02NEW,,", "C02THIRD,,"]);
    process.event(|event| event["event"] == "devices_reloaded" && event["devices"] == 2);
    client.order("C02NEW").await;
    let answer = client.new_order(&[("permanent-identifier", SERIAL)]).await;
    assert_problem(&answer, 403, "rejectedIdentifier");
}

#[tokio::test]
async fn scenario_132_behind_a_proxy_urls_come_from_the_configuration() {
    let server = Server::start(Setup {
        init: &["--base-url", "https://ca.example.org"],
        config: "server.tls = \"off\"",
        ..SETUP
    });
    assert_eq!(
        server.process().directory,
        "https://ca.example.org/acme/directory"
    );
    server.process().event(|event| event["event"] == "no_tls");
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let spoofed = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-forwarded-proto", "http"),
    ];
    client.acme.http().always_send(
        spoofed
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect(),
    );
    let directory = client.get("https://ca.example.org/acme/directory").await;
    assert_eq!(&directory.json().unwrap(), client.acme.directory());
    let placed = client.order(SERIAL).await;
    for url in [
        &placed.order,
        &placed.finalize,
        &placed.challenge,
        &placed.authorizations[0],
    ] {
        assert!(url.starts_with("https://ca.example.org/acme/"), "{url}");
    }
    let certificate = client.enrol(&server, &device, SERIAL).await;
    assert!(certificate.url.starts_with("https://ca.example.org/acme/"));
    let elsewhere = placed.order.replace("ca.example.org", "evil.example");
    let jws = Jws::post_as_get(&placed.order).with("url", elsewhere);
    let answer = client.acme.send(&jws).await.unwrap();
    assert_problem(&answer, 403, "unauthorized");
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_refused() {
    let server = Server::start(SETUP);
    let output = server.assay(["serve", "--listen", "127.0.0.1:0"]);
    let message = message(&output, 2);
    assert!(message.contains("another process"), "{message}");
    // The first one and its control socket are as they were.
    let placed = server.client().await.order(SERIAL).await;
    assert_eq!(server.story(&placed.order)["status"], "pending");
}

#[test]
fn sigterm_lets_open_requests_finish() {
    let mut server = Server::start(Setup {
        init: &["--base-url", "https://ca.example.org"],
        config: "server.tls = \"off\"",
        ..SETUP
    });
    let mut stream = TcpStream::connect(server.process().address.unwrap()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream
        .write_all(
            b"POST /acme/new-account HTTP/1.1\r\nHost: ca.example.org\r\n\
              Content-Type: application/jose+json\r\nContent-Length: 2\r\n\
              Expect: 100-continue\r\n\r\n",
        )
        .unwrap();
    // It is read when the request is being served.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.process().signal(Signal::TERM);
    server.process().event(|event| event["event"] == "draining");
    stream.write_all(b"{}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("urn:ietf:params:acme:error:malformed"),
        "{answer}"
    );
    assert_eq!(server.exited().code(), Some(0));
}

#[tokio::test]
async fn orders_are_listed_from_the_running_server_and_from_the_database() {
    let mut server = Server::start(SETUP);
    let told = json_of(&server.assay(["orders", "list", "--json"]));
    assert_eq!(told, json!({"orders": [], "total": 0, "left_out": 0}));
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let pending = client.order(SERIAL).await;
    let refused = client.order(SERIAL).await;
    client.answer(&refused, &[]).await;
    let valid = client.ready(&server, &device, SERIAL).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let certificate = client.certificate(&valid, &csr).await;
    let serial = certificate.url.rsplit('/').next().unwrap();
    let expected = BTreeSet::from(
        [
            (&pending, "pending", Value::Null, Value::Null),
            (&refused, "invalid", json!("object-empty"), Value::Null),
            (&valid, "valid", Value::Null, json!(serial)),
        ]
        .map(|(placed, status, reason, certificate)| {
            let id = placed.order.rsplit('/').next().unwrap();
            format!("{id} {status} {reason} {certificate}")
        }),
    );
    let list = |server: &Server| -> BTreeSet<String> {
        let told = json_of(&server.assay(["orders", "list", "--json"]));
        let orders = told["orders"].as_array().unwrap().iter();
        orders
            .map(|order| {
                let id = order["id"].as_str().unwrap();
                let status = order["status"].as_str().unwrap();
                format!("{id} {status} {} {}", order["reason"], order["certificate"])
            })
            .collect()
    };
    assert_eq!(list(&server), expected);
    let story = server.story(&valid.order);
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(list(&server), expected);
    assert_eq!(server.story(&valid.order), story);
    let output = server.assay(["orders", "show", &refused.order]);
    assert_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("refused        object-empty"), "{text}");
    let output = server.assay(["orders", "list", "--limit", "2"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
}

#[tokio::test]
async fn the_threads_that_make_commits_durable_give_way_to_all_others() {
    let server = SERVER.server();
    // Something was committed: sled's threads are there.
    server.client().await;
    let threads = server.process().niceness();
    let of = |name: &str| -> BTreeSet<i32> {
        let named = threads
            .iter()
            .filter(|(thread, _)| thread.starts_with(name));
        named.map(|(_, niceness)| *niceness).collect()
    };
    let [own] = Vec::from_iter(of("tokio-rt-worker"))[..] else {
        panic!("{threads:?}");
    };
    let less = BTreeSet::from([(own + 5).min(19)]);
    assert_eq!(of("assay-store"), less, "{threads:?}");
    assert_eq!(of("sled-io"), less, "{threads:?}");
}

/// A server whose disk has less room than it is to keep free takes no new
/// accounts and orders; health says so, and so does the log, once.
#[tokio::test]
async fn a_disk_with_too_little_room_takes_no_new_accounts_and_orders() {
    let mut server = Server::start(SETUP);
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    server.terminate();
    server.configure("[store]\nfree_space = \"1000000TiB\"\n");
    server.restart();
    let mut client = client.again(&server).await;
    let is_low = |line: &Value| line["event"] == "free_space_low";
    let event = server.process().event(is_low);
    assert!(event["free"].as_u64() < event["threshold"].as_u64());
    let refused = client.new_order(&[("permanent-identifier", SERIAL)]).await;
    assert_problem(&refused, 503, "serverInternal");
    assert_eq!(refused.header("retry-after"), Some("60"));
    let url = (server.process().directory).replace("/acme/directory", "/readyz");
    let ready = client.acme.plain(Method::GET, &url).await.unwrap();
    assert_eq!(ready.status, 503);
    let parts = &ready.json().unwrap()["parts"];
    assert_eq!(
        (&parts["free_space"], &parts["store"]),
        (&"failing".into(), &"ok".into())
    );
    // What was begun goes on.
    let csr = device.csr(&CsrRequest::default()).unwrap();
    client.certificate(&placed, &csr).await;
    let said = server.process().log().into_iter().filter(is_low);
    assert_eq!(said.count(), 1);
}

/// Accounts beyond the limit give way, in one summed event.
#[tokio::test]
async fn a_flood_of_accounts_is_bounded_and_logged_once_a_second() {
    let server = Server::start(Setup {
        config: "[limits]\nprovisional_accounts = 3\n",
        ..SETUP
    });
    for _ in 0..3 {
        server.client().await;
    }
    // All come from one network, and none is ten minutes old.
    let mut other_client = server.client_without_account().await;
    let refused = other_client.acme.new_account().await.unwrap();
    assert_problem(&refused, 429, "rateLimited");
    let event = server
        .process()
        .event(|line| line["event"] == "provisional_accounts_dropped");
    assert_eq!((&event["count"], &event["refused"]), (&json!(0), &json!(1)));
}
