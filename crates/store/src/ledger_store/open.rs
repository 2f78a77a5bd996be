//! Creating and opening a database.

use std::{fs, io, path::Path, sync::atomic::AtomicBool};

use assay_engine::ports::Redemption;
use assay_proto::Timestamp;

use super::{
    error::{OpenError, OpenMode},
    index::{self, Refusal},
    lock::DirectoryLock,
    migrate,
    note::{self, Note, NoteFile, State},
    older::MigrationCheck,
    options::Options,
    upkeep,
};
use crate::{
    keys,
    ledger::{
        self,
        checkpoint::NO_ENTRY,
        compact,
        disk::Disk,
        fault::Fault,
        segment::{HEADER_LEN, Identity, Place},
        sort::Sorter,
        survey::{End, Start, Survey},
        watermark::Watermark,
    },
};

/// An open database.
pub(super) struct Opened {
    /// Locks the directory against other processes while the database is open.
    pub(super) lock: DirectoryLock,
    pub(super) identity: Identity,
    pub(super) survey: Survey,
    pub(super) end: End,
    pub(super) tree: sled::Db,
    pub(super) nonce_key: Option<[u8; 32]>,
    /// Whether the whole ledger was read.
    pub(super) verified: bool,
    pub(super) notes: NoteFile,
    pub(super) note: Note,
    pub(super) redemptions: Vec<Redemption>,
}

/// See [`LedgerStore::create`](super::LedgerStore::create).
pub(super) fn create(dir: &Path, laboratory: bool, options: &Options) -> Result<(), OpenError> {
    let io = |error| OpenError::io(dir, &error);
    fs::DirBuilder::new()
        .recursive(true)
        .create(dir.parent().unwrap_or(dir))
        .map_err(io)?;
    let disk = options.disk.as_ref();
    disk.create_dir(dir).map_err(io)?;
    let _lock = DirectoryLock::take(dir)?;
    if dir.join("db").exists() || dir.join("conf").exists() || ledger::path(dir).exists() {
        return Err(OpenError::Exists(dir.to_owned()));
    }
    let identity = Identity {
        database: random(),
        laboratory,
        layout: keys::SCHEMA_VERSION,
    };
    let place = Place {
        sequence: 0,
        hash: NO_ENTRY,
        time: Timestamp(0),
    };
    let made = (|| {
        let ledger = dir.join(format!("ledger.{}", compact::UNFINISHED));
        if ledger.exists() {
            fs::remove_dir_all(&ledger).map_err(Fault::io("remove", &ledger))?;
        }
        begin_ledger(disk, &ledger, identity, place, options, |sorter| {
            sorter.push(keys::NONCE_KEY, Some(&random::<32>()))
        })?;
        migrate::mark_for_older_programs(disk, dir)?;
        finish_ledger(disk, dir, &ledger, place.sequence)
    })();
    made.map_err(|fault| OpenError::fault(dir, fault))?;
    let parent = fs::canonicalize(dir).map_err(io)?;
    if let Some(parent) = parent.parent() {
        disk.sync_dir(parent).map_err(io)?;
    }
    Ok(())
}

/// Creates a ledger in the new directory `ledger`: a checkpoint at `place` with
/// the pairs that `fill` adds.
pub(crate) fn begin_ledger(
    disk: &dyn Disk,
    ledger: &Path,
    identity: Identity,
    place: Place,
    options: &Options,
    fill: impl FnOnce(&mut Sorter<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    disk.create_dir(ledger)
        .map_err(Fault::io("create", ledger))?;
    let runs = ledger.join(compact::RUNS);
    let mut sorter = Sorter::new(disk, &runs, options.sizes.chunk)?;
    fill(&mut sorter)?;
    let job = compact::Job {
        disk,
        ledger,
        chunk_len: options.sizes.chunk,
        stop: &AtomicBool::new(false),
    };
    job.write(identity, place, sorter, None)?;
    Ok(())
}

/// Moves a ledger that was made in `from` to its final place. From then on the
/// database exists.
pub(crate) fn finish_ledger(
    disk: &dyn Disk,
    dir: &Path,
    from: &Path,
    sequence: u64,
) -> Result<(), Fault> {
    let index = index::directory(dir);
    disk.create_dir(&index)
        .map_err(Fault::io("create", &index))?;
    Watermark::replace(disk, dir, sequence)?;
    let ledger = ledger::path(dir);
    disk.rename(from, &ledger)
        .map_err(Fault::io("rename", from))?;
    disk.sync_dir(dir).map_err(Fault::io("synchronise", dir))
}

/// See [`LedgerStore::open`](super::LedgerStore::open).
pub(super) fn open(
    dir: &Path,
    mode: OpenMode,
    options: &Options,
    check: &MigrationCheck<'_>,
) -> Result<Opened, OpenError> {
    if !ledger::path(dir).is_dir() {
        if !migrate::is_older_layout(dir) {
            return Err(no_ledger(dir));
        }
        let lock = DirectoryLock::take(dir)?;
        (options.on_rebuild)(0, 1);
        migrate::run(dir, mode, options, check)?;
        drop(lock);
    }
    let locked_before = DirectoryLock::path(dir).exists();
    let lock = DirectoryLock::take(dir)?;
    open_locked(dir, lock, mode, options, check).inspect_err(|_| {
        // A refused database stays unchanged, without a lock file, too.
        if !locked_before {
            let _ = fs::remove_file(DirectoryLock::path(dir));
        }
    })
}

fn open_locked(
    dir: &Path,
    lock: DirectoryLock,
    mode: OpenMode,
    options: &Options,
    check: &MigrationCheck<'_>,
) -> Result<Opened, OpenError> {
    let disk = options.disk.as_ref();
    let damaged = |fault| OpenError::fault(dir, fault);
    let index = index::directory(dir);
    check_place(&index)?;
    let mut found = survey(disk, dir).map_err(damaged)?;
    mode.check(dir, found.identity().laboratory)?;
    if found.identity().layout < keys::SCHEMA_VERSION {
        (options.on_rebuild)(0, 1);
        migrate::upgrade(dir, &found, options, check)?;
        found = survey(disk, dir).map_err(damaged)?;
    }
    let survey = found;
    let identity = survey.identity();
    let ready = Ready::find(disk, dir, &survey, options).map_err(damaged)?;
    let started = ready
        .note(disk, &index, identity, options.boot_id)
        .and_then(|noted| {
            upkeep::remove_older_checkpoints(options, &survey)?;
            let now = ready.end.place.time;
            let redemptions = survey.redemptions(disk, now.minus(REDEMPTIONS_FOR), now)?;
            Ok((noted, redemptions))
        });
    match started {
        Ok(((notes, note), redemptions)) => Ok(Opened {
            lock,
            identity,
            survey,
            end: ready.end,
            tree: ready.tree,
            nonce_key: ready.nonce_key,
            verified: ready.verified,
            notes,
            note,
            redemptions,
        }),
        Err(fault) => {
            index::leak(ready.tree);
            Err(damaged(fault))
        }
    }
}

/// Refuses anything else in place of the index: the store moves nothing away
/// that it did not create.
fn check_place(index: &Path) -> Result<(), OpenError> {
    match fs::symlink_metadata(index) {
        Ok(found) if !found.is_dir() && !index.is_dir() => Err(OpenError::InTheWay {
            path: index.to_owned(),
            wanted: "the directory of the index",
            then: "the next start rebuilds the index from the ledger",
        }),
        _ => Ok(()),
    }
}

/// Surveys the ledger in `dir`. Commits up to the last index flush count as
/// acknowledged, too: a ledger that ends before them is an older copy.
pub(crate) fn survey(disk: &dyn Disk, dir: &Path) -> Result<Survey, Fault> {
    // Before the ledger is read: meanwhile a running server only adds to it.
    let flushed = note::flushed(disk, &index::directory(dir))?;
    let mut survey = Survey::take(disk, dir)?;
    if let Some((database, place)) = flushed
        && database == survey.identity().database
    {
        survey.raise_acknowledged(place.sequence);
    }
    Ok(survey)
}

/// Returns why there is no readable ledger in `dir`.
pub(crate) fn no_ledger(dir: &Path) -> OpenError {
    let ledger = ledger::path(dir);
    match fs::symlink_metadata(&ledger) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return OpenError::io(&ledger, &error),
        Ok(_) => {
            return OpenError::Damaged {
                dir: dir.to_owned(),
                detail: format!("{} is not a directory", ledger.display()),
            };
        }
    }
    if migrate::is_older_layout(dir) {
        return OpenError::NotMigrated(dir.to_owned());
    }
    if note::path(&index::directory(dir)).exists() {
        return OpenError::Damaged {
            dir: dir.to_owned(),
            detail: format!("{} is missing", ledger.display()),
        };
    }
    OpenError::Missing(dir.to_owned())
}

/// How many seconds of redeemed nonces are read: nonces live for 15 minutes.
const REDEMPTIONS_FOR: u64 = 15 * 60;

/// An open index that holds everything that the ledger holds.
struct Ready {
    tree: sled::Db,
    /// Whether the whole ledger was read.
    verified: bool,
    nonce_key: Option<[u8; 32]>,
    generation: u64,
    end: End,
}

impl Ready {
    /// Opens the index if it can be trusted, else rebuilds it. Changes nothing
    /// until the ledger has proved to be complete.
    fn find(
        disk: &dyn Disk,
        dir: &Path,
        survey: &Survey,
        options: &Options,
    ) -> Result<Self, Fault> {
        let index = index::directory(dir);
        let doubt = match note::read(disk, &index)? {
            None => "there is no index",
            Some(note) => match note.doubt(survey.identity().database, options.boot_id) {
                Some(doubt) => doubt,
                None => match Self::trust(disk, &index, survey, note, options.boot_id)? {
                    Ok(ready) => return Ok(ready),
                    Err(doubt) => doubt,
                },
            },
        };
        // The index of a new database holds only one key of its own.
        let is_new = survey.checkpoint.pairs() <= 1 && survey.segments.is_empty();
        if !is_new {
            tracing::warn!(
                event = "index_rebuilding",
                reason = doubt,
                "the index is rebuilt from the ledger"
            );
        }
        let began = std::time::Instant::now();
        let (generation, tree, end) = index::rebuild(
            disk,
            survey,
            &index,
            options.flush_timeout,
            options.on_rebuild.as_ref(),
        )?;
        if !is_new {
            let milliseconds = began.elapsed().as_millis();
            tracing::info!(
                event = "index_rebuilt",
                milliseconds,
                "the index was rebuilt"
            );
        }
        let nonce_key = ledger::settle(disk, survey, end.tear.as_ref())
            .and_then(|()| index::nonce_key(&tree).map_err(Refusal::into_fault));
        match nonce_key {
            Ok(nonce_key) => Ok(Self {
                tree,
                verified: true,
                nonce_key,
                generation,
                end,
            }),
            Err(fault) => {
                index::leak(tree);
                Err(fault)
            }
        }
    }

    /// Opens the index that `note` describes, or returns why it cannot be
    /// trusted.
    fn trust(
        disk: &dyn Disk,
        index: &Path,
        survey: &Survey,
        note: Note,
        boot: Option<[u8; 16]>,
    ) -> Result<Result<Self, &'static str>, Fault> {
        let Some(start) = survey.resume_at(note.flushed) else {
            return Ok(Err(
                "the ledger has no file that begins where the index was flushed",
            ));
        };
        let flushed = note.flushed.place;
        let mut met = start.place == flushed;
        let read = survey.read(disk, start, |_, next| {
            met |= next.place == flushed;
            Ok(())
        });
        let end = match read {
            Ok(end) if met => end,
            // The rebuild reads the whole ledger and finds out whether it is
            // damaged.
            Ok(_) => {
                return Ok(Err(
                    "the ledger does not hold the commit up to which the index was flushed",
                ));
            }
            Err(Fault::Damage(_)) => {
                return Ok(Err(
                    "the ledger cannot be read on from where the index was flushed",
                ));
            }
            Err(fault) => return Err(fault),
        };
        ledger::settle(disk, survey, end.tear.as_ref())?;
        let (mut notes, _) = NoteFile::open(disk, index)?;
        let open = Note {
            state: State::Open,
            boot,
            ..note
        };
        // From here on sled writes.
        notes.write_durably(&open)?;
        match index::open(disk, survey, index, note.generation, note.flushed, &end) {
            Ok((tree, nonce_key)) => Ok(Ok(Self {
                tree,
                verified: false,
                nonce_key,
                generation: note.generation,
                end,
            })),
            Err(Refusal::Io(fault)) => Err(fault),
            Err(Refusal::Broken(detail)) => {
                tracing::warn!(
                    event = "index_broken",
                    %detail,
                    "the index cannot be opened; no commit is lost, the ledger holds them all"
                );
                Ok(Err("the index cannot be opened"))
            }
        }
    }

    /// Notes that the index is open and complete.
    fn note(
        &self,
        disk: &dyn Disk,
        index: &Path,
        identity: Identity,
        boot: Option<[u8; 16]>,
    ) -> Result<(NoteFile, Note), Fault> {
        let note = Note {
            generation: self.generation,
            state: State::Open,
            boot,
            database: identity.database,
            // The next entry begins a new segment.
            flushed: Start {
                segment: self.end.place.sequence + 1,
                offset: HEADER_LEN as u64,
                place: self.end.place,
            },
        };
        let (mut notes, _) = NoteFile::open(disk, index)?;
        notes.write_durably(&note)?;
        Ok((notes, note))
    }
}

/// Returns random bytes of the operating system.
#[expect(
    clippy::expect_used,
    reason = "a new database must not exist without random bytes"
)]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system's CSPRNG failed");
    bytes
}
