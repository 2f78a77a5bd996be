//! The description of a database of an older layout before its migration.

use std::path::Path;

use assay_engine::domain::Certificate;
use assay_proto::Timestamp;

use crate::{
    keys,
    ledger::fault::Fault,
    record::{self, KeyCache, StoredCertificate},
};

/// Returns an error with the reason if a database of an older layout must not
/// be migrated.
pub type MigrationCheck<'a> = dyn Fn(&OlderDatabase) -> Result<(), String> + 'a;

/// How many certificates are read. Serial numbers are random, so the first ones
/// are a random sample.
pub(super) const SAMPLE: usize = 1000;

/// What decides whether a database of an older layout may be migrated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OlderDatabase {
    /// Its layout.
    pub layout: u32,
    /// Whether it was created as a laboratory's.
    pub laboratory: bool,
    /// The latest time of all commits.
    pub latest_time: Timestamp,
    /// The recorded key of the CA that issues for it: the SHA-256 of its
    /// SubjectPublicKeyInfo.
    pub issuer: Option<[u8; 32]>,
    /// A sample of its certificates.
    pub certificates: Vec<Certificate>,
}

impl OlderDatabase {
    pub(super) fn new(layout: u32, laboratory: bool, latest_time: Timestamp) -> Self {
        Self {
            layout,
            laboratory,
            latest_time,
            issuer: None,
            certificates: Vec::new(),
        }
    }

    /// Notes a pair; a later one with the same key replaces it.
    pub(super) fn note(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Fault> {
        if key == keys::ISSUER {
            self.issuer = value.and_then(|value| value.try_into().ok());
        } else if let Some(value) = value
            && key.first() == Some(&keys::CERTIFICATE)
            && self.certificates.len() < SAMPLE
        {
            let found = record::decode::<StoredCertificate>(key, value, &KeyCache::default())
                .map_err(|error| Fault::damage(Path::new("the ledger"), 0, error.0))?;
            self.certificates.push(found.value);
        }
        Ok(())
    }
}
