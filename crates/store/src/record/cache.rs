use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use assay_engine::{PublicKey, Thumbprint};

use super::Damage;

/// The number of cached keys: a few hundred KiB.
const CAPACITY: usize = 512;

/// Caches parsed account keys: importing a key costs a large part of the time
/// of a signature verification.
#[derive(Default)]
pub(crate) struct KeyCache(Mutex<HashMap<Thumbprint, PublicKey>>);

impl KeyCache {
    /// Returns the key with this SubjectPublicKeyInfo, whose thumbprint must be
    /// `thumbprint`.
    pub(super) fn key(&self, thumbprint: Thumbprint, spki: &[u8]) -> Result<PublicKey, Damage> {
        let known = self.lock(|keys| keys.get(&thumbprint).cloned());
        if let Some(key) = known
            && key.spki_der() == spki
        {
            return Ok(key);
        }
        let key = PublicKey::from_spki_der(spki).map_err(|_| Damage::Field("spki"))?;
        if *key.thumbprint() != thumbprint {
            return Err(Damage::Field("thumbprint"));
        }
        self.lock(|keys| {
            // Evict an arbitrary key: the map's order is as good as random.
            if keys.len() >= CAPACITY
                && let Some(victim) = keys.keys().next().copied()
            {
                keys.remove(&victim);
            }
            keys.insert(thumbprint, key.clone());
        });
        Ok(key)
    }

    fn lock<T>(&self, f: impl FnOnce(&mut HashMap<Thumbprint, PublicKey>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
