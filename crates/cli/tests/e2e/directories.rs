//! Several directories and profiles of one server.

use assay_simulator::CsrRequest;
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    revocation::revoke,
    support::{Certificate, Client, Server, Setup, assert_problem, json_of, mac, message},
};

const SERIAL: &str = "C02DIRECTORY";

const SETUP: Setup<'static> = Setup {
    init: &[],
    devices: &["C02DIRECTORY,,"],
    config: r#"
        log.access = true
        acme.website = "https://example.org/default"
        profile.short = { subject = "CN={serial},O=Short", lifetime = "2h" }
        directory.wifi.profiles = ["short", "default"]
        directory.wifi.terms_of_service = "https://example.org/terms"
    "#,
};

/// A client with one key, in the default directory and in `wifi`.
async fn in_both(server: &Server) -> [Client; 2] {
    let default = server.client().await;
    let mut wifi = default.in_directory(server, "wifi").await;
    let answer = wifi.acme.new_account().await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(answer.location().unwrap().contains("/acme/wifi/account/"));
    [default, wifi]
}

async fn enrol(server: &Server, client: &mut Client) -> Certificate {
    client.enrol(server, &mac(SERIAL), SERIAL).await
}

#[tokio::test]
async fn each_directory_enrols_by_its_own_profile_and_urls() {
    let server = Server::start(SETUP);
    let [mut default, mut wifi] = in_both(&server).await;
    assert_ne!(default.acme.account(), wifi.acme.account());
    for (client, root, meta) in [
        (
            &mut default,
            "/acme/",
            json!({"website": "https://example.org/default"}),
        ),
        (
            &mut wifi,
            "/acme/wifi/",
            json!({"termsOfService": "https://example.org/terms"}),
        ),
    ] {
        let directory = client.acme.directory().clone();
        assert_eq!(directory["meta"], meta);
        let origin = server.process().directory.replace("/acme/directory", "");
        for name in ["newNonce", "newAccount", "newOrder", "revokeCert"] {
            let url = directory[name].as_str().unwrap();
            let path = url.strip_prefix(&origin).unwrap();
            let tail = path.strip_prefix(root).unwrap();
            assert!(!tail.contains('/'), "{url}");
        }
        // The newAccount of before is found, and by nothing else.
        let again = client.acme.new_account().await.unwrap();
        assert_eq!(again.status, 200, "{}", again.text());
        let index = format!("<{origin}{root}directory>;rel=\"index\"");
        assert_eq!(again.header("link"), Some(index.as_str()));
    }
    let of_default = enrol(&server, &mut default).await;
    let of_wifi = enrol(&server, &mut wifi).await;
    assert!(of_wifi.url.contains("/acme/wifi/certificate/"));
    assert_eq!(of_wifi.subject, format!("CN={SERIAL}, O=Short"));
    let lifetime = |one: &Certificate| one.not_after - one.not_before;
    // They begin five minutes in the past.
    assert_eq!(lifetime(&of_wifi), 2 * 3600 + 300);
    assert_eq!(lifetime(&of_default), 90 * 86_400 + 300);
    assert!(of_default.subject.starts_with("CN=") && !of_default.subject.contains("O="));

    let route = |wanted: &str| {
        server
            .process()
            .event(|event| event["event"] == "request" && event["route"] == wanted);
    };
    route("/acme/wifi/order/{id}/finalize");
    route("/acme/order/{id}/finalize");
}

#[tokio::test]
async fn nothing_of_a_directory_is_found_through_another_one() {
    let server = Server::start(SETUP);
    let [mut default, mut wifi] = in_both(&server).await;
    let device = mac(SERIAL);
    let placed = default.ready(&server, &device, SERIAL).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let certificate = default.certificate(&placed, &csr).await;
    let account = default.acme.account().unwrap().to_owned();
    let resources = [
        &account,
        &placed.order,
        &placed.authorizations[0],
        &placed.challenge,
        &certificate.url,
    ];
    for url in resources {
        // As it is, and moved into the other directory.
        let moved = url.replace("/acme/", "/acme/wifi/");
        assert_problem(&wifi.get(&moved).await, 403, "unauthorized");
        // An account of the other directory signs nothing here.
        let answer = wifi.get(url).await;
        assert_problem(&answer, 400, "accountDoesNotExist");
    }
    assert_problem(
        &revoke(&mut wifi, &certificate, None).await,
        403,
        "unauthorized",
    );
    // Nor does the account of here, under a URL of there.
    let own = wifi.acme.account().map(str::to_owned);
    wifi.acme
        .set_account(Some(account.replace("/acme/", "/acme/wifi/")));
    let answer = wifi.new_order(&[("permanent-identifier", SERIAL)]).await;
    assert_problem(&answer, 400, "accountDoesNotExist");
    wifi.acme.set_account(own);

    let origin = server.process().directory.replace("/acme/directory", "");
    for path in [
        "/acme/other/directory",
        "/acme/default/directory",
        "/acme/wifi/wifi/directory",
        "/acme/wifi",
        "/acme/wifi/nothing",
    ] {
        let url = format!("{origin}{path}");
        let answer = default.acme.plain(Method::GET, &url).await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
        // RFC 8555 section 7.1: the index is the URL of the directory.
        let root = match path.starts_with("/acme/wifi") {
            true => "/acme/wifi/",
            false => "/acme/",
        };
        let index = format!("<{origin}{root}directory>;rel=\"index\"");
        assert_eq!(answer.header("link"), Some(index.as_str()), "{path}");
    }
}

#[tokio::test]
async fn a_restart_finds_accounts_and_their_directories() {
    let mut server = Server::start(SETUP);
    let [default, wifi] = in_both(&server).await;
    let before: Vec<_> = [&default, &wifi]
        .iter()
        .map(|client| client.acme.account().unwrap().to_owned())
        .collect();
    server.restart();
    let mut default = default.again(&server).await;
    let mut wifi = wifi.in_directory(&server, "wifi").await;
    for (client, account) in [&mut default, &mut wifi].into_iter().zip(&before) {
        let found = client.acme.new_account().await.unwrap();
        assert_eq!(
            (found.status, found.location()),
            (200, Some(account.as_str()))
        );
    }
    enrol(&server, &mut wifi).await;
    // The profile of an open order is taken out, and put back.
    let device = mac(SERIAL);
    let placed = wifi.ready(&server, &device, SERIAL).await;
    server.configure("directory.wifi.profiles = [\"default\"]");
    server.restart();
    let mut wifi = again(&wifi, &server).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let refused = wifi.finalize(&placed, &csr).await;
    assert_problem(&refused, 403, "unauthorized");
    assert_eq!(
        server.refused(&placed.order)["reason"],
        "profile-not-offered"
    );
    assert_eq!(wifi.status(&placed.order).await, "ready");
    server.configure("directory.wifi.profiles = [\"default\", \"short\"]");
    server.restart();
    let certificate = again(&wifi, &server).await.certificate(&placed, &csr).await;
    assert!(
        certificate.subject.contains("O=Short"),
        "{}",
        certificate.subject
    );
}

/// The same account of `wifi` on a connection of its own.
async fn again(client: &Client, server: &Server) -> Client {
    let mut again = client.in_directory(server, "wifi").await;
    again
        .acme
        .set_account(client.acme.account().map(str::to_owned));
    again
}

#[test]
fn a_profile_that_is_not_offered_is_a_warning() {
    let server = Server::init(SETUP);
    let checked = || server.assay(["config", "check", "--json"]);
    let unused = |text: &Value| text.to_string().contains("profile_unused");
    assert!(!unused(&json_of(&checked())));
    server.configure("directory.wifi.profiles = [\"default\"]");
    assert!(unused(&json_of(&checked())));
    server.configure("directory.wifi.profiles = [\"shrt\"]");
    let output = server.assay(["config", "check"]);
    let text = message(&output, 2);
    assert!(text.contains("did you mean \"short\"?"), "{text}");
}
