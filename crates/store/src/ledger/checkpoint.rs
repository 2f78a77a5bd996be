//! A checkpoint: all live pairs at one commit, sorted by key.
//!
//! Header, 128 bytes:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `ASSAYCHK` |
//! | 8 | 4 | version of the format, as a segment's |
//! | 12 | 4 | flags: bit 0 is set for a laboratory |
//! | 16 | 16 | database id |
//! | 32 | 8 | sequence number of the last commit in it |
//! | 40 | 8 | latest time of all commits up to there |
//! | 48 | 32 | hash of that commit's entry |
//! | 80 | 4 | the layout of the records, as in a segment |
//! | 84 | 12 | 0 |
//! | 96 | 32 | SHA-256 of the 96 bytes before |
//!
//! Then blocks, each: `BLCK`, its number from 0 on (8 bytes), the length of its
//! pairs (4), the pairs as in an entry, and the SHA-256 of all that. Then the
//! index: for each block its offset (8), the length of its first key (2) and
//! that key. Then a trailer of 72 bytes: `ASSAYEND`, offset of the index (8),
//! blocks (8), pairs (8), bytes of keys and values (8), and the SHA-256 of
//! index and trailer. All numbers are big-endian.
//!
//! The file is named after the sequence number, in 20 digits, and ends in
//! `.checkpoint`. The sorted runs of a merge have the same format, and may also
//! hold deleted keys.

use std::path::{Path, PathBuf};

use assay_engine::sha256;
use assay_proto::Timestamp;

use super::{
    disk::{Disk, DiskFile, read_exact_at},
    entry::{HASH_LEN, Hash, Pair, push_pair, split_pair, u32_at, u64_at},
    fault::Fault,
    segment::{Identity, Place},
};

const HEADER_LEN: usize = 128;
const TRAILER_LEN: usize = 72;
const BLOCK_HEAD_LEN: usize = 16;

const CHECKPOINT_MAGIC: [u8; 8] = *b"ASSAYCHK";
const BLOCK_MAGIC: [u8; 4] = *b"BLCK";
const TRAILER_MAGIC: [u8; 8] = *b"ASSAYEND";

/// How many bytes of pairs a block holds; one large pair may exceed it.
const BLOCK_LEN: usize = 64 * 1024;

/// The maximum length of a block in bytes: a larger value in the file is
/// damage.
const MAX_BLOCK: usize = 32 * 1024 * 1024;

/// Returns the path of the checkpoint at commit `sequence`.
pub(crate) fn path(ledger: &Path, sequence: u64) -> PathBuf {
    ledger.join(format!("{sequence:020}.checkpoint"))
}

/// Writes a checkpoint.
pub(crate) struct Writer {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// The offset of the next byte.
    offset: u64,
    block: Vec<u8>,
    index: Vec<u8>,
    blocks: u64,
    pairs: u64,
    bytes: u64,
}

impl Writer {
    /// Creates a new file.
    pub(crate) fn create(
        disk: &dyn Disk,
        path: &Path,
        identity: Identity,
        at: Place,
    ) -> Result<Self, Fault> {
        let file = disk.create(path).map_err(Fault::io("create", path))?;
        let mut header = [0; HEADER_LEN];
        header[..8].copy_from_slice(&CHECKPOINT_MAGIC);
        identity.write_to(&mut header);
        header[32..40].copy_from_slice(&at.sequence.to_be_bytes());
        header[40..48].copy_from_slice(&at.time.0.to_be_bytes());
        header[48..80].copy_from_slice(&at.hash);
        let hash = sha256(&header[..96]);
        header[96..].copy_from_slice(&hash);
        let mut writer = Self {
            file,
            path: path.to_owned(),
            offset: 0,
            block: Vec::with_capacity(BLOCK_LEN + BLOCK_LEN / 4),
            index: Vec::new(),
            blocks: 0,
            pairs: 0,
            bytes: 0,
        };
        writer.write(&header)?;
        Ok(writer)
    }

    /// Adds a pair. Keys must rise.
    pub(crate) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Fault> {
        if self.block.len() >= BLOCK_HEAD_LEN + BLOCK_LEN {
            self.end_block()?;
        }
        if self.block.is_empty() {
            self.block.extend_from_slice(&BLOCK_MAGIC);
            self.block.extend_from_slice(&self.blocks.to_be_bytes());
            self.block.extend_from_slice(&[0; 4]);
            self.index.extend_from_slice(&self.offset.to_be_bytes());
            let len = u16::try_from(key.len()).unwrap_or(u16::MAX);
            self.index.extend_from_slice(&len.to_be_bytes());
            self.index.extend_from_slice(key);
        }
        push_pair(&mut self.block, key, value)
            .ok_or_else(|| Fault::damage(&self.path, self.offset, "a pair is too large"))?;
        self.pairs += 1;
        self.bytes += (key.len() + value.map_or(0, <[u8]>::len)) as u64;
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), Fault> {
        if self.block.is_empty() {
            return Ok(());
        }
        let mut block = std::mem::take(&mut self.block);
        let len = u32::try_from(block.len() - BLOCK_HEAD_LEN).unwrap_or(u32::MAX);
        block[12..BLOCK_HEAD_LEN].copy_from_slice(&len.to_be_bytes());
        let hash = sha256(&block);
        block.extend_from_slice(&hash);
        self.write(&block)?;
        self.blocks += 1;
        block.clear();
        self.block = block;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.file
            .write_all_at(bytes, self.offset)
            .map_err(Fault::io("write", &self.path))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Completes the file and makes its content durable, but not its name.
    pub(crate) fn finish(mut self) -> Result<(), Fault> {
        self.end_block()?;
        let mut end = std::mem::take(&mut self.index);
        let index_offset = self.offset;
        end.extend_from_slice(&TRAILER_MAGIC);
        for number in [index_offset, self.blocks, self.pairs, self.bytes] {
            end.extend_from_slice(&number.to_be_bytes());
        }
        let hash = sha256(&end);
        end.extend_from_slice(&hash);
        self.write(&end)?;
        self.file
            .sync()
            .map_err(Fault::io("synchronise", &self.path))
    }
}

/// An open checkpoint.
pub(crate) struct Checkpoint {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    identity: Identity,
    place: Place,
    /// The offset of each block and its first key, and the end of the last
    /// block.
    index: Vec<(u64, Vec<u8>)>,
    end: u64,
    pairs: u64,
    bytes: u64,
    len: u64,
}

impl Checkpoint {
    /// Opens the checkpoint at commit `sequence`. Verifies header and index; a
    /// block is verified when it is read.
    pub(crate) fn open(disk: &dyn Disk, ledger: &Path, sequence: u64) -> Result<Self, Fault> {
        let path = path(ledger, sequence);
        let checkpoint = Self::open_file(disk, &path)?;
        if checkpoint.place.sequence != sequence {
            let holds = checkpoint.place.sequence;
            let detail = format!("it is that of commit {holds}, but is named as {sequence}");
            return Err(Fault::damage(&path, 32, detail));
        }
        Ok(checkpoint)
    }

    /// Opens a file of this format.
    pub(crate) fn open_file(disk: &dyn Disk, path: &Path) -> Result<Self, Fault> {
        let file = disk.open(path).map_err(Fault::io("open", path))?;
        let len = file.len().map_err(Fault::io("read", path))?;
        let read = |offset: u64, len: usize| {
            let mut bytes = vec![0; len];
            read_exact_at(file.as_ref(), &mut bytes, offset).map_err(Fault::io("read", path))?;
            Ok::<_, Fault>(bytes)
        };
        if len < (HEADER_LEN + TRAILER_LEN) as u64 {
            return Err(Fault::damage(path, len, "it is cut short"));
        }
        let header = read(0, HEADER_LEN)?;
        if header[..8] != CHECKPOINT_MAGIC {
            return Err(Fault::damage(
                path,
                0,
                "it does not begin as a checkpoint does",
            ));
        }
        if sha256(&header[..96]) != header[96..] {
            return Err(Fault::damage(
                path,
                0,
                "the checksum of its header is wrong",
            ));
        }
        let identity = Identity::read_from(&header, path)?;
        let trailer_offset = len - TRAILER_LEN as u64;
        let trailer = read(trailer_offset, TRAILER_LEN)?;
        let end = u64_at(&trailer, 8);
        if trailer[..8] != TRAILER_MAGIC || end < HEADER_LEN as u64 || end > trailer_offset {
            return Err(Fault::damage(
                path,
                trailer_offset,
                "it does not end as a checkpoint does",
            ));
        }
        let index_len = usize::try_from(len - end).unwrap_or(usize::MAX);
        let tail = read(end, index_len)?;
        let (content, hash) = tail.split_at(index_len - HASH_LEN);
        if sha256(content) != *hash {
            return Err(Fault::damage(
                path,
                end,
                "the checksum of its index is wrong",
            ));
        }
        let wrong = || Fault::damage(path, end, "its index is invalid");
        let mut rest = &content[..index_len - TRAILER_LEN];
        let mut index = Vec::new();
        while !rest.is_empty() {
            let (offset, after) = rest.split_first_chunk::<8>().ok_or_else(wrong)?;
            let (key_len, after) = after.split_first_chunk::<2>().ok_or_else(wrong)?;
            let key_len = u16::from_be_bytes(*key_len).into();
            let (key, after) = after.split_at_checked(key_len).ok_or_else(wrong)?;
            index.push((u64::from_be_bytes(*offset), key.to_vec()));
            rest = after;
        }
        let rises = index.is_sorted_by(|(a, _), (b, _)| a < b);
        let outside = index.last().is_some_and(|(offset, _)| *offset >= end);
        if !rises || outside || index.len() as u64 != u64_at(&trailer, 16) {
            return Err(wrong());
        }
        let mut hash = [0; HASH_LEN];
        hash.copy_from_slice(&header[48..80]);
        Ok(Self {
            path: path.to_owned(),
            identity,
            place: Place {
                sequence: u64_at(&header, 32),
                hash,
                time: Timestamp(u64_at(&header, 40)),
            },
            index,
            end,
            pairs: u64_at(&trailer, 24),
            bytes: u64_at(&trailer, 32),
            len,
            file,
        })
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &dyn DiskFile {
        self.file.as_ref()
    }

    /// Returns how many pairs it holds.
    pub(crate) fn pairs(&self) -> u64 {
        self.pairs
    }

    /// Returns the total length of all keys and values in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the length of the file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn blocks(&self) -> usize {
        self.index.len()
    }

    /// Returns the block that may hold `key`: the last one whose first key is
    /// not greater.
    pub(crate) fn block_of(&self, key: &[u8]) -> usize {
        let after = (self.index).partition_point(|(_, first)| first.as_slice() <= key);
        after.saturating_sub(1)
    }

    /// Returns the first keys of block `number` and of the following one.
    pub(crate) fn keys_of_block(&self, number: usize) -> (Vec<u8>, Option<Vec<u8>>) {
        let first = |number: usize| self.index.get(number).map(|(_, key)| key.clone());
        (first(number).unwrap_or_default(), first(number + 1))
    }

    /// Returns the offset of block `number`.
    pub(crate) fn block_offset(&self, number: usize) -> u64 {
        self.index
            .get(number)
            .map_or(self.end, |(offset, _)| *offset)
    }

    /// Reads and verifies block `number`.
    pub(crate) fn block(&self, number: usize) -> Result<Block, Fault> {
        let (offset, end) = (self.block_offset(number), self.block_offset(number + 1));
        let damage = |detail: &str| Fault::damage(&self.path, offset, detail);
        let len = usize::try_from(end - offset)
            .ok()
            .filter(|len| (BLOCK_HEAD_LEN + HASH_LEN..=MAX_BLOCK).contains(len))
            .ok_or_else(|| damage("a block's length is invalid"))?;
        let mut bytes = vec![0; len];
        read_exact_at(self.file.as_ref(), &mut bytes, offset)
            .map_err(Fault::io("read", &self.path))?;
        let (content, hash) = bytes.split_at(len - HASH_LEN);
        if sha256(content) != *hash {
            return Err(damage("a block's checksum is wrong"));
        }
        let pairs_len = len - BLOCK_HEAD_LEN - HASH_LEN;
        let right = content[..4] == BLOCK_MAGIC
            && u64_at(content, 4) == number as u64
            && u32_at(content, 12) as usize == pairs_len;
        if !right {
            return Err(damage("a block is not the one that belongs there"));
        }
        bytes.truncate(len - HASH_LEN);
        Ok(Block {
            bytes,
            at: BLOCK_HEAD_LEN,
        })
    }

    /// Reads and verifies all blocks, the order of keys and the number of
    /// pairs.
    pub(crate) fn verify(&self, mut progress: impl FnMut(u64)) -> Result<(), Fault> {
        let mut last: Option<Vec<u8>> = None;
        let mut count = 0;
        for number in 0..self.blocks() {
            let mut block = self.block(number)?;
            while let Some((key, _)) = block.next_pair() {
                if last.as_deref().is_some_and(|last| last >= key) {
                    let offset = self.block_offset(number);
                    return Err(Fault::damage(
                        &self.path,
                        offset,
                        "its keys are out of order",
                    ));
                }
                match &mut last {
                    Some(last) => {
                        last.clear();
                        last.extend_from_slice(key);
                    }
                    None => last = Some(key.to_vec()),
                }
                count += 1;
            }
            progress(self.block_offset(number + 1));
        }
        if count != self.pairs {
            let detail = format!("it holds {count} pairs instead of {}", self.pairs);
            return Err(Fault::damage(&self.path, self.end, detail));
        }
        Ok(())
    }
}

/// A verified block with its pairs.
pub(crate) struct Block {
    bytes: Vec<u8>,
    at: usize,
}

impl Block {
    /// Returns the next pair and moves on.
    pub(crate) fn next_pair(&mut self) -> Option<Pair<'_>> {
        let (pair, rest) = split_pair(&self.bytes[self.at..])?;
        self.at = self.bytes.len() - rest.len();
        Some(pair)
    }

    /// Returns the next pair without moving on.
    pub(crate) fn peek(&self) -> Option<Pair<'_>> {
        split_pair(&self.bytes[self.at..]).map(|(pair, _)| pair)
    }
}

/// Iterates over all pairs of a checkpoint or run, block by block.
pub(crate) struct Walk {
    checkpoint: Checkpoint,
    number: usize,
    block: Option<Block>,
}

impl Walk {
    pub(crate) fn new(checkpoint: Checkpoint) -> Result<Self, Fault> {
        let mut walk = Self {
            checkpoint,
            number: 0,
            block: None,
        };
        walk.settle()?;
        Ok(walk)
    }

    /// Loads the next block at the end of the current one.
    fn settle(&mut self) -> Result<(), Fault> {
        while (self.block.as_ref()).is_none_or(|block| block.peek().is_none()) {
            if self.number == self.checkpoint.blocks() {
                self.block = None;
                return Ok(());
            }
            self.block = Some(self.checkpoint.block(self.number)?);
            self.number += 1;
        }
        Ok(())
    }

    /// Returns the next pair without moving on.
    pub(crate) fn peek(&self) -> Option<Pair<'_>> {
        self.block.as_ref().and_then(Block::peek)
    }

    /// Moves to the next pair.
    pub(crate) fn advance(&mut self) -> Result<(), Fault> {
        if let Some(block) = &mut self.block {
            block.next_pair();
        }
        self.settle()
    }
}

/// The hash in place of a previous entry if there is none.
pub(crate) const NO_ENTRY: Hash = [0; HASH_LEN];
