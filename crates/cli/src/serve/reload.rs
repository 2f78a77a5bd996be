//! SIGHUP: what is read again, what is wrong with it, and what needs a restart,
//! in one line.

use std::{
    future::pending,
    path::{Path, PathBuf},
};

use assay_engine::sha256;
use tokio::signal::unix::Signal;

use crate::{
    config::{Config, Tls},
    dir::Dir,
    files,
    preflight::{self, BadList, Listening},
    sighup::{Asker, Outcome, Requests, channel},
};

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
        let (report, _) = preflight::check(&self.dir, Listening::Elsewhere, BadList::Unread);
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
                outcomes.push((part.name(), part.outcome().await));
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
