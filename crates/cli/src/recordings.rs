//! Keeps what was judged, where `[recording]` says so: a bounded queue, and one
//! thread that writes.
//!
//! Nothing here has any influence on enrolment. Where a recording cannot be
//! kept (the disk is full, the queue is), one line says so, and another when
//! it works again.

mod file;
mod place;
mod writer;

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use assay_ca::MAX_CSR_LEN;
use assay_engine::{
    events::{Event, Judged, Refused},
    health::{Health, Part},
    ids::{AuthorizationId, OrderId},
    ports::Observer,
};
use assay_recording::{Issuance, RecordedProfile};

pub use self::{
    place::check_place,
    writer::{Plan, Writer},
};

use crate::config::Keep;

/// Recordings that wait to be written. A burst of a thousand enrolments fits;
/// of a device they take a few KiB each, of somebody who sends what is too large
/// to be judged up to 144 KiB.
const QUEUE: usize = 1024;

/// The engine's end of the queue.
struct Queue {
    jobs: SyncSender<Job>,
    keep: Keep,
    lost: Arc<Lost>,
}

/// The thread that writes.
pub struct Recordings {
    jobs: SyncSender<Job>,
    thread: JoinHandle<()>,
}

/// What there is to write.
enum Job {
    End,
    /// What happened at finalize completes the order's recordings.
    Finalize(Box<Finalize>),
    Judged(Box<Judged<'static>>),
}

/// What happened at finalize.
struct Finalize {
    order: OrderId,
    authorizations: Vec<AuthorizationId>,
    csr: SentCsr,
    /// The order's profile, which is reported with the CSR.
    profile: Option<RecordedProfile>,
    /// How issuance ended; `None` if it has begun.
    issuance: Option<Issuance>,
}

/// The CSR of a finalize.
enum SentCsr {
    /// The one that was recorded before, if there is one.
    Earlier,
    /// This one.
    Sent(Vec<u8>),
    /// One that is too long to be parsed, and is not kept.
    TooLong,
}

/// What fails, and what was lost since the last time that all went well.
#[derive(Default)]
struct Lost {
    health: Arc<Health>,
    failing: Mutex<Failing>,
    recordings: AtomicU64,
}

/// Why recordings fail.
#[derive(Default)]
struct Failing {
    /// None can be written.
    writing: Option<String>,
    /// Those whose time is over cannot be removed.
    removing: Option<String>,
}

impl Recordings {
    /// Starts the thread. The observer is `None` where nothing is kept; the
    /// thread then only removes what has expired.
    pub fn start(plan: Plan, health: Arc<Health>) -> io::Result<(Self, Option<Arc<dyn Observer>>)> {
        let (jobs, waiting) = sync_channel(QUEUE);
        let keep = plan.keep;
        let lost = Arc::new(Lost {
            health,
            ..Lost::default()
        });
        let writer = Writer::new(plan, Arc::clone(&lost));
        let thread = std::thread::Builder::new()
            .name("recordings".to_owned())
            .spawn(move || writer.run(&waiting))?;
        let observer = (keep != Keep::None).then(|| {
            Arc::new(Queue {
                jobs: jobs.clone(),
                keep,
                lost,
            }) as Arc<dyn Observer>
        });
        Ok((Self { jobs, thread }, observer))
    }

    /// Writes what waits, and ends.
    pub fn finish(self) {
        // Where the thread has ended already there is nothing to wait for.
        let _ = self.jobs.send(Job::End);
        let _ = self.thread.join();
    }
}

impl Queue {
    fn put_finalize(&self, finalize: Finalize) {
        self.put(Job::Finalize(Box::new(finalize)));
    }

    fn put(&self, job: Job) {
        match self.jobs.try_send(job) {
            // Disconnected: the server is ending.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(job)) => self.lost.more(
                job.loses(),
                &format_args!("{QUEUE} recordings wait to be written: the disk is too slow"),
            ),
        }
    }
}

impl Observer for Queue {
    fn observe(&self, event: &Event<'_>) {
        let keeps_all = self.keep == Keep::All;
        match event {
            Event::ChallengeJudged(judged) if keeps_all || judged.refused.is_some() => {
                self.put(Job::Judged(Box::new(judged.to_static())));
            }
            // Refused evidence never gets as far.
            Event::CsrReceived {
                order,
                authorizations,
                csr,
                profile,
                settings,
            } if keeps_all => self.put_finalize(Finalize {
                order: *order,
                authorizations: authorizations.to_vec(),
                csr: SentCsr::of(Some(csr)),
                profile: Some(file::profile(profile, *settings)),
                issuance: None,
            }),
            Event::Issued {
                order,
                authorizations,
                certificate,
                csr,
                ..
            } if keeps_all => self.put_finalize(Finalize {
                order: *order,
                authorizations: authorizations.to_vec(),
                csr: SentCsr::of(*csr),
                profile: None,
                issuance: Some(file::issued(certificate)),
            }),
            Event::Refused(Refused {
                order: Some(order),
                reason,
                issuance: Some(refused),
                ..
            }) if keeps_all => self.put_finalize(Finalize {
                order: *order,
                authorizations: refused.authorizations.to_vec(),
                csr: SentCsr::of(refused.csr),
                profile: None,
                issuance: Some(file::refused(reason, refused)),
            }),
            Event::IssuanceFailed {
                order,
                authorizations,
                failure,
                ..
            } if keeps_all => self.put_finalize(Finalize {
                order: *order,
                authorizations: authorizations.to_vec(),
                csr: SentCsr::Earlier,
                profile: None,
                issuance: Some(file::failed(failure)),
            }),
            _ => {}
        }
    }
}

impl SentCsr {
    fn of(csr: Option<&[u8]>) -> Self {
        match csr {
            None => Self::Earlier,
            Some(csr) if csr.len() <= MAX_CSR_LEN => Self::Sent(csr.to_vec()),
            Some(_) => Self::TooLong,
        }
    }
}

impl Job {
    /// How many recordings are lost with it. What happens at finalize only
    /// completes one, which may be there without it.
    fn loses(&self) -> u64 {
        u64::from(matches!(self, Self::Judged(_)))
    }
}

impl Lost {
    /// A job was not done, and so many recordings more are lost. The first time
    /// is told, loudly.
    fn more(&self, recordings: u64, cause: &dyn std::fmt::Display) {
        self.recordings.fetch_add(recordings, Ordering::Relaxed);
        let is_new = self.change(|failing| {
            let is_new = failing.writing.is_none();
            failing.writing.get_or_insert_with(|| cause.to_string());
            is_new
        });
        if is_new {
            tracing::error!(
                event = "recording_failed",
                error = %cause,
                "recordings are not kept, and no further line says so; enrolment goes on. \
                 Make room on the disk of recording.directory, or let this server write there: recording resumes by itself"
            );
        }
    }

    /// All goes well (again).
    fn none(&self) {
        if self.change(|failing| failing.writing.take().is_some()) {
            // Not within the event, which may be filtered out.
            let lost = self.recordings.swap(0, Ordering::Relaxed);
            tracing::warn!(
                event = "recording_resumed",
                lost,
                "recordings are kept again; so many were lost, others may lack their CSR and how issuance ended"
            );
        }
    }

    /// Recordings whose time is over are there still, or are not any more.
    fn not_removed(&self, cause: Option<String>) {
        self.change(|failing| failing.removing = cause);
    }

    /// Changes what fails, and has health say so.
    fn change<T>(&self, change: impl FnOnce(&mut Failing) -> T) -> T {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut failing);
        // Within the lock, so that the last change is the last word.
        match failing.writing.as_ref().or(failing.removing.as_ref()) {
            Some(reason) => self.health.degrade(Part::Recordings, reason.clone()),
            None => self.health.recover(Part::Recordings),
        }
        changed
    }
}
