//! Rate limits over HTTP, which stop floods and let fleets through.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::time::Duration;

use assay_server::{Limit, Override, RateLimits, Rates};
use assay_simulator::{JOSE_JSON, Jws, Response};
use axum::{
    body::{Body, Bytes},
    http::{Method, Request},
};
use common::{
    BASE, Client, World, assert_problem, assert_refused, rate,
    running::{Running, http2, identity, self_signed},
    url,
};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};

fn only(limit: Limit, per_second: u32, burst: u32) -> RateLimits {
    let mut rates = Rates::OFF;
    rates.set(limit, rate(per_second, burst));
    RateLimits::of(rates)
}

fn world(limits: RateLimits) -> World {
    World::with(None, limits)
}

/// Returns a client with an account that connects from this address. It costs a
/// newNonce and a newAccount.
async fn client_from(world: &World, address: &str) -> Client {
    let mut client = world.unregistered_from(address);
    let answer = client.new_account(&json!({})).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    client
}

/// Sends an unsigned request.
async fn junk(client: &Client) -> Response {
    client.post_raw("/acme/new-order", "{}", JOSE_JSON).await
}

/// Sends a POST-as-GET with this nonce and a signature that does not verify.
async fn badly_signed(client: &Client, nonce: &str) -> Response {
    let jws = Jws::post_as_get(&url("/acme/directory")).with_signature(vec![1; 64]);
    post_with_nonce(client, &jws, nonce).await
}

async fn post_with_nonce(client: &Client, jws: &Jws, nonce: &str) -> Response {
    let body = jws.sign(&client.key, client.account.as_deref(), Some(nonce));
    let path = jws.url().strip_prefix(BASE).unwrap();
    let body = body.unwrap().to_string();
    client.post_raw(path, body, JOSE_JSON).await
}

#[tokio::test]
async fn scenario_108_new_order_is_limited_by_address() {
    let world = world(only(Limit::NewOrder, 1, 2));
    let client = world.client().await;
    for status in [400, 400, 429] {
        // Refused orders count, too: each costs a signature check.
        let answer = client.new_order(&[("foo", "x")]).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

#[tokio::test]
async fn scenario_108_changes_of_accounts_are_limited_by_address() {
    let world = world(only(Limit::ChangeAccount, 1, 3));
    let client = world.client().await;
    let account = client.account.clone().unwrap();
    for resource in [&account, &url("/acme/key-change"), &account] {
        let answer = client.post(resource, &json!({"contact": []})).await;
        assert_ne!(answer.status, 429, "{}", answer.text());
    }
    for resource in [&account, &url("/acme/key-change")] {
        let answer = client.post(resource, &json!({"contact": []})).await;
        assert_refused(&answer, 429, "rateLimited");
    }
    // Reading an account is no change.
    assert_eq!(client.read(&account).await.status, 200);
}

#[tokio::test]
async fn scenario_108_new_nonce_and_new_account_are_limited_by_address() {
    let world = world(RateLimits::of(Rates {
        new_account: rate(1, 1),
        new_nonce: rate(1, 2),
        ..Rates::OFF
    }));
    let client = world.unregistered();
    let nonce = async |forwarded: &str| {
        let request = Request::get("/acme/new-nonce")
            .extension(assay_server::Peer([10, 0, 0, 1].into()))
            .header("x-forwarded-for", forwarded)
            .body(Body::empty())
            .unwrap();
        client.request(request).await
    };
    for (address, status) in [
        ("192.0.2.1", 204),
        ("192.0.2.1", 204),
        ("192.0.2.1", 429),
        ("192.0.2.2", 204),
    ] {
        let answer = nonce(address).await;
        assert_eq!(answer.status, status);
        if status == 429 {
            assert_problem(&answer, 429, "rateLimited");
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert_eq!(answer.links("help"), [url("/acme/limits")]);
            // A refused newNonce yields no nonce.
            assert_eq!(answer.replay_nonce(), None);
        }
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(nonce("192.0.2.1").await.status, 204);

    let new_account = Jws::new(&url("/acme/new-account"), &json!({})).with_jwk();
    let first = nonce("192.0.2.3").await;
    let first = post_with_nonce(&client, &new_account, first.replay_nonce().unwrap()).await;
    assert_eq!(first.status, 201);
    let second = post_with_nonce(&client, &new_account, first.replay_nonce().unwrap()).await;
    assert_refused(&second, 429, "rateLimited");
    assert_eq!(second.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn post_as_get_on_new_nonce_is_charged_once_it_is_authenticated() {
    let world = world(only(Limit::NewNonce, 1, 2));
    // Creating the account cost one newNonce.
    let client = world.client().await;
    for _ in 0..5 {
        let answer = client.post_raw("/acme/new-nonce", "{}", JOSE_JSON).await;
        assert_refused(&answer, 400, "malformed");
    }
    let read = Jws::post_as_get(&url("/acme/new-nonce"));
    let nonce = world.engine.nonce();
    let first = post_with_nonce(&client, &read, &nonce).await;
    assert_eq!(first.status, 204);
    let second = post_with_nonce(&client, &read, first.replay_nonce().unwrap()).await;
    assert_refused(&second, 429, "rateLimited");
}

/// Regression: twenty junk requests a second blocked a whole fleet behind one
/// address.
#[tokio::test]
async fn junk_takes_no_tokens_of_good_requests() {
    let mut rates = Rates::OFF;
    for limit in [Limit::NewAccount, Limit::NewOrder, Limit::ChangeAccount] {
        rates.set(limit, rate(1, 1));
    }
    let world = world(RateLimits::of(rates));
    let client = world.unregistered();
    for path in ["/acme/new-account", "/acme/new-order", "/acme/key-change"] {
        for _ in 0..10 {
            let answer = client.post_raw(path, "{}", JOSE_JSON).await;
            assert_refused(&answer, 400, "malformed");
        }
    }
    let forger = world.unregistered();
    let new_account = Jws::new(&url("/acme/new-account"), &json!({}))
        .with_jwk()
        .with_signature(vec![1; 64]);
    for _ in 0..10 {
        assert_refused(&forger.send(&new_account).await, 403, "unauthorized");
    }
    let client = world.client().await;
    let forger = Client {
        key: forger.key,
        ..client.clone()
    };
    let account = client.account.clone().unwrap();
    for _ in 0..10 {
        let answer = forger.post(&account, &json!({"contact": []})).await;
        assert_refused(&answer, 403, "unauthorized");
    }
    client.order("C02A").await;
    let answer = client.post(&account, &json!({"contact": []})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn an_empty_failed_bucket_refuses_no_request_with_a_genuine_nonce() {
    let world = world(only(Limit::Failed, 1, 3));
    let client = world.client().await;
    for _ in 0..3 {
        assert_refused(&junk(&client).await, 400, "malformed");
    }
    let refused = junk(&client).await;
    assert_problem(&refused, 429, "rateLimited");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.links("help"), [url("/acme/limits")]);
    // A nonce would allow three more failures.
    assert_eq!(refused.replay_nonce(), None);
    let read = Jws::post_as_get(&url("/acme/directory"));
    let stale = post_with_nonce(&client, &read, "c3RhbGU").await;
    assert_problem(&stale, 429, "rateLimited");

    // Devices that share the address are still served.
    let device = world.client().await;
    device.order("C02A").await;
    // A sender with a nonce gets the exact error, but no new nonce.
    let answer = badly_signed(&client, &world.engine.nonce()).await;
    assert_problem(&answer, 403, "unauthorized");
    assert_eq!(answer.replay_nonce(), None);
    // Another address has its own tokens for failures.
    let other = world.unregistered_from("192.0.2.1");
    assert_refused(&junk(&other).await, 400, "malformed");
}

/// Each kind of failure takes the only token of the bucket.
#[tokio::test]
async fn a_failure_before_authentication_costs_a_token() {
    let world = world(only(Limit::Failed, 1, 1));
    let client = world.client().await;
    let directory = Jws::post_as_get(&url("/acme/directory"));
    let new_order = url("/acme/new-order");
    let raw = |method: Method, path: &str, body: Vec<u8>, content_type: &str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(Body::from(body))
            .unwrap()
    };
    let signed = |jws: Jws, kid: Option<&str>| {
        let nonce = world.engine.nonce();
        let body = jws.sign(&client.key, kid, Some(&nonce)).unwrap();
        let path = jws.url().strip_prefix(BASE).unwrap();
        raw(Method::POST, path, body.to_string().into_bytes(), JOSE_JSON)
    };
    let kid = client.account.as_deref();
    let unknown = url("/acme/account/AAAAAAAAAAAAAAAAAAAAAA");
    let elsewhere = signed(Jws::post_as_get(&url("/acme/new-nonce")), kid);
    let elsewhere = elsewhere.into_body().collect().await.unwrap().to_bytes();
    let cases = [
        (raw(Method::GET, "/x", vec![], ""), 404),
        (raw(Method::PUT, "/acme/new-order", vec![], ""), 405),
        (
            raw(Method::POST, "/acme/new-order", vec![], "text/plain"),
            415,
        ),
        (
            raw(
                Method::POST,
                "/acme/new-order",
                vec![b' '; 262_145],
                JOSE_JSON,
            ),
            413,
        ),
        (raw(Method::POST, "/acme/new-order", vec![], JOSE_JSON), 400),
        (
            raw(
                Method::POST,
                "/acme/directory",
                elsewhere.to_vec(),
                JOSE_JSON,
            ),
            403,
        ),
        (signed(directory.clone().without("nonce"), kid), 400),
        (
            signed(directory.clone().with_signature(vec![1; 64]), kid),
            403,
        ),
        (signed(directory.clone(), Some(&unknown)), 400),
        (
            signed(Jws::new(&new_order, &json!({})).with_jwk(), kid),
            400,
        ),
    ];
    for (number, (request, status)) in cases.into_iter().enumerate() {
        let failing = world.unregistered_from(&format!("192.0.{number}.1"));
        let shown = format!("{} {}", request.method(), request.uri());
        let answer = failing.request(request).await;
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
        assert_eq!(junk(&failing).await.status, 429, "{shown}");
    }
    // Without a Host header.
    let failing = world.unregistered_from("192.0.100.1");
    let bare = Request::get("/acme/directory").body(Body::empty()).unwrap();
    assert_eq!(failing.bare(bare).await.status, 400);
    assert_eq!(junk(&failing).await.status, 429);
}

#[tokio::test]
async fn what_the_engine_refuses_to_an_account_is_no_failure() {
    let world = world(only(Limit::Failed, 1, 1));
    let client = client_from(&world, "192.0.2.1").await;
    let account = client.account.clone().unwrap();
    for _ in 0..3 {
        let refused = client.new_order(&[("foo", "x")]).await;
        assert_refused(&refused, 400, "unsupportedIdentifier");
        let missing = client
            .read(&url("/acme/order/AAAAAAAAAAAAAAAAAAAAAA"))
            .await;
        assert_refused(&missing, 403, "unauthorized");
    }
    let deactivated = client
        .post(&account, &json!({"status": "deactivated"}))
        .await;
    assert_eq!(deactivated.status, 200);
    for _ in 0..3 {
        assert_refused(&client.read(&account).await, 401, "unauthorized");
    }
    // A fault of the server is not charged to the client.
    let other = client_from(&world, "192.0.2.1").await;
    let fault = other.new_order(&[("permanent-identifier", "DOWN")]).await;
    assert_eq!(fault.status, 503);
    assert_refused(&junk(&other).await, 400, "malformed");
}

#[tokio::test]
async fn a_nonce_is_spent_after_three_failed_signatures() {
    let world = world(RateLimits::off());
    let client = world.client().await;
    let nonce = world.engine.nonce();
    for _ in 0..3 {
        let answer = badly_signed(&client, &nonce).await;
        assert_refused(&answer, 403, "unauthorized");
    }
    let good = Jws::post_as_get(&url("/acme/directory"));
    let answer = post_with_nonce(&client, &good, &nonce).await;
    assert_refused(&answer, 400, "badNonce");
    // After two failures the nonce still works for a correct request.
    let nonce = world.engine.nonce();
    for _ in 0..2 {
        badly_signed(&client, &nonce).await;
    }
    assert_eq!(post_with_nonce(&client, &good, &nonce).await.status, 200);
}

/// A request that is sent again and again costs a MAC each time; once its
/// sender has no tokens for failures left, it is refused.
#[tokio::test]
async fn a_used_nonce_does_not_count_as_genuine() {
    let world = world(only(Limit::Failed, 1, 1));
    let client = world.client().await;
    let read = Jws::post_as_get(&url("/acme/directory"));
    let nonce = world.engine.nonce();
    for status in [200, 400, 429] {
        let answer = post_with_nonce(&client, &read, &nonce).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_dry_run_refuses_nothing_and_closes_nothing() {
    let mut rates = Rates::OFF;
    for limit in Limit::ALL {
        rates.set(limit, rate(1, 1));
    }
    let world = world(RateLimits {
        dry_run: true,
        ..RateLimits::of(rates)
    });
    for _ in 0..3 {
        let client = world.client().await;
        client.order("C02A").await;
        assert_refused(&junk(&client).await, 400, "malformed");
    }
}

#[tokio::test]
async fn networks_can_be_exempt_or_have_their_own_limits() {
    let world = world(RateLimits {
        exempt: vec!["192.0.2.0/24".parse().unwrap()],
        overrides: vec![Override {
            network: "2001:db8::/32".parse().unwrap(),
            rates: vec![(Limit::Failed, rate(1, 4))],
        }],
        ..only(Limit::Failed, 1, 2)
    });
    for (address, failures) in [("192.0.2.1", 20), ("2001:db8::1", 4), ("198.51.100.1", 2)] {
        let client = world.unregistered_from(address);
        for _ in 0..failures {
            assert_refused(&junk(&client).await, 400, "malformed");
        }
        let status = junk(&client).await.status;
        assert_eq!(status == 400, failures == 20, "{address}: {status}");
    }
}

#[tokio::test]
async fn a_429_links_to_the_documentation_of_limits() {
    let page = url("/acme/limits");
    let client = world(RateLimits::off()).unregistered();
    let answer = client.plain(Method::GET, "/acme/limits").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("Retry-After"), "{}", answer.text());
    let own = "https://example.org/limits";
    for (help, link) in [(None, page.as_str()), (Some(own), own)] {
        let world = world(RateLimits {
            help: help.map(str::to_owned),
            ..only(Limit::NewOrder, 1, 1)
        });
        let client = world.client().await;
        client.order("C02A").await;
        let answer = client.new_order(&[("permanent-identifier", "C02A")]).await;
        assert_refused(&answer, 429, "rateLimited");
        assert_eq!(answer.links("help"), [link]);
    }
}

/// Requests of an address that failed often are authenticated after those of
/// others, even if they came first.
#[tokio::test]
async fn scenario_143_a_flood_from_one_address_does_not_slow_another_address() {
    let world = world(only(Limit::Failed, 1, 10));
    let flooder = client_from(&world, "192.0.2.1").await;
    let other = client_from(&world, "192.0.2.2").await;
    for _ in 0..6 {
        assert_refused(&junk(&flooder).await, 400, "malformed");
    }
    let (report, mut order) = mpsc::unbounded_channel();
    for (name, client) in [("flooder", flooder), ("other", other)] {
        for _ in 0..10 {
            let read = Jws::post_as_get(&url("/acme/directory"));
            let (client, nonce) = (client.clone(), world.engine.nonce());
            let report = report.clone();
            tokio::spawn(async move {
                let answer = post_with_nonce(&client, &read, &nonce).await;
                report.send((name, answer.status)).unwrap();
            });
        }
    }
    drop(report);
    let mut answered = Vec::new();
    while let Some(answer) = order.recv().await {
        answered.push(answer);
    }
    assert_eq!(answered[..10], [("other", 200); 10]);
    assert_eq!(answered[10..], [("flooder", 200); 10]);
}

/// Sends what a device sends to enrol, except the evidence.
async fn enrols(world: &World, address: &str) -> Client {
    let client = client_from(world, address).await;
    client.order("C02A").await;
    client
}

/// The default limits, and one address that floods.
#[tokio::test]
async fn scenario_143_a_flood_from_one_address_refuses_no_other_address() {
    let world = world(RateLimits::default());
    let flooder = enrols(&world, "192.0.2.1").await;
    while flooder.plain(Method::HEAD, "/acme/new-nonce").await.status == 200 {}
    while junk(&flooder).await.status != 429 {}
    let kept_nonce = world.engine.nonce();
    for address in ["192.0.2.2", "198.51.100.1", "2001:db8::1"] {
        for _ in 0..20 {
            enrols(&world, address).await;
        }
    }
    // A device behind the flooding address is served if it has a nonce.
    let read = Jws::post_as_get(&url("/acme/directory"));
    let answer = post_with_nonce(&flooder, &read, &kept_nonce).await;
    assert_eq!(answer.status, 200);
}

/// Returns the head of the answer to one request, and whether the connection
/// ends with it.
async fn exchange(server: &Running, request: &str) -> (String, bool) {
    let mut stream = server.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    // Pipelined: it is answered unless the first request ends the connection.
    let last = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(last.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    let head = answers.split("\r\n\r\n").next().unwrap().to_owned();
    let is_last = answers.matches("HTTP/1.1 ").count() == 1;
    (head, is_last)
}

#[tokio::test]
async fn a_failed_request_closes_its_connection_unless_it_is_a_proxys() {
    let post = "POST /acme/new-order HTTP/1.1\r\nhost: x\r\ncontent-type: application/jose+json\r\ncontent-length: 2\r\n\r\n{}";
    let get = "GET /acme/directory HTTP/1.1\r\nhost: x\r\n\r\n";
    let direct = Running::start(|_| {}).await;
    for request in [post, "GET /x HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let (head, is_last) = exchange(&direct, request).await;
        assert!(is_last && head.contains("connection: close"), "{head}");
    }
    let (head, is_last) = exchange(&direct, get).await;
    assert!(!is_last && !head.contains("connection: close"), "{head}");
    // A proxy's connection carries many clients. It stays open after any number
    // of failures, as does an exempt client's, or one without limits.
    let loopback = || vec!["127.0.0.0/8".parse().unwrap()];
    let proxied = Running::start(|config| config.trusted_proxies = loopback()).await;
    let exempt = Running::start(|config| config.rate_limits.exempt = loopback()).await;
    let off = Running::start(|config| config.rate_limits = RateLimits::off()).await;
    for server in [proxied, exempt, off] {
        let (head, is_last) = exchange(&server, post).await;
        assert!(head.starts_with("HTTP/1.1 400") && !is_last, "{head}");
    }
}

/// The connection's other requests are answered; the next one needs a new
/// connection.
#[tokio::test]
async fn a_failed_request_ends_an_http2_connection_after_the_answers_that_are_due() {
    let key = self_signed();
    let world = World::new();
    let client = world.client().await;
    let server = Running::of(&world, |config| config.tls = Some(identity(&key))).await;
    let (mut sender, connection) = http2(&server, &key).await;
    let ended = tokio::spawn(connection);
    let request = |path: &str, body: String| {
        Request::builder()
            .method(Method::POST)
            .uri(url(path))
            .header("content-type", JOSE_JSON)
            .body(Full::new(Bytes::from(body)))
            .unwrap()
    };
    let identifiers = json!([{"type": "permanent-identifier", "value": "C02SLOW300"}]);
    let jws = Jws::new(
        &url("/acme/new-order"),
        &json!({"identifiers": identifiers}),
    );
    let kid = client.account.as_deref();
    let body = jws.sign(&client.key, kid, Some(&world.engine.nonce()));
    let slow = sender.send_request(request("/acme/new-order", body.unwrap().to_string()));
    let slow = tokio::spawn(slow);
    let failed = sender.send_request(request("/acme/new-order", "{}".to_owned()));
    assert_eq!(failed.await.unwrap().status(), 400);
    assert_eq!(slow.await.unwrap().unwrap().status(), 201);
    // The server closes it without an error, long before the idle timeout.
    let ended = timeout(Duration::from_secs(30), ended).await.unwrap();
    ended.unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_names_the_limit_and_the_network() {
    let world = world(only(Limit::NewOrder, 1, 1));
    let client = client_from(&world, "2001:db8::1").await;
    let order = async |address: &str| {
        let client = Client {
            peer: world.unregistered_from(address).peer,
            ..client.clone()
        };
        let answer = client.new_order(&[("permanent-identifier", "C02A")]).await;
        answer.json().unwrap()["detail"].as_str().map(str::to_owned)
    };
    assert_eq!(order("2001:db8::1").await, None);
    let detail = "too many newOrder requests from this address: try again in 1 s";
    assert_eq!(order("2001:db8::1").await.as_deref(), Some(detail));
    assert_eq!(order("2001:db8::2").await, None);
    let detail =
        "too many newOrder requests from the /64 network of this address: try again in 1 s";
    assert_eq!(order("2001:db8::3").await.as_deref(), Some(detail));
}
