//! The ordered map that a store consists of.

use std::{collections::BTreeMap, ops::Bound};

use assay_engine::ports::StoreError;

/// Reads the value of a key.
pub(crate) trait Get {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
}

/// Reads ranges of keys, too.
pub(crate) trait Scan: Get {
    /// Returns keys and values from `from` (included) to `to` (excluded), in
    /// order.
    fn scan(&self, from: &[u8], to: &[u8]) -> Entries<'_>;

    /// The same as [`Scan::scan`], in reverse order.
    fn scan_back(&self, from: &[u8], to: &[u8]) -> Entries<'_>;
}

/// The order of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Back,
}

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// The iterator of a scan.
pub(crate) struct Entries<'a>(pub(crate) Box<dyn Iterator<Item = Result<Pair, StoreError>> + 'a>);

/// New values of keys; `None` for deleted keys.
pub(crate) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A map with writes on top that are not applied yet.
pub(crate) struct Overlay<'a> {
    base: &'a dyn Scan,
    writes: Writes,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a dyn Scan) -> Self {
        Self {
            base,
            writes: BTreeMap::new(),
        }
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.writes.insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }

    /// Adds writes that were prepared on top of this map.
    pub(crate) fn absorb(&mut self, writes: Writes) {
        self.writes.extend(writes);
    }

    pub(crate) fn into_writes(self) -> Writes {
        self.writes
    }
}

impl Get for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.base.get(key),
        }
    }
}

impl Scan for Overlay<'_> {
    fn scan(&self, from: &[u8], to: &[u8]) -> Entries<'_> {
        let base = self.base.scan(from, to);
        overlay(&self.writes, base, from, to, Direction::Forward)
    }

    fn scan_back(&self, from: &[u8], to: &[u8]) -> Entries<'_> {
        let base = self.base.scan_back(from, to);
        overlay(&self.writes, base, from, to, Direction::Back)
    }
}

/// Returns the entries of `base`, which were scanned from `from` to `to` in
/// this direction, with `writes` applied.
pub(crate) fn overlay<'a>(
    writes: &'a Writes,
    base: Entries<'a>,
    from: &[u8],
    to: &[u8],
    direction: Direction,
) -> Entries<'a> {
    let range = (Bound::Included(from), Bound::Excluded(to));
    // The map panics on a range that ends before it begins.
    let range = (from < to).then(|| writes.range::<[u8], _>(range));
    let range = range.into_iter().flatten();
    let writes: Box<dyn Iterator<Item = _>> = match direction {
        Direction::Forward => Box::new(range),
        Direction::Back => Box::new(range.rev()),
    };
    let mut writes = writes.peekable();
    let mut base = base.peekable();
    let comes_later = move |own: &[u8], below: &[u8]| match direction {
        Direction::Forward => own > below,
        Direction::Back => own < below,
    };
    Entries(Box::new(std::iter::from_fn(move || {
        loop {
            // A write comes before, or replaces, the entry of the base.
            let (key, value) = match (writes.peek(), base.peek()) {
                (Some((own, _)), Some(Ok((below, _)))) if comes_later(own, below) => {
                    return base.next();
                }
                (None, _) | (Some(_), Some(Err(_))) => return base.next(),
                (Some((own, _)), below) => {
                    if let Some(Ok((below, _))) = below
                        && own.as_slice() == below.as_slice()
                    {
                        base.next();
                    }
                    writes.next()?
                }
            };
            if let Some(value) = value {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    })))
}

impl Iterator for Entries<'_> {
    type Item = Result<Pair, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}
