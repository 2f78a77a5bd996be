use assay_proto::Timestamp;
use proptest::prelude::*;

use crate::{
    domain::{
        Authorization, AuthorizationStatus, Basis, Challenge, ChallengeState, IllegalTransition,
        samples::{
            EXPIRES, NOW, authorization, challenge_id, evidence, failure, valid_by, validating,
        },
    },
    ids::ChallengeId,
};

const CONTROL: Basis = Basis::Control { at: NOW };
const ONE: u8 = 1;

type Transition = fn(Authorization, ChallengeId) -> Result<Authorization, IllegalTransition>;

fn begin(one: Authorization, id: ChallengeId) -> Result<Authorization, IllegalTransition> {
    one.begin(id, validating(NOW))
}

fn attempt(one: Authorization, id: ChallengeId) -> Result<Authorization, IllegalTransition> {
    one.attempt(id, validating(NOW.plus(60)))
}

fn fulfil(one: Authorization, id: ChallengeId) -> Result<Authorization, IllegalTransition> {
    one.fulfil(id, CONTROL)
}

fn fail(one: Authorization, id: ChallengeId) -> Result<Authorization, IllegalTransition> {
    one.fail(id, failure())
}

/// The name of a challenge's state.
fn name(challenge: &Challenge) -> &'static str {
    match challenge.state() {
        ChallengeState::Invalid(_) => "invalid",
        ChallengeState::Pending => "pending",
        ChallengeState::Processing(_) => "processing",
        ChallengeState::Valid(_) => "valid",
    }
}

/// An authorization in every state, with the name of its state.
fn all() -> [(&'static str, Authorization); 6] {
    let pending = authorization(2);
    let id = challenge_id(ONE);
    [
        ("pending", pending.clone()),
        ("pending", begin(pending.clone(), id).unwrap()),
        ("valid", fulfil(pending.clone(), id).unwrap()),
        ("invalid", fail(pending.clone(), id).unwrap()),
        ("deactivated", pending.clone().deactivate(NOW).unwrap()),
        (
            "deactivated",
            fulfil(pending, id).unwrap().deactivate(NOW).unwrap(),
        ),
    ]
}

#[test]
fn transitions_of_a_challenge_and_its_authorization() {
    let transitions: [(Transition, &[&str], &str); 4] = [
        (begin, &["pending"], "processing"),
        (attempt, &["processing"], "processing"),
        (fulfil, &["pending", "processing"], "valid"),
        (fail, &["pending", "processing"], "invalid"),
    ];
    for (transition, legal, to) in transitions {
        for (from, before) in all() {
            let challenge = name(&before.challenges()[usize::from(ONE)]);
            match transition(before.clone(), challenge_id(ONE)) {
                Ok(after) => {
                    assert_eq!(from, "pending");
                    assert!(legal.contains(&challenge), "{challenge} became {to}");
                    assert_eq!(name(after.challenge(challenge_id(ONE)).unwrap()), to);
                    // The other challenge is unchanged.
                    assert_eq!(after.challenges()[0], before.challenges()[0]);
                    assert_eq!(after.challenges().len(), 2);
                    assert_eq!(after.into_parts().0, before.clone().into_parts().0);
                }
                Err(error) if from == "pending" => {
                    assert!(!legal.contains(&challenge), "{error}");
                    let text = format!("a challenge that is {challenge} cannot become {to}");
                    assert_eq!(error.to_string(), text);
                }
                Err(error) => {
                    let text = format!("an authorization that is {from} cannot become answered");
                    assert_eq!(error.to_string(), text);
                }
            }
            // A challenge of another authorization.
            assert!(transition(before, challenge_id(7)).is_err());
        }
    }
}

#[test]
fn the_values_of_a_transition_are_kept() {
    let id = challenge_id(ONE);
    let state = |one: &Authorization| one.challenge(id).unwrap().state().clone();
    let begun = begin(authorization(2), id).unwrap();
    let expected = validating(NOW);
    assert_eq!(state(&begun), ChallengeState::Processing(expected.clone()));
    assert_eq!(begun.validation_of(id), Some(&expected));
    assert_eq!(begun.validation_of(challenge_id(0)), None);
    let tried = attempt(begun, id).unwrap();
    let expected = validating(NOW.plus(60));
    assert_eq!(tried.validation_of(id), Some(&expected));
    let failed = fail(tried.clone(), id).unwrap();
    assert_eq!(state(&failed), ChallengeState::Invalid(failure()));
    let record = evidence([9; 32]);
    let basis = Basis::Evidence(record.clone());
    let valid = tried.fulfil(id, basis.clone()).unwrap();
    assert_eq!(state(&valid), ChallengeState::Valid(basis.clone()));
    assert_eq!(basis.evidence(), Some(&record));
    assert_eq!(basis.at(), record.at);
    let control = Basis::Control { at: NOW.plus(5) };
    assert_eq!((control.evidence(), control.at()), (None, NOW.plus(5)));
    let (details, state) = valid.clone().into_parts();
    assert_eq!(Authorization::restore(details, state), valid);
    let challenge = valid.challenges()[0].clone();
    let (id, kind, token, state) = challenge.clone().into_parts();
    assert_eq!(Challenge::restore(id, kind, token, state), challenge);
}

#[test]
fn of_several_validations_the_one_that_is_due_first_has_its_turn() {
    let (first, second) = (challenge_id(0), challenge_id(1));
    let both = |one: u64, other: u64| {
        let begun = authorization(3).begin(first, validating(NOW.plus(one)));
        begun
            .unwrap()
            .begin(second, validating(NOW.plus(other)))
            .unwrap()
    };
    let turn = |one: &Authorization| one.in_validation().map(|(challenge, _)| challenge.id());
    assert_eq!(turn(&authorization(3)), None);
    assert_eq!(turn(&both(1, 2)), Some(first));
    assert_eq!(turn(&both(2, 1)), Some(second));
    let (_, validating) = both(2, 1)
        .in_validation()
        .map(|(a, b)| (a.id(), b.clone()))
        .unwrap();
    assert_eq!(validating.next_attempt, NOW.plus(1));
    // Once the authorization is decided, no challenge is in validation.
    for decided in [
        fulfil(both(1, 2), challenge_id(2)).unwrap(),
        fail(both(1, 2), second).unwrap(),
        both(1, 2).deactivate(NOW).unwrap(),
    ] {
        assert_eq!(turn(&decided), None);
        assert_eq!(decided.validation_of(first), None);
    }
    // Expiry alone ends no validation: the worker ends it.
    assert_eq!(turn(&both(1, 2).end_at(Timestamp(0))), Some(first));
}

#[test]
fn what_an_authorization_is_at_a_time() {
    use AuthorizationStatus as S;
    let expected = [
        (S::Pending, S::Expired),
        (S::Pending, S::Expired),
        (S::Valid, S::Expired),
        (S::Invalid, S::Invalid),
        (S::Deactivated, S::Deactivated),
        (S::Deactivated, S::Deactivated),
    ];
    for ((_, one), (before, after)) in all().into_iter().zip(expected) {
        for (now, status) in [
            (Timestamp(0), before),
            (EXPIRES.minus(1), before),
            (EXPIRES, after),
            (EXPIRES.plus(1), after),
        ] {
            assert_eq!(one.status(now), status);
            let basis = (status == S::Valid).then_some(&CONTROL);
            assert_eq!(one.basis(now), basis);
        }
    }
}

#[test]
fn evidence_is_known_after_its_authorization_ended() {
    let record = evidence([9; 32]);
    let valid = valid_by(Basis::Evidence(record.clone()));
    assert_eq!(valid.evidence(), Some(&record));
    let ended = valid.deactivate(NOW).unwrap();
    assert_eq!(ended.evidence(), Some(&record));
    assert_eq!(ended.basis(NOW), None);
    assert_eq!(valid_by(CONTROL).evidence(), None);
    assert_eq!(authorization(1).evidence(), None);
    assert_eq!(
        fail(authorization(1), challenge_id(0)).unwrap().evidence(),
        None
    );
}

#[test]
fn only_what_is_pending_or_valid_is_given_up() {
    for (from, one) in all() {
        for (at, expired) in [(NOW, false), (EXPIRES, true)] {
            let given_up = one.clone().deactivate(at);
            let legal = !expired && matches!(from, "pending" | "valid");
            match given_up {
                Ok(given_up) => {
                    assert!(legal, "{from}");
                    assert_eq!(given_up.deactivated(), Some(at));
                    assert_eq!(given_up.challenges(), one.challenges());
                    assert_eq!(given_up.expires(), EXPIRES);
                }
                Err(error) => {
                    assert!(!legal, "{error}");
                    let text = format!("an authorization that is {from} cannot become deactivated");
                    assert_eq!(error.to_string(), text);
                }
            }
        }
    }
}

#[test]
fn an_end_comes_earlier_and_never_later() {
    for (at, expires) in [(EXPIRES.plus(9), EXPIRES), (NOW, NOW)] {
        let ended = authorization(2).end_at(at);
        assert_eq!(ended.expires(), expires);
        assert_eq!(ended.challenges(), authorization(2).challenges());
    }
}

proptest! {
    /// For any steps: at most one challenge becomes final, and a decision
    /// stays.
    #[test]
    fn an_authorization_is_decided_once(steps in proptest::collection::vec((0..5_usize, 0..3_u8), 1..12)) {
        let mut one = authorization(3);
        for (transition, challenge) in steps {
            let before = one.clone();
            let id = challenge_id(challenge);
            let after = match transition {
                0 => begin(one, id),
                1 => attempt(one, id),
                2 => fulfil(one, id),
                3 => fail(one, id),
                _ => one.deactivate(NOW),
            };
            let decided = before.status(NOW) != AuthorizationStatus::Pending;
            if let Ok(after) = &after {
                let given_up = after.status(NOW) == AuthorizationStatus::Deactivated;
                prop_assert!(!decided || given_up);
                let last = |one: &&Challenge| matches!(name(one), "valid" | "invalid");
                prop_assert!(after.challenges().iter().filter(last).count() <= 1);
            }
            one = after.unwrap_or(before);
        }
    }
}
