//! Judges a batch of recordings on all processors.

use std::{
    collections::HashMap,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::anyhow;
use assay_attest::{AnchorError, AwsLc, TrustAnchor, Verifier};
use assay_recording::{MAX_RECORDING_BYTES, Recording};

use super::{Replayed, Row};
use crate::files;

/// Verifiers of embedded roots that are kept: a folder has one laboratory's
/// recordings, or a few's.
const MAX_VERIFIERS: usize = 64;

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
    pub fn judge_all(&self, files: &[PathBuf]) -> anyhow::Result<Vec<Row>> {
        let next = AtomicUsize::new(0);
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let work = || {
            let mut rows = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                match files.get(index) {
                    Some(path) => rows.push((index, self.row(path))),
                    None => return rows,
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

    fn row(&self, path: &Path) -> Row {
        Row {
            file: path.display().to_string(),
            replayed: self.replay(path).map_err(|error| format!("{error:#}")),
        }
    }

    fn replay(&self, path: &Path) -> anyhow::Result<Replayed> {
        let Opened {
            recording,
            verifier,
            own_root,
            at,
        } = self.open(path)?;
        let claims = recording.judge(&verifier, at);
        let differences = recording.differences(&claims);
        let time = recording.time();
        let contents = recording.into_contents();
        Ok(Replayed {
            source: contents.evidence.source(),
            time,
            judged_at: at,
            recorded: contents.claims.verdict,
            verdict: claims.verdict,
            root_sha256: claims.root_sha256,
            own_root,
            differences,
        })
    }

    /// Reads a recording.
    ///
    /// # Errors
    /// It cannot be read, or brings a root that is to be trusted and cannot be.
    pub fn open(&self, path: &Path) -> anyhow::Result<Opened> {
        let recording = Recording::parse(&files::read(path, MAX_RECORDING_BYTES as u64)?)?;
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
        let lock = || self.embedded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(root) {
            return Ok((Arc::clone(known), true));
        }
        let mut anchors = self.given.anchors().to_vec();
        anchors.push(TrustAnchor::laboratory(root, "embedded root")?);
        let verifier = Arc::new(Verifier::new(anchors, Box::new(AwsLc)));
        let mut embedded = lock();
        if embedded.len() < MAX_VERIFIERS {
            embedded.insert(root.to_owned(), Arc::clone(&verifier));
        }
        Ok((verifier, true))
    }
}
