//! `assay serve --replay FILE`: what a laboratory server serves instead of
//! itself. A build without the feature `lab` has `no_replay_server.rs` in the
//! place of this module.

use std::{path::PathBuf, sync::Arc};

use anyhow::anyhow;
use assay_attest::TrustAnchor;
use assay_engine::{ports::Observer, profile::Profile};
use assay_lab::replay::{ReplayServer, Settings, add_embedded_root};
use assay_recording::{Acme, Evidence, MAX_RECORDING_BYTES, Recording, Time};
use assay_server::RequestLog;
use clap::Args;

use crate::{
    app::{Parts, Served},
    config::BaseUrl,
    files,
    logging::LogObserver,
    stop::{OrStop, Stop},
};

/// What `assay serve` serves instead of itself.
#[derive(Debug, Default, Args)]
pub struct ReplayServerArgs {
    /// Serve a recorded enrolment instead: its token for every challenge, at
    /// its time, from memory. Laboratory servers only.
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Trust the root that the recording contains: this proves nothing about a
    /// real device.
    #[arg(long, requires = "replay")]
    pub trust_embedded_roots: bool,
}

/// A recording that is to be served.
pub struct Replay {
    path: PathBuf,
    time: Time,
    acme: Acme,
    anchors: Vec<TrustAnchor>,
    /// Whether the root that the file brings is among them for that alone.
    own_root: bool,
    profile: Profile,
}

impl Replay {
    /// Reads the recording that the command line names, if it names one, for
    /// the server made of `parts`.
    pub fn load(parts: &Parts, args: &ReplayServerArgs) -> Result<Option<Self>, Stop> {
        let Some(path) = &args.replay else {
            return Ok(None);
        };
        if !parts.laboratory {
            return Err(Stop::usage(anyhow!(
                "serve --replay gives out tokens that are known, at a time that has passed: for laboratory servers only, \
                 and this one was not made as one: make another with `assay init --laboratory`"
            )));
        }
        let read = || {
            let recording =
                Recording::parse(&files::read_input(path, MAX_RECORDING_BYTES as u64)?)?;
            let mut anchors = parts.anchors.clone();
            let own_root = add_embedded_root(&mut anchors, &recording, args.trust_embedded_roots)?;
            let time = recording.time();
            match recording.into_contents().evidence {
                Evidence::Acme(acme) => Ok((time, *acme, anchors, own_root)),
                Evidence::DeviceInformation(_) => Err(anyhow!(
                    "it records an answer to an MDM's DeviceInformation query, which has no part in ACME: nothing of it can be served"
                )),
            }
        };
        let (time, acme, anchors, own_root) =
            read().or_usage(format_args!("{}", path.display()))?;
        Ok(Some(Self {
            path: path.clone(),
            time,
            acme,
            anchors,
            own_root,
            profile: parts.config.profile.clone(),
        }))
    }

    /// Starts the server that is served under `base_url`, and warns of it.
    pub async fn start(self, base_url: &BaseUrl) -> Result<Served, Stop> {
        let settings = Settings {
            anchors: self.anchors,
            base_url: base_url.to_string(),
            observe,
            profile: self.profile,
        };
        let server = ReplayServer::start(self.time, &self.acme, settings)
            .await
            .or_usage(format_args!("{}", self.path.display()))?;
        tracing::warn!(
            event = "replay",
            recording = %self.path.display(),
            time = %self.time,
            token = self.acme.token,
            identifier = self.acme.identifier.value,
            embedded_root_trusted = self.own_root,
            "REPLAY: a test server with known tokens and keys; its time stands still, nothing is kept, and its certificates are worth nothing"
        );
        Ok(Served {
            devices: None,
            engine: server.engine,
            request_log: server.request_log,
            store: server.store,
        })
    }
}

/// Logs the events of a replay server.
pub fn observe(request_log: Arc<RequestLog>) -> Arc<dyn Observer> {
    Arc::new(LogObserver::new(request_log))
}
