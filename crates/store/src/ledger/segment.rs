//! A segment: a header, then entries up to the end of the file.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `ASSAYLDG` |
//! | 8 | 4 | version of the format: 2; 1 for records of layout 4, which no file names |
//! | 12 | 4 | flags: bit 0 is set for a laboratory |
//! | 16 | 16 | database id |
//! | 32 | 8 | sequence number of the first entry |
//! | 40 | 8 | latest time of all commits before |
//! | 48 | 32 | hash of the entry before the first |
//! | 80 | 4 | the layout of the records ([`keys::SCHEMA_VERSION`]) |
//! | 84 | 12 | 0 |
//! | 96 | 32 | SHA-256 of the 96 bytes before |
//!
//! The file is named after the sequence number of its first entry, in 20
//! digits, and ends in `.segment`.

use std::path::{Path, PathBuf};

use assay_engine::sha256;
use assay_proto::Timestamp;

use super::{
    disk::{Disk, DiskFile, read_up_to},
    entry::{Entry, HASH_LEN, HEAD_LEN, Hash, Head, MAGIC, u32_at, u64_at},
    fault::Fault,
};
use crate::keys;

/// The length of a segment's header.
pub(crate) const HEADER_LEN: usize = 128;

const SEGMENT_MAGIC: [u8; 8] = *b"ASSAYLDG";
/// The format version whose files name no layout, and the layout of their
/// records.
const VERSION_WITHOUT_LAYOUT: (u32, u32) = (1, 4);
const VERSION: u32 = 2;

/// How many bytes are read at once.
const CHUNK: usize = 1024 * 1024;

/// The fields that all files of a ledger have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Random; new for each new and each restored database.
    pub(crate) database: [u8; 16],
    /// Whether the database was created as a laboratory's.
    pub(crate) laboratory: bool,
    /// The layout of its records and indexes. A program reads layouts up to its
    /// own, and only writes to files of its own layout.
    pub(crate) layout: u32,
}

impl Identity {
    /// Writes the common fields into a file's header.
    pub(super) fn write_to(&self, header: &mut [u8]) {
        let (version, layout) = match VERSION_WITHOUT_LAYOUT {
            (version, layout) if layout == self.layout => (version, 0),
            _ => (VERSION, self.layout),
        };
        header[8..12].copy_from_slice(&version.to_be_bytes());
        header[12..16].copy_from_slice(&u32::from(self.laboratory).to_be_bytes());
        header[16..32].copy_from_slice(&self.database);
        header[80..84].copy_from_slice(&layout.to_be_bytes());
    }

    /// Reads the common fields from the header of the file at `path`. The
    /// header's checksum must have been verified.
    pub(super) fn read_from(header: &[u8], path: &Path) -> Result<Self, Fault> {
        let layout = match (u32_at(header, 8), u32_at(header, 80)) {
            (version, 0) if version == VERSION_WITHOUT_LAYOUT.0 => VERSION_WITHOUT_LAYOUT.1,
            (VERSION, layout) if layout > VERSION_WITHOUT_LAYOUT.1 => layout,
            (version, _) => {
                let detail = format!(
                    "its format is {version}, this program reads {VERSION}: use a newer program"
                );
                return Err(Fault::damage(path, 8, detail));
            }
        };
        if layout > keys::SCHEMA_VERSION {
            return Err(Fault::Layout(layout));
        }
        let mut database = [0; 16];
        database.copy_from_slice(&header[16..32]);
        Ok(Self {
            database,
            laboratory: u32_at(header, 12) & 1 != 0,
            layout,
        })
    }
}

/// A place between two entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The sequence number of the previous entry.
    pub(crate) sequence: u64,
    /// Its hash.
    pub(crate) hash: Hash,
    /// The latest time of all commits up to there.
    pub(crate) time: Timestamp,
}

/// The header of a segment whose first entry follows `before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) identity: Identity,
    pub(crate) before: Place,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        self.identity.write_to(&mut bytes);
        bytes[32..40].copy_from_slice(&(self.before.sequence + 1).to_be_bytes());
        bytes[40..48].copy_from_slice(&self.before.time.0.to_be_bytes());
        bytes[48..80].copy_from_slice(&self.before.hash);
        let hash = sha256(&bytes[..96]);
        bytes[96..].copy_from_slice(&hash);
        bytes
    }

    /// Parses the header of the file at `path`.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self, Fault> {
        let damage = |detail| Err(Fault::damage(path, 0, detail));
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            return damage("its header is cut short");
        };
        if bytes[..8] != SEGMENT_MAGIC {
            return damage("it does not begin as a segment does");
        }
        if sha256(&bytes[..96]) != bytes[96..] {
            return damage("the checksum of its header is wrong");
        }
        let identity = Identity::read_from(bytes, path)?;
        let mut hash = [0; HASH_LEN];
        hash.copy_from_slice(&bytes[48..80]);
        Ok(Self {
            identity,
            before: Place {
                sequence: u64_at(bytes, 32).saturating_sub(1),
                hash,
                time: Timestamp(u64_at(bytes, 40)),
            },
        })
    }
}

/// Returns the path of the segment that begins with the entry `first`.
pub(crate) fn path(ledger: &Path, first: u64) -> PathBuf {
    ledger.join(format!("{first:020}.segment"))
}

/// Reads a segment's entries in order.
pub(crate) struct Reader {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    header: Header,
    buffer: Vec<u8>,
    /// Where the next entry begins in the buffer.
    at: usize,
    /// Where it begins in the file.
    offset: u64,
    /// The place after the last entry that was read.
    place: Place,
    /// The last entry's place within its write.
    last_in_write: Option<u16>,
    /// Whether hashes are computed and compared.
    verifies: bool,
}

/// The next thing in a segment.
pub(crate) enum Step<'a> {
    /// An entry that follows the one before.
    Entry(Entry<'a>),
    /// The end of the file, after a whole entry.
    End,
    /// Bytes that are no entry, or an entry that does not follow the previous
    /// one.
    Bad(&'static str),
}

impl Reader {
    /// Opens a segment and reads its header.
    pub(crate) fn open(disk: &dyn Disk, ledger: &Path, first: u64) -> Result<Self, Fault> {
        let path = path(ledger, first);
        let file = disk.open(&path).map_err(Fault::io("open", &path))?;
        Self::new(file, path, first)
    }

    /// Reads an open segment.
    pub(crate) fn new(file: Box<dyn DiskFile>, path: PathBuf, first: u64) -> Result<Self, Fault> {
        let mut bytes = [0; HEADER_LEN];
        let count = read_up_to(file.as_ref(), &mut bytes, 0).map_err(Fault::io("read", &path))?;
        let header = Header::parse(&bytes[..count], &path)?;
        if header.before.sequence + 1 != first {
            let begins = header.before.sequence + 1;
            let detail = format!("it begins with commit {begins}, but is named as {first}");
            return Err(Fault::damage(&path, 32, detail));
        }
        Ok(Self {
            file,
            path,
            header,
            buffer: Vec::new(),
            at: 0,
            offset: HEADER_LEN as u64,
            place: header.before,
            last_in_write: None,
            verifies: true,
        })
    }

    /// Opens a segment without checking hashes, for entries that were verified
    /// before.
    pub(crate) fn open_verified(disk: &dyn Disk, ledger: &Path, first: u64) -> Result<Self, Fault> {
        let reader = Self::open(disk, ledger, first)?;
        Ok(Self {
            verifies: false,
            ..reader
        })
    }

    /// Opens a segment whose header is damaged, and takes the metadata from its
    /// entries.
    pub(crate) fn open_headless(disk: &dyn Disk, ledger: &Path, first: u64) -> Result<Self, Fault> {
        let path = path(ledger, first);
        let file = disk.open(&path).map_err(Fault::io("open", &path))?;
        let place = Place {
            sequence: first.saturating_sub(1),
            hash: [0; HASH_LEN],
            time: Timestamp(0),
        };
        let identity = Identity {
            database: [0; 16],
            laboratory: false,
            layout: keys::SCHEMA_VERSION,
        };
        Ok(Self {
            file,
            path,
            header: Header {
                identity,
                before: place,
            },
            buffer: Vec::new(),
            at: 0,
            // The header's bytes are also searched for entries.
            offset: 0,
            place,
            last_in_write: None,
            verifies: true,
        })
    }

    /// Moves to `place`, which is known to be at `offset`.
    pub(crate) fn seek(&mut self, offset: u64, place: Place) {
        self.buffer.clear();
        (self.at, self.offset, self.place) = (0, offset, place);
        self.last_in_write = None;
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &dyn DiskFile {
        self.file.as_ref()
    }

    /// Returns where the next entry begins in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the place after the last entry that was read.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Reads until the buffer holds `wanted` bytes of the next entry, or the
    /// file ends. Returns how many bytes there are.
    fn fill(&mut self, wanted: usize) -> Result<usize, Fault> {
        let have = self.buffer.len() - self.at;
        if have >= wanted {
            return Ok(have);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let len = wanted.max(CHUNK);
        self.buffer.resize(len, 0);
        let from = self.offset + have as u64;
        let read = read_up_to(self.file.as_ref(), &mut self.buffer[have..], from);
        let read = read.map_err(Fault::io("read", &self.path));
        self.buffer.truncate(have + *read.as_ref().unwrap_or(&0));
        read?;
        Ok(self.buffer.len())
    }

    /// Reads the next entry.
    pub(crate) fn next(&mut self) -> Result<Step<'_>, Fault> {
        let available = self.fill(HEAD_LEN)?;
        if available == 0 {
            return Ok(Step::End);
        }
        let Some(head) = Head::parse(&self.buffer[self.at..]) else {
            return Ok(Step::Bad("there is no entry"));
        };
        let len = head.entry_len();
        if self.fill(len)? < len {
            return Ok(Step::Bad("an entry is cut short"));
        }
        let bytes = &self.buffer[self.at..self.at + len];
        let parsed = match self.verifies {
            true => Entry::parse(bytes),
            false => Entry::parse_verified(bytes),
        };
        let Some(entry) = parsed else {
            return Ok(Step::Bad("an entry's hash is wrong"));
        };
        if head.sequence != self.place.sequence + 1 {
            return Ok(Step::Bad(
                "an entry's number does not follow the one before",
            ));
        }
        if head.previous != self.place.hash {
            return Ok(Step::Bad("an entry does not follow the one before"));
        }
        let follows = |last: u16| last.checked_add(1) == Some(head.place);
        if head.place != 0 && !self.last_in_write.is_none_or(follows) {
            return Ok(Step::Bad("an entry is not where it was written"));
        }
        self.place = Place {
            sequence: head.sequence,
            hash: entry.hash,
            time: head.latest_time(self.place.time),
        };
        self.last_in_write = Some(head.place);
        self.at += len;
        self.offset += len as u64;
        Ok(Step::Entry(entry))
    }

    /// Moves behind damage to a whole entry, which then counts as the following
    /// one. Returns whether there is one.
    pub(crate) fn skip_to(&mut self, found: &Found) -> Result<bool, Fault> {
        self.seek(found.offset, self.place);
        if self.fill(HEAD_LEN)? < HEAD_LEN {
            return Ok(false);
        }
        let Some(head) = Head::parse(&self.buffer[self.at..]) else {
            return Ok(false);
        };
        self.place.sequence = head.sequence.saturating_sub(1);
        self.place.hash = head.previous;
        Ok(true)
    }

    /// Discards the buffer, so that the next entry is read from the file again:
    /// a running server may have been writing it.
    pub(crate) fn look_again(&mut self) {
        self.seek(self.offset, self.place);
    }

    /// Creates the fault for damage at the next entry.
    pub(crate) fn damage(&self, detail: &str) -> Fault {
        let expected = self.place.sequence + 1;
        let detail = format!("{detail}; commit {expected} was expected");
        Fault::damage(&self.path, self.offset, detail)
    }

    /// Finds all whole entries after the next one, which is bad. Reads to the
    /// end of the file, so that none is missed.
    pub(crate) fn whole_entries_after(&mut self) -> Result<Vec<Found>, Fault> {
        let len = self.file.len().map_err(Fault::io("read", &self.path))?;
        let rest = len.saturating_sub(self.offset) as usize;
        let available = self.fill(rest)?;
        let bytes = &self.buffer[self.at..self.at + available];
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(next) = find(&bytes[at..]) {
            at += next;
            let len = Head::parse(&bytes[at..]).map_or(0, |head| head.entry_len());
            let entry = bytes.get(at..at + len).and_then(Entry::parse);
            match entry {
                Some(entry) => {
                    found.push(Found {
                        offset: self.offset + at as u64,
                        len,
                        sequence: entry.head.sequence,
                        first_of_write: (entry.head.sequence)
                            .saturating_sub(entry.head.place.into()),
                    });
                    at += len;
                }
                None => at += 1,
            }
        }
        Ok(found)
    }
}

/// A whole entry behind damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: u64,
    pub(crate) len: usize,
    pub(crate) sequence: u64,
    /// The first entry of the same write.
    pub(crate) first_of_write: u64,
}

/// Finds the magic bytes of an entry in `bytes`.
fn find(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(MAGIC.len())
        .position(|window| window == MAGIC)
}
