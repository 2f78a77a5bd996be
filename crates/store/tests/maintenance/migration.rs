//! Migration from every older layout to the current one.

use super::*;

/// Reads what the program of an older layout listed.
pub(crate) fn listed(dir: &Path) -> serde_json::Value {
    let orders = fs::read_to_string(dir.join("orders.json")).unwrap();
    serde_json::from_str(&orders).unwrap()
}

pub(crate) async fn assert_migrated(db: &Path, listed: &serde_json::Value) {
    let store = open(db).unwrap();
    assert!(store.is_laboratory());
    let orders = listed["orders"].as_array().unwrap();
    let cursors = store
        .orders(OrderList::All, None, Direction::Newer, 99)
        .await
        .unwrap();
    assert_eq!(cursors.len(), orders.len());
    let mut valid = 0;
    for (cursor, listed) in cursors.iter().zip(orders) {
        let order = store.order(cursor.id).await.unwrap().unwrap().value;
        assert_eq!(cursor.id.to_string(), listed["id"]);
        let account = store.account(order.account).await.unwrap().unwrap().value;
        let by_key = store
            .account_by_key(Default::default(), *account.key.thumbprint())
            .await
            .unwrap();
        assert_eq!(by_key.unwrap().value.id, account.id);
        for id in &order.authorizations {
            assert!(store.authorization(*id).await.unwrap().is_some());
        }
        let open = store
            .open_orders(order.account, order.created, 9)
            .await
            .unwrap();
        let expected = match listed["status"].as_str().unwrap() {
            "invalid" | "valid" => vec![],
            _ => vec![order.id],
        };
        assert_eq!(open, expected, "{listed}");
        if let assay_engine::domain::OrderState::Valid { certificate } = order.state() {
            assert!(
                store
                    .certificate(certificate.clone())
                    .await
                    .unwrap()
                    .is_some()
            );
            valid += 1;
        }
    }
    assert_eq!(valid, 1);
    assert!(store.nonce_key().await.unwrap().is_some());
    drop(store);
    assert!(whole(db).laboratory);
}

#[tokio::test]
async fn scenario_147_every_older_layout_is_migrated_and_its_files_are_kept() {
    for layout in 1..=3 {
        let dir = older(layout);
        let listed = listed(dir.path());
        let db = dir.path().join("db");
        let before = fs::read(db.join("db")).unwrap();
        assert!(matches!(
            LedgerView::open(&db),
            Err(OpenError::NotMigrated(_))
        ));
        assert_migrated(&db, &listed).await;
        assert_eq!(fs::read(db.join("before-ledger/db")).unwrap(), before);
        // What an older program finds in the old place.
        let mark = copy(&db);
        let mark = sled::open(mark.path()).unwrap();
        assert_eq!(mark.get("mschema").unwrap().unwrap(), LAYOUT.to_be_bytes());
        let removed = clean(&db).unwrap();
        assert_eq!(removed[0].name, "before-ledger");
        assert!(removed[0].bytes > before.len() as u64);
        assert_migrated(&db, &listed).await;
    }
}

/// Layout 4 was the first ledger: its files name no layout.
#[tokio::test]
async fn scenario_147_a_ledger_of_an_older_layout_is_migrated_and_kept() {
    let dir = older(4);
    let listed = listed(dir.path());
    let db = dir.path().join("db");
    let before = contents(&db.join("ledger"));
    assert!(matches!(
        LedgerView::open(&db),
        Err(OpenError::NotMigrated(_))
    ));
    assert_migrated(&db, &listed).await;
    assert_eq!(
        contents(&db.join(before_layout()))
            .into_values()
            .collect::<Vec<_>>(),
        before.into_values().collect::<Vec<_>>()
    );
    for file in ledger_files(&db, "checkpoint") {
        let bytes = fs::read(file).unwrap();
        assert_eq!((bytes[11], &bytes[80..84]), (2, &LAYOUT.to_be_bytes()[..]));
    }
    let store = open(&db).unwrap();
    // Accounts that had ordered count as established, the other one does not.
    let provisional = store.provisional_accounts(None, 9).await.unwrap();
    assert_eq!(provisional.len(), 1);
    let account = provisional[0].cursor.id;
    assert_eq!(provisional[0].origin, None);
    assert_eq!(
        store
            .orders(OrderList::OfAccount(account), None, Direction::Newer, 9)
            .await,
        Ok(vec![])
    );
    for cursor in store
        .orders(OrderList::All, None, Direction::Newer, 9)
        .await
        .unwrap()
    {
        let order = store.order(cursor.id).await.unwrap().unwrap().value;
        assert!(order.is_proven());
        let account = store.account(order.account).await.unwrap().unwrap();
        assert!(account.value.established.is_some());
        let unproven = store.unproven_orders(&order.identifiers[0], None, 9).await;
        assert_eq!(unproven, Ok(vec![]));
    }
    drop(store);
    let removed = clean(&db).unwrap();
    assert_eq!(removed[0].name, before_layout());
    assert_migrated(&db, &listed).await;
}

/// The last step of the migration before a kill.
#[tokio::test]
async fn scenario_147_a_migration_of_a_ledger_that_was_killed_goes_on() {
    for layout in 4..LAYOUT {
        let whole = older(layout);
        let listed = listed(whole.path());
        drop(open(&whole.path().join("db")).unwrap());
        let migrated = whole.path().join("db");
        for (begun, moved) in [(true, false), (false, true), (true, true)] {
            let dir = older(layout);
            let db = dir.path().join("db");
            if begun && !moved {
                // Incomplete, and not marked as complete.
                fs::create_dir(db.join("ledger.unfinished")).unwrap();
                fs::write(db.join("ledger.unfinished/junk"), b"junk").unwrap();
                fs::create_dir(db.join("records.unfinished")).unwrap();
            }
            if moved {
                // Complete, and the old ledger has moved.
                let unfinished = db.join("ledger.unfinished");
                fs::create_dir(&unfinished).unwrap();
                for file in ledger_files(&migrated, "checkpoint") {
                    fs::copy(&file, unfinished.join(file.file_name().unwrap())).unwrap();
                }
                fs::write(unfinished.join("migrated"), b"").unwrap();
                fs::rename(db.join("ledger"), db.join(before_layout())).unwrap();
            }
            if begun && moved {
                fs::remove_file(db.join("index/note")).unwrap();
            }
            assert_migrated(&db, &listed).await;
        }
    }
}

#[tokio::test]
async fn a_ledger_of_a_newer_layout_is_refused_and_never_repaired() {
    let dir = with_orders(3, Options::default()).await;
    let mut files = ledger_files(dir.path(), "segment");
    files.extend(ledger_files(dir.path(), "checkpoint"));
    for file in &files {
        let mut bytes = fs::read(file).unwrap();
        bytes[80..84].copy_from_slice(&(LAYOUT + 1).to_be_bytes());
        let hash = assay_engine::sha256(&bytes[..96]);
        bytes[96..128].copy_from_slice(&hash);
        fs::write(file, bytes).unwrap();
    }
    let before = contents(dir.path());
    let expected = OpenError::Schema {
        dir: dir.path().to_owned(),
        found: LAYOUT + 1,
    };
    assert_eq!(open(dir.path()).map(drop), Err(expected.clone()));
    assert_eq!(
        LedgerView::open(dir.path()).map(drop),
        Err(expected.clone())
    );
    let checked = check(dir.path(), &|_, _| {}).map(drop);
    assert_eq!(checked, Err(expected.clone()));
    for accept_loss in [false, true] {
        let repaired = repair(dir.path(), accept_loss, &Options::default());
        assert_eq!(repaired.map(drop), Err(expected.clone()));
    }
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn an_unknown_layout_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tree = sled::open(dir.path()).unwrap();
    tree.insert("mschema", &[0, 0, 0, 9]).unwrap();
    tree.flush().unwrap();
    drop(tree);
    let expected = OpenError::Schema {
        dir: dir.path().to_owned(),
        found: 9,
    };
    assert_eq!(open(dir.path()).map(drop), Err(expected));
}

/// Before `serve` migrates it, or if `serve` cannot because it is damaged.
#[tokio::test]
async fn a_ledger_of_an_older_layout_is_checked_and_repaired_in_its_layout() {
    for layout in 4..LAYOUT {
        let dir = older(layout);
        let db = dir.path().join("db");
        whole(&db);
        let segments = ledger_files(&db, "segment");
        let file = segments.last().unwrap();
        let mut bytes = fs::read(file).unwrap();
        let entries = bytes.len() - 128;
        bytes[128 + entries / 2] ^= 1;
        fs::write(file, bytes).unwrap();
        assert!(!check(&db, &|_, _| {}).unwrap().is_whole());
        let _ = fs::remove_dir_all(db.join("index"));
        let (_, repaired) = repair(&db, true, &Options::default()).unwrap();
        assert!(
            matches!(repaired, Repaired::WithLoss { .. }),
            "{repaired:?}"
        );
        whole(&db);
        let store = open(&db).unwrap();
        let mut kept = 0;
        let orders = store.orders(OrderList::All, None, Direction::Newer, 99);
        for cursor in orders.await.unwrap() {
            let order = store.order(cursor.id).await.unwrap().unwrap().value;
            for id in &order.authorizations {
                kept += usize::from(store.authorization(*id).await.unwrap().is_some());
            }
        }
        assert!(kept > 0, "layout {layout}: no authorization is left");
        assert!(store.restored().unwrap().is_some());
    }
}
