//! Judges a batch of recordings on all processors.

use std::{
    collections::HashMap,
    num::NonZero,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use assay_attest::{AnchorError, AwsLc, TrustAnchor, Verifier};
use assay_recording::{Finding, MAX_RECORDING_BYTES, Recording};

use super::{
    Outcome, Replayed, Row, foreign,
    paths::Listed,
    replayed::bounded,
    roots::{self, Advice},
};
use crate::{files, progress::Progress};

/// Verifiers of embedded roots that are kept: a folder has one laboratory's
/// recordings, or a few's.
const MAX_VERIFIERS: usize = 64;

/// What takes less time than this shows no progress.
const PATIENCE: Duration = Duration::from_secs(1);

/// When recordings are judged.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// All at one time, in seconds since the Unix epoch.
    At(u64),
    /// Each when it was recorded.
    Recorded,
}

/// Everything that a judgement needs but the recording. All threads share the
/// verifiers, and with them the intermediates whose signatures are known.
pub struct Batch {
    given: Arc<Verifier>,
    embedded: Mutex<HashMap<Vec<u8>, Arc<Verifier>>>,
    trust_embedded: bool,
    when: When,
}

/// A recording that was read, and by what it is judged.
pub struct Opened {
    pub recording: Recording,
    pub verifier: Arc<Verifier>,
    /// Whether the root that the file brings is trusted.
    pub own_root: bool,
    /// The time of the judgement, in seconds since the Unix epoch.
    pub at: u64,
}

impl Batch {
    /// A batch that trusts Apple's root, `roots`, and each recording's own root
    /// for that recording if asked to.
    pub fn new(roots: Vec<TrustAnchor>, trust_embedded: bool, when: When) -> Self {
        let anchors = [TrustAnchor::apple()].into_iter().chain(roots).collect();
        Self {
            given: Arc::new(Verifier::new(anchors, Box::new(AwsLc))),
            embedded: Mutex::default(),
            trust_embedded,
            when,
        }
    }

    /// One row a file, in their order.
    pub fn judge_all(&self, files: &[Listed]) -> anyhow::Result<Vec<Row>> {
        let next = AtomicUsize::new(0);
        let done = AtomicUsize::new(0);
        let progress = Progress::new("replaying recordings");
        let began = Instant::now();
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let work = || {
            let mut rows = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(index) else {
                    return rows;
                };
                rows.push((index, self.row(file)));
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                if began.elapsed() >= PATIENCE {
                    progress.show(done as u64, files.len() as u64);
                }
            }
        };
        let mut rows = thread::scope(|scope| {
            // This thread works as well, alone where there can be no other.
            let threads: Vec<_> = (1..threads.min(files.len()))
                .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut rows = work();
            rows.reserve(files.len().saturating_sub(rows.len()));
            for thread in threads {
                rows.extend(thread.join().map_err(|_| anyhow!("a thread panicked"))?);
            }
            anyhow::Ok(rows)
        })?;
        rows.sort_by_key(|(index, _)| *index);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    fn row(&self, file: &Listed) -> Row {
        let began = Instant::now();
        let outcome = self.outcome(file);
        Row {
            file: file.path.display().to_string(),
            listed: file.clone(),
            took: began.elapsed(),
            outcome,
        }
    }

    fn outcome(&self, file: &Listed) -> Outcome {
        let path = &file.path;
        let in_folder = file.folder.is_some();
        if in_folder && let Some(why) = foreign::by_size(path) {
            return Outcome::Skipped(why);
        }
        let unreadable = |error: anyhow::Error| Outcome::Unreadable(format!("{error:#}"));
        let bytes = match files::read_input(path, MAX_RECORDING_BYTES as u64) {
            Ok(bytes) => bytes,
            Err(error) => return unreadable(error),
        };
        match self.open_bytes(&bytes) {
            Ok(opened) => Outcome::Judged(Box::new(self.replay(opened))),
            Err(error) => match foreign::by_content(path, &bytes).filter(|_| in_folder) {
                Some(why) => Outcome::Skipped(why),
                None => unreadable(error),
            },
        }
    }

    fn replay(&self, opened: Opened) -> Replayed {
        let Opened {
            recording,
            verifier,
            own_root,
            at,
        } = opened;
        let judgement = recording.judge_with_finding(&verifier, at);
        let claims = judgement.claims;
        let differences = recording.differences(&claims);
        let finding = judgement.finding;
        let is_different = !differences.is_empty();
        let advice = match &finding {
            Some(finding) if is_different && roots::concerns(finding) => {
                self.advise(&recording, finding, &verifier, at)
            }
            _ => None,
        };
        let time = recording.time();
        let contents = recording.into_contents();
        let recorded = contents.claims;
        Replayed {
            source: contents.evidence.source(),
            time,
            judged_at: at,
            recorded: recorded.verdict,
            recorded_facts: recorded.facts.filter(|_| is_different).map(bounded),
            verdict: claims.verdict,
            finding,
            advice,
            facts: claims.facts.map(bounded),
            root_sha256: claims.root_sha256,
            own_root,
            differences,
            blessed: false,
        }
    }

    fn advise(
        &self,
        recording: &Recording,
        finding: &Finding,
        verifier: &Verifier,
        at: u64,
    ) -> Option<Advice> {
        let under_embedded = |root: &[u8]| {
            let verifier = self
                .trusting(root)
                .map_err(|error: AnchorError| error.to_string())?;
            Ok(recording.judge_with_finding(&verifier, at).finding)
        };
        Advice::on(recording, finding, verifier.anchors(), under_embedded)
    }

    /// Reads a recording; `-` is standard input.
    ///
    /// # Errors
    /// It cannot be read, or brings a root that is to be trusted and cannot be.
    #[cfg_attr(not(feature = "lab"), expect(dead_code, reason = "for the laboratory"))]
    pub fn open(&self, path: &Path) -> anyhow::Result<Opened> {
        self.open_bytes(&files::read_input(path, MAX_RECORDING_BYTES as u64)?)
    }

    /// The same of a file that was read.
    ///
    /// # Errors
    /// It is no recording, or brings a root that is to be trusted and cannot be.
    pub fn open_bytes(&self, file: &[u8]) -> anyhow::Result<Opened> {
        let recording = Recording::parse(file)?;
        let (verifier, own_root) = self
            .verifier(&recording)
            .map_err(|error| anyhow!("\"embedded_root\" cannot be trusted: {error}"))?;
        let at = match self.when {
            When::At(time) => time,
            When::Recorded => recording.time().seconds(),
        };
        Ok(Opened {
            recording,
            verifier,
            own_root,
            at,
        })
    }

    /// The verifier for a recording, and whether it trusts the root that the
    /// file brings for no other reason than that.
    fn verifier(&self, recording: &Recording) -> Result<(Arc<Verifier>, bool), AnchorError> {
        let given = || (Arc::clone(&self.given), false);
        let Some(root) = recording.embedded_root().filter(|_| self.trust_embedded) else {
            return Ok(given());
        };
        if self
            .given
            .anchors()
            .iter()
            .any(|anchor| anchor.der() == root)
        {
            return Ok(given());
        }
        Ok((self.trusting(root)?, true))
    }

    /// The verifier that trusts this root, too.
    fn trusting(&self, root: &[u8]) -> Result<Arc<Verifier>, AnchorError> {
        let lock = || self.embedded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(root) {
            return Ok(Arc::clone(known));
        }
        let mut anchors = self.given.anchors().to_vec();
        anchors.push(TrustAnchor::laboratory(root, "embedded root")?);
        let verifier = Arc::new(Verifier::new(anchors, Box::new(AwsLc)));
        let mut embedded = lock();
        if embedded.len() < MAX_VERIFIERS {
            embedded.insert(root.to_owned(), Arc::clone(&verifier));
        }
        Ok(verifier)
    }
}
