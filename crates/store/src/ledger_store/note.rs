//! What is known about the index without opening it: its current generation, up
//! to which commit it was flushed, and whether it was closed.
//!
//! The file `db/index/note` has two slots of 512 bytes that are written in
//! turn, so that an interrupted write leaves the other slot. Of the valid slots
//! the one with the higher counter counts.
//!
//! | offset in a slot | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `ASSAYIDX` |
//! | 8 | 8 | counter |
//! | 16 | 8 | generation: the index is in `db/index/GENERATION/` |
//! | 24 | 8 | state: 0 closed, 1 open, 2 failed, 3 to be rebuilt |
//! | 32 | 16 | boot id of the machine, 0 where it is not known |
//! | 48 | 16 | database id |
//! | 64 | 8 | first entry of the segment in which the ledger goes on |
//! | 72 | 8 | where it goes on in that segment |
//! | 80 | 8 | last commit that was applied and flushed |
//! | 88 | 8 | latest time of all commits up to there |
//! | 96 | 32 | hash of that commit's entry |
//! | 128 | 32 | SHA-256 of the 128 bytes before |

use std::path::Path;

use assay_engine::sha256;
use assay_proto::Timestamp;

use crate::ledger::{
    disk::{Disk, DiskFile, read_up_to},
    entry::u64_at,
    fault::Fault,
    segment::Place,
    survey::Start,
};

const NAME: &str = "note";
const MAGIC: [u8; 8] = *b"ASSAYIDX";
const LEN: usize = 160;
const SLOT: u64 = 512;

/// The state of the index since it was last opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It was closed cleanly.
    Closed = 0,
    /// It is open, or its process was killed.
    Open = 1,
    /// It failed and must not be trusted again.
    Failed = 2,
    /// An operator requested a rebuild.
    Asked = 3,
}

/// The content of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) generation: u64,
    pub(super) state: State,
    /// The machine's boot id, if the system provides it.
    pub(super) boot: Option<[u8; 16]>,
    pub(super) database: [u8; 16],
    /// Up to where it was applied and flushed, and where the ledger continues.
    pub(super) flushed: Start,
}

/// The open file.
pub(super) struct NoteFile {
    file: Box<dyn DiskFile>,
    path: std::path::PathBuf,
    counter: u64,
}

impl NoteFile {
    /// Opens the file in `index`, or creates it, and reads its newest note.
    pub(super) fn open(disk: &dyn Disk, index: &Path) -> Result<(Self, Option<Note>), Fault> {
        let path = index.join(NAME);
        let file = match disk.open_to_write(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let file = disk.create(&path).map_err(Fault::io("create", &path))?;
                disk.sync_dir(index)
                    .map_err(Fault::io("synchronise", index))?;
                file
            }
            opened => opened.map_err(Fault::io("open", &path))?,
        };
        let (counter, note) = newest(file.as_ref()).map_err(Fault::io("read", &path))?;
        let file = Self {
            file,
            path,
            counter,
        };
        Ok((file, note))
    }

    /// Writes a note over the older one.
    pub(super) fn write(&mut self, note: &Note) -> Result<(), Fault> {
        self.counter += 1;
        let bytes = note.encode(self.counter);
        self.file
            .write_all_at(&bytes, SLOT * (self.counter % 2))
            .map_err(Fault::io("write", &self.path))
    }

    /// Writes a note and makes it durable.
    pub(super) fn write_durably(&mut self, note: &Note) -> Result<(), Fault> {
        self.write(note)?;
        self.file
            .sync()
            .map_err(Fault::io("synchronise", &self.path))
    }
}

/// Returns the path of the note file in `index`.
pub(crate) fn path(index: &Path) -> std::path::PathBuf {
    index.join(NAME)
}

/// Reads the newest note in `index`; creates nothing.
pub(super) fn read(disk: &dyn Disk, index: &Path) -> Result<Option<Note>, Fault> {
    let path = index.join(NAME);
    match disk.open(&path) {
        Ok(file) => Ok(newest(file.as_ref()).map_err(Fault::io("read", &path))?.1),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::io("open", &path)(error)),
    }
}

/// Returns which database the index in `index` belongs to, and up to where it
/// was flushed: the ledger was durable up to there before.
pub(crate) fn flushed(disk: &dyn Disk, index: &Path) -> Result<Option<([u8; 16], Place)>, Fault> {
    let note = read(disk, index)?;
    Ok(note.map(|note| (note.database, note.flushed.place)))
}

/// Returns where the ledger ended when the database was last closed, if nothing
/// happened to it since. That is exactly what was acknowledged. `None` if that
/// is not proven.
///
/// A note "open" is durably written before the first commit of a process, and
/// "closed" after its last one. The two slots are written in turn, and a slot
/// that cannot be read might be a later "open". Therefore both must be valid,
/// and the closed one must directly follow the other.
/// closed one the very next.
pub(crate) fn closed_at(disk: &dyn Disk, index: &Path) -> Result<Option<([u8; 16], Place)>, Fault> {
    let path = index.join(NAME);
    let file = match disk.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::io("open", &path)(error)),
    };
    let mut slots = Vec::new();
    for slot in 0..2 {
        let mut bytes = [0; LEN];
        let count = read_up_to(file.as_ref(), &mut bytes, SLOT * slot);
        if count.map_err(Fault::io("read", &path))? == LEN {
            slots.extend(Note::parse(&bytes));
        }
    }
    slots.sort_by_key(|(counter, _)| *counter);
    Ok(match slots.as_slice() {
        [(before, _), (last, note)] if *last == before + 1 && note.state == State::Closed => {
            Some((note.database, note.flushed.place))
        }
        _ => None,
    })
}

fn newest(file: &dyn DiskFile) -> std::io::Result<(u64, Option<Note>)> {
    let mut best = (0, None);
    for slot in 0..2 {
        let mut bytes = [0; LEN];
        if read_up_to(file, &mut bytes, SLOT * slot)? == LEN
            && let Some((counter, note)) = Note::parse(&bytes)
            && counter > best.0
        {
            best = (counter, Some(note));
        }
    }
    Ok(best)
}

impl Note {
    fn encode(&self, counter: u64) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &MAGIC);
        put(8, &counter.to_be_bytes());
        put(16, &self.generation.to_be_bytes());
        put(24, &(self.state as u64).to_be_bytes());
        put(32, &self.boot.unwrap_or_default());
        put(48, &self.database);
        put(64, &self.flushed.segment.to_be_bytes());
        put(72, &self.flushed.offset.to_be_bytes());
        put(80, &self.flushed.place.sequence.to_be_bytes());
        put(88, &self.flushed.place.time.0.to_be_bytes());
        put(96, &self.flushed.place.hash);
        let hash = sha256(&bytes[..128]);
        bytes[128..].copy_from_slice(&hash);
        bytes
    }

    fn parse(bytes: &[u8; LEN]) -> Option<(u64, Self)> {
        if bytes[..8] != MAGIC || sha256(&bytes[..128]) != bytes[128..] {
            return None;
        }
        let array = |at: usize| {
            let mut array = [0; 16];
            array.copy_from_slice(&bytes[at..at + 16]);
            array
        };
        let mut hash = [0; 32];
        hash.copy_from_slice(&bytes[96..128]);
        let note = Self {
            generation: u64_at(bytes, 16),
            state: match u64_at(bytes, 24) {
                0 => State::Closed,
                1 => State::Open,
                3 => State::Asked,
                _ => State::Failed,
            },
            boot: Some(array(32)).filter(|boot| *boot != [0; 16]),
            database: array(48),
            flushed: Start {
                segment: u64_at(bytes, 64),
                offset: u64_at(bytes, 72),
                place: Place {
                    sequence: u64_at(bytes, 80),
                    time: Timestamp(u64_at(bytes, 88)),
                    hash,
                },
            },
        };
        Some((u64_at(bytes, 8), note))
    }

    /// Returns why the index must be rebuilt; `None` if it can be trusted up to
    /// where it was flushed.
    pub(super) fn doubt(&self, database: [u8; 16], boot: Option<[u8; 16]>) -> Option<&'static str> {
        match self.state {
            _ if self.database != database => Some("the index is of another database"),
            State::Failed => Some("writing to or reading from the index failed before"),
            State::Asked => Some("`assay store rebuild` asked for it"),
            State::Closed => None,
            // Killed: the kernel had everything that was written. After a power
            // loss it is unknown what reached the disk.
            State::Open if boot.is_some() && self.boot == boot => None,
            State::Open => Some("the machine stopped or lost power while the database was open"),
        }
    }
}

/// Returns the id of the machine's current boot, if the system provides it.
pub(super) fn boot_id() -> Option<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let hex: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let number = u128::from_str_radix(&hex, 16).ok()?;
    (hex.len() == 32).then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(state: State) -> Note {
        Note {
            generation: 3,
            state,
            boot: Some([7; 16]),
            database: [8; 16],
            flushed: Start {
                segment: 1,
                offset: 128,
                place: Place {
                    sequence: 9,
                    hash: [5; 32],
                    time: Timestamp(6),
                },
            },
        }
    }

    #[test]
    fn a_note_is_read_back_and_no_flipped_bit_is_trusted() {
        let bytes = note(State::Open).encode(4);
        assert_eq!(Note::parse(&bytes), Some((4, note(State::Open))));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Note::parse(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn an_index_is_trusted_only_after_a_close_or_a_kill() {
        let (database, boot) = ([8; 16], Some([7; 16]));
        assert_eq!(note(State::Closed).doubt(database, None), None);
        assert_eq!(note(State::Open).doubt(database, boot), None);
        for (state, database, boot) in [
            (State::Closed, [9; 16], boot),
            (State::Open, database, Some([6; 16])),
            (State::Open, database, None),
            (State::Failed, database, boot),
            (State::Asked, database, boot),
        ] {
            assert!(note(state).doubt(database, boot).is_some(), "{state:?}");
        }
        let unknown = Note {
            boot: None,
            ..note(State::Open)
        };
        assert!(unknown.doubt(database, None).is_some());
    }

    #[test]
    fn the_boot_id_of_this_machine_is_read() {
        assert_eq!(boot_id().is_some(), cfg!(target_os = "linux"));
    }
}
