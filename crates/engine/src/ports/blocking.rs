use std::time::Duration;

use async_trait::async_trait;

/// Runs jobs that may block a thread for seconds, away from the threads that
/// answer requests; limits how many run at once.
#[async_trait]
pub trait Blocking: Send + Sync {
    /// Runs `job` and returns once it has ended, even by a panic.
    ///
    /// # Errors
    /// [`Unfinished::Late`] after `patience`, the wait for a thread included: a
    /// job that has not begun by then never runs, one that has continues.
    /// [`Unfinished::NoThread`] if the system gives no thread: the job never
    /// runs.
    async fn run(&self, job: Job, patience: Duration) -> Result<(), Unfinished>;
}

/// A job that may block.
pub type Job = Box<dyn FnOnce() + Send>;

/// A [`Job`] did not end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    /// Timeout.
    #[error("the job takes too long")]
    Late,
    /// There is no thread for it.
    #[error("there is no thread for the job")]
    NoThread,
}
