//! Orders, authorizations and challenges (RFC 8555 sections 7.4 and 7.5) over
//! HTTP, as far as they work without accepted evidence.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::{future::poll_fn, task::Poll};

use assay_proto::Timestamp;
use assay_simulator::{JOSE_JSON, Jws};
use common::{BASE, Client, NOW, World, assert_refused, url};
use serde_json::{Value, json};

/// Reads the authorization and its only challenge.
async fn authorization(client: &Client, order: &Value) -> (String, Value) {
    let url = order["authorizations"][0].as_str().unwrap().to_owned();
    let answer = client.read(&url).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    (url, answer.json().unwrap())
}

#[tokio::test]
async fn an_order_authorization_and_challenge_are_rendered_whole() {
    let client = World::new().client().await;
    let (order_url, order) = client.order("C02A").await;
    let expires = Timestamp(NOW + 8 * 3600).to_string();
    let identifier = json!({"type": "permanent-identifier", "value": "C02A"});
    assert_eq!(
        order,
        json!({
            "status": "pending",
            "expires": expires,
            "identifiers": [identifier],
            "authorizations": order["authorizations"],
            "finalize": format!("{order_url}/finalize"),
        })
    );
    assert_eq!(client.read(&order_url).await.json().unwrap(), order);
    let (authorization_url, authorization) = authorization(&client, &order).await;
    let challenge = &authorization["challenges"][0];
    assert_eq!(
        authorization,
        json!({
            "identifier": identifier,
            "status": "pending",
            "expires": expires,
            "challenges": [{
                "type": "device-attest-01",
                "url": authorization_url.replace("authorization", "challenge"),
                "status": "pending",
                "token": challenge["token"],
            }],
        })
    );
    let answer = client.read(challenge["url"].as_str().unwrap()).await;
    assert_eq!(
        (answer.status, answer.json().unwrap()),
        (200, challenge.clone())
    );
    assert_eq!(answer.links("up"), [authorization_url]);
    assert_eq!(answer.links("index"), [url("/acme/directory")]);
}

#[tokio::test]
async fn refused_identifiers_are_named() {
    let client = World::new().client().await;
    for (identifiers, status, name, subproblems) in [
        (&[][..], 400, "malformed", json!(null)),
        (
            &[
                ("permanent-identifier", "C02A"),
                ("permanent-identifier", "C02A"),
            ],
            400,
            "malformed",
            json!(null),
        ),
        (
            &[("foo", "x")],
            400,
            "unsupportedIdentifier",
            json!(["foo"]),
        ),
        (
            &[
                ("permanent-identifier", "C02A"),
                ("permanent-identifier", "X"),
            ],
            403,
            "rejectedIdentifier",
            json!(["permanent-identifier"]),
        ),
    ] {
        let answer = client.new_order(identifiers).await;
        assert_refused(&answer, status, name);
        let kinds = answer.json().unwrap()["subproblems"].as_array().map(|all| {
            all.iter()
                .map(|one| one["identifier"]["type"].clone())
                .collect()
        });
        assert_eq!(kinds.map_or(Value::Null, Value::Array), subproblems);
    }
}

#[tokio::test]
async fn scenario_49_a_dead_challenge_is_told_and_stays_readable() {
    let client = World::new().client().await;
    let (order_url, order) = client.order("C02A").await;
    let (authorization_url, pending) = authorization(&client, &order).await;
    let challenge = pending["challenges"][0]["url"].as_str().unwrap();
    let answer = client.post(challenge, &json!({"error": "no"})).await;
    assert_refused(&answer, 400, "badAttestationStatement");
    let problem = answer.json().unwrap();
    // Any later POST returns the challenge as it is.
    for payload in [Vec::new(), b"{}".to_vec()] {
        let again = client.send(&Jws::with_payload(challenge, payload)).await;
        assert_eq!(again.status, 200);
        let again = again.json().unwrap();
        assert_eq!(
            (&again["status"], &again["error"]),
            (&json!("invalid"), &problem)
        );
        assert_eq!(again["validated"], Value::Null);
    }
    let dead = client.read(&authorization_url).await.json().unwrap();
    assert_eq!(dead["status"], "invalid");
    assert_eq!(dead["challenges"][0]["error"], problem);
    let dead = client.read(&order_url).await.json().unwrap();
    assert_eq!(
        (&dead["status"], &dead["error"]),
        (&json!("invalid"), &problem)
    );
    client.order("C02A").await;
}

#[tokio::test]
async fn scenario_43_an_answer_that_cannot_be_read_leaves_the_challenge_pending() {
    let client = World::new().client().await;
    let (_, order) = client.order("C02A").await;
    let (_, pending) = authorization(&client, &order).await;
    let challenge = pending["challenges"][0]["url"].as_str().unwrap();
    for payload in [
        json!({"attObj": "AQ=="}),
        json!({"attObj": "*"}),
        json!({"attObj": 1}),
        json!(1),
        json!(""),
    ] {
        let answer = client.post(challenge, &payload).await;
        assert_refused(&answer, 400, "malformed");
    }
    assert_eq!(
        client.read(challenge).await.json().unwrap()["status"],
        "pending"
    );
}

#[tokio::test]
async fn scenario_61_finalize_before_ready() {
    let client = World::new().client().await;
    let (_, order) = client.order("C02A").await;
    let finalize = order["finalize"].as_str().unwrap();
    let answer = client.post(finalize, &json!({"csr": "AQID"})).await;
    assert_refused(&answer, 403, "orderNotReady");
    for payload in [json!({}), json!({"csr": "AQ=="}), json!({"csr": 1})] {
        let answer = client.post(finalize, &payload).await;
        assert_refused(&answer, 400, "malformed");
    }
}

#[tokio::test]
async fn scenario_102_a_deactivated_authorization_takes_its_order_along() {
    let client = World::new().client().await;
    let (order_url, order) = client.order("C02A").await;
    let (authorization_url, _) = authorization(&client, &order).await;
    let wrong = client
        .post(&authorization_url, &json!({"status": "valid"}))
        .await;
    assert_refused(&wrong, 400, "malformed");
    let payload = json!({"status": "deactivated"});
    let answer = client.post(&authorization_url, &payload).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().unwrap()["status"], "deactivated");
    let (_, read) = authorization(&client, &order).await;
    assert_eq!(read["status"], "deactivated");
    let order = client.read(&order_url).await.json().unwrap();
    assert_eq!(order["status"], "invalid");
    assert_eq!(
        order["error"]["type"],
        "urn:ietf:params:acme:error:unauthorized"
    );
}

#[tokio::test]
async fn scenario_103_reading_a_challenge_starts_nothing() {
    let client = World::new().client().await;
    let (order_url, order) = client.order("C02A").await;
    let (_, pending) = authorization(&client, &order).await;
    let challenge = pending["challenges"][0]["url"].as_str().unwrap();
    for _ in 0..10 {
        let answer = client.read(challenge).await;
        assert_eq!(answer.json().unwrap(), pending["challenges"][0]);
    }
    assert_eq!(
        client.read(&order_url).await.json().unwrap()["status"],
        "pending"
    );
    // An empty object is an answer, but a bad one.
    let answer = client.post(challenge, &json!({})).await;
    assert_refused(&answer, 400, "badAttestationStatement");
}

#[tokio::test]
async fn scenario_104_what_is_anothers_is_not_told_from_what_is_not_there() {
    let world = World::new();
    let client = world.client().await;
    let foreign = world.client().await;
    let (order_url, order) = client.order("C02A").await;
    let (authorization_url, pending) = authorization(&client, &order).await;
    let challenge = pending["challenges"][0]["url"].as_str().unwrap();
    let absent = "A".repeat(22);
    for (theirs, kind, payload) in [
        (order_url.as_str(), "order", json!(null)),
        (&authorization_url, "authorization", json!(null)),
        (
            &authorization_url,
            "authorization",
            json!({"status": "deactivated"}),
        ),
        (challenge, "challenge", json!(null)),
        (challenge, "challenge", json!({"error": "x"})),
        (
            order["finalize"].as_str().unwrap(),
            "order",
            json!({"csr": "AQID"}),
        ),
    ] {
        let send = async |resource: &str| {
            let payload = match &payload {
                Value::Null => Vec::new(),
                payload => payload.to_string().into_bytes(),
            };
            foreign.send(&Jws::with_payload(resource, payload)).await
        };
        let answer = send(theirs).await;
        assert_refused(&answer, 403, "unauthorized");
        let tail = if theirs.ends_with("/finalize") {
            "/finalize"
        } else {
            ""
        };
        for name in [absent.as_str(), "x", "%20", "A%2fB"] {
            let unknown = send(&format!("{BASE}/acme/{kind}/{name}{tail}")).await;
            assert_eq!(
                (unknown.status, unknown.text()),
                (answer.status, answer.text()),
                "{theirs} {name}"
            );
        }
    }
    let read = client.read(challenge).await.json().unwrap();
    assert_eq!(read["status"], "pending");
}

#[tokio::test]
async fn scenario_106_a_wanted_validity_is_kept_or_refused() {
    let client = World::new().client().await;
    let day = |days: u64| Timestamp(NOW + days * 86_400).to_string();
    let order = async |not_before: Value, not_after: Value| {
        let payload = json!({
            "identifiers": [{"type": "permanent-identifier", "value": "C02A"}],
            "notBefore": not_before,
            "notAfter": not_after,
        });
        client.post(&url("/acme/new-order"), &payload).await
    };
    let kept = order(json!(day(1)), json!(day(90))).await;
    assert_eq!(kept.status, 201, "{}", kept.text());
    let kept = kept.json().unwrap();
    assert_eq!(
        (&kept["notBefore"], &kept["notAfter"]),
        (&json!(day(1)), &json!(day(90)))
    );
    let refused = order(json!(null), json!(day(91))).await;
    assert_refused(&refused, 400, "malformed");
    assert!(refused.text().contains(&day(90)), "{}", refused.text());
    assert_refused(&order(json!(null), json!("soon")).await, 400, "malformed");
}

/// Both may complete an interrupted issuance.
#[tokio::test]
async fn reads_of_orders_and_deactivations_complete_after_the_client_hangs_up() {
    let client = World::new().client().await;
    let (url, order) = client.order("C02A").await;
    let authorization = order["authorizations"][0].as_str().unwrap();
    let deactivation = json!({"status": "deactivated"});
    let mut read = Box::pin(client.read(&url));
    let mut deactivated = Box::pin(client.post(authorization, &deactivation));
    for answer in [
        poll_fn(|context| Poll::Ready(read.as_mut().poll(context).is_pending())).await,
        poll_fn(|context| Poll::Ready(deactivated.as_mut().poll(context).is_pending())).await,
    ] {
        assert!(
            answer,
            "the handler did the work itself, so that dropping it could stop the work"
        );
    }
    drop((read, deactivated));
    tokio::task::yield_now().await;
    assert_eq!(
        client.read(authorization).await.json().unwrap()["status"],
        "deactivated"
    );
}

#[tokio::test]
async fn an_answer_is_judged_after_its_client_hangs_up() {
    let client = World::new().client().await;
    let (_, order) = client.order("C02A").await;
    let (_, pending) = authorization(&client, &order).await;
    let challenge = pending["challenges"][0]["url"].as_str().unwrap();
    let nonce = client.nonce().await;
    let body = Jws::new(challenge, &json!({"error": "no"}))
        .sign(&client.key, client.account.as_deref(), Some(&nonce))
        .unwrap();
    let path = challenge.strip_prefix(BASE).unwrap();
    let mut answer = Box::pin(client.post_raw(path, body.to_string(), JOSE_JSON));
    // The request is taken up, and its connection closes before the answer.
    let first = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context).is_pending())).await;
    assert!(first, "it was answered at once");
    drop(answer);
    tokio::task::yield_now().await;
    assert_eq!(
        client.read(challenge).await.json().unwrap()["status"],
        "invalid"
    );
}
