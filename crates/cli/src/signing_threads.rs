//! Threads for signers that block: a module or another machine has the key.
//!
//! Not the runtime's own pool: a signer that never returns would keep the
//! runtime, and so the process, from ending.

use std::{sync::Arc, thread, time::Duration};

use assay_engine::ports::{Blocking, Job, Unfinished};
use async_trait::async_trait;
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

/// A thread for each signature, and a bound on how many there are.
pub struct SigningThreads {
    places: Arc<Semaphore>,
}

impl SigningThreads {
    /// At most so many threads at once.
    pub fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
        }
    }

    async fn run_in_turn(&self, job: Job) -> Result<(), Unfinished> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| Unfinished::NoThread)?;
        let (ended, end) = oneshot::channel::<()>();
        let started = thread::Builder::new()
            .name("assay-signer".to_owned())
            .spawn(move || {
                // Both go at the thread's end, by a panic too: a signer that
                // hangs keeps its place.
                let _held = (place, ended);
                job();
            });
        if let Err(error) = started {
            tracing::error!(event = "signing_thread_failed", %error, "cannot start a thread for a signature");
            return Err(Unfinished::NoThread);
        }
        // It says nothing but that it ended.
        let _ = end.await;
        Ok(())
    }
}

#[async_trait]
impl Blocking for SigningThreads {
    async fn run(&self, job: Job, patience: Duration) -> Result<(), Unfinished> {
        timeout(patience, self.run_in_turn(job))
            .await
            .unwrap_or(Err(Unfinished::Late))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn as_many_jobs_run_at_once_as_there_are_places() {
        let threads = Arc::new(SigningThreads::new(2));
        let (now, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let jobs: Vec<_> = (0..8)
            .map(|_| {
                let (threads, now, most) = (threads.clone(), now.clone(), most.clone());
                tokio::spawn(async move {
                    let job = move || {
                        let running = now.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(running, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(20));
                        now.fetch_sub(1, Ordering::SeqCst);
                    };
                    threads.run(Box::new(job), LONG).await
                })
            })
            .collect();
        for job in jobs {
            assert_eq!(job.await.unwrap(), Ok(()));
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_job_that_hangs_keeps_its_place_and_one_that_waits_never_begins() {
        let threads = SigningThreads::new(1);
        let (go, hold) = mpsc::channel::<()>();
        let hang = Box::new(move || {
            let _ = hold.recv();
        });
        assert_eq!(threads.run(hang, SHORT).await, Err(Unfinished::Late));
        let begun = Arc::<AtomicUsize>::default();
        let job = || {
            let begun = begun.clone();
            Box::new(move || {
                begun.fetch_add(1, Ordering::SeqCst);
            })
        };
        assert_eq!(threads.run(job(), SHORT).await, Err(Unfinished::Late));
        drop(go);
        assert_eq!(threads.run(job(), LONG).await, Ok(()));
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_job_that_panics_has_ended_and_gives_its_place_back() {
        let threads = SigningThreads::new(1);
        for _ in 0..2 {
            let job = Box::new(|| panic!("this is a test"));
            assert_eq!(threads.run(job, LONG).await, Ok(()));
        }
    }
}
