//! Tasks that run to completion even if their client hangs up.

use std::future::Future;

use assay_engine::Error;
use tokio::sync::watch;
use tracing::Instrument;

use crate::{current::in_current, refusal::Refusal};

/// Counts the running tasks.
pub(crate) struct Work(watch::Sender<usize>);

impl Default for Work {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Work {
    /// Runs `work` in its own task: it completes even if the client hangs up
    /// and the handler that waits for it is dropped.
    ///
    /// This is not an async function, which would hold `work` in its own state
    /// and in the handler's. Instead `work` is moved to the heap once. The task
    /// logs a refusal, whether the client still listens or not.
    pub(crate) fn run_to_completion<T, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, Refusal>> + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let running = Running::begin(&self.0);
        let work = Box::pin(async move {
            let result = work.await.map_err(Refusal::from);
            drop(running);
            result
        });
        let task = tokio::spawn(in_current(work.in_current_span()));
        async {
            match task.await {
                Ok(result) => result,
                Err(failed) => match failed.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => Err(Error::Internal("the task was cancelled".to_owned()).into()),
                },
            }
        }
    }

    /// Waits until no task is running.
    pub(crate) async fn ended(&self) {
        // The sender is in `self`, so it cannot be gone.
        drop(self.0.subscribe().wait_for(|running| *running == 0).await);
    }
}

/// Counts a running task until it is dropped, also by a panic.
struct Running(watch::Sender<usize>);

impl Running {
    fn begin(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|running| *running += 1);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{sync::oneshot, time::timeout};

    use super::*;

    #[tokio::test]
    async fn work_completes_after_its_client_hangs_up_and_is_waited_for() {
        let work = Work::default();
        let (go, gone) = oneshot::channel::<()>();
        let (done, ended) = oneshot::channel();
        drop(work.run_to_completion(async move {
            let _ = gone.await;
            let _ = done.send(());
            Ok(())
        }));
        let waiting = timeout(Duration::from_millis(50), work.ended()).await;
        assert!(waiting.is_err(), "it did not wait for running work");
        go.send(()).unwrap();
        assert_eq!(ended.await, Ok(()));
        work.ended().await;
    }

    #[tokio::test]
    async fn work_that_panics_is_not_waited_for() {
        let work = Work::default();
        drop(work.run_to_completion::<(), _>(async { panic!("on purpose") }));
        timeout(Duration::from_secs(5), work.ended()).await.unwrap();
    }
}
