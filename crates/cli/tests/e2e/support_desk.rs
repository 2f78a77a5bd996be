//! What the support desk finds: by device, by order, by certificate.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::Command,
};

use assay_simulator::CsrRequest;
use serde_json::{Value, json};

use crate::{
    revocation::revoke,
    support::{Server, Setup, Shared, assert_exit, assert_problem, json_of, mac, message, openssl},
};

const SERIAL: &str = "C02DESK00001";
const UDID: &str = "00008112-C02DESK00001";

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02DESK00001,,", "C02DESK00002,,", "C02DESK00003,,"],
    config: "",
};

static SERVER: Shared = Shared::new(SETUP);

fn text(server: &Server, args: &[&str]) -> String {
    let output = server.assay(args);
    assert_exit(&output, 0);
    String::from_utf8(output.stdout).unwrap()
}

fn json(server: &Server, args: &[&str]) -> Value {
    json_of(&server.assay(args))
}

fn ids(listed: &Value) -> Vec<String> {
    let orders = listed["orders"].as_array().unwrap().iter();
    orders
        .map(|order| order["id"].as_str().unwrap().to_owned())
        .collect()
}

fn id(url: &str) -> String {
    url.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_device_that_is_not_admitted_is_found_by_its_name_with_cause_and_remedy() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let unlisted = [("permanent-identifier", "C02NOTLISTED")];
    let answer = client.new_order(&unlisted).await;
    assert_problem(&answer, 403, "rejectedIdentifier");
    let shown = json(&server, &["orders", "show", "--json", "C02NOTLISTED"]);
    assert_eq!((&shown["total"], &shown["orders"]), (&json!(0), &json!([])));
    let refusal = &shown["refusals"][0];
    assert_eq!(refusal["reason"], "not-admitted");
    assert_eq!(refusal["client"], "127.0.0.1");
    assert_eq!(refusal["identifier"]["value"], "C02NOTLISTED");
    assert!(refusal["remedy"].as_str().unwrap().contains("devices.csv"));
    let args = ["orders", "refusals", "--json", "--device", "C02NOTLISTED"];
    let listed = json(&server, &args);
    assert_eq!(listed["refusals"], shown["refusals"]);
    assert_eq!(
        (&listed["total"], &listed["left_out"]),
        (&json!(1), &json!(0))
    );
    let told = text(&server, &["orders", "show", "C02NOTLISTED"]);
    for expected in [
        "not-admitted",
        "from 127.0.0.1",
        "what to do   add the device",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    // Of another device nothing is known.
    let output = server.assay(["orders", "show", "C02NEVERSEEN"]);
    assert!(message(&output, 1).contains("orders refusals"));
}

#[tokio::test]
async fn a_used_up_limit_names_account_and_identifier() {
    let server = Server::start(Setup {
        config: "[limits]\nnew_order = { per_second = 1, burst = 1 }\n",
        ..SETUP
    });
    let mut client = server.client().await;
    let mut limited = 0;
    for _ in 0..10 {
        let [one, other] = ["C02DESK00003", "C02DESK00001"];
        let kind = "permanent-identifier";
        let answer = client.new_order(&[(kind, one), (kind, other)]).await;
        limited += usize::from(answer.status == 429);
    }
    assert!(limited > 0);
    let event = server.process().event(|event| event["event"] == "refused");
    assert_eq!(event["reason"], "rate-limited");
    assert!(event["account"].is_string(), "{event}");
    let both = "C02DESK00003, C02DESK00001";
    assert_eq!(event["identifier"], both, "{event}");
    assert_eq!(event["span"]["identifier"], both, "{event}");
    let shown = json(&server, &["orders", "show", "--json", "C02DESK00003"]);
    let refusal = &shown["refusals"][0];
    assert_eq!(refusal["reason"], "rate-limited");
    assert_eq!(refusal["account"], event["account"]);
    assert!(
        refusal["detail"].as_str().unwrap().contains("newOrder"),
        "{refusal}"
    );
}

#[tokio::test]
async fn an_order_is_found_by_device_and_certificate_with_its_notes_and_its_pem() {
    let server = Server::start(SETUP);
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let refused = client.order(SERIAL).await;
    client.answer(&refused, &[]).await;
    let placed = client.ready(&server, &device, SERIAL).await;
    let wrong = mac(SERIAL).csr(&CsrRequest::default()).unwrap();
    for _ in 0..3 {
        let answer = client.finalize(&placed, &wrong).await;
        assert_problem(&answer, 400, "badCSR");
    }
    // Each gate names the identifier as it was ordered.
    for (order, gate) in [(&refused.order, "appraisal"), (&placed.order, "issuance")] {
        let event = server.refused(order);
        assert_eq!(
            (&event["gate"], &event["identifier"]),
            (&json!(gate), &json!(SERIAL)),
            "{event}"
        );
    }
    let told = text(&server, &["orders", "show", &placed.order]);
    for expected in [
        "status         ready",
        "note           csr-key-not-attested at ",
        "what to do   the CSR must be signed with the attested key",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    let story = server.story(&placed.order);
    let notes = story["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 1, "{story}");
    assert_eq!(notes[0]["reason"], "csr-key-not-attested");

    let csr = device.csr(&CsrRequest::default()).unwrap();
    let certificate = client.certificate(&placed, &csr).await;
    let serial = id(&certificate.url);
    let event = server.process().event(|event| event["event"] == "issued");
    let story = server.story(&placed.order);
    for (key, expected) in [
        ("serial", json!(serial)),
        ("device_serial", json!(SERIAL)),
        ("udid", json!(UDID)),
        ("key", json!("P-256")),
        ("not_after", story["not_after"].clone()),
    ] {
        assert_eq!(event[key], expected, "{event}");
    }
    assert!(
        event["issuer"].as_str().unwrap().contains("Issuing CA"),
        "{event}"
    );

    // By the device's serial number and UDID, the newest first.
    let both = [id(&placed.order), id(&refused.order)];
    let by_serial = json(&server, &["orders", "show", "--json", SERIAL]);
    assert_eq!(
        (&by_serial["device"], &by_serial["total"]),
        (&json!(SERIAL), &json!(2))
    );
    let mut found = ids(&by_serial);
    found.sort();
    let mut expected = both.clone();
    expected.sort();
    assert_eq!(found, expected);
    let by_udid = json(&server, &["orders", "show", "--json", UDID]);
    assert_eq!(ids(&by_udid), [id(&placed.order)]);
    let told = text(&server, &["orders", "show", SERIAL]);
    for expected in [
        "refused        object-empty",
        "what to do   in the ACME payload of the profile `Attest`",
        "T2 and older chips",
    ] {
        assert!(told.contains(expected), "{told}");
    }

    // By the certificate's serial number, as others print it.
    for args in [
        &["orders", "show", "--json", &serial][..],
        &["orders", "show", "--json", &serial.to_uppercase()],
        &["orders", "show", "--json", "--certificate", &serial],
    ] {
        assert_eq!(json(&server, args), story);
    }
    assert_eq!(
        story["issued"]["pem"]
            .as_str()
            .unwrap()
            .matches("BEGIN")
            .count(),
        1
    );
    for what in [&placed.order, SERIAL, &serial] {
        let pem = text(&server, &["orders", "show", "--pem", what]);
        assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2, "{pem}");
        let chain = server.beside("shown.pem");
        std::fs::write(&chain, pem).unwrap();
        let mut verify = Command::new("openssl");
        verify.arg("verify").arg("-CAfile").arg(server.root_path());
        verify.arg("-untrusted").arg(&chain).arg(&chain);
        assert!(openssl(&mut verify).contains("OK"));
    }
    let output = server.assay(["orders", "show", "--pem", &refused.order]);
    assert!(message(&output, 1).contains("has no certificate"));
    let output = server.assay(["orders", "show", "--certificate", SERIAL]);
    assert_exit(&output, 1);
}

#[tokio::test]
async fn the_list_says_what_it_left_out_and_is_filtered() {
    let mut server = Server::start(SETUP);
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let certificate = client.enrol(&server, &device, SERIAL).await;
    let refused = client.order("C02DESK00002").await;
    client.answer(&refused, &[]).await;
    let pending = client.order("C02DESK00002").await;
    assert_eq!(revoke(&mut client, &certificate, None).await.status, 200);

    let all = json(&server, &["orders", "list", "--json"]);
    assert_eq!((&all["total"], &all["left_out"]), (&json!(3), &json!(0)));
    let two = json(&server, &["orders", "list", "--json", "--limit", "2"]);
    assert_eq!((&two["total"], &two["left_out"]), (&json!(3), &json!(1)));
    let output = server.assay(["orders", "list", "--limit", "2"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("2 of 3 shown"), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);

    let list = |server: &Server, args: &[&str]| -> Vec<String> {
        ids(&json(
            server,
            &[&["orders", "list", "--json"], args].concat(),
        ))
    };
    let (refused, pending) = (id(&refused.order), id(&pending.order));
    let mut expected = vec![refused.clone(), pending.clone()];
    expected.sort();
    let check = |server: &Server| {
        let mut of_device = list(server, &["--device", "C02DESK00002"]);
        of_device.sort();
        assert_eq!(of_device, expected);
        assert_eq!(list(server, &["--device", UDID]).len(), 1);
        assert!(list(server, &["--status", "invalid"]).iter().eq([&refused]));
        assert!(list(server, &["--status", "pending"]).iter().eq([&pending]));
        assert_eq!(list(server, &["--since", "1h"]).len(), 3);
        assert_eq!(list(server, &["--since", "2099-01-01T00:00:00Z"]).len(), 0);
        let revoked = json(server, &["orders", "list", "--json", "--status", "revoked"]);
        assert_eq!(revoked["total"], 1);
        let revoked = &revoked["orders"][0];
        // The status stays the order's.
        assert_eq!(revoked["status"], "valid");
        assert!(revoked["revoked"].is_string() && revoked["not_after"].is_string());
        let told = text(server, &["orders", "list"]);
        let line = told.lines().find(|line| line.contains(SERIAL)).unwrap();
        assert!(
            line.contains("valid, revoked") && line.contains(", ends "),
            "{line}"
        );
    };
    check(&server);
    assert_exit(&server.assay(["orders", "list", "--status", "gone"]), 2);
    assert_exit(&server.assay(["orders", "list", "--since", "soon"]), 2);

    // The same from the ledger, once no server runs.
    assert_eq!(server.terminate().code(), Some(0));
    check(&server);
    let output = server.assay(["orders", "refusals"]);
    assert!(message(&output, 1).contains("no server runs"));
    let shown = json(&server, &["orders", "show", "--json", "C02DESK00002"]);
    assert_eq!(
        (&shown["total"], &shown["refusals"]),
        (&json!(2), &Value::Null)
    );
}

/// What `orders show` prints, and says beside it.
fn show(server: &Server, what: &str) -> (Value, String) {
    let output = server.assay(["orders", "show", "--json", "--", what]);
    assert_exit(&output, 0);
    let beside = String::from_utf8(output.stderr).unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), beside)
}

#[tokio::test]
async fn a_refused_device_of_its_name_hides_neither_an_order_nor_a_certificate() {
    let server = Server::start(SETUP);
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let certificate = client.certificate(&placed, &csr).await;
    let story = server.story(&placed.order);
    // The server's own certificate is as public.
    let mut openssl_x509 = Command::new("openssl");
    openssl_x509.args(["x509", "-noout", "-serial", "-in"]);
    openssl_x509.arg(server.dir().join("ca/serving.pem"));
    let own = openssl(&mut openssl_x509);
    let own = own.trim().strip_prefix("serial=").unwrap();

    let names = [id(&placed.order), id(&certificate.url)];
    for name in names.iter().map(String::as_str).chain([own]) {
        let answer = client.new_order(&[("permanent-identifier", name)]).await;
        assert_problem(&answer, 403, "rejectedIdentifier");
    }
    for name in &names {
        let (shown, beside) = show(&server, name);
        assert_eq!(shown, story);
        let expected = format!(
            "assay: clients asked for a device of the name {name:?}, too: 1 recent refusal (`assay orders refusals --device`)\n"
        );
        assert_eq!(beside, expected);
        let pem = text(&server, &["orders", "show", "--pem", "--", name]);
        assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2, "{pem}");
        let told = text(&server, &["orders", "show", "--", name]);
        assert!(told.starts_with("order  "), "{told}");
        let device = format!("--device={name}");
        let listed = json(&server, &["orders", "refusals", "--json", &device]);
        assert_eq!(listed["total"], 1);
    }
    let output = server.assay(["orders", "show", own]);
    assert_exit(&output, 1);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("of the server's own"), "{said}");
    assert!(said.contains("1 recent refusal"), "{said}");
    // A name that is a device's alone is still shown as one.
    let answer = client
        .new_order(&[("permanent-identifier", "C02NOTHERE")])
        .await;
    assert_problem(&answer, 403, "rejectedIdentifier");
    let (shown, beside) = show(&server, "C02NOTHERE");
    assert_eq!((&shown["total"], beside.as_str()), (&json!(0), ""));
}

#[tokio::test]
async fn orders_for_a_device_of_its_name_hide_neither_an_order_nor_a_certificate() {
    let mut server = Server::start(Setup {
        init: &["--admission", "any-attested"],
        ..Setup::default()
    });
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client.ready(&server, &device, SERIAL).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let certificate = client.certificate(&placed, &csr).await;
    let story = server.story(&placed.order);
    let names = [id(&placed.order), id(&certificate.url)];
    let mut others = Vec::new();
    for name in &names {
        others.push(id(&client.order(name).await.order));
    }
    let check = |server: &Server| {
        for (name, other) in names.iter().zip(&others) {
            let (shown, beside) = show(server, name);
            assert_eq!(shown, story);
            let expected = "1 order (`assay orders list --device`)\n";
            assert!(beside.ends_with(expected), "{beside}");
            let device = format!("--device={name}");
            let listed = json(server, &["orders", "list", "--json", &device]);
            assert_eq!(ids(&listed), [other.as_str()]);
        }
    };
    check(&server);
    // The same from the ledger.
    assert_eq!(server.terminate().code(), Some(0));
    check(&server);
}

#[test]
fn a_text_that_is_too_long_is_a_usage_error_whether_a_server_runs_or_not() {
    let stopped = Server::init(SETUP);
    for server in [&stopped, &SERVER.server()] {
        for length in [513, 100_000] {
            let long = "x".repeat(length);
            for (args, name) in [
                (["orders", "show", "--", &long], "WHAT"),
                (["orders", "list", "--device", &long], "--device"),
                (["orders", "refusals", "--device", &long], "--device"),
            ] {
                let said = message(&server.assay(args), 2);
                let expected = format!("{name} has {length} bytes, at most 512 are allowed");
                assert!(said.contains(&expected), "{said}");
                assert!(said.len() < 300, "{said}");
            }
        }
        // What JSON escapes most.
        let escaped = "\u{1}".repeat(512);
        let said = message(&server.assay(["orders", "show", &escaped]), 1);
        assert!(said.contains("there is no such order"), "{said}");
        let listed = json(server, &["orders", "list", "--json", "--device", &escaped]);
        assert_eq!(listed["total"], 0);
    }
}

#[test]
fn the_control_socket_answers_what_it_cannot_take_with_an_error() {
    let server = SERVER.server();
    let ask = |question: &str| -> String {
        let mut stream = UnixStream::connect(server.dir().join("control.sock")).unwrap();
        stream.write_all(question.as_bytes()).unwrap();
        stream.write_all(b"\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["failed"].as_str().unwrap_or_default().to_owned()
    };
    for length in [4096, 4097, 100_000, 10_000_000] {
        let long = ask(&"x".repeat(length));
        assert_eq!(long, "the question has more than 4096 bytes", "{length}");
    }
    for unknown in ["", "x", "{\"teleport\":1}", &"x".repeat(4095)] {
        let said = ask(unknown);
        let expected = "this server does not know the question: ";
        assert!(said.starts_with(expected), "{said}");
    }
    assert_eq!(ask("\"status\""), "");
}

#[tokio::test]
async fn a_device_that_a_kept_back_list_names_has_a_remedy_that_works() {
    let all: Vec<String> = (0..12).map(|n| format!("C02DESK{n:05},,")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let server = Server::start(Setup {
        devices: &all,
        ..SETUP
    });
    let is = |name: &'static str| move |line: &Value| line["event"] == name;
    server.process().event(is("devices_reloaded"));
    server.write_devices(&["C02DESK00099,,"]);
    server.process().event(is("devices_kept_back"));
    let mut client = server.client().await;
    let wanted = [("permanent-identifier", "C02DESK00099")];
    let answer = client.new_order(&wanted).await;
    assert_problem(&answer, 503, "serverInternal");
    let listed = json(&server, &["orders", "refusals", "--json"]);
    let refusal = &listed["refusals"][0];
    assert_eq!(refusal["reason"], "list-unavailable");
    let remedy = refusal["remedy"].as_str().unwrap();
    let place = |text: &str| remedy.find(text).unwrap_or_else(|| panic!("{remedy}"));
    assert!(place("`assay status`") < place("SIGHUP"), "{remedy}");
    assert!(place("SIGHUP") < place("`assay config check`"), "{remedy}");
    // It says so, and what is to be done helps.
    let status = json(&server, &["status", "--json"]);
    let reason = status["reasons"]["devices"].as_str().unwrap();
    assert!(reason.contains("SIGHUP"), "{reason}");
    server.process().signal(rustix::process::Signal::HUP);
    server.process().nth_event(1, is("devices_reloaded"));
    client.order("C02DESK00099").await;
}

#[tokio::test]
async fn faults_without_a_line_are_counted_with_who_was_authenticated() {
    let server = Server::start(SETUP);
    let is = |name: &'static str| move |line: &Value| line["event"] == name;
    server.process().event(is("devices_reloaded"));
    server.write_devices(&["not a device"]);
    server.process().event(is("devices_refused"));
    let mut client = server.client().await;
    let counted =
        |line: &Value| line["event"] == "requests_refused" && line["kind"] == "serverInternal";
    // 50 lines at once, then 10 a second.
    for _ in 0..1_500 {
        let answer = client
            .new_order(&[("permanent-identifier", "C02NOTYET")])
            .await;
        assert_problem(&answer, 503, "serverInternal");
        if server.process().log().iter().any(counted) {
            break;
        }
    }
    let line = server.process().event(counted);
    assert!(line["count"].as_u64().unwrap() > 0, "{line}");
    assert_eq!(line["authenticated"], line["count"], "{line}");
    assert_eq!(line["client"], "127.0.0.1", "{line}");
}
