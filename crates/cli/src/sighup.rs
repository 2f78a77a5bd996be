//! How SIGHUP reaches the parts of a server that read files again, and how their
//! outcome comes back. Which parts there are: `serve/reload.rs`.

use std::{future::pending, time::Duration};

use tokio::{sync::mpsc, time::timeout};

/// How long a part may take before the line says that it is not done.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a part did when it was asked: what is in use now, or why that did not
/// change.
pub type Outcome = Result<String, String>;

/// Asks one part of the server to read its files again.
pub struct Asker {
    name: &'static str,
    requests: mpsc::Sender<()>,
    outcomes: mpsc::Receiver<Outcome>,
}

/// The end of a part that reads files again: requests come here, and go back
/// with their outcome.
pub struct Requests {
    requests: mpsc::Receiver<()>,
    outcomes: mpsc::Sender<Outcome>,
}

impl Requests {
    /// Waits for the next request. One follows for each SIGHUP, but for those
    /// that come while an earlier one is served.
    pub async fn recv(&mut self) {
        if self.requests.recv().await.is_none() {
            pending().await
        }
    }

    /// Reports what came of the last request.
    pub fn report(&self, outcome: Outcome) {
        // Full, or closed: the line was written without it.
        let _ = self.outcomes.try_send(outcome);
    }
}

/// The two ends of one part, which is logged as `name`.
pub fn channel(name: &'static str) -> (Asker, Requests) {
    let (requests, requested) = mpsc::channel(1);
    let (outcome, outcomes) = mpsc::channel(1);
    let asker = Asker {
        name,
        requests,
        outcomes,
    };
    let requests = Requests {
        requests: requested,
        outcomes: outcome,
    };
    (asker, requests)
}

impl Asker {
    /// The part's name in the log.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Asks, without waiting.
    pub fn ask(&mut self) {
        // What came too late for an earlier line.
        while self.outcomes.try_recv().is_ok() {}
        // Full: it was asked and has not begun, which is as good.
        let _ = self.requests.try_send(());
    }

    /// Waits for what came of the last request.
    pub async fn outcome(&mut self) -> Outcome {
        match timeout(PATIENCE, self.outcomes.recv()).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) | Err(_) => Err("not done yet: a line of its own follows".to_owned()),
        }
    }
}
