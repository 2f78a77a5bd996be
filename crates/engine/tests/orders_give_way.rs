//! Which orders are displaced when there are too many, and which ended ones are
//! deleted.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::Arc;

use assay_engine::{
    Error, Limits,
    domain::OrderState,
    ports::{OpenOrders, Store},
};
use assay_proto::{OrderStatus, Problem, ProblemType};
use support::{Glass, Knobs, SERIAL, START, device, wait};

fn orders(open_orders: OpenOrders) -> Knobs {
    Knobs {
        limits: Limits {
            open_orders,
            ..Limits::default()
        },
        ..Knobs::default()
    }
}

/// Limits that only the number of pending orders of all accounts can reach.
fn pending(pending: usize) -> Knobs {
    orders(OpenOrders {
        of_account: 1_000,
        of_identifier: 1_000,
        pending,
    })
}

#[tokio::test]
async fn a_new_order_ends_the_accounts_own_oldest_for_the_same_device() {
    let glass = Glass::new();
    let account = glass.account().await;
    let mut made = Vec::new();
    for _ in 0..20 {
        made.push(glass.order(&account, &[SERIAL]).await.unwrap());
        glass.clock.advance(1);
    }
    let (ready, its_device) = (made.remove(0), device(SERIAL));
    glass.answer(&ready, 0, &its_device).await.unwrap();
    glass.order(&account, &[SERIAL]).await.unwrap();
    let ended = glass.read(&made[0]).await;
    let OrderState::Invalid(failure) = ended.state() else {
        panic!("{ended:?}");
    };
    assert_eq!(failure.reason, "displaced");
    let problem = ended.error(START).unwrap();
    assert_eq!(problem.kind, ProblemType::RateLimited);
    assert!(problem.detail.contains("same identifier"), "{problem:?}");
    let late = glass.answer(&made[0], 0, &its_device).await;
    assert_eq!(late.unwrap_err(), Error::OrderOver);
    for kept in &made[1..] {
        assert_eq!(glass.read(kept).await.status(START), OrderStatus::Pending);
    }
    // The ready order is not displaced.
    glass.finalize(&ready, &its_device).await.unwrap();
}

#[tokio::test]
async fn a_new_order_ends_the_accounts_own_oldest_of_all() {
    let glass = Glass::new();
    let account = glass.account().await;
    let mut made = Vec::new();
    for n in 0..100 {
        made.push(glass.order(&account, &[&format!("D{n}")]).await.unwrap());
        glass.clock.advance(1);
    }
    glass.order(&account, &["another"]).await.unwrap();
    assert_eq!(
        glass.read(&made[0]).await.status(START),
        OrderStatus::Invalid
    );
    for kept in &made[1..] {
        assert_eq!(glass.read(kept).await.status(START), OrderStatus::Pending);
    }
    // Other accounts are not affected, and expiry makes room too.
    glass.order(&glass.account().await, &["D1"]).await.unwrap();
    glass.clock.advance(8 * 3600);
    glass.order(&account, &[SERIAL]).await.unwrap();
}

#[tokio::test]
async fn an_account_whose_open_orders_are_all_ready_is_refused() {
    let glass = Glass::with(orders(OpenOrders {
        of_account: 3,
        of_identifier: 2,
        pending: 200,
    }));
    let account = glass.account().await;
    for _ in 0..2 {
        glass.ready(&account).await;
    }
    let error = glass.order(&account, &[SERIAL]).await.unwrap_err();
    assert_eq!(error, Error::TooManyOpenOrders);
    assert_eq!(Problem::from(&error).status, 429);
    assert_eq!(error.retry_after(), Some(600));
    // Nor does an order for another device displace a ready one.
    glass.order(&account, &["D1"]).await.unwrap();
    glass.order(&account, &["D2"]).await.unwrap();
    assert_eq!(
        glass.order(&account, &[SERIAL]).await.unwrap_err(),
        Error::TooManyOpenOrders
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_at_once_stay_within_the_accounts_limit() {
    let glass = Arc::new(Glass::with(orders(OpenOrders {
        of_account: 100,
        of_identifier: 3,
        pending: 200,
    })));
    let account = glass.account().await;
    let many: Vec<_> = (0..16)
        .map(|_| {
            let (glass, account) = (Arc::clone(&glass), account.clone());
            tokio::spawn(async move { glass.order(&account, &[SERIAL]).await })
        })
        .collect();
    for one in many {
        // Conflicts with the others may repeat.
        if let Err(error) = one.await.unwrap() {
            assert_eq!(error, Error::Contention);
        }
    }
    let open = glass
        .store
        .open_orders(account.id, START, 99)
        .await
        .unwrap();
    assert_eq!(open.len(), 3);
}

/// Other clients' orders lock out no device, and only the heaviest network
/// pays.
#[tokio::test]
async fn pending_orders_of_a_flood_give_way_to_a_devices_order() {
    let glass = Glass::with(pending(6));
    let device = glass.account().await;
    let mine = glass.order_from("192.0.2.9", &device, &[SERIAL]).await;
    let mine = mine.unwrap();
    let mut flood = Vec::new();
    for n in 0..5 {
        glass.clock.advance(1);
        let account = glass.account().await;
        let from = format!("2001:db8:{n}::1");
        flood.push(glass.order_from(&from, &account, &[SERIAL]).await.unwrap());
    }
    // No order is old enough yet. Only the heaviest network is refused; others
    // are admitted.
    let error = glass.order_from("2001:db8:4::9", &device, &[SERIAL]).await;
    assert!(wait(&error.unwrap_err()) <= 120);
    let again = glass.order_from("192.0.2.9", &device, &[SERIAL]).await;
    again.unwrap();
    let status = async |order| glass.read(order).await.status(START);
    for order in flood.iter().chain([&mine]) {
        assert_eq!(status(order).await, OrderStatus::Pending);
    }
    glass.clock.advance(120);
    let third = glass.order_from("198.51.100.1", &device, &[SERIAL]).await;
    third.unwrap();
    // Two were displaced, so the number falls to its limit again.
    for (n, order) in flood.iter().enumerate() {
        let expected = match n {
            0..2 => OrderStatus::Invalid,
            _ => OrderStatus::Pending,
        };
        assert_eq!(status(order).await, expected, "{n}");
    }
    assert_eq!(status(&mine).await, OrderStatus::Pending);
    let problem = glass.read(&flood[0]).await.error(START).unwrap();
    assert_eq!(problem.kind, ProblemType::RateLimited);
    // Orders of other devices are not affected.
    glass
        .order_from("2001:db8:4::9", &device, &["D2"])
        .await
        .unwrap();
}

/// Concurrent orders must not all choose the same order and conflict until they
/// give up: a single thread runs them in lockstep.
#[tokio::test]
async fn orders_at_once_displace_different_orders_of_the_flood() {
    const MANY: usize = 20;
    let glass = Arc::new(Glass::with(pending(MANY)));
    let flood = glass.account().await;
    for _ in 0..MANY {
        let placed = glass.order_from("192.0.2.1", &flood, &[SERIAL]).await;
        placed.unwrap();
    }
    glass.clock.advance(120);
    let mut many = Vec::new();
    for n in 0..MANY {
        let (glass, account) = (Arc::clone(&glass), glass.account().await);
        let from = format!("10.{n}.0.1");
        many.push(tokio::spawn(async move {
            glass.order_from(&from, &account, &[SERIAL]).await
        }));
    }
    for one in many {
        one.await.unwrap().unwrap();
    }
    let left = glass.store.open_orders(flood.id, START, 99).await.unwrap();
    assert_eq!(left.len(), 0);
}

#[tokio::test]
async fn pending_orders_never_exceed_twice_their_limit() {
    let glass = Glass::with(pending(4));
    let account = glass.account().await;
    let mut made = 0;
    for n in 0..20 {
        let from = format!("10.{n}.0.1");
        made += usize::from((glass.order_from(&from, &account, &[SERIAL]).await).is_ok());
    }
    // One order is displaced for each new network.
    assert_eq!(made, 20);
    let listed = glass.store.open_orders(account.id, START, 99).await;
    assert_eq!(listed.unwrap().len(), 8);
}

#[tokio::test]
async fn of_ended_orders_without_evidence_the_latest_twenty_stay() {
    let glass = Glass::new();
    let account = glass.account().await;
    let (proven, _) = glass.ready(&account).await;
    let mut made = Vec::new();
    for _ in 0..50 {
        glass.clock.advance(1);
        let order = glass.order(&account, &[SERIAL]).await.unwrap();
        // Evidence of another device: the order ends at once.
        glass.answer(&order, 0, &device("OTHER")).await.unwrap_err();
        made.push(order);
    }
    glass.clock.advance(1);
    let last = glass.order(&account, &[SERIAL]).await.unwrap();
    let (gone, kept) = made.split_at(30);
    for order in gone {
        assert_eq!(glass.store.order(order.id).await, Ok(None));
        let authorization = glass.store.authorization(order.authorizations[0]).await;
        assert_eq!(authorization, Ok(None));
        let read = glass
            .engine
            .order(&glass.by(account.id).await, order.id)
            .await;
        assert_eq!(read.unwrap_err(), Error::NotFound("order"));
    }
    for order in kept.iter().chain([&proven, &last]) {
        assert!(glass.store.order(order.id).await.unwrap().is_some());
    }
    // The account's list has no gaps.
    let page = glass
        .engine
        .orders(&glass.authenticated(&account).await, None)
        .await
        .unwrap();
    assert_eq!(page.orders.len(), 22);
}

/// Expired orders are deleted too, but not while the clock is in doubt.
#[tokio::test]
async fn expired_orders_go_once_the_clock_is_right() {
    let glass = Glass::new();
    let account = glass.account().await;
    let mut made = Vec::new();
    for _ in 0..21 {
        // One account has at most 20 of them.
        let other = glass.account().await;
        made.push(glass.order(&other, &[SERIAL]).await.unwrap());
    }
    glass.clock.advance(8 * 3600);
    let wall = assay_engine::ports::Clock::now(&glass.clock);
    glass.clock.set(wall.plus(7_200));
    glass.order(&account, &[SERIAL]).await.unwrap();
    let left = async || {
        let mut left = 0;
        for order in &made {
            left += usize::from(glass.store.order(order.id).await.unwrap().is_some());
        }
        left
    };
    assert_eq!(left().await, 21);
    glass.clock.set(wall);
    glass.order(&account, &[SERIAL]).await.unwrap();
    assert_eq!(left().await, 20);
}
