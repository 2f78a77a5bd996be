//! Migrates older layouts to the current one.
//!
//! A ledger names the layout of its records. A ledger of an older layout is
//! read completely and written again as a ledger with one checkpoint, with
//! indexes made from the records; the old one stays in
//! `ledger.before-layout-N`. A later layout only needs its number and, if
//! records change, a step in [`upgrade_record`].
//!
//! Layouts 1 to 3 were one sled in `db/`. Opening sled writes, so the old files
//! are read from a copy. Their records become the first checkpoint, and the
//! indexes are made again from the records. Then the old files move to
//! `db/before-ledger/`, and a small sled that names the current layout replaces
//! them, so that an older program refuses the database instead of creating a
//! new one.
//!
//! After a kill at any point the next start continues. Until
//! `ledger.unfinished` is complete, which the empty file `migrated` in it
//! marks, it starts again from the old files; after that it only does the
//! remaining steps.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use assay_engine::ports::StoreError;
use assay_proto::Timestamp;

use super::{
    error::{OpenError, OpenMode},
    index::{self, Refusal, guarded, open_sled},
    note,
    older::{self, MigrationCheck, OlderDatabase},
    open,
    options::Options,
    salvage::forget_index,
};
use crate::{
    keys,
    ledger::{
        checkpoint::{Checkpoint, NO_ENTRY, Walk},
        compact::UNFINISHED,
        disk::Disk,
        fault::Fault,
        segment::{Identity, Place},
        sort::Sorter,
        survey::Survey,
        watermark::Watermark,
    },
    record,
};

/// The last layout that was one sled.
const LAST_OF_SLED: u32 = 3;

const LABORATORY: &[u8] = b"mlaboratory";
const LATEST_TIME: &[u8] = b"mtime";

/// The directory of the old files.
pub(crate) const BEFORE_LEDGER: &str = "before-ledger";

/// The prefix of a replaced ledger's name, before the number of its layout.
pub(crate) const BEFORE_LAYOUT: &str = "ledger.before-layout-";

/// The name of the file that marks a new ledger as complete.
const COMPLETE: &str = "migrated";

/// Returns whether `dir` holds a database of a layout before the ledger.
pub(crate) fn is_older_layout(dir: &Path) -> bool {
    // If there is an index, `db` is the mark for older programs.
    let has_index = note::path(&index::directory(dir)).exists();
    let is_sled = dir.join("db").is_file() && !has_index;
    is_sled || complete_ledger(dir).is_some()
}

/// Returns a ledger that is complete but not in its final place yet.
fn complete_ledger(dir: &Path) -> Option<PathBuf> {
    let ledger = dir.join(format!("ledger.{UNFINISHED}"));
    ledger.join(COMPLETE).is_file().then_some(ledger)
}

/// Migrates the database in `dir`.
pub(super) fn run(
    dir: &Path,
    mode: OpenMode,
    options: &Options,
    check: &MigrationCheck<'_>,
) -> Result<(), OpenError> {
    let disk = options.disk.as_ref();
    let ledger = match complete_ledger(dir) {
        Some(ledger) => {
            // An earlier version moved the ledger first.
            forget_index(disk, dir).map_err(|fault| OpenError::fault(dir, fault))?;
            ledger
        }
        None => convert(dir, mode, options, check).inspect_err(|_| {
            // A refused database stays unchanged. What cannot be removed now,
            // the next start removes.
            for name in UNFINISHED_OF_CONVERT {
                let _ = fs::remove_dir_all(dir.join(format!("{name}.{UNFINISHED}")));
            }
        })?,
    };
    finish(disk, dir, &ledger).map_err(|fault| OpenError::fault(dir, fault))
}

/// Upgrades the ledger in `dir` to the current layout.
pub(super) fn upgrade(
    dir: &Path,
    survey: &Survey,
    options: &Options,
    check: &MigrationCheck<'_>,
) -> Result<(), OpenError> {
    let damaged = |fault| OpenError::fault(dir, fault);
    let older = describe(options.disk.as_ref(), survey).map_err(damaged)?;
    check(&older).map_err(OpenError::NotToMigrate)?;
    write_anew(dir, survey, options).map_err(|fault| {
        // Incomplete files would prevent the older program from starting on a
        // full disk. But once the old ledger has moved, they are the database.
        if crate::ledger::path(dir).is_dir() {
            for name in ["ledger", "records"] {
                let _ = fs::remove_dir_all(dir.join(format!("{name}.{UNFINISHED}")));
            }
        }
        damaged(fault)
    })
}

/// Describes a ledger of an older layout.
fn describe(disk: &dyn Disk, survey: &Survey) -> Result<OlderDatabase, Fault> {
    let identity = survey.identity();
    let mut older = OlderDatabase::new(identity.layout, identity.laboratory, Timestamp(0));
    let mut walk = Walk::new(Checkpoint::open_file(disk, survey.checkpoint.path())?)?;
    while let Some((key, value)) = walk.peek() {
        older.note(key, value)?;
        walk.advance()?;
    }
    let end = survey.read(disk, survey.start(), |entry, _| {
        (entry.writes()).try_for_each(|(key, value)| older.note(key, value))
    })?;
    older.latest_time = end.place.time;
    Ok(older)
}

/// Writes the ledger in `dir` again in the current layout.
fn write_anew(dir: &Path, survey: &Survey, options: &Options) -> Result<(), Fault> {
    let disk = options.disk.as_ref();
    let old = survey.identity();
    tracing::info!(
        event = "migrating",
        from = old.layout,
        to = keys::SCHEMA_VERSION,
        "the database is migrated; its old files are kept"
    );
    let unfinished = dir.join(format!("ledger.{UNFINISHED}"));
    let runs = dir.join(format!("records.{UNFINISHED}"));
    for leftover in [&unfinished, &runs] {
        match fs::remove_dir_all(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Fault::io("remove", leftover)(error));
            }
            _ => {}
        }
    }
    let mut live = Sorter::new(disk, &runs, options.sizes.chunk)?;
    let mut walk = Walk::new(Checkpoint::open_file(disk, survey.checkpoint.path())?)?;
    while let Some((key, value)) = walk.peek() {
        live.push(key, value)?;
        walk.advance()?;
    }
    let end = survey.read(disk, survey.start(), |entry, _| {
        (entry.writes()).try_for_each(|(key, value)| live.push(key, value))
    })?;
    let identity = Identity {
        layout: keys::SCHEMA_VERSION,
        ..old
    };
    open::begin_ledger(disk, &unfinished, identity, end.place, options, |into| {
        live.merge(None, |key, value| {
            if keys::is_own(key) {
                return into.push(key, Some(value));
            }
            let upgraded = upgrade_record(key, value, old.layout)
                .map_err(|error| Fault::damage(Path::new("the ledger"), 0, error.0))?;
            (upgraded.iter()).try_for_each(|(key, value)| into.push(key, Some(value)))
        })?;
        // The new ledger does not know the last redeemed nonces, so all nonces
        // issued before must become invalid.
        into.push(keys::NONCE_KEY, Some(&open::random::<32>()))
    })?;
    fs::remove_dir_all(&runs).map_err(Fault::io("remove", &runs))?;
    mark_complete(disk, dir, &unfinished)?;
    // First, so that after a kill at any point an index of the older layout is
    // never trusted beside the new ledger.
    forget_index(disk, dir)?;
    let ledger = crate::ledger::path(dir);
    let kept = dir.join(format!("{BEFORE_LAYOUT}{}", keys::SCHEMA_VERSION));
    disk.rename(&ledger, &kept)
        .map_err(Fault::io("rename", &ledger))?;
    // After a kill from here on, the next start continues.
    finish(disk, dir, &unfinished)
}

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// Converts the record under `key` of an older layout to the current one, with
/// its index entries; returns nothing if it is not a record. Up to layout 6 no
/// record changed: a field that an older record lacks counts as absent.
fn upgrade_record(key: &[u8], value: &[u8], layout: u32) -> Result<Vec<Pair>, StoreError> {
    if !record::is_record(key) {
        return Ok(Vec::new());
    }
    let value = record::upgrade(key, value, layout)?.into_owned();
    let index = record::index_of(key, &value)?;
    let mut pairs = vec![(key.to_vec(), value)];
    pairs.extend(index.into_iter().map(|entry| (entry.key, entry.value)));
    Ok(pairs)
}

/// The directories that a conversion makes beside the old files.
const UNFINISHED_OF_CONVERT: [&str; 2] = ["copy", "ledger"];

/// Reads the old database and writes the ledger.
fn convert(
    dir: &Path,
    mode: OpenMode,
    options: &Options,
    check: &MigrationCheck<'_>,
) -> Result<PathBuf, OpenError> {
    let io = |error| OpenError::io(dir, &error);
    let disk = options.disk.as_ref();
    if !dir.join("conf").is_file() {
        return Err(damaged(dir, "its file conf is missing".to_owned()));
    }
    let [copy, ledger] = UNFINISHED_OF_CONVERT.map(|name| dir.join(format!("{name}.{UNFINISHED}")));
    for leftover in [&copy, &ledger] {
        match fs::remove_dir_all(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }
    copy_sled(dir, &copy).map_err(io)?;
    let tree = open_sled(&copy).map_err(|refusal| match refusal {
        Refusal::Io(fault) => OpenError::fault(dir, fault),
        Refusal::Broken(detail) => damaged(dir, detail),
    })?;
    let old = Old::read(dir, disk, &tree)?;
    mode.check(dir, old.laboratory)?;
    check(&old.describe(dir, &tree)?).map_err(OpenError::NotToMigrate)?;
    tracing::info!(
        event = "migrating",
        from = old.layout,
        to = keys::SCHEMA_VERSION,
        "the database is migrated; its old files are kept"
    );
    let identity = Identity {
        database: open::random(),
        laboratory: old.laboratory,
        layout: keys::SCHEMA_VERSION,
    };
    let mut broken = None;
    let made = open::begin_ledger(disk, &ledger, identity, old.place, options, |sorter| {
        sorter.push(keys::NONCE_KEY, Some(&open::random::<32>()))?;
        let mut entries = tree.iter();
        while let Some(entry) = guarded(|| entries.next().transpose()).map_err(sled_fault)? {
            let (key, value) = entry;
            let upgraded = upgrade_record(&key, &value, old.layout).map_err(|error| {
                broken = Some(error.0);
                sled_fault(String::new())
            })?;
            for (key, value) in upgraded {
                sorter.push(&key, Some(&value))?;
            }
        }
        Ok(())
    });
    index::leak(tree);
    if let Some(detail) = broken {
        return Err(damaged(dir, detail));
    }
    made.and_then(|()| mark_complete(disk, dir, &ledger))
        .map_err(|fault| OpenError::fault(dir, fault))?;
    fs::remove_dir_all(&copy).map_err(io)?;
    Ok(ledger)
}

/// Marks a new ledger as complete: a start that finds it continues from there.
pub(crate) fn mark_complete(disk: &dyn Disk, dir: &Path, ledger: &Path) -> Result<(), Fault> {
    let complete = ledger.join(COMPLETE);
    let file = (disk.create(&complete)).map_err(Fault::io("create", &complete))?;
    file.sync().map_err(Fault::io("synchronise", &complete))?;
    disk.sync_dir(ledger)
        .map_err(Fault::io("synchronise", ledger))?;
    disk.sync_dir(dir).map_err(Fault::io("synchronise", dir))
}

/// Moves the old files aside and a complete ledger to its place.
pub(crate) fn finish(disk: &dyn Disk, dir: &Path, ledger: &Path) -> Result<(), Fault> {
    let aside = dir.join(BEFORE_LEDGER);
    // A repaired database has an index, and no files of an older layout. `db`
    // goes last: once it has moved, the mark takes its place.
    if !index::directory(dir).exists() && !aside.join("db").exists() {
        disk.create_dir(&aside)
            .map_err(Fault::io("create", &aside))?;
        let names = disk.list(dir).map_err(Fault::io("list", dir))?;
        let mut old: Vec<String> = (names.into_iter())
            .filter(|name| name.starts_with("snap.") || ["blobs", "conf"].contains(&name.as_str()))
            .collect();
        old.push("db".to_owned());
        for name in old {
            let path = dir.join(&name);
            if path.exists() {
                disk.rename(&path, &aside.join(&name))
                    .map_err(Fault::io("rename", &path))?;
            }
        }
        disk.sync_dir(&aside)
            .map_err(Fault::io("synchronise", &aside))?;
    }
    mark_for_older_programs(disk, dir)?;
    let sequence = {
        let names = crate::ledger::survey::Names::list(disk, ledger)?;
        names.checkpoints.last().copied().unwrap_or_default()
    };
    let complete = ledger.join(COMPLETE);
    open::finish_ledger(disk, dir, ledger, sequence)?;
    let complete = crate::ledger::path(dir).join(complete.file_name().unwrap_or_default());
    disk.remove(&complete)
        .map_err(Fault::io("remove", &complete))
}

/// Creates a sled in `db/` that holds only the number of this layout: a program
/// that only knows sled reads it, and refuses the database.
pub(crate) fn mark_for_older_programs(disk: &dyn Disk, dir: &Path) -> Result<(), Fault> {
    let mark = dir.join(format!("mark.{UNFINISHED}"));
    if mark.exists() {
        fs::remove_dir_all(&mark).map_err(Fault::io("remove", &mark))?;
    }
    disk.create_dir(&mark).map_err(Fault::io("create", &mark))?;
    let tree = open_sled(&mark).map_err(|refusal| match refusal {
        Refusal::Io(fault) => fault,
        Refusal::Broken(detail) => sled_fault(detail),
    })?;
    guarded(|| {
        tree.insert(keys::SCHEMA, &keys::SCHEMA_VERSION.to_be_bytes())?;
        tree.flush()
    })
    .map_err(sled_fault)?;
    index::close(tree, &mark)?;
    index::sync(&mark)?;
    for name in disk.list(&mark).map_err(Fault::io("list", &mark))? {
        let (from, to) = (mark.join(&name), dir.join(&name));
        // A crash left an incomplete mark.
        if to.is_dir() {
            fs::remove_dir_all(&to).map_err(Fault::io("remove", &to))?;
        }
        disk.rename(&from, &to)
            .map_err(Fault::io("rename", &from))?;
    }
    fs::remove_dir_all(&mark).map_err(Fault::io("remove", &mark))?;
    disk.sync_dir(dir).map_err(Fault::io("synchronise", dir))
}

/// Copies sled's own files.
pub(super) fn copy_sled(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text == "db" || text == "conf" || text.starts_with("snap.") {
            fs::copy(entry.path(), to.join(&name))?;
        } else if text == "blobs" && entry.path().is_dir() {
            fs::create_dir(to.join(&name))?;
            for blob in fs::read_dir(entry.path())? {
                let blob = blob?;
                fs::copy(blob.path(), to.join(&name).join(blob.file_name()))?;
            }
        }
    }
    Ok(())
}

/// The metadata of an old database.
struct Old {
    layout: u32,
    laboratory: bool,
    place: Place,
}

impl Old {
    fn read(dir: &Path, disk: &dyn Disk, tree: &sled::Db) -> Result<Self, OpenError> {
        let layout = meta(dir, tree, keys::SCHEMA)?;
        let layout = layout.ok_or_else(|| OpenError::Unfinished(dir.to_owned()))?;
        let layout = u32::from_be_bytes(layout);
        if layout == keys::SCHEMA_VERSION {
            // Only the mark for older programs, and no ledger.
            return Err(OpenError::Unfinished(dir.to_owned()));
        }
        if !(1..=LAST_OF_SLED).contains(&layout) {
            return Err(OpenError::Schema {
                dir: dir.to_owned(),
                found: layout,
            });
        }
        let number = |key| {
            meta(dir, tree, key)?
                .map(u64::from_be_bytes)
                .ok_or_else(|| damaged(dir, "a metadata value is missing".to_owned()))
        };
        let [laboratory] = meta(dir, tree, LABORATORY)?
            .ok_or_else(|| damaged(dir, "its laboratory mark is missing".to_owned()))?;
        let sequence = number(keys::SEQUENCE)?;
        let durable = Watermark::read(disk, dir).map_err(|fault| OpenError::fault(dir, fault))?;
        if durable > sequence {
            return Err(damaged(
                dir,
                format!("it ends at commit {sequence}, but commit {durable} was acknowledged"),
            ));
        }
        Ok(Self {
            layout,
            laboratory: laboratory != 0,
            place: Place {
                sequence,
                hash: NO_ENTRY,
                time: Timestamp(number(LATEST_TIME)?),
            },
        })
    }

    fn describe(&self, dir: &Path, tree: &sled::Db) -> Result<OlderDatabase, OpenError> {
        let mut older = OlderDatabase::new(self.layout, self.laboratory, self.place.time);
        let mut entries = tree.scan_prefix([keys::CERTIFICATE]).take(older::SAMPLE);
        while let Some((key, value)) =
            guarded(|| entries.next().transpose()).map_err(|detail| damaged(dir, detail))?
        {
            older
                .note(&key, Some(&value))
                .map_err(|fault| OpenError::fault(dir, fault))?;
        }
        Ok(older)
    }
}

/// Reads a metadata value of the old store.
fn meta<const N: usize>(
    dir: &Path,
    tree: &sled::Db,
    key: &[u8],
) -> Result<Option<[u8; N]>, OpenError> {
    let value = guarded(|| tree.get(key)).map_err(|detail| damaged(dir, detail))?;
    value
        .map(|value| {
            <[u8; N]>::try_from(value.as_ref())
                .map_err(|_| damaged(dir, "a metadata value has the wrong length".to_owned()))
        })
        .transpose()
}

fn sled_fault(detail: String) -> Fault {
    Fault::Io {
        doing: "read",
        path: PathBuf::from("the old database"),
        kind: io::ErrorKind::Other,
        detail,
    }
}

fn damaged(dir: &Path, detail: String) -> OpenError {
    OpenError::Damaged {
        dir: dir.to_owned(),
        detail,
    }
}
