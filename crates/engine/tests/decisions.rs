//! Decisions of the use-cases, without a server.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::{Arc, atomic::Ordering};

use assay_engine::ports::Store;
use assay_engine::{
    CsrRefusal, Error, IdentifierFault,
    domain::{Account, ChallengeState, NotReady},
};
use assay_proto::{
    AccountUpdate, AttestationResponse, AuthorizationUpdate, NewAccount, OrderStatus, Problem,
    ProblemType,
};
use support::{
    Harness, SERIAL, START, account_key, device, device_with_udid, faulty_store::CommitFault,
    keyed, new_order, response,
};

#[tokio::test]
async fn scenario_33_a_device_that_is_not_listed_is_refused_before_it_attests() {
    let harness = Harness::new();
    let account = harness.account().await;
    let error = harness
        .engine
        .new_order(
            &harness.authenticated(&account).await,
            &new_order(&["C02ZZZ"]),
        )
        .await
        .unwrap_err();
    let Error::Identifiers(refusals) = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(refusals[0].fault, IdentifierFault::NotAdmitted(_)));
    let problem = Problem::from(&error);
    assert_eq!(
        (problem.kind, problem.status),
        (ProblemType::RejectedIdentifier, 403)
    );
    assert_eq!(
        problem.subproblems[0].identifier.as_ref().unwrap().value,
        "C02ZZZ"
    );
}

#[tokio::test]
async fn scenario_34_an_inventory_out_of_reach_is_a_fault_and_kills_nothing() {
    let harness = Harness::new();
    let account = harness.account().await;
    let (order, device) = harness.ready(&account).await;
    harness.inventory.down.store(true, Ordering::SeqCst);
    for error in [
        harness.finalize(&order, &device).await.unwrap_err(),
        harness.order(&account, &[SERIAL]).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Inventory(_)), "{error:?}");
        assert_eq!(Problem::from(&error).status, 503);
        assert!(error.retry_after().is_some());
    }
    harness.inventory.down.store(false, Ordering::SeqCst);
    harness.finalize(&order, &device).await.unwrap();
}

#[tokio::test]
async fn scenario_50_a_challenge_is_answered_once() {
    let harness = Harness::new();
    let (order, device) = harness.ready(&harness.account().await).await;
    let id = order.authorizations[0];
    let before = harness
        .engine
        .authorization(&harness.by(order.account).await, id)
        .await
        .unwrap()
        .value;
    let junk = response(b"junk");
    let challenge = harness.challenge(&order, 0).await;
    let after = harness
        .engine
        .answer_challenge(&harness.by(order.account).await, challenge, &junk)
        .await
        .unwrap();
    assert_eq!(after, before);
    harness.finalize(&order, &device).await.unwrap();
}

#[tokio::test]
async fn a_refusal_is_recorded_before_it_is_told() {
    let harness = Harness::new();
    let account = harness.account().await;
    let order = harness.order(&account, &[SERIAL]).await.unwrap();
    let id = order.authorizations[0];
    // The commit fails: the client receives a fault and may answer again.
    harness
        .store
        .fail_next("challenge-invalid", CommitFault::Lost);
    let empty = AttestationResponse::default();
    let challenge = harness.challenge(&order, 0).await;
    let error = harness
        .engine
        .answer_challenge(&harness.by(account.id).await, challenge, &empty)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
    assert_eq!(
        harness.read(&order).await.status(START),
        OrderStatus::Pending
    );

    let error = harness
        .engine
        .answer_challenge(&harness.by(account.id).await, challenge, &empty)
        .await
        .unwrap_err();
    let Error::Attestation(failure) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(failure.reason, "object-empty");
    assert_eq!(
        Problem::from(&error).kind,
        ProblemType::BadAttestationStatement
    );
    let authorization = harness
        .engine
        .authorization(&harness.by(account.id).await, id)
        .await
        .unwrap()
        .value;
    assert_eq!(
        *authorization.challenges()[0].state(),
        ChallengeState::Invalid((**failure).clone())
    );
    assert_eq!(
        harness.read(&order).await.error(START).unwrap(),
        failure.problem
    );
    // The challenge is invalid; the account is still usable.
    let again = harness
        .engine
        .answer_challenge(&harness.by(account.id).await, challenge, &empty)
        .await
        .unwrap();
    assert_eq!(again, authorization);
    harness.ready(&account).await;
}

#[tokio::test]
async fn scenario_68_two_identifiers_attested_with_different_keys_are_never_issued() {
    let harness = Harness::new();
    let order = harness
        .order(&harness.account().await, &["C02AAA", "C02BBB"])
        .await
        .unwrap();
    let (first, second) = (device("C02AAA"), device("C02BBB"));
    harness.answer(&order, 0, &first).await.unwrap();
    assert_eq!(
        harness.read(&order).await.status(START),
        OrderStatus::Pending
    );
    harness.answer(&order, 1, &second).await.unwrap();
    assert_eq!(harness.read(&order).await.status(START), OrderStatus::Ready);
    for device in [&first, &second] {
        assert_eq!(
            harness.finalize(&order, device).await.unwrap_err(),
            Error::Csr(CsrRefusal::KeyNotAttested)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_answers_at_once_make_the_order_ready() {
    for _ in 0..20 {
        let harness = Arc::new(Harness::new());
        let order = harness
            .order(&harness.account().await, &["C02AAA", "C02BBB"])
            .await
            .unwrap();
        let answers: Vec<_> = ["C02AAA", "C02BBB"]
            .into_iter()
            .enumerate()
            .map(|(index, serial)| {
                let (harness, order) = (Arc::clone(&harness), order.clone());
                tokio::spawn(async move {
                    harness
                        .answer(&order, index, &device(serial))
                        .await
                        .unwrap();
                })
            })
            .collect();
        for answer in answers {
            answer.await.unwrap();
        }
        assert_eq!(harness.read(&order).await.status(START), OrderStatus::Ready);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scenario_92_twenty_parallel_new_accounts_make_one() {
    let harness = Arc::new(Harness::new());
    let key = account_key();
    let attempts: Vec<_> = (0..20)
        .map(|_| {
            let (harness, key) = (Arc::clone(&harness), key.clone());
            tokio::spawn(async move {
                harness
                    .engine
                    .new_account(&keyed(key), &NewAccount::default())
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut ids = std::collections::HashSet::new();
    let mut made = 0;
    for attempt in attempts {
        let (account, created) = attempt.await.unwrap();
        ids.insert(account.id);
        made += usize::from(created);
    }
    assert_eq!((ids.len(), made), (1, 1));
}

#[tokio::test]
async fn scenario_102_deactivating_an_authorization() {
    let harness = Harness::new();
    let account = harness.account().await;
    let update = AuthorizationUpdate {
        status: "deactivated".to_owned(),
    };
    let (ready, _) = harness.ready(&account).await;
    let (finished, device) = harness.ready(&account).await;
    harness.finalize(&finished, &device).await.unwrap();
    for (order, status) in [
        (&ready, OrderStatus::Invalid),
        (&finished, OrderStatus::Valid),
    ] {
        let id = order.authorizations[0];
        let first = harness
            .engine
            .update_authorization(&harness.by(account.id).await, id, &update)
            .await
            .unwrap();
        assert_eq!(first.deactivated(), Some(START));
        let again = harness
            .engine
            .update_authorization(&harness.by(account.id).await, id, &update)
            .await
            .unwrap();
        assert_eq!(again, first);
        let order = harness.read(order).await;
        assert_eq!(order.status(START), status);
        assert_eq!(order.error(START).is_some(), status == OrderStatus::Invalid);
    }
}

#[tokio::test]
async fn a_csr_for_another_accounts_key_is_refused() {
    use assay_simulator::{CsrRequest, Device, KeyType, evidence::DeviceProperties};

    let harness = Harness::new();
    let account = harness.account().await;
    let (order, device) = harness.ready(&account).await;
    // Another client creates an account with the device's own key.
    let spki = assay_jws::PublicKey::from_spki_der(&device.spki_der()).unwrap();
    harness
        .engine
        .new_account(&keyed(spki), &NewAccount::default())
        .await
        .unwrap();
    assert_eq!(
        harness.finalize(&order, &device).await.unwrap_err(),
        Error::Csr(CsrRefusal::AccountKey)
    );
    // A CSR for a key that was never attested is refused as such, with or
    // without an account.
    let other = Device::new(DeviceProperties::mac(SERIAL, "U"), KeyType::P256).unwrap();
    let request = CsrRequest {
        common_name: String::new(),
        names: Vec::new(),
    };
    let error = harness
        .engine
        .finalize(
            &harness.authenticated(&account).await,
            order.id,
            &other.csr(&request).unwrap(),
        )
        .await
        .unwrap_err();
    assert_eq!(error, Error::Csr(CsrRefusal::KeyNotAttested));
    assert_eq!(harness.read(&order).await.status(START), OrderStatus::Ready);
}

#[tokio::test]
async fn a_deactivated_account_takes_its_open_orders_along() {
    let harness = Harness::new();
    let account = harness.account().await;
    let (valid, its_device) = harness.ready(&account).await;
    harness.finalize(&valid, &its_device).await.unwrap();
    let pending = harness.order(&account, &[SERIAL]).await.unwrap();
    let (processing, its_device) = harness.ready(&account).await;
    let lost = CommitFault::Lost;
    harness.store.fail_next("finalize-complete", lost);
    harness
        .finalize(&processing, &its_device)
        .await
        .unwrap_err();
    let (ready, its_device) = harness.ready(&account).await;
    let foreign = harness
        .order(&harness.account().await, &[SERIAL])
        .await
        .unwrap();
    let update = AccountUpdate {
        status: Some("deactivated".to_owned()),
        ..AccountUpdate::default()
    };
    let authenticated = harness.authenticated(&account).await;
    harness
        .engine
        .update_account(&authenticated, &update)
        .await
        .unwrap();
    for (order, status) in [
        (&valid, OrderStatus::Valid),
        (&pending, OrderStatus::Invalid),
        (&processing, OrderStatus::Processing),
        (&ready, OrderStatus::Invalid),
        (&foreign, OrderStatus::Pending),
    ] {
        assert_eq!(harness.read(order).await.status(START), status);
    }
    // A request that was authenticated before comes too late.
    assert_eq!(
        harness.finalize(&ready, &its_device).await.unwrap_err(),
        Error::OrderNotReady(NotReady(OrderStatus::Invalid))
    );
    assert_eq!(
        harness.answer(&pending, 0, &its_device).await.unwrap_err(),
        Error::OrderOver
    );
}

/// The notes of a successful enrolment of a device.
async fn notes_of(harness: &Harness, account: &Account, udid: &str) -> Vec<(String, String)> {
    let order = harness.order(account, &[SERIAL]).await.unwrap();
    let device = device_with_udid(SERIAL, udid);
    harness.answer(&order, 0, &device).await.unwrap();
    assert_eq!(harness.read(&order).await.status(START), OrderStatus::Ready);
    let notes = harness.store.notes(order.id).await.unwrap();
    assert!(notes.iter().all(|note| note.at == START));
    let notes = notes.into_iter();
    notes.map(|note| (note.reason, note.detail)).collect()
}

#[tokio::test]
async fn another_udid_than_the_list_has_is_noted_and_not_refused() {
    let harness = Harness::new();
    let account = harness.account().await;
    assert_eq!(notes_of(&harness, &account, "UDID").await, []);
    *harness.inventory.udid.lock().unwrap() = Some("UDID".to_owned());
    assert_eq!(notes_of(&harness, &account, "UDID").await, []);
    *harness.inventory.udid.lock().unwrap() = Some("UDID-OF-EXPORT".to_owned());
    let notes = notes_of(&harness, &account, "UDID").await;
    let [(reason, detail)] = &notes[..] else {
        panic!("{notes:?}");
    };
    assert_eq!(reason, "udid-differs");
    assert_eq!(
        detail,
        "the list has the udid \"UDID-OF-EXPORT\", the evidence attests \"UDID\""
    );
}

#[tokio::test]
async fn two_devices_with_one_serial_are_noted_and_not_refused() {
    let harness = Harness::new();
    let account = harness.account().await;
    assert_eq!(notes_of(&harness, &account, "UDID-A").await, []);
    assert_eq!(notes_of(&harness, &account, "UDID-A").await, []);
    // Orders without evidence hide nothing: any client can create them.
    for _ in 0..15 {
        harness.order(&account, &[SERIAL]).await.unwrap();
    }
    let notes = notes_of(&harness, &account, "UDID-B").await;
    let [(reason, detail)] = &notes[..] else {
        panic!("{notes:?}");
    };
    assert_eq!(reason, "udid-differs");
    assert!(detail.contains("two devices with the serial"), "{detail}");
    assert!(detail.contains("\"UDID-B\""), "{detail}");
    assert!(detail.contains("has \"UDID-A\""), "{detail}");
}
