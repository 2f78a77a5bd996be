use std::time::Duration;

use async_trait::async_trait;

/// Runs what may block its thread for seconds, away from the threads that answer
/// requests; only so much of it at once.
#[async_trait]
pub trait Blocking: Send + Sync {
    /// Runs `job`, and returns once it has come to its end, by a panic too.
    ///
    /// # Errors
    /// [`Unfinished::Late`] after `patience`, its turn included: a job that had
    /// not begun never does, one that had goes on. [`Unfinished::NoThread`] where
    /// the system gives no thread: it never begins.
    async fn run(&self, job: Job, patience: Duration) -> Result<(), Unfinished>;
}

/// What may block.
pub type Job = Box<dyn FnOnce() + Send>;

/// A [`Job`] did not come to its end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    /// It takes too long.
    #[error("it takes too long")]
    Late,
    /// There is no thread for it.
    #[error("there is no thread for it")]
    NoThread,
}
