//! What a database of an older layout says of itself, before it is migrated.

use std::path::Path;

use assay_engine::domain::Certificate;
use assay_proto::Timestamp;

use crate::{
    keys,
    ledger::fault::Fault,
    record::{self, KeyCache, StoredCertificate},
};

/// Says why a database of an older layout must stay as it is, where it must.
pub type MigrationCheck<'a> = dyn Fn(&OlderDatabase) -> Result<(), String> + 'a;

/// How many certificates are looked at: serial numbers are random, so that they
/// are a sample of all.
pub(super) const SAMPLE: usize = 1000;

/// What decides whether a database of an older layout is migrated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OlderDatabase {
    /// Its layout.
    pub layout: u32,
    /// Whether it was created as a laboratory's.
    pub laboratory: bool,
    /// The latest time of all commits.
    pub latest_time: Timestamp,
    /// The key of the CA that issues for it, where it was noted: the SHA-256 of
    /// its SubjectPublicKeyInfo.
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

    /// Takes what a pair of it says; a later one of the same key counts.
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
