//! Large values in the index, each split over several keys.
//!
//! sled writes a page of more than 128 KiB to its own file. If such a file is
//! missing, sled still opens and shows the older content of the page: ADR 0019.
//! A page holds some twenty values, so that pieces of this size keep pages
//! below that limit.
//!
//! A value of at most [`WHOLE_LEN`] bytes is stored under its key. For a larger
//! one the key holds the head: the first [`WHOLE_LEN`] bytes, and in two more
//! bytes the number of further pieces. These are stored under `ff`, the key and
//! the piece's number in two bytes, from 1 on. No key of the layout begins with
//! `ff`.
//!
//! The ledger always holds whole values.

use std::collections::BTreeMap;

use sled::{Batch, IVec};

use crate::{ledger::entry::MAX_BODY, map::Pair, record};

/// The maximum length of a value that is not split, and of a piece, in bytes.
const WHOLE_LEN: usize = 4096;

/// The length of a head. No other value has this length.
const HEAD_LEN: usize = WHOLE_LEN + 2;

/// The first byte of the keys of further pieces.
const FURTHER: u8 = 0xff;

// Every value that fits into the ledger has a valid number of pieces.
const _: () = assert!(MAX_BODY / WHOLE_LEN < u16::MAX as usize);

/// Returns how many further pieces a value of `len` bytes has.
fn further(len: usize) -> u16 {
    let further = len.saturating_sub(WHOLE_LEN).div_ceil(WHOLE_LEN);
    u16::try_from(further).unwrap_or(u16::MAX)
}

/// Returns how many further pieces a stored value announces; `None` for a whole
/// value.
fn of_head(found: &[u8]) -> Option<u16> {
    let (_, count) = found.split_last_chunk()?;
    (found.len() == HEAD_LEN).then(|| u16::from_be_bytes(*count))
}

fn key_of(key: &[u8], number: u16) -> Vec<u8> {
    [&[FURTHER], key, &number.to_be_bytes()].concat()
}

/// Reads the value under `key`.
pub(super) fn get(tree: &sled::Tree, key: &[u8]) -> sled::Result<Option<Vec<u8>>> {
    loop {
        let Some(found) = tree.get(key)? else {
            return Ok(None);
        };
        let Some(count) = of_head(&found) else {
            return Ok(Some(found.to_vec()));
        };
        if let Some(value) = assemble(tree, key, &found, count)? {
            return Ok(Some(value));
        }
    }
}

/// Completes a pair that a scan found. `None` for a further piece, and for a
/// pair that was removed meanwhile.
pub(super) fn whole(
    tree: &sled::Tree,
    found: sled::Result<(IVec, IVec)>,
) -> Option<sled::Result<Pair>> {
    let (key, value) = match found {
        Ok(pair) => pair,
        Err(error) => return Some(Err(error)),
    };
    if key.first() == Some(&FURTHER) {
        return None;
    }
    if of_head(&value).is_none() {
        return Some(Ok((key.to_vec(), value.to_vec())));
    }
    match get(tree, &key) {
        Ok(value) => Some(Ok((key.to_vec(), value?))),
        Err(error) => Some(Err(error)),
    }
}

/// Assembles the value with the head `head`; `None` if another one was written
/// meanwhile.
fn assemble(
    tree: &sled::Tree,
    key: &[u8],
    head: &IVec,
    count: u16,
) -> sled::Result<Option<Vec<u8>>> {
    let mut value = Vec::with_capacity(WHOLE_LEN * (usize::from(count) + 1));
    value.extend_from_slice(&head[..WHOLE_LEN]);
    let mut is_whole = true;
    for number in 1..=count {
        match tree.get(key_of(key, number))? {
            Some(piece) => value.extend_from_slice(&piece),
            None => is_whole = false,
        }
    }
    // Only records are this large, and each write of a record has a unique
    // version in its first bytes: if the head is unchanged, nothing was written
    // meanwhile.
    if tree.get(key)?.as_ref() != Some(head) {
        return Ok(None);
    }
    match is_whole {
        true => Ok(Some(value)),
        false => Err(sled::Error::Corruption { at: None, bt: () }),
    }
}

/// Counts the further pieces of values that are about to be replaced, so that
/// superfluous ones are removed with them.
#[derive(Default)]
pub(super) struct Pieces(BTreeMap<Vec<u8>, u16>);

impl Pieces {
    /// Notes what the index holds under `key`. If a large value is overwritten
    /// without this, its pieces stay, without a head that counts them, and take
    /// space until the next rebuild.
    pub(super) fn note(&mut self, key: &[u8], value: &[u8]) {
        let count = further(value.len());
        if count > 0 {
            self.0.insert(key.to_vec(), count);
        }
    }

    /// Looks up what the index holds under `key`.
    pub(super) fn look(&mut self, tree: &sled::Tree, key: &[u8]) -> sled::Result<()> {
        if record::is_record(key)
            && let Some(count) = tree.get(key)?.as_deref().and_then(of_head)
        {
            self.0.insert(key.to_vec(), count);
        }
        Ok(())
    }

    /// Adds a write to a batch.
    pub(super) fn put<V: AsRef<[u8]> + Into<IVec>>(
        &mut self,
        batch: &mut Batch,
        key: &[u8],
        value: Option<V>,
    ) {
        let before = match self.0.is_empty() {
            true => 0,
            false => self.0.remove(key).unwrap_or(0),
        };
        let count = (value.as_ref()).map_or(0, |value| further(value.as_ref().len()));
        for number in count + 1..=before {
            batch.remove(key_of(key, number));
        }
        match value {
            None => batch.remove(key),
            Some(value) if count == 0 => batch.insert(key, value),
            Some(value) => {
                let (head, rest) = value.as_ref().split_at(WHOLE_LEN);
                batch.insert(key, [head, &count.to_be_bytes()].concat());
                for (number, piece) in (1..).zip(rest.chunks(WHOLE_LEN)) {
                    batch.insert(key_of(key, number), piece);
                }
                self.0.insert(key.to_vec(), count);
            }
        }
    }
}

#[cfg(test)]
mod tests;
