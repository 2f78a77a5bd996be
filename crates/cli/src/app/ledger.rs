//! Opens the ledger of a directory, where everything in the directory belongs to
//! it.

use std::sync::Arc;

use anyhow::anyhow;
use assay_engine::{health::Health, ports::Clock};
use assay_store::{LedgerStore, OlderDatabase, OpenError, OpenMode, Options, maintenance};

use super::Parts;
use crate::{clock, database::Database, dir::Dir, issuer, stop::Stop, system::SystemClock};

/// Is told what a rebuild of the index has read, and of how much, in bytes.
pub type OnRebuild = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// Opens the ledger, and migrates it where it is of an older layout. Blocks.
/// A start that is refused changes nothing.
pub(super) fn open(
    parts: &Parts,
    dir: &Dir,
    on_rebuild: OnRebuild,
    health: &Arc<Health>,
) -> Result<Arc<dyn Database>, Stop> {
    let (mode, wrong_mark) = if parts.laboratory {
        (OpenMode::Laboratory, None)
    } else {
        (
            OpenMode::Production,
            Some(anyhow!(
                "the database in {} and the CA in {} do not belong together: one is a laboratory's, the other is not",
                dir.db().display(),
                dir.ca_certificate("issuing").display()
            )),
        )
    };
    let clock_says = SystemClock.now();
    let max_rest = parts.config.time.max_rest.seconds();
    // Where there is no index yet, a start that is refused makes none.
    if let Some(facts) = maintenance::peek(&dir.db())? {
        clock::check_start(facts.latest_time, clock_says, max_rest).map_err(Stop::usage)?;
        if let Some(noted) = facts.issuer {
            issuer::check_noted(dir, &parts.issuer, noted).map_err(Stop::usage)?;
        }
    }
    let mut options = Options::default();
    options.keep_ledger = parts.config.store.keep_ledger.seconds();
    options.health = Arc::clone(health);
    options.on_rebuild = on_rebuild;
    // A start that is refused migrates nothing: the program that wrote the
    // database would be locked out of it.
    let check_older = |older: &OlderDatabase| {
        clock::check_start(older.latest_time, clock_says, max_rest)
            .and_then(|()| issuer::check_older(dir, &parts.issuer, older))
            .map_err(|error| error.to_string())
    };
    let opened = LedgerStore::open_checked(&dir.db(), mode, options, &check_older);
    let store = match (opened, wrong_mark) {
        (Err(OpenError::IsLaboratory(_)), Some(wrong)) => return Err(Stop::usage(wrong)),
        (opened, _) => opened?,
    };
    clock::check_start(store.recorded_time(), clock_says, max_rest).map_err(Stop::usage)?;
    Ok(Arc::new(store))
}
