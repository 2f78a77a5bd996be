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

use assay_attest::{
    TrustAnchor,
    recording::{MAX_RECORDING_BYTES, Recording, Rule},
};
use assay_engine::ids::{AuthorizationId, OrderId};

use super::{Job, Lost, file};
use crate::{config::Keep, files};

const DAY: Duration = Duration::from_secs(86_400);

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
        loop {
            if expiry <= Instant::now() {
                self.remove_expired(SystemTime::now());
                expiry = Instant::now() + DAY;
            }
            let job = match jobs.try_recv() {
                Ok(job) => job,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    self.caught_up();
                    match jobs.recv_timeout(expiry.saturating_duration_since(Instant::now())) {
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
            Job::Csr {
                order,
                authorizations,
                csr,
            } => (authorizations.iter()).try_fold(false, |written, id| {
                Ok(self.keep_csr(order, *id, &csr)? || written)
            }),
            Job::End => Ok(false),
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

    /// Completes a recording, where there is one, and says whether it did.
    fn keep_csr(
        &self,
        order: OrderId,
        authorization: AuthorizationId,
        csr: &[u8],
    ) -> io::Result<bool> {
        let name = file::name(order, authorization);
        let path = self.plan.directory.join(&name);
        if !path.exists() {
            return Ok(false);
        }
        let completed = files::read(&path, MAX_RECORDING_BYTES as u64)
            .ok()
            .and_then(|bytes| Recording::parse(&bytes).ok())
            .and_then(|recording| file::with_csr(recording, csr));
        match completed {
            Some(recording) => self.write(&name, &recording).map(|()| true),
            None => {
                tracing::warn!(
                    event = "csr_not_recorded",
                    name,
                    "a recording cannot take its order's CSR: it was changed, or would be too large"
                );
                Ok(false)
            }
        }
    }

    /// Whole or not at all. Its age is that of the verdict. It is not forced
    /// onto the disk: a power cut may cost the last ones.
    fn write(&self, name: &str, recording: &Recording) -> io::Result<()> {
        let directory = &self.plan.directory;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        leave_room(directory, self.reserve)?;
        // The mode of temporary files is 600.
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(directory)?;
        file.write_all(recording.to_json().as_bytes())?;
        let judged = Duration::from_secs(recording.time().seconds());
        file.as_file()
            .set_modified(SystemTime::UNIX_EPOCH + judged)?;
        file.persist(directory.join(name))?;
        Ok(())
    }

    /// Removes what is older than it may become.
    fn remove_expired(&self, now: SystemTime) {
        let directory = &self.plan.directory;
        match remove_older(directory, self.plan.retention, now) {
            Ok(0) => {}
            Ok(count) => tracing::info!(
                event = "recordings_expired",
                count,
                "recordings were removed: their time is over"
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(
                event = "recordings_not_removed",
                directory = %directory.display(),
                %error,
                "recordings whose time is over are still there; trying again in a day"
            ),
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

/// Removes what is older than `retention`, and says how many files that were.
/// One that cannot be removed does not spare the others; the first such error
/// is told.
fn remove_older(directory: &Path, retention: Duration, now: SystemTime) -> io::Result<u64> {
    let mut count = 0;
    let mut failed = None;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match remove_if_older(&path, retention, now) {
            Ok(removed) => count += u64::from(removed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let told = || io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                failed.get_or_insert_with(told);
            }
        }
    }
    failed.map_or(Ok(count), Err)
}

fn remove_if_older(path: &Path, retention: Duration, now: SystemTime) -> io::Result<bool> {
    let name = path.file_name().and_then(OsStr::to_str);
    if !name.is_some_and(|name| file::is_ours(name) || name.starts_with(UNFINISHED)) {
        return Ok(false);
    }
    // Of a symbolic link itself. What lies in the future is young.
    let metadata = path.symlink_metadata()?;
    let age = now.duration_since(metadata.modified()?);
    if metadata.is_dir() || !age.is_ok_and(|age| age >= retention) {
        return Ok(false);
    }
    fs::remove_file(path).map(|()| true)
}

#[cfg(test)]
mod tests;
