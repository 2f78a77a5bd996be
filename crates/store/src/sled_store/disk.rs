use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

/// What makes written bytes durable; tests let it fail.
pub(super) trait Disk: Send {
    /// Returns when all that was written is on the disk: every commit up to
    /// `sequence`.
    fn sync(&self, sequence: u64) -> io::Result<()>;
}

/// The files of a database that the store itself has open.
pub(super) struct Files {
    db: File,
    watermark: Watermark,
}

/// A file beside sled's that tells the number of the last durable commit.
///
/// sled takes a damaged piece of its log for the log's end, and opens without
/// what follows. This number shows it. It is written after the fsync of the
/// log and has none of its own: a power cut may leave an older number, which
/// shows less, but never a newer one.
pub(super) struct Watermark(File);

impl Files {
    /// Synchronises the database in `dir`, and keeps it open.
    pub(super) fn open(dir: &Path, watermark: Watermark) -> io::Result<Self> {
        let db = OpenOptions::new().write(true).open(dir.join("db"))?;
        db.sync_all()?;
        Ok(Self { db, watermark })
    }
}

/// sled's own `flush` does not call fsync on Linux.
impl Disk for Files {
    fn sync(&self, sequence: u64) -> io::Result<()> {
        // The data, and what it takes to read it again, the length included;
        // not the times of the file.
        self.db.sync_data()?;
        self.watermark.write(sequence)
    }
}

impl Watermark {
    const NAME: &str = "watermark";

    /// A new one, on the disk.
    pub(super) fn create(dir: &Path) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(dir.join(Self::NAME))?;
        let watermark = Self(file);
        watermark.write(0)?;
        watermark.0.sync_all()
    }

    /// The one of a database, and what it says; `None` for no number at all.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Option<u64>)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(dir.join(Self::NAME))?;
        let mut bytes = [0; 16];
        let said = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => {
                let number = u128::from_be_bytes(bytes);
                let (high, low) = ((number >> 64) as u64, number as u64);
                (high == low).then_some(low)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok((Self(file), said))
    }

    /// The number twice, so that half of a write shows.
    fn write(&self, sequence: u64) -> io::Result<()> {
        let number = u128::from(sequence) << 64 | u128::from(sequence);
        self.0.write_all_at(&number.to_be_bytes(), 0)
    }
}
