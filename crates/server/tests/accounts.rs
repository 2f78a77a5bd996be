//! Accounts (RFC 8555 section 7.3) over HTTP.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use assay_server::RateLimits;
use assay_simulator::{AccountKey, Algorithm, Jws, Response};
use axum::http::Method;
use common::{Client, TERMS, World, assert_refused, url};
use serde_json::{Value, json};

#[tokio::test]
async fn scenario_92_one_key_has_one_account() {
    let mut client = World::new().unregistered();
    let made = client
        .new_account(&json!({"contact": ["mailto:a@example.org"]}))
        .await;
    let location = made.location().unwrap().to_owned();
    assert!(location.starts_with(&url("/acme/account/")), "{location}");
    let account = json!({
        "status": "valid",
        "contact": ["mailto:a@example.org"],
        "orders": format!("{location}/orders"),
    });
    assert_eq!((made.status, made.json().unwrap()), (201, account.clone()));
    let found = client.new_account(&json!({})).await;
    assert_eq!(
        (found.status, found.location()),
        (200, Some(location.as_str()))
    );
    assert_eq!(found.json().unwrap(), account);
    assert_eq!(client.read(&location).await.json().unwrap(), account);
}

#[tokio::test]
async fn scenario_92_twenty_at_once_make_one_account() {
    let client = World::new().unregistered();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.new_account(&json!({})).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let found = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((made, found), (1, 19));
    let locations: std::collections::HashSet<_> = answers
        .iter()
        .map(|answer| answer.location().unwrap())
        .collect();
    assert_eq!(locations.len(), 1);
}

#[tokio::test]
async fn scenario_93_only_return_existing() {
    let mut client = World::new().unregistered();
    let existing = json!({"onlyReturnExisting": true});
    let answer = client.new_account(&existing).await;
    assert_refused(&answer, 400, "accountDoesNotExist");
    assert_eq!(client.new_account(&json!({})).await.status, 201);
    assert_eq!(client.new_account(&existing).await.status, 200);
}

#[tokio::test]
async fn scenario_94_terms_must_be_agreed_to() {
    let world = World::with(Some(TERMS), RateLimits::off());
    let mut client = world.unregistered();
    let directory = client.plain(Method::GET, "/acme/directory").await;
    assert_eq!(
        directory.json().unwrap()["meta"]["termsOfService"],
        json!(TERMS)
    );
    for payload in [json!({}), json!({"termsOfServiceAgreed": false})] {
        let answer = client.new_account(&payload).await;
        assert_refused(&answer, 403, "userActionRequired");
        assert_eq!(answer.links("terms-of-service"), [TERMS]);
        assert_eq!(answer.json().unwrap()["instance"], TERMS);
    }
    let answer = client
        .new_account(&json!({"termsOfServiceAgreed": true}))
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json().unwrap()["termsOfServiceAgreed"], true);
}

#[tokio::test]
async fn scenario_95_contacts() {
    let world = World::new();
    for (contact, name) in [
        ("tel:+12025551212", "unsupportedContact"),
        ("mailto:a@b,c@d", "invalidContact"),
        ("mailto:a@b?subject=x", "invalidContact"),
    ] {
        let payload = json!({"contact": [contact]});
        let answer = world.unregistered().new_account(&payload).await;
        assert_refused(&answer, 400, name);
        let client = world.client().await;
        let account = client.account.clone().unwrap();
        assert_refused(&client.post(&account, &payload).await, 400, name);
    }
    let client = world.client().await;
    let account = client.account.clone().unwrap();
    for (payload, contact) in [
        (json!({"contact": ["mailto:a@b"]}), json!(["mailto:a@b"])),
        (json!({}), json!(["mailto:a@b"])),
        (json!({"contact": []}), Value::Null),
    ] {
        let answer = client.post(&account, &payload).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json().unwrap()["contact"], contact, "{payload}");
    }
    let answer = client.post(&account, &json!({"status": "revoked"})).await;
    assert_eq!(answer.json().unwrap()["status"], "valid");
}

/// Sends a keyChange of `client` to `key`; `change` modifies the inner JWS.
async fn change_key(
    client: &Client,
    key: &AccountKey,
    account: &str,
    old_key: &Value,
    change: impl FnOnce(Jws) -> Jws,
) -> Response {
    let resource = url("/acme/key-change");
    let inner = Jws::new(&resource, &json!({"account": account, "oldKey": old_key}));
    let inner = change(inner).sign(key, None, None).unwrap();
    client.post(&resource, &inner).await
}

#[tokio::test]
async fn scenario_98_key_change() {
    let world = World::new();
    let mut client = world.client().await;
    let other = world.client().await;
    let account = client.account.clone().unwrap();
    let old = client.key.jwk();
    let new = AccountKey::generate(Algorithm::Es384).unwrap();

    let answer = change_key(&client, &other.key, &account, &old, |jws| jws).await;
    assert_refused(&answer, 409, "malformed");
    assert_eq!(answer.location(), other.account.as_deref());

    let (other_account, other_key) = (other.account.clone().unwrap(), other.key.jwk());
    for (account, old_key) in [(&other_account, &old), (&account, &other_key)] {
        let answer = change_key(&client, &new, account, old_key, |jws| jws).await;
        assert_refused(&answer, 400, "malformed");
    }
    let inner_nonce = change_key(&client, &new, &account, &old, |jws| jws.with("nonce", "AA"));
    assert_refused(&inner_nonce.await, 400, "malformed");
    let inner_url = change_key(&client, &new, &account, &old, |jws| {
        jws.with("url", url("/acme/new-order"))
    });
    assert_refused(&inner_url.await, 400, "malformed");
    let forged = change_key(&client, &new, &account, &old, |jws| {
        jws.with_signature(vec![1; 96])
    });
    assert_refused(&forged.await, 403, "unauthorized");
    assert_eq!(client.read(&account).await.status, 200);

    let answer = change_key(&client, &new, &account, &old, |jws| jws).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_refused(&client.read(&account).await, 403, "unauthorized");
    client.key = new;
    assert_eq!(client.read(&account).await.status, 200);
}

#[tokio::test]
async fn scenario_99_a_deactivated_account_can_do_nothing() {
    let world = World::new();
    let client = world.client().await;
    let account = client.account.clone().unwrap();
    let (order_url, order) = client.order("C02A").await;
    let authorization = order["authorizations"][0].as_str().unwrap().to_owned();
    let challenge = client.read(&authorization).await.json().unwrap();
    let challenge = challenge["challenges"][0]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = client
        .post(&account, &json!({"status": "deactivated"}))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().unwrap()["status"], "deactivated");
    for resource in [
        account,
        url("/acme/new-order"),
        order_url,
        order["finalize"].as_str().unwrap().to_owned(),
        authorization,
        challenge,
        url("/acme/certificate/01"),
        url("/acme/revoke-cert"),
        url("/acme/key-change"),
        url("/acme/directory"),
        url("/acme/new-nonce"),
    ] {
        for payload in [Vec::new(), b"{}".to_vec()] {
            let answer = client.send(&Jws::with_payload(&resource, payload)).await;
            assert_refused(&answer, 401, "unauthorized");
        }
    }
    let mut same_key = client.clone();
    assert_refused(&same_key.new_account(&json!({})).await, 401, "unauthorized");
}

#[tokio::test]
async fn scenario_100_the_list_of_orders_has_pages_and_one_reader() {
    let world = World::new();
    let client = world.client().await;
    let mut expected = std::collections::HashSet::new();
    for _ in 0..51 {
        expected.insert(client.order("C02A").await.0);
    }
    let list = format!("{}/orders", client.account.as_deref().unwrap());
    let first = client.read(&list).await;
    let [next] = first.links("next").try_into().unwrap();
    assert_eq!(first.links("index"), [url("/acme/directory")]);
    let second = client.read(&next).await;
    assert_eq!(second.links("next"), Vec::<String>::new());
    let mut lengths = Vec::new();
    for page in [first, second] {
        let page = page.json().unwrap();
        assert_eq!(page.as_object().unwrap().len(), 1);
        let orders = page["orders"].as_array().unwrap();
        lengths.push(orders.len());
        for order in orders {
            assert!(expected.remove(order.as_str().unwrap()), "{order}");
        }
    }
    assert_eq!((lengths, expected.len()), (vec![50, 1], 0));

    let foreign = world.client().await;
    for resource in [
        list.clone(),
        next,
        format!("{list}?after=x"),
        client.account.clone().unwrap(),
        url("/acme/account/x/orders"),
    ] {
        let answer = foreign.read(&resource).await;
        assert_refused(&answer, 403, "unauthorized");
    }
    let answer = client.read(&format!("{list}?after=x")).await;
    assert_refused(&answer, 403, "unauthorized");
    let none = foreign
        .read(&format!("{}/orders", foreign.account.as_deref().unwrap()))
        .await;
    assert_eq!(none.json().unwrap(), json!({"orders": []}));
}
