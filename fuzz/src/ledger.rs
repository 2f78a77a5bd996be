//! Any bytes as an entry, a segment or a checkpoint of the store's ledger.

/// Reads `bytes`, whose first letter says as what: `e`, `s` or `c`.
pub fn run(bytes: &[u8]) {
    assay_store::fuzzing::read(bytes);
}
