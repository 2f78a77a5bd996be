//! What an operator finds about a refused request that ended no order.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::atomic::Ordering;

use assay_engine::{
    Error, Limits, RequestInfo,
    domain::Order,
    ports::{OpenOrders, Store},
};
use assay_proto::{NewOrder, OrderStatus, WireIdentifier};
use support::{
    Harness, SERIAL, START, Settings, csr, device, faulty_store::CommitFault, new_order,
};

async fn notes(harness: &Harness, order: &Order) -> Vec<(u64, String)> {
    let notes = harness.store.notes(order.id).await.unwrap();
    let notes = notes.into_iter().map(|note| (note.at.0, note.reason));
    notes.collect()
}

fn refusals(harness: &Harness, device: &str) -> Vec<(String, Option<String>)> {
    let refusals = harness.engine.recent_refusals(Some(device)).into_iter();
    let of = |client: Option<std::net::IpAddr>| client.map(|client| client.to_string());
    refusals.map(|one| (one.reason, of(one.client))).collect()
}

#[tokio::test]
async fn a_refused_csr_is_noted_at_its_order_which_stays_ready() {
    let harness = Harness::new();
    let (order, right) = harness.ready(&harness.account().await).await;
    let another = device(SERIAL);
    let error = harness.finalize(&order, &another).await.unwrap_err();
    assert!(matches!(error, Error::Csr(_)), "{error:?}");
    let found = harness.store.notes(order.id).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].at, &*found[0].reason),
        (START, "csr-key-not-attested")
    );
    assert_eq!(found[0].detail, error.to_string());

    // Other reasons get their own notes: of the CSR, and of the operator's
    // policy.
    let junk = b"junk".as_slice();
    let context = harness.by(order.account).await;
    let refused = harness.engine.finalize(&context, order.id, junk);
    assert!(refused.await.is_err());
    harness.inventory.serials.lock().unwrap().clear();
    assert!(harness.finalize(&order, &right).await.is_err());
    let found = notes(&harness, &order).await;
    let reasons: Vec<&str> = found.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "csr-key-not-attested",
            "csr-unreadable",
            "no-longer-admitted"
        ]
    );
    // A note does not end the order.
    assert_eq!(harness.read(&order).await.status(START), OrderStatus::Ready);
    harness
        .inventory
        .serials
        .lock()
        .unwrap()
        .insert(SERIAL.to_owned());
    harness.finalize(&order, &right).await.unwrap();
    assert_eq!(notes(&harness, &order).await.len(), 3);
}

#[tokio::test]
async fn the_same_refusal_within_a_minute_writes_nothing_more() {
    let harness = Harness::new();
    let (order, _) = harness.ready(&harness.account().await).await;
    let wrong = csr(&device(SERIAL));
    let refuse = async || {
        let context = harness.by(order.account).await;
        let refused = (harness.engine).finalize(&context, order.id, &wrong);
        assert!(refused.await.is_err());
    };
    let before = harness.store.commits();
    // Concurrent refusals cause one write, too.
    let all_at_once = (0..20).map(|_| refuse());
    futures_join(all_at_once).await;
    for _ in 0..5 {
        refuse().await;
    }
    assert_eq!(harness.store.commits(), before + 1);
    harness.clock.advance(59);
    refuse().await;
    assert_eq!(harness.store.commits(), before + 1);
    harness.clock.advance(1);
    refuse().await;
    assert_eq!(harness.store.commits(), before + 2);
    let expected = (START.0 + 60, "csr-key-not-attested".to_owned());
    assert_eq!(notes(&harness, &order).await, [expected]);
}

/// Polls all of them in turn until each has ended.
async fn futures_join(all: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| one.as_mut().poll(context).is_pending());
        match all.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

#[tokio::test]
async fn a_good_finalize_pays_nothing_for_notes() {
    let harness = Harness::new();
    let (order, device) = harness.ready(&harness.account().await).await;
    let before = harness.store.commits();
    harness.finalize(&order, &device).await.unwrap();
    assert_eq!(harness.store.commits(), before + 2, "begin and complete");
    assert_eq!(harness.store.notes_read(), 0);
}

#[tokio::test]
async fn a_note_that_cannot_be_kept_changes_no_answer() {
    let harness = Harness::new();
    let (order, right) = harness.ready(&harness.account().await).await;
    harness.store.fail_next("note", CommitFault::Lost);
    let error = harness.finalize(&order, &device(SERIAL)).await.unwrap_err();
    assert!(matches!(error, Error::Csr(_)), "{error:?}");
    assert_eq!(notes(&harness, &order).await, []);
    harness.finalize(&order, &right).await.unwrap();
}

#[tokio::test]
async fn an_order_that_is_not_made_is_remembered_by_its_device() {
    let harness = Harness::new();
    let account = harness.account().await;
    let from = RequestInfo::from("192.0.2.7".parse().unwrap());
    let mut request = new_order(&["C02ZZZ"]);
    request.identifiers.push(WireIdentifier {
        kind: "dns".to_owned(),
        value: "example.org".to_owned(),
    });
    let order = async |request: &NewOrder| {
        let context = harness.authenticated_from(&account, from).await;
        let refused = harness.engine.new_order(&context, request);
        refused.await.unwrap_err()
    };
    order(&request).await;
    order(&new_order(&["C02ZZZ"])).await;
    let client = Some("192.0.2.7".to_owned());
    let not_admitted = ("not-admitted".to_owned(), client.clone());
    assert_eq!(refusals(&harness, "C02ZZZ"), [not_admitted]);
    let unsupported = ("identifier-type-unsupported".to_owned(), client.clone());
    assert_eq!(refusals(&harness, "example.org"), [unsupported]);
    let found = &harness.engine.recent_refusals(Some("C02ZZZ"))[0];
    assert_eq!((found.at, found.account), (START, account.id));
    assert_eq!(found.identifier.value, "C02ZZZ");

    // A fault of the server is listed under its device, too.
    harness.inventory.down.store(true, Ordering::SeqCst);
    order(&new_order(&[SERIAL])).await;
    let unavailable = ("list-unavailable".to_owned(), client);
    assert_eq!(refusals(&harness, SERIAL), [unavailable]);
    assert_eq!(harness.engine.recent_refusals(None).len(), 3);
}

#[tokio::test]
async fn a_used_up_limit_is_remembered_by_its_device() {
    let harness = Harness::with(Settings {
        limits: Limits {
            open_orders: OpenOrders {
                of_account: 1,
                of_identifier: 1,
                pending: 1,
            },
            ..Limits::default()
        },
        ..Settings::default()
    });
    // A ready order takes the account's only place.
    let account = harness.account().await;
    harness.ready(&account).await;
    let error = harness.order(&account, &["C02BBB"]).await.unwrap_err();
    assert_eq!(error, Error::TooManyOpenOrders);
    let expected = ("too-many-open-orders".to_owned(), None);
    assert_eq!(refusals(&harness, "C02BBB"), [expected]);

    // The device's limit, reached by orders from the same network.
    let mut crowded = 0;
    for _ in 0..4 {
        let other = harness.account().await;
        let made = harness.order_from("192.0.2.7", &other, &["C02CCC"]).await;
        crowded += usize::from(matches!(made, Err(Error::Crowded { .. })));
    }
    assert!(crowded > 0);
    let expected = (
        "identifier-crowded".to_owned(),
        Some("192.0.2.7".to_owned()),
    );
    assert_eq!(refusals(&harness, "C02CCC").last(), Some(&expected));

    // The rate limit of the address, which the server counts.
    let from = RequestInfo::from("192.0.2.8".parse().unwrap());
    let context = harness.authenticated_from(&account, from).await;
    let named = new_order(&["C02DDD"]).identifiers;
    let why = "too many newOrder requests".to_owned();
    (harness.engine).order_rate_limited(&context, &named, why);
    let expected = ("rate-limited".to_owned(), Some("192.0.2.8".to_owned()));
    assert_eq!(refusals(&harness, "C02DDD"), [expected]);
}

#[tokio::test]
async fn a_removed_order_takes_its_notes_along() {
    let harness = Harness::new();
    let account = harness.account().await;
    let order = harness.order(&account, &[SERIAL]).await.unwrap();
    let note = assay_engine::domain::Note {
        at: START,
        reason: "csr-unreadable".to_owned(),
        detail: String::new(),
    };
    let changes = vec![assay_engine::ports::Change::AddNote(order.id, note)];
    let set = assay_engine::ports::ChangeSet::new(START, changes);
    harness.store.commit("test", set).await.unwrap();
    assert_eq!(notes(&harness, &order).await.len(), 1);
    // Enough later orders that the first one is deleted.
    for _ in 0..60 {
        harness.order(&account, &[SERIAL]).await.unwrap();
        harness.clock.advance(9 * 3600);
    }
    assert_eq!(harness.store.order(order.id).await, Ok(None));
    assert_eq!(notes(&harness, &order).await, []);
}
