//! Nonces across a restart (RFC 8555 section 6.5), through every route.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::sync::Arc;

use assay_attest::TrustAnchor;
use assay_engine::ports::Store;
use assay_proto::Base64Url;
use assay_server::RateLimits;
use assay_simulator::{
    AccountKey, Algorithm, CsrRequest, Device, JOSE_JSON, Jws, KeyType, Response,
    authority::AttestationAuthority, evidence::DeviceProperties,
};
use assay_store::MemoryStore;
use common::{Client, NOW, World, assert_refused, url};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

/// A request as it was sent.
struct Sent {
    path: String,
    body: String,
    /// Whether it caused a commit.
    writes: bool,
}

/// A client that keeps its requests to replay them.
struct Recorded {
    client: Client,
    sent: Vec<Sent>,
}

impl Recorded {
    /// Creates a client with an account. Returns the account's URL, too.
    async fn new(world: &World) -> (Self, String) {
        let client = world.unregistered();
        let mut client = Self {
            client,
            sent: Vec::new(),
        };
        let jws = Jws::new(&url("/acme/new-account"), &json!({})).with_jwk();
        let made = client.send(&jws, true).await;
        let account = made.location().unwrap().to_owned();
        client.client.account = Some(account.clone());
        (client, account)
    }

    async fn send(&mut self, jws: &Jws, writes: bool) -> Response {
        let path = jws.url().strip_prefix(common::BASE).unwrap().to_owned();
        let nonce = self.client.nonce().await;
        let account = self.client.account.as_deref();
        let body = jws.sign(&self.client.key, account, Some(&nonce)).unwrap();
        let body = body.to_string();
        let answer = self.client.post_raw(&path, body.clone(), JOSE_JSON).await;
        self.sent.push(Sent { path, body, writes });
        answer
    }

    async fn write(&mut self, url: &str, payload: &Value) -> Response {
        let answer = self.send(&Jws::new(url, payload), true).await;
        assert!(answer.status < 300, "{url}: {}", answer.text());
        answer
    }

    async fn read(&mut self, url: &str) -> Response {
        let answer = self.send(&Jws::post_as_get(url), false).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
        answer
    }
}

struct Restartable {
    authority: AttestationAuthority,
    store: Arc<MemoryStore>,
}

impl Restartable {
    fn new() -> Self {
        Self {
            authority: AttestationAuthority::create(NOW).unwrap(),
            store: Arc::new(MemoryStore::with_nonce_key([9; 32])),
        }
    }

    /// Starts the next process.
    fn start(&self) -> World {
        let anchor = TrustAnchor::laboratory(self.authority.root_der(), "laboratory").unwrap();
        World::on(
            Arc::clone(&self.store),
            vec![anchor],
            None,
            RateLimits::off(),
        )
    }

    fn evidence(&self, device: &Device, token: &Value) -> Value {
        let freshness = assay_engine::sha256(token.as_str().unwrap().as_bytes());
        let evidence = self
            .authority
            .attest(&device.properties, &device.spki_der(), &freshness, NOW)
            .unwrap();
        json!({"attObj": Base64Url::encode(&evidence.attestation_object())})
    }

    /// Sends every kind of request that can be replayed; all succeed.
    async fn requests(&self, world: &World) -> Vec<Sent> {
        let (mut client, account) = Recorded::new(world).await;
        let contact = json!({"contact": ["mailto:a@example.org"]});
        client.write(&account, &contact).await;
        client.read(&account).await;
        client.read(&format!("{account}/orders")).await;

        let identifiers = json!([{"type": "permanent-identifier", "value": "C02A"}]);
        let order = json!({"identifiers": identifiers});
        let given_up = client.write(&url("/acme/new-order"), &order).await;
        let given_up = given_up.json().unwrap()["authorizations"][0].clone();
        let deactivated = json!({"status": "deactivated"});
        client.write(given_up.as_str().unwrap(), &deactivated).await;

        let placed = client.write(&url("/acme/new-order"), &order).await;
        let order_url = placed.location().unwrap().to_owned();
        let placed = placed.json().unwrap();
        let authorization = placed["authorizations"][0].as_str().unwrap();
        let authorization = client.read(authorization).await.json().unwrap();
        let challenge = &authorization["challenges"][0];
        let device = Device::new(DeviceProperties::mac("C02A", "UDID"), KeyType::P256).unwrap();
        let evidence = self.evidence(&device, &challenge["token"]);
        let challenge_url = challenge["url"].as_str().unwrap();
        client.write(challenge_url, &evidence).await;
        let csr = device.csr(&CsrRequest::default()).unwrap();
        let csr = json!({"csr": Base64Url::encode(&csr)});
        let finalize = placed["finalize"].as_str().unwrap();
        client.write(finalize, &csr).await;
        let order = client.read(&order_url).await.json().unwrap();
        let chain = client.read(order["certificate"].as_str().unwrap()).await;
        let der = CertificateDer::from_pem_slice(chain.text().as_bytes()).unwrap();
        let revocation = json!({"certificate": Base64Url::encode(&der)});
        client.write(&url("/acme/revoke-cert"), &revocation).await;

        client.sent
    }
}

async fn replay(world: &World, sent: &Sent) -> Response {
    let client = world.unregistered();
    client
        .post_raw(&sent.path, sent.body.clone(), JOSE_JSON)
        .await
}

#[tokio::test]
async fn after_a_graceful_restart_no_request_can_be_replayed() {
    let server = Restartable::new();
    let first = server.start();
    let sent = server.requests(&first).await;
    first.engine.close().await.unwrap();
    let second = server.start();
    for sent in &sent {
        assert_refused(&replay(&second, sent).await, 400, "badNonce");
    }
}

/// After a crash only requests that changed nothing can be replayed.
#[tokio::test]
async fn after_a_crash_no_request_that_wrote_can_be_replayed() {
    let server = Restartable::new();
    let sent = server.requests(&server.start()).await;
    let second = server.start();
    let [mut refused, mut answered] = [0; 2];
    for sent in &sent {
        let answer = replay(&second, sent).await;
        if sent.writes {
            assert_refused(&answer, 400, "badNonce");
            refused += 1;
        } else {
            assert!(!answer.problem().is("badNonce"), "{}", sent.path);
            answered += 1;
        }
    }
    assert_eq!((refused, answered), (8, 5));
}

/// Apple's client does not retry, so the nonce that it holds must be good in
/// the next process.
#[tokio::test]
async fn a_nonce_of_the_process_before_is_accepted() {
    let server = Restartable::new();
    let mut client = server.start().client().await;
    let nonce = client.nonce().await;
    client.service = server.start().service;
    let url = client.account.clone().unwrap();
    let body = Jws::post_as_get(&url).sign(&client.key, Some(&url), Some(&nonce));
    let body = body.unwrap().to_string();
    let path = url.strip_prefix(common::BASE).unwrap();
    let answer = client.post_raw(path, body.clone(), JOSE_JSON).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let again = client.post_raw(path, body, JOSE_JSON).await;
    assert_refused(&again, 400, "badNonce");
}

#[tokio::test]
async fn a_stop_records_each_redemption_once() {
    let server = Restartable::new();
    let first = server.start();
    let sent = server.requests(&first).await;
    first.engine.close().await.unwrap();
    first.engine.close().await.unwrap();
    let mut redemptions = server.store.redemptions().await.unwrap();
    assert_eq!(redemptions.len(), sent.len());
    redemptions.sort();
    redemptions.dedup();
    assert_eq!(redemptions.len(), sent.len());
}

/// These two cannot be replayed in any case: their key is no longer the
/// account's, or the account is deactivated.
#[tokio::test]
async fn a_key_change_and_a_deactivation_carry_their_nonces() {
    let server = Restartable::new();
    let (mut client, account) = Recorded::new(&server.start()).await;
    let new = AccountKey::generate(Algorithm::Es256).unwrap();
    let inner = json!({"account": account, "oldKey": client.client.key.jwk()});
    let key_change = url("/acme/key-change");
    let inner = Jws::new(&key_change, &inner).sign(&new, None, None);
    client.write(&key_change, &inner.unwrap()).await;
    assert_eq!(server.store.redemptions().await.unwrap().len(), 2);
    client.client.key = new;
    let deactivated = json!({"status": "deactivated"});
    client.write(&account, &deactivated).await;
    assert_eq!(server.store.redemptions().await.unwrap().len(), 3);
}
