//! Migration from layout 5 to the current one.

use super::*;

/// Layout 5 had no notes, and no list of a device's orders.
#[tokio::test]
async fn scenario_147_a_ledger_of_layout_5_is_migrated_and_its_orders_are_found_by_device() {
    let dir = older(5);
    let listed = listed(dir.path());
    let db = dir.path().join("db");
    let before = contents(&db.join("ledger"));
    for file in ledger_files(&db, "segment") {
        assert_eq!(fs::read(file).unwrap()[80..84], [0, 0, 0, 5]);
    }
    assert!(matches!(
        LedgerView::open(&db),
        Err(OpenError::NotMigrated(_))
    ));
    assert_migrated(&db, &listed).await;
    let kept = contents(&db.join(before_layout()));
    assert!(kept.values().eq(before.values()));
    // An older program reads the number here, and names it when it refuses.
    for file in ledger_files(&db, "checkpoint") {
        let bytes = fs::read(file).unwrap();
        assert_eq!((bytes[11], &bytes[80..84]), (2, &LAYOUT.to_be_bytes()[..]));
    }
    let store = open(&db).unwrap();
    let of = async |name| {
        store
            .orders(OrderList::OfDevice(name), None, Direction::Older, 9)
            .await
            .unwrap()
    };
    // Both orders name the serial number, one has evidence of the UDID.
    let by_serial = of("C02TEST0001").await;
    assert_eq!(by_serial.len(), 2);
    let by_udid = of("00008112-000A1B2C3D4E5F60").await;
    assert_eq!(by_udid.len(), 1);
    let latest = store
        .orders(OrderList::All, None, Direction::Older, 9)
        .await
        .unwrap();
    assert_eq!(latest, by_serial);
    let order = store.order(by_udid[0].id).await.unwrap().unwrap().value;
    assert_eq!(order.status(NOW), assay_proto::OrderStatus::Valid);
    assert_eq!(store.notes(order.id).await, Ok(vec![]));
    let changes = vec![Change::AddNote(order.id, note(1))];
    commit(&store, changes).await.unwrap();
    drop(store);
    let view = LedgerView::open(&db).unwrap();
    assert_eq!(view.notes(order.id).await, Ok(vec![note(1)]));
    assert_eq!(
        view.orders(
            OrderList::OfDevice("C02TEST0001"),
            None,
            Direction::Older,
            9
        )
        .await,
        Ok(by_serial.clone())
    );
    let latest = view.orders(OrderList::All, None, Direction::Older, 9);
    assert_eq!(latest.await, Ok(by_serial));
    assert_eq!(clean(&db).unwrap()[0].name, before_layout());
    assert_migrated(&db, &listed).await;
}
