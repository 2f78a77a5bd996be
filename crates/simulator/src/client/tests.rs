use std::sync::Arc;

use super::*;
use crate::script::{Answer, Script};

fn answer(status: u16, nonce: &'static str) -> Answer {
    Answer {
        status,
        nonce,
        body: json!({}),
    }
}

fn problem(name: &str, nonce: &'static str) -> Answer {
    Answer {
        status: 400,
        nonce,
        body: json!({"type": format!("urn:ietf:params:acme:error:{name}")}),
    }
}

async fn client(answers: Vec<Answer>) -> (AcmeClient, Arc<Script>) {
    let script = Script::play(answers).await;
    let client = AcmeClient::connect(&script.url("/directory"), "")
        .await
        .unwrap();
    (client, script)
}

#[tokio::test]
async fn the_first_nonce_is_asked_for_and_the_next_comes_with_the_answer() {
    let (mut client, script) = client(vec![
        answer(200, "n1"),
        answer(201, "n2"),
        answer(201, "n3"),
    ])
    .await;
    client.new_account().await.unwrap();
    let account = script.url("/location");
    assert_eq!(client.account(), Some(account.as_str()));
    client
        .new_order(&[("permanent-identifier", "C02TEST")])
        .await
        .unwrap();
    let seen = script.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(lines, ["HEAD /nonce", "POST /account", "POST /order"]);
    assert_eq!(script.nonces(), ["n1", "n2"]);
    assert_eq!(seen[1].protected["jwk"], client.key().jwk());
    assert_eq!(seen[1].payload, json!({"termsOfServiceAgreed": true}));
    assert_eq!(seen[2].protected["kid"], json!(account));
    assert_eq!(seen[2].protected["jwk"], Value::Null);
    assert_eq!(
        seen[2].payload,
        json!({"identifiers": [{"type": "permanent-identifier", "value": "C02TEST"}]})
    );
}

#[tokio::test]
async fn scenario_83_a_bad_nonce_is_answered_with_the_fresh_one() {
    let (mut client, script) = client(vec![
        answer(200, "n1"),
        problem("badNonce", "n2"),
        problem("badNonce", "n3"),
        answer(200, "n4"),
    ])
    .await;
    let url = client.resource("newOrder").unwrap();
    assert_eq!(client.post_as_get(&url).await.unwrap().status, 200);
    assert_eq!(script.nonces(), ["n1", "n2", "n3"]);
    assert_eq!(client.bad_nonces(), 2);
}

#[tokio::test]
async fn after_three_retries_the_bad_nonce_is_handed_back() {
    let mut answers = vec![answer(200, "n1")];
    answers.extend(["n2", "n3", "n4", "n5"].map(|nonce| problem("badNonce", nonce)));
    let (mut client, script) = client(answers).await;
    let url = client.resource("newOrder").unwrap();
    let answer = client.post_as_get(&url).await.unwrap();
    assert!(answer.problem().is("badNonce"), "{answer:?}");
    assert_eq!(script.nonces(), ["n1", "n2", "n3", "n4"]);
}

#[tokio::test]
async fn a_nonce_chosen_by_the_test_is_sent_once() {
    let (mut client, script) =
        client(vec![problem("badNonce", "n1"), problem("badNonce", "n2")]).await;
    let url = client.resource("newOrder").unwrap();
    for jws in [
        Jws::post_as_get(&url).with("nonce", "old"),
        Jws::post_as_get(&url).without("nonce"),
    ] {
        let answer = client.send(&jws).await.unwrap();
        assert!(answer.problem().is("badNonce"), "{answer:?}");
    }
    assert_eq!(script.nonces(), [json!("old"), Value::Null]);
}

#[tokio::test]
async fn another_refusal_is_handed_back_at_once_and_makes_no_account() {
    let (mut client, script) = client(vec![answer(200, "n1"), problem("malformed", "n2")]).await;
    let answer = client.new_account().await.unwrap();
    assert!(answer.problem().is("malformed"), "{answer:?}");
    assert_eq!(client.account(), None);
    assert_eq!(script.nonces(), ["n1"]);
}

#[tokio::test]
async fn missing_nonces_and_resources_are_told() {
    let (mut client, _) = client(vec![answer(200, "")]).await;
    let url = client.resource("newNonce").unwrap();
    assert_eq!(client.nonce().await, Err(ClientError::NoNonce { url }));
    assert_eq!(
        client.resource("renewalInfo"),
        Err(ClientError::NoResource {
            name: "renewalInfo"
        })
    );
}

#[tokio::test]
async fn apples_client_repeats_nothing_and_waits_15_seconds() {
    let (mut client, script) = client(vec![
        answer(200, "n1"),
        problem("badNonce", "n2"),
        answer(201, "n3"),
    ])
    .await;
    client.set_kind(ClientKind::Apple);
    let refused = client.new_account().await.unwrap();
    assert!(refused.problem().is("badNonce"));
    assert_eq!(script.seen().len(), 2);
    assert_eq!(client.bad_nonces(), 1);
    assert_eq!(ClientKind::Apple.timeout(), Duration::from_secs(15));
}
