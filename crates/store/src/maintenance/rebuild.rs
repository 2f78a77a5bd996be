use std::path::Path;

use super::check;
use crate::{LedgerStore, OpenError, OpenMode, Options, ledger_store};

/// Rebuilds the index of the database in `dir` from its ledger, whether it can
/// be trusted or not. The old index is set aside. If the ledger is damaged
/// nothing is changed: the index may be needed for the repair.
///
/// # Errors
/// [`OpenError`], whose text says what to do.
pub fn rebuild(dir: &Path, options: Options) -> Result<(), OpenError> {
    let report = check(dir, &|_, _| {})?;
    if !report.is_whole() {
        let damage = report.damage.first().map(ToString::to_string);
        return Err(OpenError::Damaged {
            dir: dir.to_owned(),
            detail: damage.unwrap_or_else(|| "commits are missing".to_owned()),
        });
    }
    ledger_store::distrust_index(dir)?;
    // Opening rebuilds, dropping closes.
    LedgerStore::open_with(dir, OpenMode::Any, options).map(drop)
}
