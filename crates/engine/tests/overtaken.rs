//! Decisions that conflict with another commit.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use assay_ca::SerialNumber;
use assay_engine::{
    AccountContext, Error, Payload, RequestInfo,
    domain::{Account, Failure, Gate, Intent, Processing},
    operator::{Running, Sources, answer},
    ports::{Change, ChangeSet, Store, Versioned},
};
use assay_jws::PublicKey;
use assay_proto::{
    AccountUpdate, Contact, OrderStatus, Problem, ProblemType,
    admin::{self as operator, CommitCount},
};
use assay_simulator::{AccountKey, Algorithm, Jws};
use serde_json::json;
use support::{Harness, START, account_key, public};

fn changes(change: Change) -> ChangeSet {
    ChangeSet::new(START, vec![change])
}

/// An account that requests a key change, and the request.
struct Asking {
    harness: Harness,
    context: AccountContext,
    payload: Payload,
    url: String,
    new: PublicKey,
}

impl Asking {
    async fn new() -> Self {
        let harness = Harness::new();
        let [old, new] = [0; 2].map(|_| AccountKey::generate(Algorithm::Es256).unwrap());
        let account = harness.account_of(public(&old)).await;
        let url = format!("{}/acme/key-change", "https://localhost:8443");
        let kid = harness.engine.urls().account(account.id);
        let inner = json!({"account": kid, "oldKey": old.jwk()});
        let inner = Jws::new(&url, &inner).sign(&new, None, None).unwrap();
        let nonce = harness.engine.nonce();
        let outer = Jws::new(&url, &inner).sign(&old, Some(&kid), Some(&nonce));
        let body = outer.unwrap().to_string();
        let (context, payload) = harness
            .engine
            .authenticate_account(body.as_bytes(), &url, RequestInfo::default())
            .await
            .unwrap();
        Self {
            harness,
            context,
            payload,
            url,
            new: public(&new),
        }
    }

    async fn overtaken_by(
        &self,
        change: impl FnOnce(Account) -> Account,
    ) -> Result<Account, Error> {
        let Versioned { value, version } = self.context.by.clone();
        let change = Change::UpdateAccount(change(value), version);
        self.harness
            .store
            .overtake_next("key-change", changes(change));
        let engine = &self.harness.engine;
        engine
            .change_key(&self.context, &self.payload, &self.url)
            .await
    }
}

#[tokio::test]
async fn a_key_change_is_made_over_another_change_of_the_account() {
    let asking = Asking::new().await;
    let contact = Contact::parse("mailto:a@example.org").unwrap();
    let changed = asking
        .overtaken_by(|account| Account {
            contacts: vec![contact.clone()],
            ..account
        })
        .await
        .unwrap();
    assert_eq!((changed.key, changed.contacts), (asking.new, vec![contact]));
}

#[tokio::test]
async fn scenario_98_of_two_key_changes_the_first_one_stays() {
    let asking = Asking::new().await;
    let first = account_key();
    let error = asking
        .overtaken_by(|account| account.with_key(first.clone()))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::KeyChange(text) if text.contains("oldKey")),
        "{error:?}"
    );
    let stored = asking.harness.authenticated(&asking.context.by.value).await;
    assert_eq!(stored.by.value.key, first);
}

#[tokio::test]
async fn an_order_that_is_finalized_meanwhile_stays_valid_when_its_account_goes() {
    let harness = Harness::new();
    let account = harness.account().await;
    let (order, _) = harness.ready(&account).await;
    let found = harness.store.order(order.id).await.unwrap().unwrap();
    let processing = Processing {
        intent: Intent {
            issuer: [1; 32],
            tbs: Vec::new(),
        },
        serial: SerialNumber::from_random([7; 16]),
        spki_sha256: [1; 32],
        root_sha256: [1; 32],
        lease_until: START,
    };
    let begun = found.value.begin(processing, START).unwrap();
    let finalized = begun.complete().unwrap();
    let change = Change::UpdateOrder(finalized.clone(), found.version);
    harness
        .store
        .overtake_next("update-account", changes(change));
    let update = AccountUpdate {
        status: Some("deactivated".to_owned()),
        ..AccountUpdate::default()
    };
    let authenticated = harness.authenticated(&account).await;
    let engine = &harness.engine;
    engine
        .update_account(&authenticated, &update)
        .await
        .unwrap();
    assert_eq!(harness.read(&order).await, finalized);
}

#[tokio::test]
async fn a_finalize_that_recovery_overtook_returns_the_stored_order() {
    let harness = Harness::new();
    let (order, device) = harness.ready(&harness.account().await).await;
    // The second commit waits; the order, as it will be then, ends.
    let ready = harness.store.order(order.id).await.unwrap().unwrap();
    let failure = Failure {
        problem: Problem::new(ProblemType::ServerInternal, "overtaken"),
        gate: Gate::Issuance,
        reason: "signing-failed".to_owned(),
        detail: "overtaken".to_owned(),
        object_sha256: None,
        at: START,
    };
    let version = assay_engine::ports::Version(ready.version.0 + 1);
    let change = Change::UpdateOrder(ready.value.fail(failure).unwrap(), version);
    harness
        .store
        .overtake_next("finalize-complete", changes(change));
    let returned = harness.finalize(&order, &device).await.unwrap();
    assert_eq!(returned.status(START), OrderStatus::Invalid);
    assert_eq!(harness.read(&order).await, returned);
}

/// A decision that is overtaken again and again is given up, and counted.
#[tokio::test]
async fn a_decision_is_tried_eight_times() {
    let harness = Harness::new();
    let account = harness.account().await;
    harness.store.overtake_all("update-account");
    let update = AccountUpdate {
        contact: Some(vec!["mailto:a@example.org".to_owned()]),
        ..AccountUpdate::default()
    };
    let before = harness.store.commits();
    let context = harness.authenticated(&account).await;
    let given_up = harness.engine.update_account(&context, &update).await;
    assert_eq!(given_up.unwrap_err(), Error::Contention);
    assert_eq!(harness.store.commits() - before, 8);

    let sources = Sources {
        store: &*harness.store,
        running: Some(Running {
            engine: &harness.engine,
            uptime_seconds: 0,
            version: "1.2.3",
        }),
    };
    let answered = answer(sources, &operator::Request::Status, harness.engine.now());
    let operator::Response::Status(status) = answered.await.unwrap() else {
        panic!("another answer");
    };
    let count = |attempts, conflicts| CommitCount {
        attempts,
        conflicts,
    };
    let counted = [
        ("new-account", count(1, 0)),
        ("update-account", count(8, 8)),
    ];
    assert_eq!(
        status.commits,
        counted.map(|(name, count)| (name.to_owned(), count)).into()
    );
}
