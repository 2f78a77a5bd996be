//! Scenarios 61 to 67: finalize, interrupted at every point.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::{Arc, atomic::Ordering};

use assay_engine::{
    Error, IssuanceRefusal,
    domain::{NotReady, Order, OrderState, ServerIntent},
    ports::{Change, ChangeSet, Clock, Store},
    time::ClockInDoubt,
};
use assay_proto::{AccountUpdate, OrderStatus, Problem, ProblemType, Timestamp};
use support::{Harness, SERIAL, START, csr, device, faulty_store::CommitFault, new_cas};

fn not_ready(status: OrderStatus) -> Error {
    Error::OrderNotReady(NotReady(status))
}

#[tokio::test]
async fn scenario_61_finalize_before_ready() {
    let harness = Harness::new();
    let order = harness
        .order(&harness.account().await, &[SERIAL])
        .await
        .unwrap();
    assert_eq!(
        harness.finalize(&order, &device(SERIAL)).await.unwrap_err(),
        not_ready(OrderStatus::Pending)
    );
    assert_eq!(
        harness.read(&order).await.status(START),
        OrderStatus::Pending
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scenario_62_of_twenty_parallel_finalizes_one_issues() {
    let harness = Arc::new(Harness::new());
    let (order, device) = harness.ready(&harness.account().await).await;
    let csr = csr(&device);
    let attempts: Vec<_> = (0..20)
        .map(|_| {
            let (harness, order, csr) = (Arc::clone(&harness), order.clone(), csr.clone());
            tokio::spawn(async move {
                harness
                    .engine
                    .finalize(&harness.by(order.account).await, order.id, &csr)
                    .await
            })
        })
        .collect();
    let mut issued = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(_) => issued += 1,
            Err(Error::OrderNotReady(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(issued, 1);
}

#[tokio::test]
async fn scenario_63_finalize_again_gives_no_second_certificate() {
    let harness = Harness::new();
    let (order, device) = harness.ready(&harness.account().await).await;
    let valid = harness.finalize(&order, &device).await.unwrap();
    assert_eq!(
        harness.finalize(&order, &device).await.unwrap_err(),
        not_ready(OrderStatus::Valid)
    );
    assert_eq!(harness.read(&order).await, valid);
}

#[tokio::test]
async fn scenario_64_a_restart_between_challenge_and_finalize() {
    let harness = Harness::new();
    let (order, device) = harness.ready(&harness.account().await).await;
    let engine = harness.restart(&[&harness.authority], &harness.cas);
    let valid = engine
        .finalize(&harness.by(order.account).await, order.id, &csr(&device))
        .await
        .unwrap();
    assert_eq!(valid.status(START), OrderStatus::Valid);
}

/// Interrupts finalize at `commit`; returns the stored order.
async fn interrupted(harness: &Harness, commit: &'static str, fault: CommitFault) -> Order {
    let (order, device) = harness.ready(&harness.account().await).await;
    harness.store.fail_next(commit, fault);
    let error = harness.finalize(&order, &device).await.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
    harness.store.order(order.id).await.unwrap().unwrap().value
}

/// The serial number and TBS in the order's intent.
fn intent(order: &Order) -> (String, Vec<u8>) {
    let OrderState::Processing(processing) = order.state() else {
        panic!("{:?}", order.state());
    };
    (processing.serial.to_string(), processing.intent.tbs.clone())
}

#[tokio::test]
async fn scenario_65_a_first_commit_that_was_not_made_leaves_the_order_ready() {
    let harness = Harness::new();
    let order = interrupted(&harness, "finalize-begin", CommitFault::Lost).await;
    assert_eq!(order.status(START), OrderStatus::Ready);
}

#[tokio::test]
async fn scenario_65_recovery_signs_the_recorded_bytes_once_the_lease_is_over() {
    for (commit, fault) in [
        ("finalize-begin", CommitFault::Unacknowledged),
        ("finalize-complete", CommitFault::Lost),
    ] {
        let harness = Harness::new();
        let order = interrupted(&harness, commit, fault).await;
        let (serial, tbs) = intent(&order);
        let engine = harness.restart(&[&harness.authority], &harness.cas);

        // Within the lease no other attempt begins.
        harness.clock.advance(Order::LEASE - 1);
        let lease = engine.recover().await.unwrap();
        assert_eq!(lease, Some(START.plus(Order::LEASE)));
        let read = harness.read_by(&engine, &order).await;
        assert_eq!(read, order);

        harness.clock.advance(1);
        assert_eq!(engine.recover().await.unwrap(), None);
        let read = harness.read_by(&engine, &order).await;
        let OrderState::Valid { certificate } = read.state() else {
            panic!("{:?}", read.state());
        };
        assert_eq!(certificate.to_string(), serial);
        let certificate = harness
            .store
            .certificate(certificate.clone())
            .await
            .unwrap();
        let der = certificate.unwrap().value.der;
        assert!(
            der.windows(tbs.len()).any(|window| window == tbs),
            "other bytes were signed"
        );
    }
}

#[tokio::test]
async fn scenario_65_a_read_past_the_lease_recovers_too() {
    let harness = Harness::new();
    let order = interrupted(&harness, "finalize-complete", CommitFault::Lost).await;
    harness.clock.advance(Order::LEASE);
    assert_eq!(harness.read(&order).await.status(START), OrderStatus::Valid);
}

#[tokio::test]
async fn scenario_65_recovery_completes_an_order_that_expired_meanwhile() {
    let harness = Harness::new();
    let order = interrupted(&harness, "finalize-complete", CommitFault::Lost).await;
    harness.clock.advance(order.expires.0 - START.0 + 1);
    assert_eq!(harness.engine.recover().await.unwrap(), None);
    let read = harness.store.order(order.id).await.unwrap().unwrap().value;
    assert_eq!(read.status(START), OrderStatus::Valid);
}

#[tokio::test]
async fn scenario_65_a_second_commit_that_was_made_after_all_is_found() {
    let harness = Harness::new();
    let order = interrupted(&harness, "finalize-complete", CommitFault::Unacknowledged).await;
    assert_eq!(order.status(START), OrderStatus::Valid);
    harness.clock.advance(Order::LEASE);
    assert_eq!(harness.engine.recover().await.unwrap(), None);
    assert_eq!(harness.read(&order).await, order);
}

#[tokio::test]
async fn scenario_65_two_recoveries_at_once_make_one_certificate() {
    let harness = Harness::new();
    let order = interrupted(&harness, "finalize-complete", CommitFault::Lost).await;
    harness.clock.advance(Order::LEASE);
    let other = harness.restart(&[&harness.authority], &harness.cas);
    let context = harness.by(order.account).await;
    let (first, second) = tokio::join!(
        harness.engine.order(&context, order.id),
        other.order(&context, order.id)
    );
    // The second attempt sees that the other one is in progress.
    let serials = [first, second].map(|read| match read.unwrap().value.state() {
        OrderState::Processing(processing) => processing.serial.clone(),
        OrderState::Valid { certificate } => certificate.clone(),
        state => panic!("{state:?}"),
    });
    assert_eq!(serials[0], serials[1]);
    assert_eq!(harness.store.committed("finalize-resume"), 1);
    assert_eq!(harness.read(&order).await.status(START), OrderStatus::Valid);
}

#[tokio::test]
async fn scenario_65_without_its_ca_the_order_fails_and_never_hangs() {
    let harness = Harness::new();
    let order = interrupted(&harness, "finalize-complete", CommitFault::Lost).await;
    let engine = harness.restart(&[&harness.authority], &new_cas());
    harness.clock.advance(Order::LEASE);
    let read = harness.read_by(&engine, &order).await;
    let OrderState::Invalid(failure) = read.state() else {
        panic!("{:?}", read.state());
    };
    assert_eq!(failure.reason, "issuer-gone");
}

#[tokio::test]
async fn scenario_65_recovery_asks_again_and_signs_for_nobody_who_was_taken_off() {
    for reason in [
        "no-longer-admitted",
        "root-no-longer-trusted",
        "intent-ended",
        "account-deactivated",
        "authorization-deactivated",
    ] {
        let harness = Harness::new();
        let order = interrupted(&harness, "finalize-complete", CommitFault::Lost).await;
        harness.clock.advance(Order::LEASE);
        let mut roots = vec![harness.authority.as_ref()];
        match reason {
            "no-longer-admitted" => harness.inventory.serials.lock().unwrap().clear(),
            "root-no-longer-trusted" => roots.clear(),
            "account-deactivated" => {
                let account = harness.by(order.account).await;
                let update = AccountUpdate {
                    status: Some("deactivated".to_owned()),
                    ..AccountUpdate::default()
                };
                harness
                    .engine
                    .update_account(&account, &update)
                    .await
                    .unwrap();
            }
            "authorization-deactivated" => {
                let id = order.authorizations[0];
                let found = harness.store.authorization(id).await.unwrap().unwrap();
                let deactivated = found.value.deactivate(START).unwrap();
                let change = Change::UpdateAuthorization(deactivated, found.version);
                let changes = ChangeSet::new(START, vec![change]);
                harness.store.commit("test", changes).await.unwrap();
            }
            _ => harness.clock.advance(91 * 86_400),
        }
        let engine = harness.restart(&roots, &harness.cas);
        assert_eq!(engine.recover().await.unwrap(), None);
        let read = harness.read_by(&engine, &order).await;
        let OrderState::Invalid(failure) = read.state() else {
            panic!("{:?}", read.state());
        };
        assert_eq!(failure.reason, reason);
        let kind = match reason {
            "intent-ended" => ProblemType::ServerInternal,
            _ => ProblemType::Unauthorized,
        };
        assert_eq!(failure.problem.kind, kind);
    }
    // While the inventory is unavailable, the order waits.
    let harness = Harness::new();
    let order = interrupted(&harness, "finalize-complete", CommitFault::Lost).await;
    harness.clock.advance(Order::LEASE);
    harness.inventory.down.store(true, Ordering::SeqCst);
    assert!(matches!(
        harness.engine.recover().await,
        Err(Error::Inventory(_))
    ));
    harness.inventory.down.store(false, Ordering::SeqCst);
    assert_eq!(harness.engine.recover().await.unwrap(), None);
    assert_eq!(harness.read(&order).await.status(START), OrderStatus::Valid);
}

#[tokio::test]
async fn scenario_65_an_order_that_cannot_be_recovered_holds_up_no_other() {
    let harness = Harness::new();
    let mut orders = Vec::new();
    for _ in 0..3 {
        orders.push(interrupted(&harness, "finalize-complete", CommitFault::Lost).await);
    }
    harness.clock.advance(Order::LEASE);
    harness
        .store
        .fail_next("finalize-complete", CommitFault::Lost);
    assert!(matches!(
        harness.engine.recover().await,
        Err(Error::Store(_))
    ));
    let in_processing = harness.store.orders_in_processing().await.unwrap();
    assert_eq!(in_processing.len(), 1);
    // The failed attempt may still be in progress until its lease is over.
    let lease = harness.engine.now().plus(Order::LEASE);
    assert_eq!(harness.engine.recover().await.unwrap(), Some(lease));
    harness.clock.advance(Order::LEASE);
    assert_eq!(harness.engine.recover().await.unwrap(), None);
    for order in orders {
        assert_eq!(harness.read(&order).await.status(START), OrderStatus::Valid);
    }
}

#[tokio::test]
async fn a_ca_that_has_ended_is_a_fault_of_ours_and_issues_nothing() {
    let harness = Harness::new();
    let account = harness.account().await;
    let end = Timestamp(support::issuer(&harness.cas.issuing).not_after());
    harness.clock.move_to(end.minus(1));
    harness.order(&account, &[SERIAL]).await.unwrap();
    harness.clock.move_to(end);
    let error = harness.order(&account, &[SERIAL]).await.unwrap_err();
    assert!(
        matches!(&error, Error::CaEnded(text) if text.contains("CA's certificate ended")),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_tls_certificate_is_renewed_within_its_cas_life_and_not_after() {
    let harness = Harness::new();
    let spki = device(SERIAL).spki_der();
    let end = Timestamp(support::issuer(&harness.cas.tls).not_after());
    harness.clock.move_to(end.minus(3_000));
    let issued = harness.engine.issue_server_certificate(&spki, "localhost");
    assert_eq!(issued.await.unwrap().renew_at, end.minus(1_000));
    harness.clock.move_to(end);
    let error = harness.engine.issue_server_certificate(&spki, "localhost");
    let error = error.await.unwrap_err();
    assert!(
        matches!(&error, Error::CaEnded(text) if text.contains("`assay tls host HOST")),
        "{error:?}"
    );
}

#[test]
fn contention_is_no_fault_of_the_server() {
    assert_eq!(Problem::from(&Error::Contention).status, 429);
    assert_eq!(Error::Contention.retry_after(), Some(1));
    assert!(!Error::Contention.is_fault());
}

#[tokio::test]
async fn scenario_67_an_expired_order_is_invalid() {
    let harness = Harness::new();
    let (order, device) = harness.ready(&harness.account().await).await;
    harness.clock.move_to(order.expires);
    let read = harness.read(&order).await;
    assert_eq!(read.status(order.expires), OrderStatus::Invalid);
    assert!(
        read.error(order.expires)
            .unwrap()
            .detail
            .contains("expired")
    );
    assert_eq!(
        harness.finalize(&order, &device).await.unwrap_err(),
        not_ready(OrderStatus::Invalid)
    );
}

#[tokio::test]
async fn scenario_133_a_clock_that_jumps_back_revives_nothing() {
    let harness = Harness::new();
    let account = harness.account().await;
    let (order, device) = harness.ready(&account).await;
    harness.clock.move_to(order.expires);
    // Record something at that time, so that a restart knows it too.
    harness.order(&account, &[SERIAL]).await.unwrap();
    harness.clock.set(START);
    let engine = harness.restart(&[&harness.authority], &harness.cas);
    for (engine, now) in [
        (harness.engine.as_ref(), order.expires),
        (&engine, order.expires.plus(1)),
    ] {
        assert_eq!(engine.now(), now);
        assert_eq!(
            engine
                .finalize(&harness.by(order.account).await, order.id, &csr(&device))
                .await
                .unwrap_err(),
            Error::Clock(ClockInDoubt {
                now,
                wall: harness.clock.now()
            })
        );
        // Time continues from there, however far back the clock is.
        harness.clock.advance(1);
    }
}

#[tokio::test]
async fn finalize_asks_again_whether_the_device_is_admitted_and_its_root_trusted() {
    let harness = Harness::new();
    let (order, device) = harness.ready(&harness.account().await).await;
    harness.inventory.serials.lock().unwrap().clear();
    assert_eq!(
        harness.finalize(&order, &device).await.unwrap_err(),
        Error::Issuance(IssuanceRefusal::NoLongerAdmitted)
    );
    harness
        .inventory
        .serials
        .lock()
        .unwrap()
        .insert(SERIAL.to_owned());
    let engine = harness.restart(&[], &harness.cas);
    assert_eq!(
        engine
            .finalize(&harness.by(order.account).await, order.id, &csr(&device))
            .await
            .unwrap_err(),
        Error::Issuance(IssuanceRefusal::RootNoLongerTrusted)
    );
    // Neither is the device's fault: the order is still ready.
    harness.finalize(&order, &device).await.unwrap();
}

#[tokio::test]
async fn a_server_certificate_is_recorded_before_and_after_it_is_signed() {
    let harness = Harness::new();
    let spki = device(SERIAL).spki_der();
    harness
        .store
        .fail_next("server-certificate", CommitFault::Lost);
    let error = harness
        .engine
        .issue_server_certificate(&spki, "localhost")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
    assert_eq!(harness.store.server_intents().await.unwrap().len(), 1);
    // Its process may still be in progress.
    let lease = START.plus(ServerIntent::LEASE);
    let dropped = harness.engine.drop_unfinished_server_intents().await;
    assert_eq!(dropped.unwrap(), Some(lease));
    assert_eq!(harness.store.server_intents().await.unwrap().len(), 1);
    harness.clock.move_to(lease);
    let dropped = harness.engine.drop_unfinished_server_intents().await;
    assert_eq!(dropped.unwrap(), None);
    assert_eq!(harness.store.server_intents().await.unwrap(), []);

    let issued = harness
        .engine
        .issue_server_certificate(&spki, "localhost")
        .await
        .unwrap();
    let serial = assay_ca::serial_number_of(&issued.chain[0]).unwrap();
    let kept = harness
        .store
        .certificate(serial)
        .await
        .unwrap()
        .unwrap()
        .value;
    assert_eq!(kept.der, issued.chain[0]);
    assert_eq!(harness.store.server_intents().await.unwrap(), []);
    assert!(issued.renew_at > START && issued.renew_at < Timestamp(kept.not_after.0));
}
