//! Whether a database of an older layout is migrated at all.

use std::sync::Mutex;

use super::*;

#[tokio::test]
async fn a_database_that_must_not_be_migrated_is_unchanged() {
    for layout in 1..LAYOUT {
        let dir = older(layout);
        let listed = listed(dir.path());
        let db = dir.path().join("db");
        let before = contents(&db);
        let seen = Mutex::new(None);
        let check = |older: &OlderDatabase| {
            *seen.lock().unwrap() = Some(older.clone());
            Err("no".to_owned())
        };
        let options = Options::default();
        let refused = LedgerStore::open_checked(&db, OpenMode::Any, options, &check);
        let said = refused.map(drop).unwrap_err();
        assert_eq!(said, OpenError::NotToMigrate("no".to_owned()));
        assert!(contents(&db) == before, "{layout}");
        let older = seen.lock().unwrap().take().unwrap();
        assert_eq!((older.layout, older.laboratory), (layout, true));
        // After the check agrees, the migrated database has the same data.
        let store = open(&db).unwrap();
        assert_eq!(older.latest_time, store.recorded_time(), "{layout}");
        assert_eq!(older.issuer, store.issuer().unwrap(), "{layout}");
        let certificates = store.certificates(9).unwrap();
        assert!(!certificates.is_empty());
        for certificate in certificates {
            assert!(older.certificates.contains(&certificate), "{layout}");
        }
        drop(store);
        assert_migrated(&db, &listed).await;
        // The check is not called for the current layout.
        let options = Options::default();
        LedgerStore::open_checked(&db, OpenMode::Any, options, &check).unwrap();
    }
}
