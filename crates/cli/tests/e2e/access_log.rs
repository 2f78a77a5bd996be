//! The access log, and what the log says of whom a refusal concerns.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use assay_simulator::CsrRequest;
use hyper::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Server, Setup, assert_problem, mac};

const SERIAL: &str = "C02ACCESS001";

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02ACCESS001,,"],
    config: "log.access = true",
};

fn last(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

fn is_access(event: &Value) -> bool {
    event["event"] == "request"
}

#[tokio::test]
async fn each_request_has_a_line_with_route_status_and_account() {
    let server = Server::start(SETUP);
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let account = last(client.acme.account().unwrap()).to_owned();
    let placed = client.ready(&server, &device, SERIAL).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let certificate = client.certificate(&placed, &csr).await;
    let origin = server.process().directory.replace("/acme/directory", "");
    let secret = format!("{origin}/acme/order/SECRET0123456789012345/x");
    let missing = client.acme.plain(Method::GET, &secret).await.unwrap();
    assert_eq!(missing.status, 404);

    let line = |route: &str, method: &str| {
        server
            .process()
            .event(|event| is_access(event) && event["route"] == route && event["method"] == method)
    };
    for (route, method, status, account) in [
        ("/acme/directory", "GET", 200, Value::Null),
        ("/acme/new-nonce", "HEAD", 200, Value::Null),
        ("/acme/new-account", "POST", 201, json!(account)),
        ("/acme/new-order", "POST", 201, json!(account)),
        ("/acme/authorization/{id}", "POST", 200, json!(account)),
        ("/acme/challenge/{id}", "POST", 200, json!(account)),
        ("/acme/order/{id}/finalize", "POST", 200, json!(account)),
        ("/acme/certificate/{serial}", "POST", 200, json!(account)),
        ("none", "GET", 404, Value::Null),
    ] {
        let line = line(route, method);
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["account"], account, "{line}");
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        assert_eq!(line["level"], "INFO", "{line}");
        assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
        assert_eq!(line["request_id"].as_str().unwrap().len(), 16, "{line}");
        assert!(line["aborted"].is_null(), "{line}");
        let is_empty = method == "HEAD";
        assert_eq!(line["bytes"] == 0, is_empty, "{line}");
    }
    // Of the names of resources none is in a line.
    let names = [
        last(&placed.order),
        last(&placed.authorizations[0]),
        last(&certificate.url),
        "SECRET0123456789012345",
    ];
    for line in server
        .process()
        .log()
        .iter()
        .filter(|event| is_access(event))
    {
        let text = line.to_string();
        assert!(names.iter().all(|name| !text.contains(name)), "{text}");
        assert!(
            line.get("span").is_none(),
            "all of it is written once: {text}"
        );
    }
}

#[tokio::test]
async fn without_the_option_requests_have_no_lines() {
    let server = Server::start(Setup {
        config: "",
        ..SETUP
    });
    server.client().await;
    server
        .process()
        .event(|event| event["event"] == "account_created");
    assert!(!server.process().log().iter().any(is_access));
}

/// A refusal names account, identifier, address and the request, which the
/// answer names, too.
#[tokio::test]
async fn a_refusal_names_whom_it_concerns_and_the_answer_names_its_line() {
    let server = Server::start(Setup {
        config: "limits.new_order = { per_second = 1, burst = 1 }\nlog.access = true",
        ..SETUP
    });
    let mut client = server.client().await;
    let account = last(client.acme.account().unwrap()).to_owned();
    let placed = client.order(SERIAL).await;
    let refused = loop {
        let answer = client.new_order(&[("permanent-identifier", SERIAL)]).await;
        if answer.status != 201 {
            break answer;
        }
    };
    assert_problem(&refused, 429, "rateLimited");
    let id = refused.header("x-request-id").unwrap().to_owned();
    let is = |name: &'static str, id: String| {
        move |event: &Value| {
            event["event"] == name
                && (event["span"]["request_id"] == id.as_str()
                    || event["request_id"] == id.as_str())
        }
    };
    let line = server.process().event(is("request_refused", id.clone()));
    assert_eq!(
        (&line["status"], &line["kind"]),
        (&json!(429), &json!("rateLimited"))
    );
    let span = &line["span"];
    assert_eq!(span["account"], account.as_str(), "{line}");
    assert_eq!(span["identifier"], SERIAL, "{line}");
    assert_eq!(span["client"], "127.0.0.1", "{line}");
    let access = server.process().event(is("request", id));
    assert_eq!(
        (&access["status"], &access["account"]),
        (&json!(429), &json!(account))
    );

    // Where no identifier is ordered, the order.
    let answer = client.finalize(&placed, b"none").await;
    assert_problem(&answer, 403, "orderNotReady");
    let id = answer.header("x-request-id").unwrap().to_owned();
    let line = server.process().event(is("request_refused", id));
    assert_eq!(line["span"]["resource"], last(&placed.order), "{line}");
    assert_eq!(line["span"]["account"], account.as_str(), "{line}");

    // What a gate refuses.
    let answer = client.answer(&placed, b"").await;
    assert_problem(&answer, 400, "badAttestationStatement");
    let line = server.refused(&placed.order);
    let span = &line["span"];
    assert_eq!(span["request_id"], answer.header("x-request-id").unwrap());
    assert_eq!(span["client"], "127.0.0.1", "{line}");
    assert_eq!(line["account"], account.as_str(), "{line}");
    assert_eq!(line["identifier"], SERIAL, "{line}");

    // An answer that is none has no name.
    let directory = client.get(&server.process().directory.clone()).await;
    assert_eq!(directory.header("x-request-id"), None);
}

#[tokio::test]
async fn a_limit_of_an_address_is_logged_with_the_address() {
    let server = Server::start(Setup {
        config: "limits.new_nonce = { per_second = 1, burst = 1 }",
        ..SETUP
    });
    let mut other_client = server.client_without_account().await;
    let url = other_client.acme.resource("newNonce").unwrap();
    while other_client
        .acme
        .plain(Method::GET, &url)
        .await
        .unwrap()
        .status
        != 429
    {}
    let line = server
        .process()
        .event(|event| event["event"] == "requests_refused" && event["kind"] == "rateLimited");
    assert_eq!(line["client"], "127.0.0.1", "{line}");
}

/// A filter for warnings alone takes nothing from what a warning says.
#[tokio::test]
async fn a_warning_says_where_it_comes_from_whatever_the_filter() {
    let server = Server::init(Setup {
        config: "server.tls = \"off\"",
        ..SETUP
    });
    let mut command = server.command(["serve", "--listen", "127.0.0.1:0"]);
    command.env("ASSAY_LOG", "warn,assay::serve=info");
    let mut server = server;
    server.adopt(crate::support::Process::serve(command));
    let mut client = server.client().await;
    let answer = client
        .new_order(&[("permanent-identifier", "C02OTHER")])
        .await;
    assert_problem(&answer, 403, "rejectedIdentifier");
    let line = server.process().event(|event| event["event"] == "refused");
    assert_eq!(line["span"]["client"], "127.0.0.1", "{line}");
    assert_eq!(line["span"]["identifier"], "C02OTHER", "{line}");
}

/// A request whose body never comes, when the server ends.
#[test]
fn a_request_that_gets_no_answer_has_its_line() {
    let mut server = Server::start(Setup {
        init: &["--base-url", "https://ca.example.org"],
        config: "server.tls = \"off\"\nlog.access = true",
        ..SETUP
    });
    let mut stream = TcpStream::connect(server.process().address.unwrap()).unwrap();
    stream
        .write_all(
            b"POST /acme/new-account HTTP/1.1\r\nHost: ca.example.org\r\n\
              Content-Type: application/jose+json\r\nContent-Length: 2\r\n\
              Expect: 100-continue\r\n\r\n",
        )
        .unwrap();
    // It is read when the request is being served.
    stream.read_exact(&mut [0; 25]).unwrap();
    server.process().signal(Signal::TERM);
    let line = server.process().event(is_access);
    assert_eq!(
        (&line["route"], &line["aborted"]),
        (&json!("/acme/new-account"), &json!(true)),
        "{line}"
    );
    assert!(line["status"].is_null(), "{line}");
    assert_eq!(server.exited().code(), Some(0));
}
