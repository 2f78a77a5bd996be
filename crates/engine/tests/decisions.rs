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
    Glass, SERIAL, START, account_key, device, device_with_udid, faulty_store::CommitFault, keyed,
    new_order, response,
};

#[tokio::test]
async fn scenario_33_a_device_that_is_not_listed_is_refused_before_it_attests() {
    let glass = Glass::new();
    let account = glass.account().await;
    let error = glass
        .engine
        .new_order(
            &glass.authenticated(&account).await,
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
    let glass = Glass::new();
    let account = glass.account().await;
    let (order, device) = glass.ready(&account).await;
    glass.inventory.down.store(true, Ordering::SeqCst);
    for error in [
        glass.finalize(&order, &device).await.unwrap_err(),
        glass.order(&account, &[SERIAL]).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Inventory(_)), "{error:?}");
        assert_eq!(Problem::from(&error).status, 503);
        assert!(error.retry_after().is_some());
    }
    glass.inventory.down.store(false, Ordering::SeqCst);
    glass.finalize(&order, &device).await.unwrap();
}

#[tokio::test]
async fn scenario_50_a_challenge_is_answered_once() {
    let glass = Glass::new();
    let (order, device) = glass.ready(&glass.account().await).await;
    let id = order.authorizations[0];
    let before = glass
        .engine
        .authorization(&glass.by(order.account).await, id)
        .await
        .unwrap()
        .value;
    let junk = response(b"junk");
    let challenge = glass.challenge(&order, 0).await;
    let after = glass
        .engine
        .answer_challenge(&glass.by(order.account).await, challenge, &junk)
        .await
        .unwrap();
    assert_eq!(after, before);
    glass.finalize(&order, &device).await.unwrap();
}

#[tokio::test]
async fn a_refusal_is_recorded_before_it_is_told() {
    let glass = Glass::new();
    let account = glass.account().await;
    let order = glass.order(&account, &[SERIAL]).await.unwrap();
    let id = order.authorizations[0];
    // The commit fails: the client receives a fault and may answer again.
    glass
        .store
        .fail_next("challenge-invalid", CommitFault::Lost);
    let empty = AttestationResponse::default();
    let challenge = glass.challenge(&order, 0).await;
    let error = glass
        .engine
        .answer_challenge(&glass.by(account.id).await, challenge, &empty)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
    assert_eq!(glass.read(&order).await.status(START), OrderStatus::Pending);

    let error = glass
        .engine
        .answer_challenge(&glass.by(account.id).await, challenge, &empty)
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
    let authorization = glass
        .engine
        .authorization(&glass.by(account.id).await, id)
        .await
        .unwrap()
        .value;
    assert_eq!(
        *authorization.challenges()[0].state(),
        ChallengeState::Invalid((**failure).clone())
    );
    assert_eq!(
        glass.read(&order).await.error(START).unwrap(),
        failure.problem
    );
    // The challenge is invalid; the account is still usable.
    let again = glass
        .engine
        .answer_challenge(&glass.by(account.id).await, challenge, &empty)
        .await
        .unwrap();
    assert_eq!(again, authorization);
    glass.ready(&account).await;
}

#[tokio::test]
async fn scenario_68_two_identifiers_attested_with_different_keys_are_never_issued() {
    let glass = Glass::new();
    let order = glass
        .order(&glass.account().await, &["C02AAA", "C02BBB"])
        .await
        .unwrap();
    let (first, second) = (device("C02AAA"), device("C02BBB"));
    glass.answer(&order, 0, &first).await.unwrap();
    assert_eq!(glass.read(&order).await.status(START), OrderStatus::Pending);
    glass.answer(&order, 1, &second).await.unwrap();
    assert_eq!(glass.read(&order).await.status(START), OrderStatus::Ready);
    for device in [&first, &second] {
        assert_eq!(
            glass.finalize(&order, device).await.unwrap_err(),
            Error::Csr(CsrRefusal::KeyNotAttested)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_answers_at_once_make_the_order_ready() {
    for _ in 0..20 {
        let glass = Arc::new(Glass::new());
        let order = glass
            .order(&glass.account().await, &["C02AAA", "C02BBB"])
            .await
            .unwrap();
        let answers: Vec<_> = ["C02AAA", "C02BBB"]
            .into_iter()
            .enumerate()
            .map(|(index, serial)| {
                let (glass, order) = (Arc::clone(&glass), order.clone());
                tokio::spawn(async move {
                    glass.answer(&order, index, &device(serial)).await.unwrap();
                })
            })
            .collect();
        for answer in answers {
            answer.await.unwrap();
        }
        assert_eq!(glass.read(&order).await.status(START), OrderStatus::Ready);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scenario_92_twenty_parallel_new_accounts_make_one() {
    let glass = Arc::new(Glass::new());
    let key = account_key();
    let attempts: Vec<_> = (0..20)
        .map(|_| {
            let (glass, key) = (Arc::clone(&glass), key.clone());
            tokio::spawn(async move {
                glass
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
    let glass = Glass::new();
    let account = glass.account().await;
    let update = AuthorizationUpdate {
        status: "deactivated".to_owned(),
    };
    let (ready, _) = glass.ready(&account).await;
    let (finished, device) = glass.ready(&account).await;
    glass.finalize(&finished, &device).await.unwrap();
    for (order, status) in [
        (&ready, OrderStatus::Invalid),
        (&finished, OrderStatus::Valid),
    ] {
        let id = order.authorizations[0];
        let first = glass
            .engine
            .update_authorization(&glass.by(account.id).await, id, &update)
            .await
            .unwrap();
        assert_eq!(first.deactivated(), Some(START));
        let again = glass
            .engine
            .update_authorization(&glass.by(account.id).await, id, &update)
            .await
            .unwrap();
        assert_eq!(again, first);
        let order = glass.read(order).await;
        assert_eq!(order.status(START), status);
        assert_eq!(order.error(START).is_some(), status == OrderStatus::Invalid);
    }
}

#[tokio::test]
async fn a_csr_for_another_accounts_key_is_refused() {
    use assay_simulator::{CsrRequest, Device, KeyType, evidence::DeviceProperties};

    let glass = Glass::new();
    let account = glass.account().await;
    let (order, device) = glass.ready(&account).await;
    // Another client creates an account with the device's own key.
    let spki = assay_jws::PublicKey::from_spki_der(&device.spki_der()).unwrap();
    glass
        .engine
        .new_account(&keyed(spki), &NewAccount::default())
        .await
        .unwrap();
    assert_eq!(
        glass.finalize(&order, &device).await.unwrap_err(),
        Error::Csr(CsrRefusal::AccountKey)
    );
    // A CSR for a key that was never attested is refused as such, with or
    // without an account.
    let other = Device::new(DeviceProperties::mac(SERIAL, "U"), KeyType::P256).unwrap();
    let request = CsrRequest {
        common_name: String::new(),
        names: Vec::new(),
    };
    let error = glass
        .engine
        .finalize(
            &glass.authenticated(&account).await,
            order.id,
            &other.csr(&request).unwrap(),
        )
        .await
        .unwrap_err();
    assert_eq!(error, Error::Csr(CsrRefusal::KeyNotAttested));
    assert_eq!(glass.read(&order).await.status(START), OrderStatus::Ready);
}

#[tokio::test]
async fn a_deactivated_account_takes_its_open_orders_along() {
    let glass = Glass::new();
    let account = glass.account().await;
    let (valid, its_device) = glass.ready(&account).await;
    glass.finalize(&valid, &its_device).await.unwrap();
    let pending = glass.order(&account, &[SERIAL]).await.unwrap();
    let (processing, its_device) = glass.ready(&account).await;
    let lost = CommitFault::Lost;
    glass.store.fail_next("finalize-complete", lost);
    glass.finalize(&processing, &its_device).await.unwrap_err();
    let (ready, its_device) = glass.ready(&account).await;
    let foreign = glass
        .order(&glass.account().await, &[SERIAL])
        .await
        .unwrap();
    let update = AccountUpdate {
        status: Some("deactivated".to_owned()),
        ..AccountUpdate::default()
    };
    let authenticated = glass.authenticated(&account).await;
    glass
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
        assert_eq!(glass.read(order).await.status(START), status);
    }
    // A request that was authenticated before comes too late.
    assert_eq!(
        glass.finalize(&ready, &its_device).await.unwrap_err(),
        Error::OrderNotReady(NotReady(OrderStatus::Invalid))
    );
    assert_eq!(
        glass.answer(&pending, 0, &its_device).await.unwrap_err(),
        Error::OrderOver
    );
}

/// The notes of a successful enrolment of a device.
async fn notes_of(glass: &Glass, account: &Account, udid: &str) -> Vec<(String, String)> {
    let order = glass.order(account, &[SERIAL]).await.unwrap();
    let device = device_with_udid(SERIAL, udid);
    glass.answer(&order, 0, &device).await.unwrap();
    assert_eq!(glass.read(&order).await.status(START), OrderStatus::Ready);
    let notes = glass.store.notes(order.id).await.unwrap();
    assert!(notes.iter().all(|note| note.at == START));
    let notes = notes.into_iter();
    notes.map(|note| (note.reason, note.detail)).collect()
}

#[tokio::test]
async fn another_udid_than_the_list_has_is_noted_and_not_refused() {
    let glass = Glass::new();
    let account = glass.account().await;
    assert_eq!(notes_of(&glass, &account, "UDID").await, []);
    *glass.inventory.udid.lock().unwrap() = Some("UDID".to_owned());
    assert_eq!(notes_of(&glass, &account, "UDID").await, []);
    *glass.inventory.udid.lock().unwrap() = Some("UDID-OF-EXPORT".to_owned());
    let notes = notes_of(&glass, &account, "UDID").await;
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
    let glass = Glass::new();
    let account = glass.account().await;
    assert_eq!(notes_of(&glass, &account, "UDID-A").await, []);
    assert_eq!(notes_of(&glass, &account, "UDID-A").await, []);
    // Orders without evidence hide nothing: any client can create them.
    for _ in 0..15 {
        glass.order(&account, &[SERIAL]).await.unwrap();
    }
    let notes = notes_of(&glass, &account, "UDID-B").await;
    let [(reason, detail)] = &notes[..] else {
        panic!("{notes:?}");
    };
    assert_eq!(reason, "udid-differs");
    assert!(detail.contains("two devices with the serial"), "{detail}");
    assert!(detail.contains("\"UDID-B\""), "{detail}");
    assert!(detail.contains("has \"UDID-A\""), "{detail}");
}
