//! Requirements (MUST) of RFC 8555 and of the device-attest draft that no
//! numbered scenario covers.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use assay_engine::{
    domain::{Intent, Processing},
    ports::{Change, ChangeSet, Store},
};
use assay_proto::{Base64Url, Timestamp};
use assay_server::RateLimits;
use assay_simulator::{AccountKey, Algorithm, Jws, Response, evidence::der};
use common::{Client, NOW, TERMS, World, assert_refused, fulfil, url};
use rcgen::{CertificateParams, CustomExtension, KeyPair, PublicKeyData};
use serde_json::{Value, json};

#[tokio::test]
async fn a_nonce_that_is_missing_or_not_base64url() {
    let client = World::new().client().await;
    let read = || Jws::post_as_get(&url("/acme/directory"));
    for (jws, name) in [
        (read().without("nonce"), "badNonce"),
        (read().with("nonce", "not base64url!"), "malformed"),
        (read().with("nonce", "AQ=="), "malformed"),
        (read().with("nonce", 1), "malformed"),
    ] {
        assert_refused(&client.send(&jws).await, 400, name);
    }
}

#[tokio::test]
async fn what_a_client_may_not_set_is_ignored_and_not_reflected() {
    let world = World::new();
    let mut client = world.unregistered();
    let others = json!({
        "orders": "https://evil.example/orders",
        "externalAccountBinding": {"payload": "", "protected": "", "signature": ""},
        "later": [{}],
    });
    let mut new = others.clone();
    new["status"] = json!("revoked");
    new["onlyReturnExisting"] = json!(false);
    let made = client.new_account(&new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let location = client.account.clone().unwrap();
    let account = json!({"status": "valid", "orders": format!("{location}/orders")});
    assert_eq!(made.json().unwrap(), account);

    let mut update = others;
    update["termsOfServiceAgreed"] = json!(true);
    let updated = client.post(&location, &update).await;
    assert_eq!(
        (updated.status, updated.json().unwrap()),
        (200, account.clone())
    );
    assert_eq!(client.read(&location).await.json().unwrap(), account);
}

#[tokio::test]
async fn an_account_that_is_found_is_as_it_was_whatever_was_sent() {
    let world = World::with(Some(TERMS), RateLimits::off());
    let mut client = world.unregistered();
    let agreed = json!({"termsOfServiceAgreed": true, "contact": ["mailto:a@example.org"]});
    let made = client.new_account(&agreed).await;
    assert_eq!(made.status, 201);
    let before = made.json().unwrap();
    for payload in [
        json!({}),
        json!({"contact": ["tel:+12025551212"]}),
        json!({"contact": [], "termsOfServiceAgreed": false, "later": 1}),
    ] {
        let found = client.new_account(&payload).await;
        assert_eq!((found.status, found.json().unwrap()), (200, before.clone()));
        assert_eq!(found.location(), made.location());
    }
}

#[tokio::test]
async fn a_refused_contact_says_which_would_do() {
    let payload = json!({"contact": ["tel:+12025551212"]});
    let answer = World::new().unregistered().new_account(&payload).await;
    assert_refused(&answer, 400, "unsupportedContact");
    let detail = answer.problem().detail;
    assert!(
        detail.contains("tel:+12025551212") && detail.contains("mailto"),
        "{detail}"
    );
}

#[tokio::test]
async fn only_the_accounts_key_reads_and_deactivates_it() {
    let world = World::new();
    let client = world.client().await;
    let account = client.account.clone().unwrap();
    let forger = Client {
        key: world.unregistered().key,
        ..client.clone()
    };
    for other in [forger, world.client().await] {
        let answer = other.read(&account).await;
        assert_refused(&answer, 403, "unauthorized");
        let answer = other
            .post(&account, &json!({"status": "deactivated"}))
            .await;
        assert_refused(&answer, 403, "unauthorized");
    }
    let read = client.read(&account).await.json().unwrap();
    assert_eq!(read["status"], "valid");
}

#[tokio::test]
async fn a_key_change_is_two_envelopes_around_an_account_and_its_key() {
    let client = World::new().client().await;
    let (account, old) = (client.account.clone().unwrap(), client.key.jwk());
    let new = AccountKey::generate(Algorithm::Es256).unwrap();
    let resource = url("/acme/key-change");
    let change = json!({"account": account, "oldKey": old});
    let inner = |payload: &Value| Jws::new(&resource, payload);

    // The outer payload is no JWS, or has no key.
    for payload in [json!({}), change.clone()] {
        let answer = client.post(&resource, &payload).await;
        assert_refused(&answer, 400, "malformed");
    }
    let by_account = inner(&change).sign(&new, Some(&account), None).unwrap();
    let answer = client.post(&resource, &by_account).await;
    assert_refused(&answer, 400, "malformed");
    // The inner payload is not a keyChange object.
    for payload in [
        json!({}),
        json!("x"),
        json!([account, old]),
        json!({"account": account}),
        json!({"oldKey": old}),
        json!({"account": 1, "oldKey": old}),
        json!({"account": account, "oldKey": "x"}),
    ] {
        let inner = inner(&payload).sign(&new, None, None).unwrap();
        let answer = client.post(&resource, &inner).await;
        assert_refused(&answer, 400, "malformed");
    }
    let answer = client.read(&account).await;
    assert_eq!(answer.status, 200, "the old key is still the account's");
}

#[tokio::test]
async fn a_problem_names_identifiers_in_its_subproblems_only() {
    let client = World::new().client().await;
    let problem = client.new_order(&[("foo", "x")]).await.json().unwrap();
    assert_eq!(problem.get("identifier"), None);
    assert_eq!(
        problem["subproblems"][0]["identifier"],
        json!({"type": "foo", "value": "x"})
    );
}

#[tokio::test]
async fn a_token_is_256_bits_in_base64url_and_another_each_time() {
    let client = World::new().client().await;
    let mut tokens = std::collections::HashSet::new();
    for _ in 0..3 {
        let (_, order) = client.order("C02A").await;
        let authorization = order["authorizations"][0].as_str().unwrap();
        let authorization = client.read(authorization).await.json().unwrap();
        let token = authorization["challenges"][0]["token"].as_str().unwrap();
        assert_eq!(Base64Url::decode(token).unwrap().0.len(), 32);
        assert!(tokens.insert(token.to_owned()), "{token}");
    }
}

#[tokio::test]
async fn a_valid_authorization_expires_and_an_order_keeps_its_lists() {
    let world = World::new();
    let client = world.client().await;
    let (order_url, pending) = client.order("C02A").await;
    let key = KeyPair::generate().unwrap();
    let ready = fulfil(&world, &order_url, &key.subject_public_key_info()).await;

    let authorization_url = pending["authorizations"][0].as_str().unwrap();
    let authorization = client.read(authorization_url).await.json().unwrap();
    assert_eq!(
        (&authorization["status"], &authorization["expires"]),
        (&json!("valid"), &pending["expires"])
    );
    let challenge = &authorization["challenges"][0];
    let now = Timestamp(NOW).to_string();
    assert_eq!(
        (&challenge["status"], &challenge["validated"]),
        (&json!("valid"), &json!(now))
    );
    assert_eq!(challenge.get("error"), None);

    let stored = world.store.order(ready.id).await.unwrap().unwrap();
    let processing = Processing {
        intent: Intent {
            issuer: [1; 32],
            tbs: Vec::new(),
        },
        serial: assay_engine::SerialNumber::from_random([1; 16]),
        spki_sha256: [1; 32],
        root_sha256: [1; 32],
        lease_until: Timestamp(NOW),
    };
    let valid = ready.begin(processing, Timestamp(NOW)).unwrap();
    let change = Change::UpdateOrder(valid.complete().unwrap(), stored.version);
    let changes = ChangeSet::new(Timestamp(NOW), vec![change]);
    world.store.commit("test", changes).await.unwrap();
    let valid = client.read(&order_url).await.json().unwrap();
    assert_eq!(valid["status"], "valid");
    for kept in ["identifiers", "authorizations", "expires"] {
        assert_eq!(valid[kept], pending[kept], "{kept}");
    }
}

/// Encodes otherName { id-on 1.3.6.1.5.5.7.8.`arc`, `value` } as a
/// GeneralNames.
fn names(arc: u8, value: &[u8]) -> Vec<u8> {
    let id = der::element(6, &[0x2b, 6, 1, 5, 5, 7, 8, arc]);
    let other_name = [id, der::element(0xa0, value)].concat();
    der::sequence(&[der::element(0xa0, &other_name)])
}

/// Finalizes with a CSR for `key` that asks for `names`.
async fn finalize(client: &Client, order: &Value, key: &KeyPair, names: Vec<u8>) -> Response {
    let mut request = CertificateParams::default();
    let names = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
    request.custom_extensions = vec![names];
    let csr = request.serialize_request(key).unwrap();
    let payload = json!({"csr": Base64Url::encode(csr.der())});
    client
        .post(order["finalize"].as_str().unwrap(), &payload)
        .await
}

#[tokio::test]
async fn a_csr_with_a_permanent_identifier_that_has_no_value_is_refused() {
    let world = World::new();
    let client = world.client().await;
    let (order_url, order) = client.order("C02A").await;
    let key = KeyPair::generate().unwrap();
    fulfil(&world, &order_url, &key.subject_public_key_info()).await;
    let answer = finalize(
        &client,
        &order,
        &key,
        names(3, &der::sequence::<Vec<u8>>(&[])),
    )
    .await;
    assert_refused(&answer, 400, "badCSR");
    let detail = answer.problem().detail;
    assert!(detail.contains("names a permanent identifier"), "{detail}");
}

#[tokio::test]
async fn a_csr_with_another_hardware_module_than_the_ordered_is_refused() {
    const SERIAL_TYPE: &str = "1.2.840.113635.100.8.9.1";
    const UDID_TYPE: &str = "1.2.840.113635.100.8.9.2";
    let world = World::new();
    let client = world.client().await;
    let value = format!("C02A/{SERIAL_TYPE}");
    let answer = client.new_order(&[("hardware-module", &value)]).await;
    let order = answer.json().unwrap();
    let key = KeyPair::generate().unwrap();
    fulfil(
        &world,
        answer.location().unwrap(),
        &key.subject_public_key_info(),
    )
    .await;
    let module = |hw_type, serial: &str| {
        let serial = der::element(4, serial.as_bytes());
        names(4, &der::sequence(&[der::oid(hw_type), serial]))
    };
    for (hw_type, serial) in [
        (SERIAL_TYPE, "C02B"),
        (SERIAL_TYPE, "c02a"),
        (SERIAL_TYPE, ""),
        (UDID_TYPE, "C02A"),
    ] {
        let answer = finalize(&client, &order, &key, module(hw_type, serial)).await;
        assert_refused(&answer, 400, "badCSR");
        let detail = answer.problem().detail;
        assert!(detail.contains("names a hardware module"), "{detail}");
    }
    // The ordered one passes this check, but the device has no evidence.
    let answer = finalize(&client, &order, &key, module(SERIAL_TYPE, "C02A")).await;
    assert_refused(&answer, 403, "unauthorized");
    let detail = answer.problem().detail;
    assert!(detail.contains("root"), "{detail}");
}
