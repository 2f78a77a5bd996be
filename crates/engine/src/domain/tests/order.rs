use assay_proto::{OrderStatus, ProblemType, Timestamp};

use crate::domain::{
    IllegalTransition, NotReady, Order, OrderState,
    samples::{EXPIRES, NOW, failure, identifier, order, processing},
};

/// An order in every state, with the name of the state.
fn all() -> [(&'static str, Order); 5] {
    let pending = order(&[identifier("permanent-identifier", "C02A")]);
    let ready = pending.clone().authorize().unwrap();
    let begun = ready.clone().begin(processing(), NOW).unwrap();
    let valid = begun.clone().complete().unwrap();
    let invalid = pending.clone().fail(failure()).unwrap();
    [
        ("invalid", invalid),
        ("pending", pending),
        ("processing", begun),
        ("ready", ready),
        ("valid", valid),
    ]
}

/// Applies a transition to every state. From these states it succeeds and leads
/// to `reached`; from others the error names both states.
fn assert_only_from(
    legal: &[&str],
    to: &str,
    reached: &OrderState,
    transition: impl Fn(Order) -> Result<Order, IllegalTransition>,
) {
    for (from, order) in all() {
        let proven = order.is_proven();
        match transition(order.clone()) {
            Ok(changed) => {
                assert!(legal.contains(&from), "{from} became {to}");
                assert_eq!(changed.state(), reached);
                assert!(changed.is_proven() || !proven);
                assert_eq!(changed.into_parts().0, order.into_parts().0);
            }
            Err(error) => {
                assert!(!legal.contains(&from), "{error}");
                let text = format!("an order that is {from} cannot become {to}");
                assert_eq!(error.to_string(), text);
            }
        }
    }
}

#[test]
fn transitions_of_an_order() {
    let certificate = processing().serial;
    let valid = OrderState::Valid { certificate };
    assert_only_from(&["processing"], "valid", &valid, Order::complete);
    let pending = OrderState::Pending;
    assert_only_from(
        &["pending"],
        "proven",
        &pending,
        Order::record_valid_authorization,
    );
    let ready = OrderState::Ready;
    assert_only_from(&["pending"], "ready", &ready, Order::authorize);
    let open = ["pending", "processing", "ready"];
    let invalid = OrderState::Invalid(failure());
    assert_only_from(&open, "invalid", &invalid, |one| one.fail(failure()));
}

#[test]
fn only_a_ready_order_in_its_time_begins() {
    for (from, order) in all() {
        for (now, expired) in [(EXPIRES.minus(1), false), (EXPIRES, true)] {
            let begun = order.clone().begin(processing(), now);
            assert_eq!(order.check_ready(now), begun.clone().map(drop));
            match begun {
                Ok(begun) => {
                    assert_eq!((from, expired), ("ready", false));
                    let state = OrderState::Processing(processing());
                    assert_eq!(*begun.state(), state);
                }
                Err(NotReady(status)) => {
                    assert_eq!(status, order.status(now));
                    assert_ne!(status, OrderStatus::Ready);
                }
            }
        }
    }
    let error = NotReady(OrderStatus::Pending).to_string();
    assert_eq!(error, "the order is pending, not ready");
}

#[test]
fn time_ends_what_waits_for_its_client_and_nothing_else() {
    for (name, order) in all() {
        let waits = matches!(name, "pending" | "ready");
        for now in [Timestamp(0), NOW, EXPIRES.minus(1)] {
            assert_eq!(order.status(now).as_str(), name);
            assert!(!order.is_expired(now));
            assert_eq!(order.is_open(now), waits);
            assert_eq!(order.error(now).is_some(), name == "invalid");
        }
        for now in [EXPIRES, EXPIRES.plus(1)] {
            assert_eq!(order.is_expired(now), waits);
            assert!(!order.is_open(now));
            let status = if waits { "invalid" } else { name };
            assert_eq!(order.status(now).as_str(), status);
            match order.error(now) {
                Some(problem) if waits => {
                    assert_eq!(problem.kind, ProblemType::Malformed);
                    let text = format!("the order expired at {EXPIRES}: make a new one");
                    assert_eq!(problem.detail, text);
                }
                Some(problem) => {
                    assert_eq!(name, "invalid");
                    assert_eq!(problem, failure().problem);
                }
                None => assert!(!waits && name != "invalid", "{name}"),
            }
        }
    }
}

#[test]
fn an_order_is_proven_by_its_first_authorization_and_stays_so() {
    let pending = order(&[identifier("permanent-identifier", "C02A")]);
    assert!(!pending.is_proven());
    assert!(!pending.clone().fail(failure()).unwrap().is_proven());
    let proven = pending.record_valid_authorization().unwrap();
    assert!(proven.is_proven());
    assert!(proven.clone().fail(failure()).unwrap().is_proven());
    assert!(proven.authorize().unwrap().is_proven());
    for (name, order) in all() {
        let (details, state, proven) = order.clone().into_parts();
        assert_eq!(proven, !matches!(name, "pending" | "invalid"));
        assert_eq!(Order::restore(details, state, proven), order);
    }
}
