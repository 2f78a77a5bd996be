//! Every stored value is read back unchanged.

use std::sync::Arc;

use assay_engine::{
    domain::{
        Account, AccountState, AdmissionRule, Attribute, CertificateHolder, Note, OrderState,
        Revocation, Revoker,
    },
    issuance::MAX_TBS,
    names::{DirectoryName, ProfileName},
    ports::{Change, CommitError, Direction, OrderList, Store, Version, Versioned},
};
use assay_proto::{Contact, ProblemType, RevocationReason};

use crate::common::*;

/// Formats an account. Its key is printed as its thumbprint.
fn print(account: Option<Versioned<Account>>) -> String {
    format!("{account:?}")
}

pub(crate) async fn every_account_comes_back(store: Arc<dyn Store>) {
    let accounts = [
        account(1),
        Account {
            key: p256(),
            contacts: Vec::new(),
            terms_agreed: Some(NOW),
            established: Some(NOW),
            origin: None,
            ..account(2)
        },
        Account {
            key: rsa_4096(),
            ..account(3)
        }
        .deactivate(NOW.plus(5)),
    ];
    for (version, account) in (1..).map(Version).zip(accounts) {
        let changes = vec![Change::InsertAccount(account.clone())];
        assert_eq!(commit(&*store, changes).await, Ok(version));
        let expected = print(Some(Versioned {
            value: account.clone(),
            version,
        }));
        // The second read takes the key from the cache.
        for _ in 0..2 {
            let found = store.account(account.id).await.unwrap();
            assert_eq!(found.as_ref().unwrap().value.key, account.key);
            assert_eq!(print(found), expected);
        }
        let found = store
            .account_by_key(Default::default(), *account.key.thumbprint())
            .await;
        assert_eq!(print(found.unwrap()), expected);
    }
    assert!(store.account(account_id(9)).await.unwrap().is_none());
    let found = store
        .account_by_key(Default::default(), *key(9).thumbprint())
        .await
        .unwrap();
    assert!(found.is_none());
    let found = store.account(account_id(3)).await.unwrap().unwrap();
    let at = NOW.plus(5);
    assert_eq!(found.value.state, AccountState::Deactivated { at });
}

pub(crate) async fn every_authorization_comes_back(store: Arc<dyn Store>) {
    let deactivated = authorization_with(4, |one| {
        one.admitted.attribute = Attribute::Serial;
        one.admitted.rule = Some(AdmissionRule::AnyAttested);
        one.identifier = identifier("hardware-module", "S/1.2");
    });
    let authorizations = [
        authorization(1),
        refused(authorization(2), failure()),
        fulfilled(authorization(3), evidence(12)),
        deactivated.deactivate(NOW).unwrap(),
    ];
    for (version, authorization) in (1..).map(Version).zip(authorizations) {
        let changes = vec![Change::InsertAuthorization(authorization.clone())];
        assert_eq!(commit(&*store, changes).await, Ok(version));
        let id = authorization.id;
        let expected = Some(Versioned {
            value: authorization,
            version,
        });
        assert_eq!(store.authorization(id).await, Ok(expected));
    }
    let pending = authorization(1);
    let failed = refused(pending, failure());
    let changes = vec![Change::UpdateAuthorization(failed.clone(), Version(1))];
    assert_eq!(commit(&*store, changes).await, Ok(Version(5)));
    let found = store.authorization(failed.id).await.unwrap().unwrap();
    assert_eq!((found.value, found.version), (failed, Version(5)));
    assert_eq!(store.authorization(authorization_id(9)).await, Ok(None));
}

pub(crate) async fn notes_come_back_and_go_with_their_order(store: Arc<dyn Store>) {
    // Notes of a missing order are not kept.
    let changes = vec![Change::AddNote(order_id(1), note(9))];
    assert_eq!(commit(&*store, changes).await, Ok(Version(1)));
    assert_eq!(store.notes(order_id(1)).await, Ok(vec![]));

    let changes = vec![
        insert_order(order(1)),
        insert_order(order(2)),
        Change::AddNote(order_id(1), note(1)),
    ];
    let version = commit(&*store, changes).await.unwrap();
    // The order's own version stays: a note does not change the order.
    let changes = vec![
        Change::AddNote(order_id(1), note(2)),
        Change::AddNote(order_id(2), note(3)),
    ];
    commit(&*store, changes).await.unwrap();
    assert_eq!(store.notes(order_id(1)).await, Ok(vec![note(1), note(2)]));
    let found = store.order(order_id(1)).await.unwrap().unwrap();
    assert_eq!((found.value, found.version), (order(1), version));

    // A commit that fails adds no note.
    let changes = vec![
        Change::AddNote(order_id(1), note(4)),
        Change::UpdateOrder(order(1), Version(1)),
    ];
    assert!(commit(&*store, changes).await.is_err());
    assert_eq!(store.notes(order_id(1)).await, Ok(vec![note(1), note(2)]));

    let changes = vec![Change::DeleteOrder(order_id(1), version)];
    commit(&*store, changes).await.unwrap();
    assert_eq!(store.notes(order_id(1)).await, Ok(vec![]));
    commit(&*store, vec![insert_order(order(1))]).await.unwrap();
    assert_eq!(store.notes(order_id(1)).await, Ok(vec![]));
    assert_eq!(store.notes(order_id(2)).await, Ok(vec![note(3)]));
}

pub(crate) async fn notes_are_bounded_in_number_and_length(store: Arc<dyn Store>) {
    commit(&*store, vec![insert_order(order(1))]).await.unwrap();
    let long = |n: u8| Note {
        at: NOW,
        reason: format!("{n}{}", "é".repeat(500)),
        detail: "é".repeat(600),
    };
    for n in 0..20 {
        let changes = vec![Change::AddNote(order_id(1), long(n))];
        commit(&*store, changes).await.unwrap();
    }
    let notes = store.notes(order_id(1)).await.unwrap();
    assert_eq!(notes.len(), Note::MOST);
    assert!(notes[0].reason.starts_with("12é"), "{}", notes[0].reason);
    for note in &notes {
        assert!((60..=64).contains(&note.reason.len()), "{}", note.reason);
        assert_eq!(note.detail, "é".repeat(500));
    }
    // An older note with the same reason is replaced, and the new one is the
    // newest.
    for n in [30, 31, 30] {
        let changes = vec![Change::AddNote(order_id(1), note(n))];
        commit(&*store, changes).await.unwrap();
    }
    let notes = store.notes(order_id(1)).await.unwrap();
    assert_eq!(notes.len(), Note::MOST);
    assert_eq!(notes[6..], [note(31), note(30)]);
    assert!(notes[0].reason.starts_with("14é"), "{}", notes[0].reason);
}

pub(crate) async fn every_certificate_comes_back(store: Arc<dyn Store>) {
    let mut server = certificate(2);
    server.holder = CertificateHolder::Server;
    for (version, certificate) in (1..).map(Version).zip([certificate(1), server]) {
        let changes = vec![Change::InsertCertificate(certificate.clone())];
        assert_eq!(commit(&*store, changes).await, Ok(version));
        let serial = certificate.serial.clone();
        let expected = Some(Versioned {
            value: certificate,
            version,
        });
        assert_eq!(store.certificate(serial).await, Ok(expected));
    }
    let mut version = Version(1);
    let reasons = RevocationReason::ALL.into_iter().map(Some);
    let by = [Revoker::CertificateKey, Revoker::Account(account_id(3))];
    for (reason, by) in reasons.chain([None]).zip(by.into_iter().cycle()) {
        let mut revoked = certificate(1);
        revoked.revocation = Some(Revocation {
            at: NOW,
            reason,
            by,
        });
        let changes = vec![Change::UpdateCertificate(revoked.clone(), version)];
        version = commit(&*store, changes).await.unwrap();
        let found = store.certificate(serial(1)).await.unwrap().unwrap();
        assert_eq!((found.value, found.version), (revoked, version));
    }
    assert_eq!(store.certificate(serial(9)).await, Ok(None));
}

pub(crate) async fn every_order_comes_back(store: Arc<dyn Store>) {
    let first = with(order(1), |first| {
        let module = identifier("hardware-module", "é/1.2");
        first.identifiers.push(module);
        first.authorizations.push(authorization_id(2));
        first.not_before = Some(NOW);
        first.not_after = Some(NOW.plus(86_400));
    });
    let changes = vec![insert_order(first.clone())];
    let mut version = commit(&*store, changes).await.unwrap();
    for state in [ready(), processing(7, 900), valid(7), invalid()] {
        let next = in_state(first.clone(), state);
        let changes = vec![Change::UpdateOrder(next.clone(), version)];
        version = commit(&*store, changes).await.unwrap();
        let found = store.order(first.id).await.unwrap().unwrap();
        assert_eq!((found.value, found.version), (next, version));
    }
    assert_eq!(version, Version(5));
    assert_eq!(store.order(order_id(9)).await, Ok(None));
}

pub(crate) async fn names_of_directories_and_profiles_come_back(store: Arc<dyn Store>) {
    let longest = "a".repeat(32);
    for (n, name) in (1..).zip(["a", "wifi-2", &longest]) {
        let directory = DirectoryName::parse(name).unwrap();
        let profile = ProfileName::parse(name).unwrap();
        let account = Account {
            directory,
            ..account(n)
        };
        let order = with(order(n), |order| {
            order.directory = directory;
            order.profile = profile;
        });
        let changes = vec![Change::InsertAccount(account), insert_order(order.clone())];
        commit(&*store, changes).await.unwrap();
        let found = store.account(account_id(n)).await.unwrap().unwrap().value;
        assert_eq!(found.directory, directory);
        let found = store.order(order_id(n)).await.unwrap().unwrap().value;
        assert_eq!(found, order);
    }
}

pub(crate) async fn long_texts_of_a_failure_are_cut(store: Arc<dyn Store>) {
    let mut long = failure();
    long.detail = "é".repeat(10_000);
    long.reason = "a".repeat(1001);
    long.problem.detail = format!("a{}", "é".repeat(10_000));
    let changes = vec![insert_order(order(1).fail(long).unwrap())];
    commit(&*store, changes).await.unwrap();
    let found = store.order(order_id(1)).await.unwrap().unwrap();
    let OrderState::Invalid(failure) = found.value.state() else {
        panic!("not invalid");
    };
    assert_eq!(failure.detail, "é".repeat(500));
    assert_eq!(failure.reason, "a".repeat(1000));
    assert_eq!(failure.problem.detail, format!("a{}", "é".repeat(499)));
    let kind = failure.problem.kind;
    assert_eq!(kind, ProblemType::BadAttestationStatement);
}

pub(crate) async fn the_largest_records_fit(store: Arc<dyn Store>) {
    let address = format!("mailto:{}@b", "a".repeat(252));
    assert_eq!(address.len(), Contact::MAX_LENGTH);
    let longest = "a".repeat(32);
    let largest_account = Account {
        key: rsa_4096(),
        contacts: vec![Contact::parse(&address).unwrap(); Contact::MAX_COUNT],
        terms_agreed: Some(NOW),
        directory: DirectoryName::parse(&longest).unwrap(),
        ..account(1)
    }
    .deactivate(NOW);

    let many = with(order(1), |many| {
        many.identifiers = (0..10)
            .map(|n| permanent(&format!("{n}{}", "i".repeat(255))))
            .collect();
        many.authorizations = (0..10).map(authorization_id).collect();
        many.not_before = Some(NOW);
        many.not_after = Some(NOW);
    });
    let mut text = failure();
    text.problem.subproblems.clear();
    text.problem.detail = "d".repeat(2000);
    text.detail = "d".repeat(2000);
    let failed = many.clone().fail(text.clone()).unwrap();

    let signing = with(order(2), |signing| {
        signing.directory = DirectoryName::parse(&longest).unwrap();
        signing.profile = ProfileName::parse(&longest).unwrap();
        signing.identifiers = vec![permanent(&"i".repeat(256)); 5];
        signing.authorizations = (0..5).map(authorization_id).collect();
        signing.not_before = Some(NOW);
        signing.not_after = Some(NOW);
    });
    let signing = in_state(signing, processing(2, MAX_TBS));

    let long = |n| authorization_with(n, |one| one.identifier = permanent(&"i".repeat(256)));
    let proven = fulfilled(long(1), evidence(256));
    let refused = refused(long(2), text);

    let mut issued = certificate(1);
    issued.der = vec![0x30; MAX_TBS + 600];
    issued.revocation = Some(Revocation {
        at: NOW,
        reason: Some(RevocationReason::KeyCompromise),
        by: Revoker::Account(account_id(1)),
    });

    let changes = vec![
        Change::InsertAccount(largest_account),
        insert_order(many),
        insert_order(signing),
        Change::InsertAuthorization(proven),
        Change::InsertAuthorization(refused),
        Change::InsertCertificate(issued),
    ];
    let version = commit(&*store, changes).await.unwrap();
    let changes = vec![Change::UpdateOrder(failed, version)];
    assert_eq!(commit(&*store, changes).await, Ok(Version(2)));
}

pub(crate) async fn too_large_a_record_changes_nothing(store: Arc<dyn Store>) {
    let most = longest_tbs(&*store, order(1)).await;
    let with_tbs = |len| in_state(order(1), processing(1, len));
    let changes = vec![
        Change::InsertAccount(account(1)),
        insert_order(with_tbs(most + 1)),
    ];
    let Err(CommitError::Store(error)) = commit(&*store, changes).await else {
        panic!("a record of more than 65536 bytes was taken");
    };
    assert_eq!(
        error.0,
        "an order of 65537 bytes is larger than the 65536 that are stored: nothing was changed"
    );
    assert!(store.account(account_id(1)).await.unwrap().is_none());
    // The store still works.
    let changes = vec![
        Change::InsertAccount(account(1)),
        insert_order(with_tbs(most)),
    ];
    assert_eq!(commit(&*store, changes).await, Ok(Version(1)));
    let found = store.order(order_id(1)).await.unwrap().unwrap();
    assert!(found.value == with_tbs(most));
    // An update that is too large changes nothing either.
    let changes = vec![Change::UpdateOrder(with_tbs(most + 1), Version(1))];
    assert!(commit(&*store, changes).await.is_err());
    let found = store.order(order_id(1)).await.unwrap().unwrap();
    assert!((found.value, found.version) == (with_tbs(most), Version(1)));
}

pub(crate) async fn an_order_grows_and_shrinks_through_every_size(store: Arc<dyn Store>) {
    let most = longest_tbs(&*store, order(1)).await;
    let with_tbs = |len| in_state(order(1), processing(1, len));
    // Beside others, whose keys follow it.
    let changes = vec![
        insert_order(with_tbs(300)),
        insert_order(order(2)),
        insert_order(in_state(order(3), processing(3, most))),
    ];
    let mut version = commit(&*store, changes).await.unwrap();
    // Around records of 4 KiB, and multiples of it.
    let around = |len: usize| len - 2..=len + 2;
    let lens = around(most - 61_440)
        .chain([most, 300, 20_000])
        .chain(around(most - 57_344))
        .chain([most, most - 1, 9_000, most - 61_440, 50_000, 300]);
    for len in lens {
        let changes = vec![Change::UpdateOrder(with_tbs(len), version)];
        version = commit(&*store, changes).await.unwrap();
        let found = store.order(order_id(1)).await.unwrap().unwrap();
        assert!((found.value, found.version) == (with_tbs(len), version));
    }
    for (n, expected) in [(2, order(2)), (3, in_state(order(3), processing(3, most)))] {
        let found = store.order(order_id(n)).await.unwrap().unwrap();
        assert!(found.value == expected, "{n}");
    }
    let listed = store
        .orders(OrderList::All, None, Direction::Newer, 9)
        .await
        .unwrap();
    assert_eq!(listed.len(), 3);
    let processing = store.orders_in_processing().await.unwrap();
    assert_eq!(processing, [order_id(1), order_id(3)]);
    let changes = vec![Change::DeleteOrder(order_id(1), version)];
    commit(&*store, changes).await.unwrap();
    assert_eq!(store.order(order_id(1)).await, Ok(None));
    commit(&*store, vec![insert_order(order(1))]).await.unwrap();
    let found = store.order(order_id(1)).await.unwrap().unwrap();
    assert_eq!(found.value, order(1));
}
