//! `assay serve --replay FILE`: what a laboratory server serves instead of
//! itself.

use std::path::PathBuf;

use anyhow::anyhow;
use assay_attest::TrustAnchor;
use assay_engine::profile::Profile;
use assay_lab::replay::{ReplayServer, Settings, add_embedded_root};
use assay_recording::{Acme, Evidence, MAX_RECORDING_BYTES, Recording, Time};

use crate::{
    app::Parts,
    args::ServeArgs,
    config::BaseUrl,
    files,
    serve::Served,
    stop::{OrStop, Stop},
};

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
    pub fn load(parts: &Parts, args: &ServeArgs) -> Result<Option<Self>, Stop> {
        let Some(path) = &args.replay else {
            return Ok(None);
        };
        if !parts.is_laboratory() {
            return Err(Stop::usage(anyhow!(
                "serve --replay gives out tokens that are known, at a time that has passed: for laboratory servers only, \
                 and this one was not made as one: make another with `assay init --laboratory`"
            )));
        }
        let read = || {
            let recording = Recording::parse(&files::read(path, MAX_RECORDING_BYTES as u64)?)?;
            let mut anchors = parts.anchors().to_vec();
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
            observe: super::observe,
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
