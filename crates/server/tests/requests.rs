//! The rules for every request (RFC 8555 section 6).

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::sync::atomic::Ordering;

use assay_server::{RateLimits, Rates};
use assay_simulator::{JOSE_JSON, Jws, SignatureStyle};
use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, header::CONTENT_TYPE},
};
use common::{BASE, NOW, World, assert_problem, assert_refused, pieces::Pieces, rate, url};
use serde_json::{Value, json};

#[tokio::test]
async fn scenario_80_everything_in_the_directory_answers() {
    let client = World::new().client().await;
    let answer = client.plain(Method::GET, "/acme/directory").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.links("index"), Vec::<String>::new());
    let directory = answer.json().unwrap();
    assert_eq!(
        directory,
        json!({
            "newNonce": url("/acme/new-nonce"),
            "newAccount": url("/acme/new-account"),
            "newOrder": url("/acme/new-order"),
            "revokeCert": url("/acme/revoke-cert"),
            "keyChange": url("/acme/key-change"),
            "meta": {"website": "https://example.org"},
        })
    );
    for (name, resource) in directory.as_object().unwrap() {
        if let Some(resource) = resource.as_str() {
            let status = client.read(resource).await.status;
            assert!([204, 400].contains(&status), "{name}: {status}");
        }
    }
}

#[tokio::test]
async fn scenario_81_new_nonce() {
    let client = World::new().unregistered();
    let mut nonces = std::collections::HashSet::new();
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204)] {
        let answer = client.plain(method, "/acme/new-nonce").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.links("index"), [url("/acme/directory")]);
        assert_eq!(answer.text(), "");
        assert!(nonces.insert(answer.replay_nonce().unwrap().to_owned()));
    }
}

#[tokio::test]
async fn scenario_82_post_as_get_on_directory_and_new_nonce() {
    let client = World::new().client().await;
    let plain = client.plain(Method::GET, "/acme/directory").await;
    let answer = client.read(&url("/acme/directory")).await;
    assert_eq!((answer.status, answer.text()), (200, plain.text()));
    let answer = client.read(&url("/acme/new-nonce")).await;
    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    for path in ["/acme/directory", "/acme/new-nonce"] {
        let answer = client.post(&url(path), &json!({})).await;
        assert_refused(&answer, 400, "malformed");
    }
}

#[tokio::test]
async fn scenario_83_a_nonce_works_once_and_a_bad_one_brings_a_good_one() {
    let client = World::new().client().await;
    let nonce = client.nonce().await;
    let read = |nonce: &str| {
        Jws::post_as_get(&url("/acme/directory"))
            .with("nonce", nonce)
            .sign(&client.key, client.account.as_deref(), None)
            .unwrap()
            .to_string()
    };
    let first = read(&nonce);
    let answer = client
        .post_raw("/acme/directory", first.clone(), JOSE_JSON)
        .await;
    assert_eq!(answer.status, 200);
    let next = answer.replay_nonce().unwrap().to_owned();
    for body in [first, read(&nonce), read("AAAA")] {
        let answer = client.post_raw("/acme/directory", body, JOSE_JSON).await;
        assert_refused(&answer, 400, "badNonce");
        let fresh = answer.replay_nonce().unwrap();
        let answer = client
            .post_raw("/acme/directory", read(fresh), JOSE_JSON)
            .await;
        assert_eq!(answer.status, 200);
    }
    // A nonce stays good when other nonces fail.
    let answer = client
        .post_raw("/acme/directory", read(&next), JOSE_JSON)
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn scenario_84_every_refused_post_has_a_nonce_and_is_a_problem_document() {
    let client = World::new().client().await;
    for (path, body, content_type, status, name) in [
        ("/", "", JOSE_JSON, 404, "malformed"),
        ("/acme/order", "", JOSE_JSON, 404, "malformed"),
        ("/acme/directory/", "", JOSE_JSON, 404, "malformed"),
        ("/acme/new-order", "", "text/plain", 415, "malformed"),
        ("/acme/new-order", "", JOSE_JSON, 400, "malformed"),
        ("/acme/new-order", "{", JOSE_JSON, 400, "malformed"),
        ("/acme/order/x", "", JOSE_JSON, 400, "malformed"),
    ] {
        let answer = client.post_raw(path, body, content_type).await;
        assert_refused(&answer, status, name);
    }
    let other = client.read(&url("/acme/order/x")).await;
    assert_refused(&other, 403, "unauthorized");
    let unreadable = client.post(&url("/acme/new-order"), &json!([])).await;
    assert_refused(&unreadable, 400, "malformed");
    let down = client.new_order(&[("permanent-identifier", "DOWN")]).await;
    assert_refused(&down, 503, "serverInternal");
}

#[tokio::test]
async fn scenario_85_the_media_type_is_exact_but_may_have_parameters() {
    let client = World::new().client().await;
    let send = async |content_types: &[&str]| {
        let nonce = client.nonce().await;
        let body = Jws::post_as_get(&url("/acme/directory"))
            .sign(&client.key, client.account.as_deref(), Some(&nonce))
            .unwrap();
        let mut headers = HeaderMap::new();
        for content_type in content_types {
            headers.append(CONTENT_TYPE, content_type.parse().unwrap());
        }
        client
            .post_with("/acme/directory", body.to_string(), headers)
            .await
    };
    for right in [
        JOSE_JSON,
        "application/jose+json; charset=utf-8",
        "application/jose+json;x=y",
        "Application/JOSE+JSON",
    ] {
        assert_eq!(send(&[right]).await.status, 200, "{right}");
    }
    for wrong in [
        &[][..],
        &["application/json"],
        &["application/jose"],
        &["application/jose+jsonx"],
        &["text/plain; application/jose+json"],
        &["application/json", "application/jose+json"],
    ] {
        assert_refused(&send(wrong).await, 415, "malformed");
    }
}

#[tokio::test]
async fn scenario_86_other_methods_are_refused() {
    let client = World::new().client().await;
    let (order, _) = client.order("C02A").await;
    let order = order.strip_prefix(BASE).unwrap();
    for (method, path, allow) in [
        (Method::GET, order, "POST"),
        (Method::PUT, order, "POST"),
        (Method::DELETE, "/acme/new-account", "POST"),
        (Method::GET, "/acme/certificate/01", "POST"),
        (Method::OPTIONS, "/acme/directory", "GET,HEAD,POST"),
        (Method::PUT, "/acme/new-nonce", "GET,HEAD,POST"),
    ] {
        let answer = client.plain(method, path).await;
        assert_problem(&answer, 405, "malformed");
        assert_eq!(answer.header("allow"), Some(allow), "{path}");
        assert_eq!(answer.replay_nonce(), None);
    }
    let answer = client.plain(Method::GET, "/acme").await;
    assert_problem(&answer, 404, "malformed");
}

/// Some clients lose an answer that overtakes the request's body.
#[tokio::test]
async fn the_body_of_a_request_that_is_refused_unread_is_drained() {
    let limits = RateLimits::of(Rates {
        failed: rate(1, 3),
        ..Rates::OFF
    });
    let client = World::with(None, limits).unregistered();
    let post = async |method: Method, path: &str, content_type: &str| {
        let (body, read) = Pieces::whole(100_000);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(body)
            .unwrap();
        let status = client.request(request).await.status;
        (status, read.load(Ordering::Relaxed))
    };
    assert_eq!(post(Method::POST, "/x", JOSE_JSON).await, (404, true));
    let path = "/acme/new-order";
    assert_eq!(post(Method::POST, path, "text/plain").await, (415, true));
    assert_eq!(post(Method::PUT, path, JOSE_JSON).await, (405, true));
    // That was the last failure that the limit allows.
    assert_eq!(post(Method::PUT, path, JOSE_JSON).await, (429, true));
}

#[tokio::test]
async fn scenario_87_the_url_of_the_header_is_that_of_the_request() {
    let client = World::new().client().await;
    for other in [
        "https://ca.example.com/acme/directory",
        "http://ca.example.org/acme/directory",
        "https://ca.example.org:443/acme/directory",
        "https://ca.example.org/acme/new-order",
        "https://ca.example.org/acme/directory?",
        "https://ca.example.org/acme/directory?x",
        "https://ca.example.org/acme/%64irectory",
    ] {
        let jws = Jws::post_as_get(other);
        let answer = client.send_to("/acme/directory", &jws).await;
        assert_refused(&answer, 403, "unauthorized");
    }
    let jws = Jws::post_as_get(&url("/acme/directory"));
    let answer = client.send_to("/acme/directory?x", &jws).await;
    assert_refused(&answer, 403, "unauthorized");
    let jws = Jws::post_as_get(&url("/acme/directory?x"));
    assert_eq!(client.send(&jws).await.status, 200);
}

#[tokio::test]
async fn scenario_88_one_way_to_name_the_key() {
    let client = World::new().client().await;
    let kid = client.account.clone().unwrap();
    let (new_account, new_order) = (url("/acme/new-account"), url("/acme/new-order"));
    let other = kid.replace("/acme/account/", "/acme/account/A");
    for (jws, status, name) in [
        (
            Jws::new(&new_account, &json!({}))
                .with_jwk()
                .with("kid", kid.as_str()),
            400,
            "malformed",
        ),
        (
            Jws::new(&new_account, &json!({})).without("kid"),
            400,
            "malformed",
        ),
        // kid on newAccount, jwk on newOrder.
        (Jws::new(&new_account, &json!({})), 400, "malformed"),
        (
            Jws::new(&new_order, &json!({})).with_jwk(),
            400,
            "malformed",
        ),
        (
            Jws::new(&new_order, &json!({})).with("kid", other),
            400,
            "accountDoesNotExist",
        ),
        (
            Jws::new(&new_order, &json!({})).with_signature(vec![1; 64]),
            403,
            "unauthorized",
        ),
    ] {
        assert_refused(&client.send(&jws).await, status, name);
    }
}

#[tokio::test]
async fn scenarios_89_and_91_algorithms_and_keys() {
    let client = World::new().client().await;
    let directory = url("/acme/directory");
    for algorithm in ["none", "HS256"] {
        let jws = Jws::post_as_get(&directory).with("alg", algorithm);
        let answer = client.send(&jws).await;
        assert_refused(&answer, 400, "badSignatureAlgorithm");
        assert_eq!(
            answer.json().unwrap()["algorithms"],
            json!(["ES256", "ES384", "ES512", "EdDSA", "RS256"])
        );
    }
    for name in ["nonce", "url"] {
        let jws = Jws::post_as_get(&directory)
            .without(name)
            .with_envelope_member("header", json!({name: "x"}));
        assert_refused(&client.send(&jws).await, 400, "malformed");
    }
    // 1,024 bits.
    let modulus = format!("{}8", "_".repeat(170));
    let jws = Jws::new(&url("/acme/new-account"), &json!({}))
        .with("alg", "RS256")
        .with("jwk", json!({"kty": "RSA", "e": "AQAB", "n": modulus}))
        .without("kid");
    assert_refused(&client.send(&jws).await, 400, "badPublicKey");
}

#[tokio::test]
async fn scenario_90_a_strict_envelope() {
    let client = World::new().client().await;
    let read = || Jws::post_as_get(&url("/acme/directory"));
    for jws in [
        read().with("b64", false),
        read().with("crit", json!(["x"])),
        read().with_envelope_member("signatures", json!([])),
        read().with_envelope_member("header", json!({})),
        read().with_envelope_member("payload", "AQ=="),
        read().with_envelope_member("payload", Value::Null),
    ] {
        assert_refused(&client.send(&jws).await, 400, "malformed");
    }
    let nonce = client.nonce().await;
    let body = read()
        .sign(&client.key, client.account.as_deref(), Some(&nonce))
        .unwrap();
    for trailing in [" {}", "x"] {
        let body = format!("{body}{trailing}");
        let answer = client.post_raw("/acme/directory", body, JOSE_JSON).await;
        assert_refused(&answer, 400, "malformed");
    }
    // None of these used the nonce up.
    let answer = client
        .post_raw("/acme/directory", body.to_string(), JOSE_JSON)
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn scenario_142_further_members_of_an_envelope_are_ignored() {
    let client = World::new().client().await;
    let read = Jws::post_as_get(&url("/acme/directory"))
        .with_envelope_member("x", json!({"header": {}, "signatures": []}))
        .with_envelope_member("kid", "https://elsewhere.example/");
    let answer = client.send(&read).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn scenario_13_a_short_signature_of_apples_client_is_accepted() {
    let mut client = World::new().unregistered();
    client.key = client.key.with_style(SignatureStyle::AppleShort);
    assert_eq!(client.new_account(&json!({})).await.status, 201);
}

#[tokio::test]
async fn scenario_107_a_large_body_is_refused_and_others_are_served() {
    let client = World::new().client().await;
    for (length, status) in [(256 * 1024, 400), (256 * 1024 + 1, 413), (10 << 20, 413)] {
        let body = Body::from(vec![b' '; length]);
        let answer = client.post_raw("/acme/new-order", body, JOSE_JSON).await;
        assert_refused(&answer, status, "malformed");
    }
    assert_eq!(client.read(&url("/acme/directory")).await.status, 200);
}

#[tokio::test]
async fn scenario_132_a_spoofed_host_changes_no_url() {
    let client = World::new().client().await;
    let request = Request::get("/acme/directory")
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .body(Body::empty())
        .unwrap();
    let answer = client.request(request).await;
    assert_eq!(
        answer.json().unwrap()["newNonce"],
        "https://ca.example.org/acme/new-nonce"
    );
    assert!(!answer.text().contains("evil"));
}

#[tokio::test]
async fn a_fault_gives_the_client_no_details_but_a_retry_after() {
    let client = World::new().client().await;
    for (serial, status, retry_after) in [("DOWN", 503, Some("10")), ("PANIC", 500, None)] {
        let answer = client.new_order(&[("permanent-identifier", serial)]).await;
        assert_refused(&answer, status, "serverInternal");
        assert_eq!(answer.header("retry-after"), retry_after, "{serial}");
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
    client.order("C02A").await;
}

#[tokio::test]
async fn healthz_and_livez_need_no_authentication_and_are_not_part_of_acme() {
    let client = World::new().unregistered();
    for path in ["/healthz", "/livez"] {
        for (method, status, body) in [
            (Method::GET, 200, "ok\n"),
            (Method::HEAD, 200, ""),
            (Method::POST, 405, ""),
        ] {
            let request = Request::builder().method(method).uri(path);
            let answer = client.bare(request.body(Body::empty()).unwrap()).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (status, body),
                "{path}"
            );
            for header in ["date", "link", "replay-nonce", "x-content-type-options"] {
                assert_eq!(answer.header(header), None, "{header}");
            }
        }
    }
}

#[tokio::test]
async fn a_decision_in_doubt_is_503_with_retry_after() {
    let world = World::new();
    let client = world.client().await;
    world.clock.set(NOW - 7200);
    let answer = client.new_order(&[("permanent-identifier", "C02A")]).await;
    assert_refused(&answer, 503, "serverInternal");
    assert_eq!(answer.header("retry-after"), Some("60"));
    world.clock.set(NOW);
    client.order("C02A").await;
}

#[tokio::test]
async fn a_refusal_of_head_has_no_body() {
    let request = Request::head("/acme/new-nonce")
        .body(Body::empty())
        .unwrap();
    let answer = World::new().unregistered().bare(request).await;
    assert_eq!((answer.status, answer.text().as_str()), (400, ""));
}
