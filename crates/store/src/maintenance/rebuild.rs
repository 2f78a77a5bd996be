use std::path::Path;

use crate::{LedgerStore, OpenError, OpenMode, Options, ledger_store};

/// Rebuilds the index of the database in `dir` from its ledger, whether it can
/// be believed or not. The one before is set aside.
///
/// # Errors
/// [`OpenError`], whose message says what to do.
pub fn rebuild(dir: &Path, options: Options) -> Result<(), OpenError> {
    ledger_store::distrust_index(dir)?;
    // Opening rebuilds, dropping closes.
    LedgerStore::open_with(dir, OpenMode::Any, options).map(drop)
}
