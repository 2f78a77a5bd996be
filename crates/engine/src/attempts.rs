//! Optimistic concurrency: read, decide, commit; after a conflict with another
//! commit, start again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use assay_proto::{Timestamp, admin::CommitCount};

use crate::{
    Engine, Error, RequestInfo,
    ports::{Change, CommitError, ConflictOn},
};

/// The most attempts at one decision.
const ATTEMPTS: usize = 8;

/// The attempts at one decision. A use-case loops: it reads what it needs,
/// decides, and returns once its commit succeeds.
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
    request: &'a RequestInfo,
    left: usize,
    conflict: Option<ConflictOn>,
}

/// Counts commits by name since the process started.
#[derive(Default)]
pub(crate) struct CommitCounts(Mutex<BTreeMap<&'static str, CommitCount>>);

impl Attempts<'_> {
    /// Commits the changes. Returns `false` on a conflict with another commit:
    /// the caller reads and decides again.
    ///
    /// # Errors
    /// [`Error::Contention`] after the last attempt. Store errors: whether the
    /// changes were made is then unknown, and they are not retried.
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

    /// Returns what the last attempt conflicted on; `None` in the first
    /// attempt, where the values read by authentication are still current.
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
    /// Starts the attempts at a decision for `request`.
    pub(crate) fn attempts<'a>(&'a self, request: &'a RequestInfo) -> Attempts<'a> {
        Attempts {
            engine: self,
            request,
            left: ATTEMPTS,
            conflict: None,
        }
    }

    /// Returns how often commits of each name were tried since the process
    /// started.
    pub(crate) fn commit_counts(&self) -> BTreeMap<String, CommitCount> {
        let counts = self.commit_counts.0.lock();
        let counts = counts.unwrap_or_else(PoisonError::into_inner);
        let named = counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        named.collect()
    }
}
