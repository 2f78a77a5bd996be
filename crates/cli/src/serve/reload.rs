//! SIGHUP: what is read again, what is wrong with it, and what needs a restart,
//! in one line.

use std::{
    future::pending,
    path::{Path, PathBuf},
    time::Duration,
};

use assay_engine::sha256;
use tokio::{signal::unix::Signal, sync::mpsc, time::timeout};

use crate::{
    config::{Config, Tls},
    dir::Dir,
    files,
    preflight::{self, BadList, Listening},
};

/// How long a part may take before the line says that it is not done.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a part did when it was asked: what is in use now, or why that did not
/// change.
type Outcome = Result<String, String>;

/// Asks one part of the server to read its files again.
struct Asker {
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
    pub fn report(&self, outcome: Result<String, String>) {
        // Full, or closed: the line was written without it.
        let _ = self.outcomes.try_send(outcome);
    }
}

fn channel(name: &'static str) -> (Asker, Requests) {
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
    fn ask(&mut self) {
        // What came too late for an earlier line.
        while self.outcomes.try_recv().is_ok() {}
        // Full: it was asked and has not begun, which is as good.
        let _ = self.requests.try_send(());
    }

    async fn outcome(&mut self) -> Outcome {
        match timeout(PATIENCE, self.outcomes.recv()).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) | Err(_) => Err("not done yet: a line of its own follows".to_owned()),
        }
    }
}

/// What the server was started with.
pub struct Started {
    dir: Dir,
    config: Config,
    /// Files that are read at start alone, and what was in them.
    files: Vec<(PathBuf, Option<[u8; 32]>)>,
}

impl Started {
    /// As things are now.
    pub fn now(dir: &Dir, config: &Config) -> Self {
        let cas = match config.server.tls {
            Tls::OwnCa => &["issuing", "tls"][..],
            Tls::Files { .. } | Tls::Off => &["issuing"],
        };
        let cas = cas
            .iter()
            .flat_map(|ca| [dir.ca_certificate(ca), dir.ca_key(ca)]);
        let roots = config.apple.laboratory_roots.iter();
        let roots = roots.map(|root| dir.resolve(root));
        let files = [dir.ca_certificate("root")].into_iter().chain(cas);
        Self {
            dir: dir.clone(),
            config: config.clone(),
            files: (files.chain(roots))
                .map(|path| {
                    let hash = hash(&path);
                    (path, hash)
                })
                .collect(),
        }
    }

    /// What changed since and needs a restart; and why that restart would fail.
    fn compare(&self) -> (Vec<String>, Option<String>) {
        let mut changed = Vec::new();
        if let Ok(config) = Config::load(&self.dir.config()) {
            let sections = self.config.different_sections(&config);
            changed.extend(sections.iter().map(|section| format!("[{section}]")));
        }
        for (path, before) in &self.files {
            if hash(path) != *before {
                let path = path.strip_prefix(self.dir.path()).unwrap_or(path);
                changed.push(path.display().to_string());
            }
        }
        let (report, _) = preflight::look(&self.dir, Listening::Elsewhere, BadList::Unread);
        let fault = report.stop().map(|stop| stop.to_string());
        (changed, fault)
    }
}

fn hash(path: &Path) -> Option<[u8; 32]> {
    Some(sha256(&files::read(path, files::SMALL).ok()?))
}

/// Asks the parts of the server at each SIGHUP.
pub struct Reload {
    hangups: Signal,
    parts: Vec<Asker>,
    started: Started,
}

impl Reload {
    pub fn new(hangups: Signal, started: Started) -> Self {
        Self {
            hangups,
            parts: Vec::new(),
            started,
        }
    }

    /// Adds a part, `devices` or `tls`, which takes requests from what is
    /// returned.
    pub fn part(&mut self, name: &'static str) -> Requests {
        let (asker, requests) = channel(name);
        self.parts.push(asker);
        requests
    }

    /// Serves each SIGHUP, until it is dropped.
    pub async fn watch(mut self) {
        loop {
            if self.hangups.recv().await.is_none() {
                return pending().await;
            }
            for part in &mut self.parts {
                part.ask();
            }
            let mut outcomes = Vec::new();
            for part in &mut self.parts {
                outcomes.push((part.name, part.outcome().await));
            }
            let started = self.started;
            let compared = tokio::task::spawn_blocking(move || {
                let compared = started.compare();
                (started, compared)
            });
            let Ok((started, (restart, fault))) = compared.await else {
                // It panicked, which is logged; nothing is compared any more.
                return pending().await;
            };
            self.started = started;
            log(&outcomes, &restart, fault.as_deref());
        }
    }
}

fn log(outcomes: &[(&'static str, Outcome)], restart: &[String], fault: Option<&str>) {
    let of = |name| {
        let outcome = outcomes.iter().find(|(known, _)| *known == name);
        outcome.map(|(_, outcome)| match outcome {
            Ok(used) => used.clone(),
            Err(error) => format!("unchanged: {error}"),
        })
    };
    let is_wrong = fault.is_some() || outcomes.iter().any(|(_, outcome)| outcome.is_err());
    let (devices, tls) = (of("devices"), of("tls"));
    let restart = (!restart.is_empty()).then(|| restart.join(", "));
    if is_wrong || restart.is_some() {
        tracing::warn!(
            event = "reloaded",
            devices,
            tls,
            needs_restart = restart,
            next_start_fails = fault,
            "read again on SIGHUP; not all of it is in use"
        );
    } else {
        tracing::info!(
            event = "reloaded",
            devices,
            tls,
            "read again on SIGHUP: all is in use, and nothing needs a restart"
        );
    }
}
