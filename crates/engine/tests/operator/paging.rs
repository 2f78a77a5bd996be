//! Pages of orders, in both directions and while orders are inserted and
//! deleted.

use assay_engine::{
    domain::{
        Admitted, Attribute, Authorization, AuthorizationDetails, Basis, Challenge, DeviceFacts,
        EvidenceRecord, KeyKind, Token,
    },
    ids::{AuthorizationId, ChallengeId},
    operator::RequestError,
    ports::{Change, ChangeSet, OpenOrders, Store},
};
use assay_proto::{
    ChallengeType,
    admin::{Direction, ListOrders, OrderFilter, Page, Request, StatusFilter, Summary},
};
use assay_store::MemoryStore;
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{orders::*, support::faulty_store::FaultyStore};

fn ready() -> OrderFilter {
    OrderFilter {
        status: Some(StatusFilter::Ready),
        ..OrderFilter::default()
    }
}

/// All pages of a request that counts: the orders, how many match, and how many
/// entries each page read.
async fn counted(
    store: &dyn Store,
    filter: OrderFilter,
    limit: usize,
) -> (Vec<u64>, usize, Vec<usize>) {
    let mut request = ListOrders {
        filter,
        limit,
        ..ListOrders::default()
    };
    let (mut orders, mut matching, mut read) = (Vec::new(), 0, Vec::new());
    loop {
        let page = page(store, &request).await;
        request.limit -= page.orders.len();
        orders.extend(ages(&page.orders));
        matching += page.matching;
        read.push(page.read);
        request.cursor = page.next;
        if request.cursor.is_none() {
            return (orders, matching, read);
        }
    }
}

#[tokio::test]
async fn a_page_reads_a_bounded_number_of_orders_and_the_next_goes_on() {
    let store = with_orders(12_000).await;
    let (orders, matching, read) = counted(&store, OrderFilter::default(), 100).await;
    let newest: Vec<u64> = (11_900..12_000).rev().collect();
    assert_eq!((orders, matching), (newest, 12_000));
    assert_eq!(read, [12_000], "what is only counted is cheap");

    let (orders, matching, read) = counted(&store, ready(), 3).await;
    assert_eq!((orders, matching), (vec![11_990, 11_980, 11_970], 1_200));
    assert!(
        read.len() >= 3 && read.iter().all(|one| *one < 5_000),
        "{read:?}"
    );
    assert_eq!(read.iter().sum::<usize>(), 12_000);
    let (orders, matching, _) = counted(&store, ready(), 5_000).await;
    assert_eq!((orders.len(), matching), (1_200, 1_200));
    assert!(orders.is_sorted_by(|one, other| one > other));
}

#[tokio::test]
async fn what_is_older_than_asked_for_is_not_read() {
    let store = with_orders(1_000).await;
    let since = |since| OrderFilter {
        since: Some(at(since)),
        ..OrderFilter::default()
    };
    let (orders, matching, read) = counted(&store, since(950), 10).await;
    assert_eq!((orders.len(), matching), (10, 50));
    assert_eq!(read, [50]);
    // Nor from the other end, where there is no page of older ones.
    let request = ListOrders {
        filter: since(950),
        direction: Direction::Newer,
        limit: 10,
        count: false,
        ..ListOrders::default()
    };
    let first = page(&store, &request).await;
    assert_eq!(ages(&first.orders), Vec::from_iter((950..960).rev()));
    assert_eq!((first.read, &first.older), (10, &None));
    assert!(first.newer.is_some());
}

/// Of 12,000 orders a page of ten reads ten, and one more index entry, although
/// it returns the total.
#[tokio::test]
async fn a_page_without_a_filter_reads_what_it_returns() {
    let store = FaultyStore::default();
    insert(&store, one_a_second(12_000)).await;
    let mut request = ListOrders {
        limit: 10,
        count: false,
        ..ListOrders::default()
    };
    for direction in [Direction::Older, Direction::Newer] {
        request.direction = direction;
        let before = store.orders_read();
        let page = page(&store, &request).await;
        assert_eq!(
            (page.orders.len(), page.read, page.total),
            (10, 10, Some(12_000))
        );
        assert_eq!(page.next, None);
        assert_eq!(store.orders_read() - before, 10);
    }
}

#[tokio::test]
async fn a_page_names_both_neighbours() {
    let store = with_orders(25).await;
    let mut request = ListOrders {
        limit: 10,
        count: false,
        ..ListOrders::default()
    };
    let newest = page(&store, &request).await;
    assert_eq!(ages(&newest.orders), Vec::from_iter((15..25).rev()));
    assert_eq!(newest.newer, None);
    request.cursor = newest.older.clone();
    let middle = page(&store, &request).await;
    assert_eq!(ages(&middle.orders), Vec::from_iter((5..15).rev()));
    request.cursor = middle.older.clone();
    let oldest = page(&store, &request).await;
    assert_eq!(ages(&oldest.orders), Vec::from_iter((0..5).rev()));
    assert_eq!(oldest.older, None);
    // And back: the newest first on each page.
    request.direction = Direction::Newer;
    request.cursor = oldest.newer;
    assert_eq!(page(&store, &request).await.orders, middle.orders);
    request.cursor = middle.newer;
    let again = page(&store, &request).await;
    assert_eq!((again.orders, again.newer), (newest.orders, None));
    assert_eq!(again.older, newest.older);
    // Orders created meanwhile are on the page of newer ones.
    request.cursor = Some(one_a_second(25).last().unwrap().cursor());
    let empty = page(&store, &request).await;
    assert_eq!((empty.orders.len(), &empty.newer), (0, &None));
    insert(&store, one_a_second(27).skip(25)).await;
    assert_eq!(ages(&page(&store, &request).await.orders), [26, 25]);
    // Going back from an empty page misses nothing.
    let back = ListOrders {
        direction: Direction::Older,
        cursor: empty.older,
        ..request
    };
    assert_eq!(ages(&page(&store, &back).await.orders)[0], 24);
}

#[tokio::test]
async fn a_page_of_one_account_lists_no_other() {
    let store = MemoryStore::new();
    let orders = one_a_second(20).map(|placed| Placed {
        account: u8::try_from(placed.id % 2).unwrap(),
        device: 1,
        ..placed
    });
    insert(&store, orders).await;
    let mut request = ListOrders {
        filter: OrderFilter {
            account: Some(account(1).to_string()),
            ..OrderFilter::default()
        },
        limit: 3,
        count: false,
        ..ListOrders::default()
    };
    let newest = page(&store, &request).await;
    assert_eq!((ages(&newest.orders), newest.read), (vec![19, 17, 15], 3));
    assert_eq!(newest.total, None);
    // The same for one of its devices.
    request.filter.device = Some("DEVICE1".to_owned());
    request.direction = Direction::Newer;
    assert_eq!(ages(&page(&store, &request).await.orders), [5, 3, 1]);
    request.filter.account = Some("none".to_owned());
    let refused = ask(&store, Request::Page(request)).await;
    assert_eq!(
        refused,
        Err(RequestError::InvalidAccountId("none".to_owned()))
    );
}

#[tokio::test]
async fn a_filter_that_matches_little_costs_a_bounded_page() {
    let store = with_orders(9_001).await;
    for direction in [Direction::Older, Direction::Newer] {
        let mut request = ListOrders {
            filter: OrderFilter {
                status: Some(StatusFilter::Valid),
                ..OrderFilter::default()
            },
            direction,
            limit: 10,
            count: false,
            ..ListOrders::default()
        };
        let (mut read, mut pages) = (0, 0);
        loop {
            let page = page(&store, &request).await;
            assert!(page.read <= 4_500, "{}", page.read);
            assert!(page.orders.is_empty());
            (read, pages) = (read + page.read, pages + 1);
            let far = match direction {
                Direction::Newer => &page.newer,
                Direction::Older => &page.older,
            };
            assert_eq!(&page.next, far);
            request.cursor = page.next;
            if request.cursor.is_none() {
                break;
            }
        }
        assert_eq!((read, pages), (9_001, 3));
    }
}

/// An order for two devices, one of which attests the name of a third.
#[tokio::test]
async fn an_order_that_is_attested_twice_is_listed_once() {
    let store = MemoryStore::new();
    insert(&store, one_a_second(5)).await;
    let placed = Placed {
        created: 5,
        id: 99,
        account: 1,
        device: 2,
        ready: true,
    };
    let names = [1, 2].map(authorization_id);
    let order = placed.order_with(names.to_vec());
    let limits = OpenOrders {
        of_account: 9,
        of_identifier: 9,
        pending: 9,
    };
    let mut changes = vec![Change::InsertOrder(order, limits)];
    for (n, appraised) in [(1, 10), (2, 20)] {
        changes.push(Change::InsertAuthorization(attesting(placed, n, appraised)));
    }
    let set = ChangeSet::new(START, changes);
    store.commit("test", set).await.unwrap();
    insert(&store, one_a_second(40).skip(6)).await;
    for direction in [Direction::Older, Direction::Newer] {
        let mut request = ListOrders {
            filter: OrderFilter {
                device: Some("ATTESTED".to_owned()),
                ..OrderFilter::default()
            },
            direction,
            limit: 1,
            ..ListOrders::default()
        };
        let page = page(&store, &request).await;
        assert_eq!((page.orders.len(), page.matching, page.read), (1, 1, 2));
        assert_eq!(page.orders[0].id, placed.id().to_string());
        request.cursor = match direction {
            Direction::Newer => page.newer,
            Direction::Older => page.older,
        };
        if request.cursor.is_some() {
            assert_eq!(super::orders::page(&store, &request).await.orders, []);
        }
    }
}

fn authorization_id(n: u8) -> AuthorizationId {
    AuthorizationId::from_bytes([n; 16])
}

/// An authorization whose evidence names the device `ATTESTED`.
fn attesting(placed: Placed, n: u8, appraised: u64) -> Authorization {
    let details = AuthorizationDetails {
        id: authorization_id(n),
        account: account(placed.account),
        order: placed.id(),
        identifier: device(n),
        admitted: Admitted {
            attribute: Attribute::Serial,
            rule: None,
        },
    };
    let first = ChallengeId::first_of(details.id);
    let token = Token::from_stored("t".to_owned());
    let challenge = Challenge::new(first, ChallengeType::DeviceAttest01, token);
    let evidence = EvidenceRecord {
        spki_sha256: [1; 32],
        key: KeyKind::P256,
        facts: DeviceFacts {
            serial: Some("ATTESTED".to_owned()),
            ..DeviceFacts::default()
        },
        root_sha256: [2; 32],
        object_sha256: [3; 32],
        at: at(appraised),
    };
    let pending = Authorization::new(details, at(1_000), vec![challenge]);
    pending.fulfil(first, Basis::Evidence(evidence)).unwrap()
}

/// A change between two pages.
#[derive(Clone, Debug)]
enum Step {
    Insert(Placed),
    Delete(Index),
}

fn placed() -> impl Strategy<Value = Placed> {
    // Few times, so that many orders are created in the same second.
    (0..6u64, any::<u64>(), 0..2u8, 0..2u8, any::<bool>()).prop_map(
        |(created, id, account, device, ready)| Placed {
            created,
            id,
            account,
            device,
            ready,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        placed().prop_map(Step::Insert),
        any::<Index>().prop_map(Step::Delete),
    ]
}

fn filter() -> impl Strategy<Value = OrderFilter> {
    (
        proptest::option::of(0..2u8),
        proptest::option::of(0..2u8),
        any::<bool>(),
        proptest::option::of(0..6u64),
    )
        .prop_map(|(of, of_device, ready, since)| OrderFilter {
            account: of.map(|of| account(of).to_string()),
            device: of_device.map(|of| format!("DEVICE{of}")),
            status: ready.then_some(StatusFilter::Ready),
            since: since.map(at),
        })
}

fn matches(filter: &OrderFilter, placed: Placed) -> bool {
    let is = |wanted: &Option<String>, name: String| wanted.as_ref().is_none_or(|it| *it == name);
    is(&filter.account, account(placed.account).to_string())
        && is(&filter.device, format!("DEVICE{}", placed.device))
        && (filter.status.is_none() || placed.ready)
        && filter.since.is_none_or(|since| at(placed.created) >= since)
}

/// The store and its expected contents.
struct Model {
    store: MemoryStore,
    live: Vec<Placed>,
    /// The orders that exist since the beginning of a walk.
    throughout: Vec<Placed>,
}

impl Model {
    async fn take(&mut self, step: &Step) {
        match step {
            Step::Insert(placed) => {
                if self.live.iter().all(|other| other.id != placed.id) {
                    insert(&self.store, [*placed]).await;
                    self.live.push(*placed);
                }
            }
            Step::Delete(index) => {
                if !self.live.is_empty() {
                    let placed = self.live.swap_remove(index.index(self.live.len()));
                    delete(&self.store, placed).await;
                    self.throughout.retain(|other| *other != placed);
                }
            }
        }
    }

    /// Reads page after page, with a step after each page while there are any.
    async fn walk(&mut self, mut request: ListOrders, steps: &[Step]) -> Vec<Summary> {
        let (mut seen, mut steps) = (Vec::new(), steps.iter());
        loop {
            let page = page(&self.store, &request).await;
            assert!(page.orders.len() <= request.limit);
            let far = far(&page, request.direction);
            match request.direction {
                Direction::Newer => seen.extend(page.orders.into_iter().rev()),
                Direction::Older => seen.extend(page.orders),
            }
            request.cursor = far;
            if request.cursor.is_none() {
                return seen;
            }
            if let Some(step) = steps.next() {
                self.take(step).await;
            }
        }
    }

    /// The IDs of matching orders that existed throughout, sorted as in a list
    /// of this direction.
    fn expected(&self, filter: &OrderFilter, direction: Direction) -> Vec<String> {
        let mut all = self.throughout.clone();
        all.retain(|placed| matches(filter, *placed));
        all.sort_by_key(|placed| (placed.created, placed.id));
        if direction == Direction::Older {
            all.reverse();
        }
        all.iter().map(|placed| placed.id().to_string()).collect()
    }
}

fn far(page: &Page, direction: Direction) -> Option<assay_proto::admin::Cursor> {
    match direction {
        Direction::Newer => page.newer.clone(),
        Direction::Older => page.older.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Orders are inserted and deleted between the pages, also at the cursors:
    /// each order that existed throughout is listed once, in its place, and
    /// none twice.
    #[test]
    fn pages_list_each_order_that_was_there_throughout_once(
        start in vec(placed(), 0..30),
        steps in vec(step(), 0..12),
        filter in filter(),
        newer in any::<bool>(),
        limit in 1..5usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut model = Model { store: MemoryStore::new(), live: Vec::new(), throughout: Vec::new() };
            for placed in start {
                model.take(&Step::Insert(placed)).await;
            }
            model.throughout = model.live.clone();
            let direction = if newer { Direction::Newer } else { Direction::Older };
            let request = ListOrders {
                filter: filter.clone(),
                cursor: None,
                direction,
                limit,
                count: false,
            };
            let seen = model.walk(request.clone(), &steps).await;
            names(&seen);
            let expected = model.expected(&filter, direction);
            let listed: Vec<_> = seen.iter().map(|order| order.id.clone()).collect();
            let throughout: Vec<_> = (listed.into_iter())
                .filter(|id| expected.contains(id))
                .collect();
            prop_assert_eq!(throughout, expected);
            // Without changes both directions list the same orders, and the
            // count is right.
            model.throughout = model.live.clone();
            for direction in [direction, direction.reversed()] {
                let request = ListOrders { direction, ..request.clone() };
                let seen = model.walk(request.clone(), &[]).await;
                let seen: Vec<_> = seen.into_iter().map(|order| order.id).collect();
                prop_assert_eq!(&seen, &model.expected(&filter, direction));
                let counted = ListOrders { count: true, ..request };
                prop_assert_eq!(page(&model.store, &counted).await.matching, seen.len());
            }
            let count = model.store.count_orders().await.unwrap();
            prop_assert_eq!(count, model.live.len() as u64);
            Ok(())
        })?;
    }

    /// From every page, the cursors lead back to the same page.
    #[test]
    fn the_way_back_leads_to_the_same_orders(
        start in vec(placed(), 0..30),
        filter in filter(),
        limit in 1..5usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut model = Model { store: MemoryStore::new(), live: Vec::new(), throughout: Vec::new() };
            for placed in start {
                model.take(&Step::Insert(placed)).await;
            }
            let mut request = ListOrders { filter, limit, count: false, ..ListOrders::default() };
            let mut last: Option<Page> = None;
            loop {
                let here = page(&model.store, &request).await;
                if let (Some(last), false) = (last, here.orders.is_empty()) {
                    let back = ListOrders {
                        direction: Direction::Newer,
                        cursor: here.newer.clone(),
                        ..request.clone()
                    };
                    prop_assert!(back.cursor.is_some());
                    let back = page(&model.store, &back).await;
                    prop_assert_eq!(back.orders, last.orders);
                }
                request.cursor = here.older.clone();
                if request.cursor.is_none() {
                    return Ok(());
                }
                last = Some(here);
            }
        })?;
    }
}
