//! The thread that writes recordings, and removes them in time.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::{Duration, Instant, SystemTime},
};

use assay_attest::TrustAnchor;
use assay_engine::{health::Part, ids::AuthorizationId};
use assay_proto::PartState;
use assay_recording::{FileName, MAX_RECORDING_BYTES, Recording, Rule};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use tempfile::NamedTempFile;

use super::{Finalize, Job, Lost, file};
use crate::{config::Keep, files};

const DAY: Duration = Duration::from_secs(86_400);
/// When recordings that could not be removed are looked at again.
const HOUR: Duration = Duration::from_secs(3_600);
/// When it is looked again whether the clock is right.
const MINUTE: Duration = Duration::from_secs(60);

/// How long a disk that refused a recording is left alone.
const RETRY: Duration = Duration::from_secs(10);

/// Free bytes of the file system that recordings leave alone: the database may
/// be on it too, and must not meet a disk that recordings filled.
const RESERVE: u64 = 64 * 1024 * 1024;

/// What files have that are being written; what has it after a crash is removed
/// in time, as recordings are.
const UNFINISHED: &str = ".recording-";

/// What is kept, where, and for how long.
pub struct Plan {
    /// What is kept.
    pub keep: Keep,
    /// Where; made when the first is kept.
    pub directory: PathBuf,
    /// For how long.
    pub retention: Duration,
    /// How devices are admitted.
    pub rule: Rule,
    /// The roots that are not Apple's.
    pub laboratory_roots: Vec<TrustAnchor>,
    /// Free bytes below which the server takes no new accounts and orders:
    /// recordings stop before that.
    pub free_space: u64,
}

/// Writes.
pub struct Writer {
    plan: Plan,
    lost: Arc<Lost>,
    /// Until when nothing is tried, after a failure.
    blocked: Option<Instant>,
    /// Free bytes of the disk that are left alone.
    reserve: u64,
}

impl Writer {
    pub(super) fn new(plan: Plan, lost: Arc<Lost>) -> Self {
        // The guard wants an eighth more before it lets go.
        let guarded = plan.free_space.saturating_add(plan.free_space / 8);
        Self {
            plan,
            lost,
            blocked: None,
            reserve: guarded.saturating_add(RESERVE),
        }
    }

    /// Takes jobs until the end.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut expiry = Instant::now();
        // What cannot be written is known before the first recording is lost.
        self.try_directory(Instant::now());
        loop {
            if expiry <= Instant::now() {
                expiry = Instant::now() + self.remove_expired(SystemTime::now());
            }
            let job = match jobs.try_recv() {
                Ok(job) => job,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    if self.blocked.is_some_and(|until| until <= Instant::now()) {
                        self.try_directory(Instant::now());
                        if self.blocked.is_none() {
                            // What kept it from writing may have kept it from
                            // removing.
                            expiry = Instant::now();
                            continue;
                        }
                    }
                    self.caught_up();
                    let next = self.blocked.map_or(expiry, |until| until.min(expiry));
                    match jobs.recv_timeout(next.saturating_duration_since(Instant::now())) {
                        Ok(job) => job,
                        Err(RecvTimeoutError::Disconnected) => return,
                        Err(RecvTimeoutError::Timeout) => continue,
                    }
                }
            };
            if matches!(job, Job::End) {
                return;
            }
            self.take(job, Instant::now());
        }
    }

    /// Nothing waits; what failed before may be well again.
    fn caught_up(&self) {
        if self.blocked.is_none() {
            self.lost.none();
        }
    }

    /// Whether a recording could be written now. Health says so where not, and
    /// that it works again, though no device enrols meanwhile.
    fn try_directory(&mut self, now: Instant) {
        if self.plan.keep == Keep::None {
            return;
        }
        self.blocked = match self.new_file() {
            // It is removed at once.
            Ok(_) => None,
            Err(error) => {
                let directory = self.plan.directory.display();
                let cause = format_args!("cannot write to {directory}: {error}");
                self.lost.more(0, &cause);
                Some(now + RETRY)
            }
        };
    }

    fn take(&mut self, job: Job, now: Instant) {
        let directory = self.plan.directory.display();
        if self.blocked.is_some_and(|until| now < until) {
            let cause = format_args!("cannot write to {directory}");
            self.lost.more(job.loses(), &cause);
            return;
        }
        let loses = job.loses();
        match self.keep(job) {
            Ok(true) => self.blocked = None,
            // That nothing was written tells nothing of the disk.
            Ok(false) => {}
            Err(error) => {
                self.lost
                    .more(loses, &format_args!("cannot write to {directory}: {error}"));
                self.blocked = Some(now + RETRY);
            }
        }
    }

    /// Whether anything was written.
    fn keep(&self, job: Job) -> io::Result<bool> {
        match job {
            Job::End => Ok(false),
            Job::Finalize(finalize) => (finalize.authorizations.iter())
                .try_fold(false, |written, id| {
                    Ok(self.keep_finalize(*id, &finalize)? || written)
                }),
            Job::Judged(judged) => {
                let name = file::name(judged.order, judged.authorization);
                let roots = &self.plan.laboratory_roots;
                match file::recording(*judged, self.plan.rule, roots) {
                    Ok(recording) => self.write(&name, &recording).map(|()| true),
                    Err(error) => {
                        tracing::warn!(event = "not_recorded", name, %error, "a verdict does not fit a recording");
                        Ok(false)
                    }
                }
            }
        }
    }

    /// Completes a recording, if there is one, and returns whether it did.
    fn keep_finalize(
        &self,
        authorization: AuthorizationId,
        finalize: &Finalize,
    ) -> io::Result<bool> {
        let name = file::name(finalize.order, authorization);
        let path = self.plan.directory.join(&name);
        if !path.exists() {
            return Ok(false);
        }
        let completed = files::read(&path, MAX_RECORDING_BYTES as u64)
            .and_then(|bytes| Ok(Recording::parse(&bytes)?))
            .and_then(|recording| file::completed(recording, finalize));
        match completed {
            Ok(Some(recording)) => self.write(&name, &recording).map(|()| true),
            Ok(None) => Ok(false),
            Err(error) => {
                tracing::warn!(
                    event = "csr_not_recorded",
                    name,
                    error = %format!("{error:#}"),
                    "a recording cannot take its order's CSR, or how issuance ended"
                );
                Ok(false)
            }
        }
    }

    /// Whole or not at all. Its age is that of the verdict. It is not forced
    /// onto the disk: a power cut may cost the last ones.
    fn write(&self, name: &str, recording: &Recording) -> io::Result<()> {
        let mut file = self.new_file()?;
        file.write_all(recording.to_json().as_bytes())?;
        let judged = Duration::from_secs(recording.time().seconds());
        file.as_file()
            .set_modified(SystemTime::UNIX_EPOCH + judged)?;
        file.persist(self.plan.directory.join(name))?;
        Ok(())
    }

    /// A file to be written, in its directory.
    fn new_file(&self) -> io::Result<NamedTempFile> {
        let directory = &self.plan.directory;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        leave_room(directory, self.reserve)?;
        // The mode of temporary files is 600.
        tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(directory)
    }

    /// Removes what is older than it may become, and returns when to look
    /// again.
    fn remove_expired(&self, now: SystemTime) -> Duration {
        let clock = &self.lost.health.readiness().parts[Part::Clock.as_str()];
        if *clock == PartState::Failing {
            // Nothing expires by a clock that is in doubt.
            return MINUTE;
        }
        let directory = &self.plan.directory;
        let swept = sweep(directory, self.plan.retention, now);
        if swept.removed > 0 {
            tracing::info!(
                event = "recordings_expired",
                count = swept.removed,
                "recordings were removed: their time is over"
            );
        }
        if swept.redated > 0 {
            tracing::warn!(
                event = "recordings_redated",
                count = swept.redated,
                "recordings were written while the clock was ahead: they expire as if written now"
            );
        }
        let cause = (swept.error.as_ref()).map(|error| {
            let directory = directory.display();
            format!("cannot remove recordings whose time is over from {directory}: {error}")
        });
        self.lost.not_removed(cause);
        match swept.error {
            None => DAY,
            Some(error) => {
                tracing::error!(
                    event = "recordings_not_removed",
                    directory = %directory.display(),
                    %error,
                    "recordings whose time is over are still there; trying again in an hour"
                );
                HOUR
            }
        }
    }
}

/// Refuses where no more than `reserve` bytes are free.
fn leave_room(directory: &Path, reserve: u64) -> io::Result<()> {
    let disk = rustix::fs::statvfs(directory)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free > reserve {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::StorageFull,
        format!(
            "{} MiB are free, and the last {} are left to the database",
            free >> 20,
            reserve >> 20
        ),
    ))
}

/// What became of the recordings that are there.
#[derive(Default)]
struct Swept {
    removed: u64,
    /// They were from a time to come, and are from now.
    redated: u64,
    /// The first, where there were several.
    error: Option<io::Error>,
}

/// What becomes of one file.
#[derive(PartialEq, Eq)]
enum Fate {
    Kept,
    Redated,
    Removed,
}

/// Removes what is older than `retention`. A file that cannot be removed does
/// not spare the others. A directory that is not there holds nothing.
fn sweep(directory: &Path, retention: Duration, now: SystemTime) -> Swept {
    let mut swept = Swept::default();
    let fail = |swept: &mut Swept, error: io::Error| {
        if error.kind() != io::ErrorKind::NotFound {
            swept.error.get_or_insert(error);
        }
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            fail(&mut swept, error);
            return swept;
        }
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => {
                fail(&mut swept, error);
                break;
            }
        };
        match sweep_file(&path, retention, now) {
            Ok(Fate::Kept) => {}
            Ok(Fate::Redated) => swept.redated += 1,
            Ok(Fate::Removed) => swept.removed += 1,
            Err(error) => {
                let named = format!("{}: {error}", path.display());
                fail(&mut swept, io::Error::new(error.kind(), named));
            }
        }
    }
    swept
}

fn sweep_file(path: &Path, retention: Duration, now: SystemTime) -> io::Result<Fate> {
    let name = path.file_name().and_then(OsStr::to_str);
    if !name.is_some_and(|name| FileName::parse(name).is_some() || name.starts_with(UNFINISHED)) {
        return Ok(Fate::Kept);
    }
    // Of a symbolic link itself.
    let metadata = path.symlink_metadata()?;
    if metadata.is_dir() {
        return Ok(Fate::Kept);
    }
    match now.duration_since(metadata.modified()?) {
        Ok(age) if age >= retention => fs::remove_file(path).map(|()| Fate::Removed),
        // Written while the clock was ahead: it would stay until that time and
        // the retention are over, which may be years. A day ahead matters
        // little.
        Err(ahead) if ahead.duration() > DAY => redate(path, now).map(|()| Fate::Redated),
        _ => Ok(Fate::Kept),
    }
}

/// Has a file be as old as one that is written now; of a symbolic link, itself.
fn redate(path: &Path, now: SystemTime) -> io::Result<()> {
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let time = Timespec {
        tv_sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests;
