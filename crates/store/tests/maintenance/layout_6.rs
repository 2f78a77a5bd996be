//! Migration from layout 6 to the current one.

use assay_engine::{domain::Attribute, ids::ChallengeId};
use assay_proto::OrderStatus;

use super::*;

/// In layout 6 an authorization had one challenge, in its own record. The
/// database has an order with a certificate, a refused order, an order whose
/// CSR was refused, which is a note, and an account without an order.
/// is a note; and an account without an order.
#[tokio::test]
async fn scenario_147_a_ledger_of_layout_6_is_migrated_with_all_its_records() {
    let dir = older(6);
    let listed = listed(dir.path());
    let db = dir.path().join("db");
    for file in ledger_files(&db, "segment") {
        assert_eq!(fs::read(file).unwrap()[80..84], [0, 0, 0, 6]);
    }
    let before = contents(&db.join("ledger"));
    assert!(matches!(
        LedgerView::open(&db),
        Err(OpenError::NotMigrated(_))
    ));
    assert_migrated(&db, &listed).await;
    let kept = contents(&db.join(before_layout()));
    assert!(kept.values().eq(before.values()));
    // From the ledger alone, then from an index that is rebuilt.
    assert_records(&LedgerView::open(&db).unwrap()).await;
    lose_power(&db);
    let store = open(&db).unwrap();
    assert_records(&store).await;
    // The older program stored no number of orders: the first commit counts
    // them.
    assert_eq!(store.count_orders().await, Ok(3));
    let inserted = commit(&store, vec![insert_order(order(9))]).await.unwrap();
    assert_eq!(store.count_orders().await, Ok(4));
    let deleted = vec![Change::DeleteOrder(order_id(9), inserted)];
    commit(&store, deleted).await.unwrap();
    assert_eq!(store.count_orders().await, Ok(3));
    let certificates = store.certificates(9).unwrap();
    // The server's own certificate, which init made, is one of them.
    assert_eq!(certificates.len(), 2);
}

async fn assert_records(store: &dyn Store) {
    let of = async |name| {
        store
            .orders(OrderList::OfDevice(name), None, Direction::Older, 9)
            .await
            .unwrap()
    };
    let (first, second) = (of("C02TEST0001").await, of("C02TEST0002").await);
    assert_eq!((first.len(), second.len()), (2, 1));
    let mut expected = [OrderStatus::Invalid, OrderStatus::Valid, OrderStatus::Ready].iter();
    for cursor in store
        .orders(OrderList::All, None, Direction::Newer, 9)
        .await
        .unwrap()
    {
        let order = store.order(cursor.id).await.unwrap().unwrap().value;
        let status = order.status(cursor.created);
        assert_eq!(Some(&status), expected.next());
        let notes = store.notes(order.id).await.unwrap();
        let reasons: Vec<_> = notes.iter().map(|note| note.reason.as_str()).collect();
        let id = order.authorizations[0];
        let authorization = store.authorization(id).await.unwrap().unwrap().value;
        assert_eq!(authorization.admitted.attribute, Attribute::Serial);
        // Clients know the challenge by this URL.
        let challenges = authorization.challenges();
        assert_eq!(challenges.len(), 1);
        assert_eq!(challenges[0].id(), ChallengeId::first_of(id));
        let proven = authorization.evidence().is_some();
        match status {
            OrderStatus::Invalid => assert_eq!((proven, &reasons[..]), (false, &[][..])),
            OrderStatus::Valid => assert_eq!((proven, &reasons[..]), (true, &[][..])),
            _ => {
                assert_eq!(reasons, ["csr-key-not-attested"]);
                assert!(proven);
                let open = store.open_orders(order.account, cursor.created, 9).await;
                assert_eq!(open, Ok(vec![order.id]));
            }
        }
    }
    assert_eq!(expected.next(), None);
    let of_udid = of("00008112-000A1B2C3D4E5F60").await;
    assert_eq!(of_udid.len(), 1);
    // The account of the refused order, and the one without an order.
    let provisional = store.provisional_accounts(None, 9).await.unwrap();
    let mut orders = 0;
    for account in &provisional {
        let account = account.cursor.id;
        orders += store
            .orders(OrderList::OfAccount(account), None, Direction::Newer, 9)
            .await
            .unwrap()
            .len();
    }
    assert_eq!((provisional.len(), orders), (2, 1));
}
