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
use support::{Harness, SERIAL, START, Settings, device, wait};

fn orders(open_orders: OpenOrders) -> Settings {
    Settings {
        limits: Limits {
            open_orders,
            ..Limits::default()
        },
        ..Settings::default()
    }
}

/// Limits that only the number of pending orders of all accounts can reach.
fn pending(pending: usize) -> Settings {
    orders(OpenOrders {
        of_account: 1_000,
        of_identifier: 1_000,
        pending,
    })
}

#[tokio::test]
async fn a_new_order_ends_the_accounts_own_oldest_for_the_same_device() {
    let harness = Harness::new();
    let account = harness.account().await;
    let mut made = Vec::new();
    for _ in 0..20 {
        made.push(harness.order(&account, &[SERIAL]).await.unwrap());
        harness.clock.advance(1);
    }
    let (ready, its_device) = (made.remove(0), device(SERIAL));
    harness.answer(&ready, 0, &its_device).await.unwrap();
    harness.order(&account, &[SERIAL]).await.unwrap();
    let ended = harness.read(&made[0]).await;
    let OrderState::Invalid(failure) = ended.state() else {
        panic!("{ended:?}");
    };
    assert_eq!(failure.reason, "displaced");
    let problem = ended.error(START).unwrap();
    assert_eq!(problem.kind, ProblemType::RateLimited);
    assert!(problem.detail.contains("same identifier"), "{problem:?}");
    let late = harness.answer(&made[0], 0, &its_device).await;
    assert_eq!(late.unwrap_err(), Error::OrderOver);
    for kept in &made[1..] {
        assert_eq!(harness.read(kept).await.status(START), OrderStatus::Pending);
    }
    // The ready order is not displaced.
    harness.finalize(&ready, &its_device).await.unwrap();
}

#[tokio::test]
async fn a_new_order_ends_the_accounts_own_oldest_of_all() {
    let harness = Harness::new();
    let account = harness.account().await;
    let mut made = Vec::new();
    for n in 0..100 {
        made.push(harness.order(&account, &[&format!("D{n}")]).await.unwrap());
        harness.clock.advance(1);
    }
    harness.order(&account, &["another"]).await.unwrap();
    assert_eq!(
        harness.read(&made[0]).await.status(START),
        OrderStatus::Invalid
    );
    for kept in &made[1..] {
        assert_eq!(harness.read(kept).await.status(START), OrderStatus::Pending);
    }
    // Other accounts are not affected, and expiry makes room too.
    harness
        .order(&harness.account().await, &["D1"])
        .await
        .unwrap();
    harness.clock.advance(8 * 3600);
    harness.order(&account, &[SERIAL]).await.unwrap();
}

#[tokio::test]
async fn an_account_whose_open_orders_are_all_ready_is_refused() {
    let harness = Harness::with(orders(OpenOrders {
        of_account: 3,
        of_identifier: 2,
        pending: 200,
    }));
    let account = harness.account().await;
    for _ in 0..2 {
        harness.ready(&account).await;
    }
    let error = harness.order(&account, &[SERIAL]).await.unwrap_err();
    assert_eq!(error, Error::TooManyOpenOrders);
    assert_eq!(Problem::from(&error).status, 429);
    assert_eq!(error.retry_after(), Some(600));
    // Nor does an order for another device displace a ready one.
    harness.order(&account, &["D1"]).await.unwrap();
    harness.order(&account, &["D2"]).await.unwrap();
    assert_eq!(
        harness.order(&account, &[SERIAL]).await.unwrap_err(),
        Error::TooManyOpenOrders
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_at_once_stay_within_the_accounts_limit() {
    let harness = Arc::new(Harness::with(orders(OpenOrders {
        of_account: 100,
        of_identifier: 3,
        pending: 200,
    })));
    let account = harness.account().await;
    let many: Vec<_> = (0..16)
        .map(|_| {
            let (harness, account) = (Arc::clone(&harness), account.clone());
            tokio::spawn(async move { harness.order(&account, &[SERIAL]).await })
        })
        .collect();
    for one in many {
        // Conflicts with the others may repeat.
        if let Err(error) = one.await.unwrap() {
            assert_eq!(error, Error::Contention);
        }
    }
    let open = harness
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
    let harness = Harness::with(pending(6));
    let device = harness.account().await;
    let mine = harness.order_from("192.0.2.9", &device, &[SERIAL]).await;
    let mine = mine.unwrap();
    let mut flood = Vec::new();
    for n in 0..5 {
        harness.clock.advance(1);
        let account = harness.account().await;
        let from = format!("2001:db8:{n}::1");
        flood.push(
            harness
                .order_from(&from, &account, &[SERIAL])
                .await
                .unwrap(),
        );
    }
    // No order is old enough yet. Only the heaviest network is refused; others
    // are admitted.
    let error = harness
        .order_from("2001:db8:4::9", &device, &[SERIAL])
        .await;
    assert!(wait(&error.unwrap_err()) <= 120);
    let again = harness.order_from("192.0.2.9", &device, &[SERIAL]).await;
    again.unwrap();
    let status = async |order| harness.read(order).await.status(START);
    for order in flood.iter().chain([&mine]) {
        assert_eq!(status(order).await, OrderStatus::Pending);
    }
    harness.clock.advance(120);
    let third = harness.order_from("198.51.100.1", &device, &[SERIAL]).await;
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
    let problem = harness.read(&flood[0]).await.error(START).unwrap();
    assert_eq!(problem.kind, ProblemType::RateLimited);
    // Orders of other devices are not affected.
    harness
        .order_from("2001:db8:4::9", &device, &["D2"])
        .await
        .unwrap();
}

/// Concurrent orders must not all choose the same order and conflict until they
/// give up: a single thread runs them in lockstep.
#[tokio::test]
async fn orders_at_once_displace_different_orders_of_the_flood() {
    const MANY: usize = 20;
    let harness = Arc::new(Harness::with(pending(MANY)));
    let flood = harness.account().await;
    for _ in 0..MANY {
        let placed = harness.order_from("192.0.2.1", &flood, &[SERIAL]).await;
        placed.unwrap();
    }
    harness.clock.advance(120);
    let mut many = Vec::new();
    for n in 0..MANY {
        let (harness, account) = (Arc::clone(&harness), harness.account().await);
        let from = format!("10.{n}.0.1");
        many.push(tokio::spawn(async move {
            harness.order_from(&from, &account, &[SERIAL]).await
        }));
    }
    for one in many {
        one.await.unwrap().unwrap();
    }
    let left = harness
        .store
        .open_orders(flood.id, START, 99)
        .await
        .unwrap();
    assert_eq!(left.len(), 0);
}

#[tokio::test]
async fn pending_orders_never_exceed_twice_their_limit() {
    let harness = Harness::with(pending(4));
    let account = harness.account().await;
    let mut made = 0;
    for n in 0..20 {
        let from = format!("10.{n}.0.1");
        made += usize::from((harness.order_from(&from, &account, &[SERIAL]).await).is_ok());
    }
    // One order is displaced for each new network.
    assert_eq!(made, 20);
    let listed = harness.store.open_orders(account.id, START, 99).await;
    assert_eq!(listed.unwrap().len(), 8);
}

#[tokio::test]
async fn of_ended_orders_without_evidence_the_latest_twenty_stay() {
    let harness = Harness::new();
    let account = harness.account().await;
    let (proven, _) = harness.ready(&account).await;
    let mut made = Vec::new();
    for _ in 0..50 {
        harness.clock.advance(1);
        let order = harness.order(&account, &[SERIAL]).await.unwrap();
        // Evidence of another device: the order ends at once.
        harness
            .answer(&order, 0, &device("OTHER"))
            .await
            .unwrap_err();
        made.push(order);
    }
    harness.clock.advance(1);
    let last = harness.order(&account, &[SERIAL]).await.unwrap();
    let (gone, kept) = made.split_at(30);
    for order in gone {
        assert_eq!(harness.store.order(order.id).await, Ok(None));
        let authorization = harness.store.authorization(order.authorizations[0]).await;
        assert_eq!(authorization, Ok(None));
        let read = harness
            .engine
            .order(&harness.by(account.id).await, order.id)
            .await;
        assert_eq!(read.unwrap_err(), Error::NotFound("order"));
    }
    for order in kept.iter().chain([&proven, &last]) {
        assert!(harness.store.order(order.id).await.unwrap().is_some());
    }
    // The account's list has no gaps.
    let page = harness
        .engine
        .orders(&harness.authenticated(&account).await, None)
        .await
        .unwrap();
    assert_eq!(page.orders.len(), 22);
}

/// Expired orders are deleted too, but not while the clock is in doubt.
#[tokio::test]
async fn expired_orders_go_once_the_clock_is_right() {
    let harness = Harness::new();
    let account = harness.account().await;
    let mut made = Vec::new();
    for _ in 0..21 {
        // One account has at most 20 of them.
        let other = harness.account().await;
        made.push(harness.order(&other, &[SERIAL]).await.unwrap());
    }
    harness.clock.advance(8 * 3600);
    let wall = assay_engine::ports::Clock::now(&harness.clock);
    harness.clock.set(wall.plus(7_200));
    harness.order(&account, &[SERIAL]).await.unwrap();
    let left = async || {
        let mut left = 0;
        for order in &made {
            left += usize::from(harness.store.order(order.id).await.unwrap().is_some());
        }
        left
    };
    assert_eq!(left().await, 21);
    harness.clock.set(wall);
    harness.order(&account, &[SERIAL]).await.unwrap();
    assert_eq!(left().await, 20);
}
