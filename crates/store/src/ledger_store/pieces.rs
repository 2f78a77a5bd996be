//! Large values in the index, each over several keys.
//!
//! sled writes a page of more than 128 KiB to a file of its own. Where such a
//! file is missing it opens all the same, and shows the page as it was before:
//! ADR 0019. A page has some twenty values, so that none of more than a piece
//! keeps pages below that size.
//!
//! A value of at most [`WHOLE_LEN`] bytes lies under its key. Of a larger one
//! the head lies there: its first [`WHOLE_LEN`] bytes, and in two more how many
//! further pieces there are. These lie under `ff`, the key and their number in
//! two bytes, from 1 on; no key of the layout begins with `ff`.
//!
//! The ledger knows nothing of this: it holds whole values.

use std::collections::BTreeMap;

use sled::{Batch, IVec};

use crate::{ledger::entry::MAX_BODY, map::Pair, record};

/// The longest value that lies under its key whole, and the longest piece, in
/// bytes.
const WHOLE_LEN: usize = 4096;

/// The length of a head: no other value has it.
const HEAD_LEN: usize = WHOLE_LEN + 2;

/// What the keys of further pieces begin with.
const FURTHER: u8 = 0xff;

// Every value that the ledger can hold has a number of pieces.
const _: () = assert!(MAX_BODY / WHOLE_LEN < u16::MAX as usize);

/// How many further pieces a value of `len` bytes has.
fn further(len: usize) -> u16 {
    let further = len.saturating_sub(WHOLE_LEN).div_ceil(WHOLE_LEN);
    u16::try_from(further).unwrap_or(u16::MAX)
}

/// How many further pieces belong to what lies under a key; `None` for a whole
/// value.
fn of_head(found: &[u8]) -> Option<u16> {
    let (_, count) = found.split_last_chunk()?;
    (found.len() == HEAD_LEN).then(|| u16::from_be_bytes(*count))
}

fn key_of(key: &[u8], number: u16) -> Vec<u8> {
    [&[FURTHER], key, &number.to_be_bytes()].concat()
}

/// The value under `key`.
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

/// A pair that a scan found, its value whole; `None` for a further piece, and
/// for a pair that went meanwhile.
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

/// The value whose head is `head`; `None` when another was written meanwhile.
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
    // Only records are as large as this, and each write of one has a version of
    // its own in its first bytes: between two equal heads none was written.
    if tree.get(key)?.as_ref() != Some(head) {
        return Ok(None);
    }
    match is_whole {
        true => Ok(Some(value)),
        false => Err(sled::Error::Corruption { at: None, bt: () }),
    }
}

/// How many further pieces values have that are about to be replaced: those
/// that the new value has no use for go with it.
#[derive(Default)]
pub(super) struct Pieces(BTreeMap<Vec<u8>, u16>);

impl Pieces {
    /// Takes down what the index holds under `key`. A large value that is
    /// written over without this leaves pieces that no head counts: they take
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
