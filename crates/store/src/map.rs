//! The ordered map that a store is made of.

use std::collections::BTreeMap;

use assay_engine::ports::StoreError;
use sled::IVec;

/// Gives the value of a key.
pub(crate) trait Get {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError>;
}

/// Gives ranges of keys too.
pub(crate) trait Scan: Get {
    /// Keys and values from `from` (included) to `to` (excluded), in order.
    fn scan(&self, from: &[u8], to: &[u8]) -> Entries<'_>;
}

/// What a scan walks over.
pub(crate) struct Entries<'a>(
    pub(crate) Box<dyn Iterator<Item = Result<(IVec, IVec), StoreError>> + 'a>,
);

/// A map with writes that are not made yet.
pub(crate) struct Overlay<'a> {
    base: &'a dyn Get,
    /// New values of keys; `None` for those that go.
    writes: BTreeMap<Vec<u8>, Option<IVec>>,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a dyn Get) -> Self {
        Self {
            base,
            writes: BTreeMap::new(),
        }
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.writes.insert(key, Some(value.into()));
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }

    /// Takes on writes that were prepared over this map.
    pub(crate) fn absorb(&mut self, mut writes: BTreeMap<Vec<u8>, Option<IVec>>) {
        self.writes.append(&mut writes);
    }

    pub(crate) fn into_writes(self) -> BTreeMap<Vec<u8>, Option<IVec>> {
        self.writes
    }
}

impl Get for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        match self.writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.base.get(key),
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(IVec, IVec), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}
