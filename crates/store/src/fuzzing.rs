//! The readers of the ledger's files on arbitrary bytes, for the fuzz target
//! `ledger`. This is not part of the crate's interface.
//!
//! Everything in these files is protected by a SHA-256, which no fuzzer finds.
//! Therefore the hashes are fixed first, so that the readers behind them are
//! reached.

use std::{io, path::Path, sync::Arc};

use assay_engine::sha256;
use assay_proto::Timestamp;

use crate::{
    keys,
    ledger::{
        checkpoint::Checkpoint,
        disk::{Disk, DiskFile},
        entry::{Draft, Entry, HASH_LEN, HEAD_LEN, Hash, Head, u64_at},
        segment::{self, Header, Identity, Place, Step},
    },
};

/// The lengths of a checkpoint's header and trailer.
const CHECKPOINT_HEADER: usize = 128;
const CHECKPOINT_TRAILER: usize = 72;
const BLOCK_HEAD: usize = 16;

/// Reads `bytes` as an entry, as a segment's entries or as a checkpoint,
/// depending on the first byte.
///
/// # Panics
/// A reader violates an invariant.
pub fn read(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'e', bytes)) => entry(bytes),
        Some((b's', bytes)) => segment(bytes),
        Some((b'c', bytes)) => checkpoint(bytes.to_vec()),
        _ => {}
    }
}

/// A whole entry is encoded to the same bytes again.
fn entry(content: &[u8]) {
    assert!(
        Entry::parse(content).is_none_or(|entry| entry.head.entry_len() == content.len()),
        "an entry of another length"
    );
    let whole = [content, &sha256(content)].concat();
    let Some(entry) = Entry::parse(&whole) else {
        return;
    };
    let mut again = Vec::new();
    let draft = Draft {
        sequence: entry.head.sequence,
        time: entry.head.time,
        resets_time: entry.head.resets_time,
        place: entry.head.place,
        redeemed: &entry.redemptions(),
    };
    let hash = draft.append(&mut again, &entry.head.previous, entry.writes());
    assert_eq!(hash, Some(entry.hash));
    assert!(again == whole, "an entry has two encodings");
}

/// The entries of a segment follow each other to the end of the file, or to the
/// first bad one.
fn segment(entries: &[u8]) {
    let before = Place {
        sequence: 6,
        hash: [7; HASH_LEN],
        time: Timestamp(1_800_000_000),
    };
    let header = Header {
        identity: Identity {
            database: [9; 16],
            laboratory: true,
            layout: keys::SCHEMA_VERSION,
        },
        before,
    };
    let mut file = header.encode().to_vec();
    assert_eq!(Header::parse(&file, Path::new("s")).ok(), Some(header));
    let start = file.len();
    file.extend_from_slice(entries);
    chain(&mut file[start..], before.hash);
    let len = file.len() as u64;
    let file = Box::new(Memory(Arc::new(file)));
    let mut reader = segment::Reader::new(file, "s".into(), before.sequence + 1)
        .unwrap_or_else(|_| unreachable!());
    let mut place = before;
    loop {
        let offset = reader.offset();
        match reader.next() {
            Ok(Step::Entry(entry)) => {
                assert_eq!(entry.head.sequence, place.sequence + 1);
                assert_eq!(entry.head.previous, place.hash);
                let (entry_len, hash) = (entry.head.entry_len() as u64, entry.hash);
                assert_eq!(reader.offset(), offset + entry_len);
                place = reader.place();
                assert_eq!(place.hash, hash);
            }
            Ok(Step::End) => {
                assert_eq!(offset, len, "the reader ended before the end of the file");
                return;
            }
            Ok(Step::Bad(_)) => return,
            Err(_) => unreachable!(),
        }
    }
}

/// Fixes the hashes for as long as whole entries follow each other.
fn chain(mut entries: &mut [u8], mut previous: Hash) {
    while let Some(head) = Head::parse(entries) {
        let Some((entry, rest)) = entries.split_at_mut_checked(head.entry_len()) else {
            return;
        };
        entry[HEAD_LEN - HASH_LEN..HEAD_LEN].copy_from_slice(&previous);
        previous = seal(entry);
        entries = rest;
    }
}

/// Puts the hash of all bytes before it at the end.
fn seal(bytes: &mut [u8]) -> Hash {
    let (content, hash) = bytes.split_at_mut(bytes.len() - HASH_LEN);
    hash.copy_from_slice(&sha256(content));
    sha256(content)
}

/// A checkpoint that verifies holds the stated number of pairs in the order of
/// their keys, and each is found under its key.
fn checkpoint(mut bytes: Vec<u8>) {
    fix_hashes(&mut bytes);
    let path = Path::new("c");
    let Ok(checkpoint) = Checkpoint::open_file(&Memory(Arc::new(bytes)), path) else {
        return;
    };
    if checkpoint.verify(|_| {}).is_err() {
        return;
    }
    let mut pairs = 0;
    for number in 0..checkpoint.blocks() {
        let mut block = checkpoint.block(number).unwrap_or_else(|_| unreachable!());
        while block.next_pair().is_some() {
            pairs += 1;
        }
    }
    assert_eq!(pairs, checkpoint.pairs());
}

/// Fixes the hashes of header, index and blocks, as far as the bytes allow it.
fn fix_hashes(bytes: &mut [u8]) {
    let len = bytes.len();
    if len < CHECKPOINT_HEADER + CHECKPOINT_TRAILER {
        return;
    }
    bytes[..8].copy_from_slice(b"ASSAYCHK");
    seal(&mut bytes[..CHECKPOINT_HEADER]);
    let trailer = len - CHECKPOINT_TRAILER;
    bytes[trailer..trailer + 8].copy_from_slice(b"ASSAYEND");
    // The start of the index: behind the header, before the trailer.
    let end = usize::try_from(u64_at(bytes, trailer + 8)).unwrap_or(trailer);
    let end = end.clamp(CHECKPOINT_HEADER, trailer);
    bytes[trailer + 8..trailer + 16].copy_from_slice(&(end as u64).to_be_bytes());
    seal(&mut bytes[end..]);
    let mut offsets = Vec::new();
    let mut at = end;
    while at + 10 <= trailer {
        offsets.push(usize::try_from(u64_at(bytes, at)).unwrap_or(usize::MAX));
        at += 10 + usize::from(u16::from_be_bytes([bytes[at + 8], bytes[at + 9]]));
    }
    for (number, offset) in offsets.iter().enumerate() {
        let next = *offsets.get(number + 1).unwrap_or(&end);
        if next > end {
            continue;
        }
        let Some(block) = bytes.get_mut(*offset..next) else {
            continue;
        };
        let Some(pairs) = block.len().checked_sub(BLOCK_HEAD + HASH_LEN) else {
            continue;
        };
        block[..4].copy_from_slice(b"BLCK");
        block[4..12].copy_from_slice(&(number as u64).to_be_bytes());
        let pairs = u32::try_from(pairs).unwrap_or_default();
        block[12..BLOCK_HEAD].copy_from_slice(&pairs.to_be_bytes());
        seal(block);
    }
}

/// A disk with one file.
struct Memory(Arc<Vec<u8>>);

fn read_only<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for Memory {
    fn open(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self(Arc::clone(&self.0))))
    }

    fn open_to_write(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        read_only()
    }

    fn create(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        read_only()
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        read_only()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        read_only()
    }
}

impl DiskFile for Memory {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.0.get(from..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        read_only()
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        read_only()
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(name: &str) -> Vec<u8> {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/ledger/");
        std::fs::read(format!("{seeds}{name}")).unwrap()
    }

    /// The seeds of the fuzz target are what their names say, and no flipped
    /// bit of them violates an invariant.
    #[test]
    fn the_seeds_of_the_fuzz_target_are_read_to_their_end() {
        let whole = [&seed("entry")[1..], &sha256(&seed("entry")[1..])].concat();
        assert!(Entry::parse(&whole).is_some());
        let mut file = seed("checkpoint")[1..].to_vec();
        fix_hashes(&mut file);
        let file = Memory(Arc::new(file));
        let checkpoint = Checkpoint::open_file(&file, Path::new("c")).ok().unwrap();
        assert!(checkpoint.verify(|_| {}).is_ok() && checkpoint.pairs() > 0);
        let mut entries = seed("segment")[1..].to_vec();
        chain(&mut entries, [7; HASH_LEN]);
        let second = Head::parse(&entries).unwrap().entry_len();
        assert!(Head::parse(&entries[second..]).is_some());

        for name in ["entry", "segment", "checkpoint"] {
            let seed = seed(name);
            read(&seed);
            for bit in 8..seed.len() * 8 {
                let mut flipped = seed.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                read(&flipped);
            }
        }
    }

    /// The place in a write has 16 bits.
    #[test]
    fn an_entry_behind_the_last_place_of_a_write_does_not_follow() {
        let mut entries = Vec::new();
        for (sequence, place) in [(7, u16::MAX), (8, 1)] {
            let draft = Draft {
                sequence,
                time: Timestamp(1_800_000_000),
                resets_time: false,
                place,
                redeemed: &[],
            };
            draft
                .append(&mut entries, &[0; HASH_LEN], std::iter::empty())
                .unwrap();
        }
        segment(&entries);
    }
}
