//! Challenges are found by their ids, and validations by when they are due.

use std::sync::Arc;

use assay_engine::{
    domain::{Authorization, Basis},
    ids::ChallengeId,
    ports::{Change, DueValidation, Store, Version},
};
use assay_proto::Timestamp;

use crate::common::*;

/// Returns the authorization that has the challenge.
async fn owner(store: &dyn Store, id: ChallengeId) -> Option<(Authorization, Version)> {
    let found = store.authorization_of_challenge(id).await.unwrap();
    found.map(|found| (found.value, found.version))
}

/// Returns authorization `n` with its second challenge in validation.
fn in_validation(n: u8, next_attempt: Timestamp) -> Authorization {
    let begun = authorization_of_two(n, n).begin(challenge_id(n), validating(next_attempt));
    begun.unwrap()
}

fn due(n: u8, at: Timestamp) -> DueValidation {
    DueValidation {
        at,
        authorization: authorization_id(n),
    }
}

async fn insert(store: &dyn Store, authorization: Authorization) -> Version {
    let changes = vec![Change::InsertAuthorization(authorization)];
    commit(store, changes).await.unwrap()
}

async fn update(store: &dyn Store, authorization: Authorization, version: Version) -> Version {
    let changes = vec![Change::UpdateAuthorization(authorization, version)];
    commit(store, changes).await.unwrap()
}

pub(crate) async fn each_challenge_is_found_by_its_name(store: Arc<dyn Store>) {
    let first = ChallengeId::first_of(authorization_id(1));
    assert_eq!(owner(&*store, first).await, None);
    let one = authorization_of_two(1, 1);
    let version = insert(&*store, one.clone()).await;
    for id in [first, challenge_id(1)] {
        assert_eq!(owner(&*store, id).await, Some((one.clone(), version)));
    }
    // An authorization with one challenge has no second one.
    let other = authorization(2);
    let other_version = insert(&*store, other.clone()).await;
    let of_other = ChallengeId::first_of(authorization_id(2));
    assert_eq!(owner(&*store, of_other).await, Some((other, other_version)));
    assert_eq!(owner(&*store, challenge_id(2)).await, None);
    // The challenge is found in every state.
    let begun = one.begin(challenge_id(1), validating(NOW)).unwrap();
    let version = update(&*store, begun.clone(), version).await;
    assert_eq!(
        owner(&*store, challenge_id(1)).await,
        Some((begun.clone(), version))
    );
    let control = Basis::Control { at: NOW.plus(3) };
    let valid = begun.fulfil(challenge_id(1), control).unwrap();
    let version = update(&*store, valid.clone(), version).await;
    for id in [first, challenge_id(1)] {
        assert_eq!(owner(&*store, id).await, Some((valid.clone(), version)));
    }
    let gone = vec![Change::DeleteAuthorization(authorization_id(1), version)];
    commit(&*store, gone).await.unwrap();
    for id in [first, challenge_id(1)] {
        assert_eq!(owner(&*store, id).await, None);
    }
    assert!(owner(&*store, of_other).await.is_some());
}

pub(crate) async fn an_authorization_of_two_comes_back_in_each_state(store: Arc<dyn Store>) {
    let (first, second) = (ChallengeId::first_of(authorization_id(1)), challenge_id(1));
    let pending = authorization_of_two(1, 1);
    let begun = in_validation(1, NOW.plus(5));
    let states = [
        pending.clone(),
        begun.clone(),
        begun
            .clone()
            .attempt(second, validating(NOW.plus(65)))
            .unwrap(),
        begun
            .clone()
            .fulfil(second, Basis::Control { at: NOW })
            .unwrap(),
        begun.clone().fail(second, failure()).unwrap(),
        begun
            .clone()
            .fulfil(first, Basis::Evidence(evidence(12)))
            .unwrap(),
        begun.fail(first, failure()).unwrap(),
        pending.deactivate(NOW).unwrap(),
    ];
    let mut version = insert(&*store, states[0].clone()).await;
    for state in states {
        version = update(&*store, state.clone(), version).await;
        let found = store.authorization(state.id).await.unwrap().unwrap();
        assert_eq!((found.value, found.version), (state, version));
    }
}

pub(crate) async fn validations_are_listed_by_their_next_attempt(store: Arc<dyn Store>) {
    let listed = async |limit| store.validations(limit).await.unwrap();
    assert_eq!(listed(9).await, []);
    let mut versions = Vec::new();
    for (n, after) in [(1, 300), (2, 5), (3, 70_000)] {
        versions.push(insert(&*store, in_validation(n, NOW.plus(after))).await);
    }
    insert(&*store, authorization_of_two(4, 4)).await;
    let [one, two, three] = [
        due(1, NOW.plus(300)),
        due(2, NOW.plus(5)),
        due(3, NOW.plus(70_000)),
    ];
    assert_eq!(listed(9).await, [two, one, three]);
    assert_eq!(listed(2).await, [two, one]);
    assert_eq!(listed(0).await, []);
    // After an attempt it has another position.
    let again = in_validation(2, NOW.plus(60_000));
    versions[1] = update(&*store, again, versions[1]).await;
    let two = due(2, NOW.plus(60_000));
    assert_eq!(listed(9).await, [one, two, three]);
    // Of two challenges in validation the earlier one counts.
    let first = ChallengeId::first_of(authorization_id(3));
    let both = in_validation(3, NOW.plus(70_000)).begin(first, validating(NOW.plus(1)));
    versions[2] = update(&*store, both.unwrap(), versions[2]).await;
    assert_eq!(listed(9).await, [due(3, NOW.plus(1)), one, two]);
}

pub(crate) async fn what_is_decided_is_no_validation_any_more(store: Arc<dyn Store>) {
    let begun = || in_validation(1, NOW.plus(5));
    let first = ChallengeId::first_of(authorization_id(1));
    let second = challenge_id(1);
    let mut version = insert(&*store, authorization_of_two(1, 1)).await;
    for decided in [
        begun().fulfil(second, Basis::Control { at: NOW }).unwrap(),
        begun().fail(second, failure()).unwrap(),
        begun()
            .fulfil(first, Basis::Evidence(evidence(12)))
            .unwrap(),
        begun().fail(first, failure()).unwrap(),
        begun().deactivate(NOW).unwrap(),
    ] {
        version = update(&*store, begun(), version).await;
        assert_eq!(store.validations(9).await, Ok(vec![due(1, NOW.plus(5))]));
        version = update(&*store, decided, version).await;
        assert_eq!(store.validations(9).await, Ok(vec![]));
    }
    // A failed commit lists nothing, and a deletion leaves nothing.
    let stale = vec![Change::UpdateAuthorization(begun(), Version(version.0 + 9))];
    assert!(commit(&*store, stale).await.is_err());
    assert_eq!(store.validations(9).await, Ok(vec![]));
    version = update(&*store, begun(), version).await;
    let gone = vec![Change::DeleteAuthorization(authorization_id(1), version)];
    commit(&*store, gone).await.unwrap();
    assert_eq!(store.validations(9).await, Ok(vec![]));
    assert_eq!(owner(&*store, second).await, None);
}
