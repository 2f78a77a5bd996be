//! The tasks that run beside a server, and how they end with it.

use std::{sync::Arc, time::Duration};

use assay_engine::{Engine, Error};
use assay_proto::Timestamp;
use tokio::{sync::RwLock, time::MissedTickBehavior};

use crate::clock;

/// Tasks that end with their server.
#[derive(Default)]
pub struct Background {
    tasks: Vec<tokio::task::JoinHandle<()>>,
    under_way: UnderWay,
}

/// Work of background tasks that is not cut off between a commit and its report.
#[derive(Clone, Default)]
struct UnderWay(Arc<RwLock<()>>);

impl Background {
    /// Runs `task` until the server ends.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task));
    }

    /// What every engine needs while it runs: it keeps time, measures the free
    /// space and reports what was displaced.
    pub fn keep(&mut self, engine: &Arc<Engine>) {
        self.spawn(clock::keep(Arc::clone(engine)));
        self.spawn(watch(Arc::clone(engine)));
    }

    /// What an engine whose orders are served needs: what was interrupted is
    /// recovered, and challenges are validated.
    pub fn work(&mut self, engine: &Arc<Engine>) {
        let under_way = self.under_way.clone();
        self.spawn(recover(Arc::clone(engine), under_way.clone()));
        if engine.has_validators() {
            self.spawn(validate(Arc::clone(engine), under_way));
        }
    }

    /// Ends all tasks once what they have under way is done, after a few seconds
    /// at most. The next start recovers whatever takes longer.
    pub async fn end(self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        let under_way = self.under_way.clone();
        drop(self);
        let _ = tokio::time::timeout(PATIENCE, under_way.0.write()).await;
    }
}

impl UnderWay {
    /// Runs `work` to its end, whatever becomes of the task that waits for it.
    async fn run_to_completion<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        let held = Arc::clone(&self.0).read_owned().await;
        let work = async move {
            let _held = held;
            work.await
        };
        tokio::spawn(work).await
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Brings interrupted orders to their end as their leases run out, and drops
/// what was left of TLS certificates.
async fn recover(engine: Arc<Engine>, under_way: UnderWay) {
    const LATER: Duration = Duration::from_secs(60);
    loop {
        let recovering = Arc::clone(&engine);
        let recovered = under_way
            .run_to_completion(async move { recover_once(&recovering).await })
            .await;
        let wait = match recovered
            .map_err(anyhow::Error::from)
            .and_then(|it| Ok(it?))
        {
            Ok(Some(lease)) => Duration::from_secs(lease.0.saturating_sub(engine.now().0).max(1)),
            Ok(None) => LATER,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(event = "recovery_failed", %error, "interrupted orders were not recovered; trying again");
                LATER
            }
        };
        tokio::time::sleep(wait.min(LATER)).await;
    }
}

/// When there is more to recover, where that is known.
async fn recover_once(engine: &Engine) -> Result<Option<Timestamp>, Error> {
    // Neither holds the other up, and the first fault is reported.
    let orders = engine.recover().await;
    let intents = engine.drop_unfinished_server_intents().await;
    Ok([orders?, intents?].into_iter().flatten().min())
}

/// Validates challenges as their attempts become due. What a crash interrupts is
/// found again in the store.
async fn validate(engine: Arc<Engine>, under_way: UnderWay) {
    /// How many are validated at once: most of the time of one is waiting.
    const AT_ONCE: usize = 64;
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut validations = tokio::task::JoinSet::new();
    loop {
        seconds.tick().await;
        while validations.try_join_next().is_some() {}
        let free = AT_ONCE - validations.len();
        match engine.due_validations(free).await {
            Ok(due) => {
                for id in due {
                    let (engine, under_way) = (Arc::clone(&engine), under_way.clone());
                    validations.spawn(async move {
                        let validation = async move { engine.validate(id).await };
                        match under_way.run_to_completion(validation).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => {
                                tracing::debug!(%id, %error, "an attempt to validate failed");
                            }
                            Err(error) => {
                                tracing::debug!(%id, %error, "an attempt to validate panicked");
                            }
                        }
                    });
                }
            }
            Err(error) => {
                tracing::debug!(%error, "challenges cannot be validated: trying again");
            }
        }
    }
}

/// Measures the free space and reports what gave way, every second.
async fn watch(engine: Arc<Engine>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        engine.report_displaced();
        let measured = Arc::clone(&engine);
        // A file system of the network may take its time.
        let _ = tokio::task::spawn_blocking(move || measured.check_space()).await;
    }
}
