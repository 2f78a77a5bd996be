//! Decisions that other requests overtake: read, decide, commit, and where
//! another commit was faster, again from the beginning.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use assay_proto::{Timestamp, admin::CommitCount};

use crate::{
    Engine, Error, Request,
    ports::{Change, CommitError, ConflictOn},
};

/// The most attempts at a decision that others keep overtaking.
const ATTEMPTS: usize = 8;

/// The attempts at one decision. A use-case loops: it reads what it needs,
/// decides, and returns once its commit was made.
///
/// ```text
/// let mut attempts = engine.attempts(request);
/// loop {
///     let found = engine.read().await?;
///     let (changes, result) = decide(found)?;
///     if attempts.commit("name", now, changes).await? {
///         return Ok(result);
///     }
/// }
/// ```
pub(crate) struct Attempts<'a> {
    engine: &'a Engine,
    request: &'a Request,
    left: usize,
    conflict: Option<ConflictOn>,
}

/// Counts commits by name, since the process started.
#[derive(Default)]
pub(crate) struct CommitCounts(Mutex<BTreeMap<&'static str, CommitCount>>);

impl Attempts<'_> {
    /// Makes the changes. `false` when another commit was faster: the caller
    /// decides again, from what it reads then.
    ///
    /// # Errors
    /// [`Error::Contention`] after the last attempt; faults of the store:
    /// whether the changes were made is not known then, and nothing is tried
    /// again.
    pub(crate) async fn commit(
        &mut self,
        name: &'static str,
        now: Timestamp,
        changes: Vec<Change>,
    ) -> Result<bool, Error> {
        let committed = self.engine.commit(self.request, name, now, changes);
        match committed.await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict(on)) => {
                self.conflict = Some(on);
                self.left = self.left.saturating_sub(1);
                match self.left {
                    0 => Err(Error::Contention),
                    _ => Ok(false),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the last attempt was in conflict about; `None` in the first one,
    /// where what authentication read is good still.
    pub(crate) fn conflict(&self) -> Option<ConflictOn> {
        self.conflict
    }
}

impl CommitCounts {
    pub(crate) fn add<T>(&self, name: &'static str, result: &Result<T, CommitError>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let none = CommitCount {
            attempts: 0,
            conflicts: 0,
        };
        let count = counts.entry(name).or_insert(none);
        count.attempts += 1;
        if matches!(result, Err(CommitError::Conflict(_))) {
            count.conflicts += 1;
        }
    }
}

impl Engine {
    /// The attempts at a decision that `request` asks for.
    pub(crate) fn attempts<'a>(&'a self, request: &'a Request) -> Attempts<'a> {
        Attempts {
            engine: self,
            request,
            left: ATTEMPTS,
            conflict: None,
        }
    }

    /// How often the commits of each name were tried since the process started.
    pub(crate) fn commit_counts(&self) -> BTreeMap<String, CommitCount> {
        let counts = self.commit_counts.0.lock();
        let counts = counts.unwrap_or_else(PoisonError::into_inner);
        let named = counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        named.collect()
    }
}
