//! What authentication says of a request, and what a request is charged with.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::atomic::Ordering;

use assay_engine::{
    Error, KeyContext, Payload, RequestId, RequestInfo, Unauthenticated,
    nonce::{FAILURES, NonceError},
    ports::StoreError,
};
use assay_proto::NewAccount;
use assay_simulator::{AccountKey, Algorithm, Jws};
use serde_json::{Value, json};
use support::{Harness, directory_name, public};

/// A key's holder, who signs requests for one URL.
struct Client {
    harness: Harness,
    key: AccountKey,
    url: String,
}

impl Client {
    fn new() -> Self {
        let harness = Harness::new();
        let url = harness.engine.urls().directory();
        let key = AccountKey::generate(Algorithm::Es256).unwrap();
        Self { harness, key, url }
    }

    /// Signs `payload`, without one a POST-as-GET, by `kid` or by the key.
    fn sign(&self, payload: Option<&Value>, kid: Option<&str>, nonce: &str) -> String {
        let jws = match payload {
            Some(payload) => Jws::new(&self.url, payload),
            None => Jws::post_as_get(&self.url),
        };
        let signed = jws.sign(&self.key, kid, Some(nonce));
        signed.unwrap().to_string()
    }

    async fn read(&self, payload: Option<&Value>) -> (KeyContext, Payload) {
        let body = self.sign(payload, None, &self.harness.engine.nonce());
        let engine = &self.harness.engine;
        let read = engine.authenticate_key(body.as_bytes(), &self.url, RequestInfo::default());
        read.await.unwrap()
    }

    /// What becomes of a POST-as-GET of the account with this nonce.
    async fn attempt(&self, kid: &str, nonce: &str, url: &str) -> Result<(), Error> {
        let body = self.sign(None, Some(kid), nonce);
        let engine = &self.harness.engine;
        let attempt = engine.authenticate_account(body.as_bytes(), url, RequestInfo::default());
        attempt.await.map(drop).map_err(Error::from)
    }
}

#[test]
fn a_request_is_what_was_said_of_it() {
    let address = "192.0.2.7".parse().unwrap();
    let directory = directory_name("other");
    let request = RequestInfo::from(address)
        .in_directory(directory)
        .named(Some(RequestId(0x1f)));
    assert_eq!(request.client, Some(address));
    assert_eq!(request.directory, directory);
    assert_eq!(request.id, Some(RequestId(0x1f)));
    assert_eq!(RequestId(0x1f).to_string(), "000000000000001f");
    // Behind the server's own work there is none of it.
    assert_eq!(RequestInfo::from(address).id, None);
    assert_eq!(RequestInfo::default().client, None);
}

/// RFC 8555 section 6.3: a POST-as-GET has "a payload of a zero-length octet
/// string"; `{}` is something else.
#[tokio::test]
async fn only_an_empty_payload_reads() {
    let client = Client::new();
    let (_, payload) = client.read(None).await;
    assert!(payload.is_empty());
    assert_eq!(payload.expect_empty(), Ok(()));
    let (_, payload) = client.read(Some(&json!({}))).await;
    assert!(!payload.is_empty());
    assert_eq!(payload.bytes(), b"{}");
    let refused = payload.expect_empty().unwrap_err();
    assert!(matches!(refused, Error::Payload(_)), "{refused:?}");
}

/// The commits of a request record its nonce: no node takes it again.
#[tokio::test]
async fn a_commit_redeems_the_nonce_of_its_request() {
    let client = Client::new();
    let engine = &client.harness.engine;
    let (context, _) = client.read(Some(&json!({}))).await;
    assert_eq!(client.harness.store.redeemed(), []);
    let asked = NewAccount::default();
    engine.new_account(&context, &asked).await.unwrap();
    assert_eq!(client.harness.store.redeemed().len(), 1);
}

/// Addresses pay for the failures of their requests; neither for faults of this
/// server nor for what they proved to be theirs.
#[test]
fn a_fault_of_the_server_is_no_failure_of_a_request() {
    let fault = Error::Store(StoreError("no route".to_owned()));
    for (error, expected) in [
        (Error::Url, true),
        (Error::AccountDoesNotExist("kid"), true),
        (Error::Nonce(NonceError::Used), true),
        (Error::AccountDeactivated, false),
        (fault, false),
    ] {
        let refused = Unauthenticated {
            error,
            genuine_nonce: true,
        };
        assert_eq!(refused.is_failure(), expected, "{refused:?}");
    }
}

#[tokio::test]
async fn failures_spend_a_nonce_and_faults_do_not() {
    let client = Client::new();
    let harness = &client.harness;
    let account = harness.account_of(public(&client.key)).await;
    let kid = harness.engine.urls().account(account.id);
    let nonce = harness.engine.nonce();

    harness
        .store
        .accounts_unreadable
        .store(true, Ordering::Relaxed);
    for _ in 0..2 * FAILURES {
        let failed = client.attempt(&kid, &nonce, &client.url).await;
        assert!(failed.unwrap_err().is_fault());
    }
    harness
        .store
        .accounts_unreadable
        .store(false, Ordering::Relaxed);
    for _ in 1..FAILURES {
        let failed = client
            .attempt(&kid, &nonce, "https://elsewhere.example/")
            .await;
        assert_eq!(failed, Err(Error::Url));
    }
    assert_eq!(client.attempt(&kid, &nonce, &client.url).await, Ok(()));

    let nonce = harness.engine.nonce();
    for _ in 0..FAILURES {
        let unknown = format!("{kid}x");
        let failed = client.attempt(&unknown, &nonce, &client.url).await;
        assert_eq!(failed, Err(Error::AccountDoesNotExist("kid")));
    }
    let spent = client.attempt(&kid, &nonce, &client.url).await;
    assert_eq!(spent, Err(Error::Nonce(NonceError::Used)));
}
