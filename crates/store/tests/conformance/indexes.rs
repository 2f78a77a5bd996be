//! Lists and counts follow the records.

use std::sync::Arc;

use assay_engine::{
    domain::{Lease, Order, Work},
    ids::{NodeId, OrderId},
    ports::{
        AccountCursor, Change, CommitError, ConflictOn, Direction, OpenOrder, OpenOrders,
        OrderCursor, OrderList, ProvisionalAccount, Store, UnprovenOrder,
    },
};
use assay_proto::Timestamp;

use crate::common::*;

async fn insert(store: &dyn Store, order: Order) {
    commit(store, vec![insert_order(order)]).await.unwrap();
}

async fn update(store: &dyn Store, n: u8, state: Stage) {
    let found = store.order(order_id(n)).await.unwrap().unwrap();
    let changes = vec![Change::UpdateOrder(
        in_state(found.value, state),
        found.version,
    )];
    commit(store, changes).await.unwrap();
}

/// Counts the account's open orders, and those of them that name the device.
async fn open(store: &dyn Store, device: u8, now: Timestamp) -> (usize, usize) {
    let account = account_id(1);
    let device = permanent(&format!("DEVICE{device}"));
    let all = store.open_orders(account, now, 100).await.unwrap();
    (
        all.len(),
        open_orders_naming(store, account, &device, now).await,
    )
}

pub(crate) async fn lists_follow_the_states_of_orders(store: Arc<dyn Store>) {
    let cursor = |n| OrderCursor {
        created: NOW,
        id: order_id(n),
    };
    for n in [1, 2] {
        insert(&*store, order(n)).await;
    }
    let foreign = with(order(3), |order| order.account = account_id(2));
    insert(&*store, foreign).await;

    for (state, counts, in_processing) in [
        (ready(), (2, 1), vec![]),
        (processing(1, 600), (2, 1), vec![order_id(1)]),
        (valid(1), (1, 0), vec![]),
        (invalid(), (1, 0), vec![]),
        (Stage::Pending, (2, 1), vec![]),
    ] {
        update(&*store, 1, state).await;
        assert_eq!(open(&*store, 1, NOW).await, counts);
        assert_eq!(store.orders_in_processing().await, Ok(in_processing));
        let mine = store
            .orders(
                OrderList::OfAccount(account_id(1)),
                None,
                Direction::Newer,
                9,
            )
            .await;
        assert_eq!(mine, Ok(vec![cursor(1), cursor(2)]));
        let theirs = store
            .orders(
                OrderList::OfAccount(account_id(2)),
                None,
                Direction::Newer,
                9,
            )
            .await;
        assert_eq!(theirs, Ok(vec![cursor(3)]));
        let all = store
            .orders(OrderList::All, None, Direction::Newer, 9)
            .await;
        assert_eq!(all, Ok(vec![cursor(1), cursor(2), cursor(3)]));
    }
    assert_eq!(
        store
            .orders(
                OrderList::OfAccount(account_id(3)),
                None,
                Direction::Newer,
                9
            )
            .await,
        Ok(vec![])
    );
}

/// Returns all pages of a list, from one end to the other.
async fn all(store: &dyn Store, list: OrderList<'_>, direction: Direction) -> Vec<OrderId> {
    let (mut seen, mut from) = (Vec::new(), None);
    loop {
        let page = store.orders(list, from, direction, 3).await.unwrap();
        assert!(page.len() <= 3);
        from = page.last().copied();
        if from.is_none() {
            return seen;
        }
        seen.extend(page.iter().map(|cursor| cursor.id));
    }
}

pub(crate) async fn orders_come_in_pages_in_both_directions(store: Arc<dyn Store>) {
    // Later ids are older, so that the order is by creation; two have the same
    // timestamp and are ordered by id.
    for (n, age) in [(5, 0), (6, 10), (7, 10), (8, 300)] {
        let order = with(order(n), |order| order.created = NOW.minus(age));
        insert(&*store, order).await;
    }
    let other = with(order(9), |other| {
        other.account = account_id(2);
        other.identifiers = vec![permanent("OTHER")];
        other.created = NOW.plus(10);
    });
    insert(&*store, other).await;
    let mine = OrderList::OfAccount(account_id(1));
    for (list, more) in [(OrderList::All, Some(order_id(9))), (mine, None)] {
        let mut expected: Vec<_> = [8, 6, 7, 5].map(order_id).into_iter().chain(more).collect();
        assert_eq!(all(&*store, list, Direction::Newer).await, expected);
        expected.reverse();
        assert_eq!(all(&*store, list, Direction::Older).await, expected);
        for direction in [Direction::Newer, Direction::Older] {
            assert_eq!(store.orders(list, None, direction, 0).await, Ok(vec![]));
        }
        // A cursor may name an order that does not exist.
        let between = OrderCursor {
            created: NOW.minus(10),
            id: order_id(0xff),
        };
        for (direction, next) in [(Direction::Newer, 5), (Direction::Older, 7)] {
            let rest = store.orders(list, Some(between), direction, 1).await;
            assert_eq!(rest.unwrap()[0].id, order_id(next));
        }
    }
    let device = OrderList::OfDevice("OTHER");
    for direction in [Direction::Newer, Direction::Older] {
        assert_eq!(all(&*store, device, direction).await, [order_id(9)]);
    }
    assert_eq!(store.count_orders().await, Ok(5));
}

pub(crate) async fn orders_of_a_device_are_found_by_each_of_its_names(store: Arc<dyn Store>) {
    async fn found(store: &dyn Store, name: &str) -> Vec<(u64, OrderId)> {
        let listed = store
            .orders(OrderList::OfDevice(name), None, Direction::Older, 9)
            .await
            .unwrap();
        let listed = listed.into_iter().map(|one| (one.created.0, one.id));
        listed.collect()
    }
    // Two names of the same device in one order, and an order of another
    // account.
    let both = with(order(1), |both| {
        both.identifiers = vec![
            permanent("DEVICE1"),
            identifier("hardware-module", "DEVICE1/1.2"),
        ];
    });
    insert(&*store, both).await;
    let later = with(order(2), |later| {
        (later.account, later.created) = (account_id(2), NOW.plus(10));
        later.identifiers = vec![permanent("DEVICE1")];
    });
    insert(&*store, later).await;
    insert(&*store, order(3)).await;
    let both = vec![(NOW.0 + 10, order_id(2)), (NOW.0, order_id(1))];
    assert_eq!(found(&*store, "DEVICE1").await, both);
    let before = Some(OrderCursor {
        created: NOW.plus(10),
        id: order_id(2),
    });
    let page = store
        .orders(OrderList::OfDevice("DEVICE1"), before, Direction::Older, 9)
        .await
        .unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(found(&*store, "device1").await, []);

    // The attested name once it is known: the ordered name is not listed twice.
    let mut attested = evidence(1);
    attested.facts.serial = Some("DEVICE3".to_owned());
    attested.facts.udid = Some("UDID3".to_owned());
    attested.at = NOW.plus(20);
    let pending = authorization_with(3, |one| one.identifier = permanent("DEVICE3"));
    let changes = vec![Change::InsertAuthorization(pending.clone())];
    let version = commit(&*store, changes).await.unwrap();
    assert_eq!(found(&*store, "UDID3").await, []);
    let proven = fulfilled(pending, attested);
    let changes = vec![Change::UpdateAuthorization(proven, version)];
    let version = commit(&*store, changes).await.unwrap();
    let attested = vec![(NOW.0 + 20, order_id(3))];
    assert_eq!(found(&*store, "UDID3").await, attested);
    assert_eq!(found(&*store, "DEVICE3").await, [(NOW.0, order_id(3))]);
    let changes = vec![Change::DeleteAuthorization(authorization_id(3), version)];
    commit(&*store, changes).await.unwrap();
    assert_eq!(found(&*store, "UDID3").await, []);
}

pub(crate) async fn open_orders_end_with_their_expiry(store: Arc<dyn Store>) {
    for n in 1..=4 {
        let order = with(order(n), |order| {
            order.identifiers = vec![permanent("DEVICE1"), permanent("DEVICE2")];
            order.expires = NOW.plus(u64::from(n) * 100);
        });
        insert(&*store, order).await;
    }
    for (after, count) in [(0, 4), (99, 4), (100, 3), (399, 1), (400, 0)] {
        let now = NOW.plus(after);
        assert_eq!(open(&*store, 1, now).await, (count, count));
        assert_eq!(open(&*store, 2, now).await, (count, count));
    }
    assert_eq!(open(&*store, 3, NOW).await, (4, 0));
    for (device, count) in [("DEVICE2", 4), ("DEVICE3", 0)] {
        let device = permanent(device);
        let naming = store.open_orders_naming(account_id(1), &device, NOW, 9);
        assert_eq!(naming.await.unwrap().len(), count);
    }
    for limit in 0..=5 {
        let first = (1..=4).take(limit).map(order_id).collect();
        let listed = store.open_orders(account_id(1), NOW, limit).await;
        assert_eq!(listed, Ok(first));
    }
    let others = store.open_orders(account_id(2), NOW, 9).await;
    assert_eq!(others, Ok(vec![]));
}

pub(crate) async fn a_processing_order_is_open_too(store: Arc<dyn Store>) {
    let expires = order(1).expires;
    insert(&*store, order(1)).await;
    update(&*store, 1, processing(1, 600)).await;
    assert_eq!(open(&*store, 1, expires.minus(1)).await, (1, 1));
    assert_eq!(open(&*store, 1, expires).await, (0, 0));
    // It can still be completed.
    assert_eq!(store.orders_in_processing().await, Ok(vec![order_id(1)]));
    update(&*store, 1, valid(1)).await;
    assert_eq!(open(&*store, 1, Timestamp(0)).await, (0, 0));
    assert_eq!(store.orders_in_processing().await, Ok(vec![]));
}

pub(crate) async fn identifiers_are_told_apart_by_type(store: Arc<dyn Store>) {
    let order = with(order(1), |order| {
        order.identifiers = vec![permanent("A/1.2")];
    });
    insert(&*store, order).await;
    for (identifier, count) in [
        (permanent("A/1.2"), 1),
        (identifier("hardware-module", "A/1.2"), 0),
        (permanent("A"), 0),
        (permanent("a/1.2"), 0),
    ] {
        let counted = open_orders_naming(&*store, account_id(1), &identifier, NOW).await;
        assert_eq!(counted, count, "{identifier:?}");
    }
}

pub(crate) async fn open_orders_are_limited_within_the_commit(store: Arc<dyn Store>) {
    let full = Err(CommitError::Conflict(ConflictOn::OpenOrders));
    let limits = OpenOrders {
        of_account: 3,
        of_identifier: 2,
        pending: usize::MAX,
    };
    let naming = |n, device: &str| {
        let order = with(order(n), |order| {
            order.identifiers = vec![permanent(device)]
        });
        Change::InsertOrder(order, limits)
    };
    // Those of the same commit count, and a refused commit leaves nothing.
    let three = [1, 2, 3].map(|n| naming(n, "A")).into();
    assert_eq!(commit(&*store, three).await, full);
    let two = [1, 2].map(|n| naming(n, "A")).into();
    commit(&*store, two).await.unwrap();
    assert_eq!(commit(&*store, vec![naming(3, "A")]).await, full);
    commit(&*store, vec![naming(3, "B")]).await.unwrap();
    assert_eq!(commit(&*store, vec![naming(4, "C")]).await, full);
    // An order that is completed within the commit makes room.
    let found = store.order(order_id(1)).await.unwrap().unwrap();
    let done = Change::UpdateOrder(in_state(found.value, valid(1)), found.version);
    commit(&*store, vec![done, naming(4, "A")]).await.unwrap();
    assert_eq!(commit(&*store, vec![naming(5, "A")]).await, full);
    // Time also makes room: the time of the commit itself.
    let late = order(2).expires;
    commit_at(&*store, late, vec![naming(5, "A")])
        .await
        .unwrap();

    // Many at once, which may be in one batch.
    let many: Vec<_> = (10..40_u8)
        .map(|n| {
            let order = with(order(n), |order| order.account = account_id(9));
            let change = Change::InsertOrder(order, limits);
            let store = Arc::clone(&store);
            tokio::spawn(async move { commit(&*store, vec![change]).await })
        })
        .collect();
    let mut made = 0;
    for one in many {
        match one.await.unwrap() {
            Ok(_) => made += 1,
            refused => assert_eq!(refused, full),
        }
    }
    assert_eq!(made, 3);
}

pub(crate) async fn server_intents_are_listed_until_deleted(store: Arc<dyn Store>) {
    let changes = [1, 2].map(|n| Change::InsertServerIntent(server_intent(n)));
    let version = commit(&*store, changes.into()).await.unwrap();
    let listed = store.server_intents().await.unwrap();
    assert!(listed.iter().all(|intent| intent.version == version));
    let values: Vec<_> = listed.into_iter().map(|intent| intent.value).collect();
    assert_eq!(values, [server_intent(1), server_intent(2)]);
    let changes = vec![Change::DeleteServerIntent(serial(1), version)];
    commit(&*store, changes).await.unwrap();
    let listed = store.server_intents().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].value, server_intent(2));
}

pub(crate) async fn provisional_accounts_are_listed_until_they_are_established(
    store: Arc<dyn Store>,
) {
    let listed = async |after| store.provisional_accounts(after, 2).await.unwrap();
    let entry = |n: u8| ProvisionalAccount {
        cursor: AccountCursor {
            created: NOW.minus(u64::from(n)),
            id: account_id(n),
        },
        origin: (n != 3).then(|| origin(n)),
    };
    for n in 1..=4 {
        let mut account = account(n);
        (account.created, account.origin) = (entry(n).cursor.created, entry(n).origin);
        let changes = vec![Change::InsertAccount(account)];
        commit(&*store, changes).await.unwrap();
    }
    // Oldest first, in pages.
    assert_eq!(listed(None).await, [entry(4), entry(3)]);
    let next = listed(Some(entry(3).cursor)).await;
    assert_eq!(next, [entry(2), entry(1)]);
    // A deactivated one stays, an established one does not.
    let found = store.account(account_id(4)).await.unwrap().unwrap();
    let deactivated = Change::UpdateAccount(found.value.deactivate(NOW), found.version);
    let found = store.account(account_id(3)).await.unwrap().unwrap();
    let established = Change::UpdateAccount(found.value.establish(NOW), found.version);
    let version = commit(&*store, vec![deactivated, established])
        .await
        .unwrap();
    assert_eq!(listed(None).await, [entry(4), entry(2)]);
    // A deleted one leaves neither its key nor its list entry.
    let gone = vec![Change::DeleteAccount(account_id(4), version)];
    commit(&*store, gone).await.unwrap();
    assert_eq!(listed(None).await, [entry(2), entry(1)]);
    let holder = store
        .account_by_key(Default::default(), *key(4).thumbprint())
        .await
        .unwrap();
    assert!(holder.is_none());
}

pub(crate) async fn unproven_orders_are_listed_by_identifier(store: Arc<dyn Store>) {
    let device = permanent("A");
    let entry = |n: u8, pending| UnprovenOrder {
        id: order_id(n),
        created: NOW.minus(u64::from(n)),
        expires: NOW.plus(u64::from(n) * 100),
        origin: (n != 2).then(|| origin(n)),
        pending,
    };
    for n in 1..=4_u8 {
        let entry = entry(n, true);
        let order = with(order(n), |order| {
            // Of any account.
            order.account = account_id(n);
            (order.created, order.expires, order.origin) =
                (entry.created, entry.expires, entry.origin);
            order.identifiers = vec![permanent("A"), permanent("B")];
        });
        insert(&*store, order).await;
    }
    let all = async |after| store.unproven_orders(&device, after, 9).await.unwrap();
    let pending = [1, 2, 3, 4].map(|n| entry(n, true));
    assert_eq!(all(None).await, pending);
    assert_eq!(all(Some(NOW.plus(200))).await, pending[2..]);
    let two = store.unproven_orders(&device, None, 2).await.unwrap();
    assert_eq!(two, pending[..2]);
    for other in ["a", "C"] {
        let others = store.unproven_orders(&permanent(other), None, 9).await;
        assert_eq!(others, Ok(vec![]));
    }
    // One that ended stays in the list, one that was proven does not.
    update(&*store, 1, invalid()).await;
    let found = store.order(order_id(3)).await.unwrap().unwrap();
    let proven = Change::UpdateOrder(in_state(found.value, ready()), found.version);
    commit(&*store, vec![proven]).await.unwrap();
    let rest = [entry(1, false), entry(2, true), entry(4, true)];
    assert_eq!(all(None).await, rest);
    update(&*store, 3, Stage::InvalidOnceProven).await;
    assert_eq!(all(None).await, rest);
}

pub(crate) async fn pending_orders_are_limited_within_the_commit(store: Arc<dyn Store>) {
    let full = Err(CommitError::Conflict(ConflictOn::OpenOrders));
    let limits = OpenOrders {
        of_account: usize::MAX,
        of_identifier: usize::MAX,
        pending: 2,
    };
    let naming = |n, devices: &[&str]| {
        let order = with(order(n), |order| {
            order.account = account_id(n);
            order.identifiers = devices.iter().map(|device| permanent(device)).collect();
        });
        Change::InsertOrder(order, limits)
    };
    let two = vec![naming(1, &["A", "B"]), naming(2, &["A"])];
    commit(&*store, two).await.unwrap();
    assert_eq!(commit(&*store, vec![naming(3, &["C", "A"])]).await, full);
    commit(&*store, vec![naming(3, &["B"])]).await.unwrap();
    // One that ends within the commit makes room.
    let found = store.order(order_id(1)).await.unwrap().unwrap();
    let ended = Change::UpdateOrder(in_state(found.value, invalid()), found.version);
    commit(&*store, vec![ended, naming(4, &["A"])])
        .await
        .unwrap();
    assert_eq!(commit(&*store, vec![naming(5, &["A"])]).await, full);
    // So does one that is proven, and the passing of time.
    let found = store.order(order_id(2)).await.unwrap().unwrap();
    let proven = Change::UpdateOrder(
        found.value.record_valid_authorization().unwrap(),
        found.version,
    );
    commit(&*store, vec![proven, naming(5, &["A"])])
        .await
        .unwrap();
    assert_eq!(commit(&*store, vec![naming(6, &["A"])]).await, full);
    let late = order(5).expires;
    commit_at(&*store, late, vec![naming(6, &["A"])])
        .await
        .unwrap();
}

pub(crate) async fn a_deleted_order_leaves_nothing(store: Arc<dyn Store>) {
    let changes = vec![
        insert_order(order(1)),
        Change::InsertAuthorization(authorization(1)),
    ];
    let version = commit(&*store, changes).await.unwrap();
    insert(&*store, order(2)).await;
    let stale = vec![Change::DeleteOrder(order_id(2), version)];
    let conflict = Err(CommitError::Conflict(ConflictOn::Value));
    assert_eq!(commit(&*store, stale).await, conflict);
    let changes = vec![
        Change::DeleteOrder(order_id(1), version),
        Change::DeleteAuthorization(authorization_id(1), version),
    ];
    commit(&*store, changes).await.unwrap();
    assert_eq!(store.order(order_id(1)).await, Ok(None));
    let found = store.authorization(authorization_id(1)).await;
    assert_eq!(found, Ok(None));
    for list in [OrderList::All, OrderList::OfAccount(account_id(1))] {
        let listed = store.orders(list, None, Direction::Newer, 9).await.unwrap();
        assert_eq!(listed.len(), 1);
    }
    assert_eq!(store.count_orders().await, Ok(1));
    assert_eq!(open(&*store, 1, NOW).await, (1, 0));
    let unproven = store.unproven_orders(&permanent("DEVICE1"), None, 9).await;
    assert_eq!(unproven, Ok(vec![]));
}

pub(crate) async fn open_orders_of_all_accounts_come_in_pages(store: Arc<dyn Store>) {
    let mut expected = Vec::new();
    for n in 1..8 {
        let order = with(order(n), |order| {
            order.account = account_id(n % 3 + 1);
            // Expired ones, too.
            order.expires = Timestamp(NOW.0 - 100 + 37 * u64::from(n));
        });
        expected.push(OpenOrder {
            account: order.account,
            expires: order.expires,
            id: order.id,
        });
        insert(&*store, order).await;
    }
    expected.sort();
    for page in [1, 2, 7, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let some = store.open_orders_of_all(after, page).await.unwrap();
            assert!(some.len() <= page);
            let Some(last) = some.last() else { break };
            after = Some(*last);
            found.extend(some);
        }
        assert_eq!(found, expected);
    }
    update(&*store, 4, valid(4)).await;
    update(&*store, 5, processing(5, 600)).await;
    expected.retain(|open| open.id != order_id(4));
    assert_eq!(store.open_orders_of_all(None, 9).await, Ok(expected));
}

pub(crate) async fn a_lease_is_found_by_its_work(store: Arc<dyn Store>) {
    let node = |n| NodeId::from_bytes([n; 16]);
    let lease = Lease::first(Work::Recovery, node(1), NOW);
    assert_eq!(store.lease(Work::Recovery).await.unwrap(), None);
    let insert = || vec![Change::InsertLease(lease.clone())];
    let version = commit(&*store, insert()).await.unwrap();
    let found = store.lease(Work::Recovery).await.unwrap().unwrap();
    assert_eq!((found.value, found.version), (lease.clone(), version));
    // A node that did not read the lease comes too late.
    let second = commit(&*store, insert()).await;
    assert_eq!(second, Err(CommitError::Conflict(ConflictOn::Value)));
    let taken = lease.take(node(2), NOW.plus(Lease::TERM)).unwrap();
    let update = || vec![Change::UpdateLease(taken.clone(), version)];
    commit(&*store, update()).await.unwrap();
    let second = commit(&*store, update()).await;
    assert_eq!(second, Err(CommitError::Conflict(ConflictOn::Value)));
    let found = store.lease(Work::Recovery).await.unwrap().unwrap();
    assert_eq!(found.value, taken);
}
