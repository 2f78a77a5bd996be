//! Blocking signers: the key is in a module or on another machine.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use assay_engine::{
    Engine, Error,
    domain::{Order, OrderState},
    health::Part,
    ports::Store,
};
use assay_proto::{NewAccount, OrderStatus};
use support::{Harness, START, Settings, any_key, csr, keyed, module::Module};
use tokio::task::JoinHandle;

/// An engine whose CA keys are in a module, and the same CAs.
fn with_module(module: Module) -> (Arc<Module>, Harness) {
    let module = Arc::new(module);
    let settings = Settings {
        module: Some(Arc::clone(&module)),
        ..Settings::default()
    };
    (module, Harness::with(settings))
}

/// Another node, with its keys in files.
fn another_node(harness: &mut Harness) -> Engine {
    let module = harness.settings.module.take();
    let other = harness.restart(&[&harness.authority], &harness.cas);
    harness.settings.module = module;
    other
}

/// An order whose finalize is in progress.
async fn finalizing(harness: &Harness) -> (Order, JoinHandle<Result<Order, Error>>) {
    let (order, device) = harness.ready(&harness.account().await).await;
    let (engine, csr) = (Arc::clone(&harness.engine), csr(&device));
    let (context, id) = (harness.by(order.account).await, order.id);
    let finalize = async move { engine.finalize(&context, id, &csr).await };
    (order, tokio::spawn(finalize))
}

async fn stored(harness: &Harness, order: &Order) -> Order {
    harness.store.order(order.id).await.unwrap().unwrap().value
}

/// On one thread, as `#[tokio::test]` runs it.
#[tokio::test]
async fn a_signer_that_blocks_for_two_seconds_delays_no_other_request() {
    let delay = Duration::from_secs(2);
    let (module, harness) = with_module(Module::slow(delay));
    let began = Instant::now();
    let (_, finalize) = finalizing(&harness).await;
    module.begins(1).await;
    let requests = Instant::now();
    for _ in 0..100 {
        let (context, request) = (keyed(any_key()), NewAccount::default());
        let made = harness.engine.new_account(&context, &request);
        made.await.unwrap();
        let _ = harness.engine.nonce();
    }
    assert!(requests.elapsed() < delay / 2, "{:?}", requests.elapsed());
    assert!(!finalize.is_finished());
    let valid = finalize.await.unwrap().unwrap();
    assert_eq!(valid.status(START), OrderStatus::Valid);
    assert!(began.elapsed() >= delay);
    assert_eq!(module.begun(), 1);
}

#[tokio::test]
async fn the_tls_ca_may_block_too() {
    let (module, harness) = with_module(Module::default());
    let spki = support::device(support::SERIAL).spki_der();
    let issued = harness.engine.issue_server_certificate(&spki, "localhost");
    assert_eq!(issued.await.unwrap().chain.len(), 2);
    assert_eq!(module.begun(), 1);

    harness
        .settings
        .threads
        .impatient
        .store(true, Ordering::SeqCst);
    let issued = harness.engine.issue_server_certificate(&spki, "localhost");
    let error = issued.await.unwrap_err().to_string();
    assert!(error.contains("did not sign within 30 seconds"), "{error}");
}

/// The signature arrives after the lease: what another node did with the order
/// counts.
#[tokio::test]
async fn a_signature_that_comes_after_another_node_took_over_is_no_second_certificate() {
    let (module, mut harness) = with_module(Module::default());
    let other = another_node(&mut harness);
    module.close();
    let (order, finalize) = finalizing(&harness).await;
    module.begins(1).await;
    harness.clock.advance(Order::LEASE);
    assert_eq!(other.recover().await.unwrap(), None);
    let recovered = stored(&harness, &order).await;
    let OrderState::Valid { certificate } = recovered.state() else {
        panic!("{:?}", recovered.state());
    };
    let recorded = harness.store.certificate(certificate.clone());
    let recorded = recorded.await.unwrap().unwrap();

    module.open();
    assert_eq!(finalize.await.unwrap().unwrap(), recovered);
    assert_eq!(harness.store.committed("finalize-complete"), 1);
    let again = harness.store.certificate(certificate.clone());
    assert_eq!(again.await.unwrap().unwrap(), recorded);
    assert_eq!(harness.store.certificates().len(), 1);
}

/// The same, while the other node is signing: the client gets the certificate,
/// and one is recorded.
#[tokio::test]
async fn of_two_signatures_at_once_the_one_that_has_the_lease_is_recorded() {
    let (module, mut harness) = with_module(Module::default());
    let other = harness.restart(&[&harness.authority], &harness.cas);
    let third = another_node(&mut harness);
    module.close();
    let (order, finalize) = finalizing(&harness).await;
    module.begins(1).await;
    harness.clock.advance(Order::LEASE);
    let recover = tokio::spawn(async move { other.recover().await });
    module.begins(2).await;
    let context = harness.by(order.account).await;
    // Reads past the first lease start no signature: the second one is in
    // progress.
    for _ in 0..5 {
        let read = third.order(&context, order.id).await.unwrap();
        assert_eq!(read.value.status(START), OrderStatus::Processing);
    }
    module.open();
    finalize.await.unwrap().unwrap();
    assert_eq!(recover.await.unwrap().unwrap(), None);
    assert_eq!(module.begun(), 2);
    let recovered = stored(&harness, &order).await;
    assert_eq!(recovered.status(START), OrderStatus::Valid);
    assert_eq!(harness.store.certificates().len(), 1);
}

#[tokio::test]
async fn an_order_whose_signature_takes_too_long_is_recovered() {
    let (module, harness) = with_module(Module::default());
    let impatient = &harness.settings.threads.impatient;
    impatient.store(true, Ordering::SeqCst);
    module.close();
    let (order, finalize) = finalizing(&harness).await;
    let postponed = finalize.await.unwrap().unwrap();
    assert_eq!(postponed.status(START), OrderStatus::Processing);
    assert_eq!(stored(&harness, &order).await, postponed);
    let readiness = harness.engine.readiness();
    let reason = &readiness.reasons[Part::Signer.as_str()];
    assert!(reason.contains("within 30 seconds"), "{reason}");

    // It is too late for that signature when the module continues.
    module.open();
    impatient.store(false, Ordering::SeqCst);
    assert_eq!(
        harness.engine.recover().await.unwrap(),
        Some(START.plus(Order::LEASE))
    );
    harness.clock.advance(Order::LEASE);
    assert_eq!(harness.engine.recover().await.unwrap(), None);
    let OrderState::Processing(processing) = postponed.state() else {
        panic!("{:?}", postponed.state());
    };
    let certificate = processing.serial.clone();
    let valid = OrderState::Valid { certificate };
    assert_eq!(stored(&harness, &order).await.state(), &valid);
    assert_eq!(harness.store.certificates().len(), 1);
    assert!(harness.engine.readiness().ready);
}

#[tokio::test]
async fn a_module_that_panics_fails_the_order() {
    let (module, harness) = with_module(Module::default());
    module.broken.store(true, Ordering::SeqCst);
    let (_, finalize) = finalizing(&harness).await;
    let failed = finalize.await.unwrap().unwrap();
    let OrderState::Invalid(failure) = failed.state() else {
        panic!("{:?}", failed.state());
    };
    assert_eq!(failure.reason, "signing-failed");
}

/// It would block the threads that answer requests.
#[tokio::test]
async fn a_signer_that_may_block_needs_threads() {
    let mut harness = Harness::new();
    harness.settings.module = Some(Arc::default());
    harness.settings.threadless = true;
    let refused = harness.start(&[&harness.authority], &harness.cas);
    assert!(matches!(refused.err(), Some(Error::Internal(_))));
    harness.settings.module = None;
    harness.start(&[&harness.authority], &harness.cas).unwrap();
}
