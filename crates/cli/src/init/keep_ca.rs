//! `assay init --keep-ca`: a new database beside a CA whose own was lost.
//!
//! CAs, configuration and list of devices stay as they are. What the lost
//! database held is not known any more: which certificates were issued, which of
//! them are revoked, which accounts and orders there were. The new one says so
//! until that is acknowledged.

use std::{fs, io};

use anyhow::{Context as _, bail, ensure};
use assay_ca::LeafUsage;
use assay_proto::Timestamp;
use assay_store::{
    LedgerStore,
    maintenance::{Restored, RestoredFrom},
};
use rustix::fs::Access;

use crate::{
    certificates::{load_issuer, load_root},
    dir::Dir,
    now,
    permissions::{denied, give_to_owner_of, is_there},
    print, print_json,
    staging::Staging,
    stop::{OrStop, Stop},
};

/// Makes the database of the server in `dir`: whole, or not at all.
pub fn run(dir: &Dir, json: bool) -> Result<(), Stop> {
    let db = dir.db();
    check(dir).map_err(Stop::usage)?;
    let (issuer, laboratory) = load_issuer(dir, "issuing").map_err(Stop::usage)?;
    // As a start would: a database without its CA is of no use.
    let root = load_root(dir).map_err(Stop::usage)?;
    root.check_issued(issuer.certificate_der(), LeafUsage::ClientAuth)
        .with_context(|| {
            format!(
                "{} was not issued by the root in {}",
                dir.ca_certificate("issuing").display(),
                dir.ca_certificate("root").display()
            )
        })
        .map_err(Stop::usage)?;
    let staging = Staging::create(&db)?;
    let doing = format!("cannot make a database in {}", db.display());
    let store = LedgerStore::create(staging.path(), laboratory)?;
    store.set_issuer(issuer.spki_sha256()).or_fault(&doing)?;
    let restored = Restored {
        from: RestoredFrom::Recreated,
        sequence: 0,
        time: Timestamp(now()),
    };
    store.set_restored(Some(restored)).or_fault(&doing)?;
    // Closed, it is whole on the disk.
    drop(store);
    give_to_owner_of(dir.path(), staging.path()).or_fault(&doing)?;
    staging.finish()?;
    if json {
        return print_json(&serde_json::json!({
            "dir": dir.path().to_string_lossy(),
            "laboratory": laboratory,
            "database": db.to_string_lossy(),
        }));
    }
    let shown = dir.path().display();
    print(format_args!(
        "Made an empty database in {}; CAs, assay.toml and the list of devices are as they were.\n\n\
         What was issued, revoked or ordered before is not known to it: certificates of before stay valid until they end, and cannot be revoked here.\n\n\
         Next:\n  1. assay --dir {shown} config check\n  \
         2. assay --dir {shown} serve, which warns at each start until\n  \
         3. assay --dir {shown} store acknowledge (while it does not run)",
        db.display()
    ))
}

/// Refuses a directory that has a database, or no CA.
fn check(dir: &Dir) -> anyhow::Result<()> {
    let (shown, db) = (dir.path().display(), dir.db());
    for path in [
        dir.config(),
        dir.ca_certificate("issuing"),
        dir.ca_certificate("root"),
    ] {
        ensure!(
            is_there(&path)?,
            "{} is not there: --keep-ca makes a database for a server whose CA and configuration are left; make a new server with `assay --dir {shown} init`, or restore a backup",
            path.display()
        );
    }
    if !is_there(&db)? {
        return Ok(());
    }
    let empty = match fs::read_dir(&db) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            bail!(denied(&db, Access::READ_OK))
        }
        entries => entries.is_ok_and(|mut entries| entries.next().is_none()),
    };
    ensure!(
        empty,
        "{} is there, and not empty: nothing is ever overwritten. If it is damaged, `assay store check` says how, and `assay store repair` mends what can be mended; only if nothing of it is left, move it away and try again",
        db.display()
    );
    Ok(())
}
