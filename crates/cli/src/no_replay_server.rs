//! In the place of the replay server, in a build without the feature `lab`: a
//! production build has no server whose keys are public.

use std::{convert::Infallible, path::PathBuf};

use anyhow::anyhow;
use clap::Args;

use crate::{
    app::{Parts, Served},
    config::BaseUrl,
    stop::Stop,
};

/// What `assay serve` serves instead of itself.
#[derive(Debug, Default, Args)]
pub struct ReplayServerArgs {
    /// Serve a recorded enrolment instead: its token for every challenge, at
    /// its time, from memory. Laboratory servers only.
    #[arg(long, hide = true, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Trust the root that the recording contains: this proves nothing about a
    /// real device.
    #[arg(long, hide = true, requires = "replay")]
    pub trust_embedded_roots: bool,
}

/// `assay serve --replay`
pub struct Replay(Infallible);

impl Replay {
    /// Refuses what the command line asks for.
    pub fn load(_: &Parts, args: &ReplayServerArgs) -> Result<Option<Self>, Stop> {
        match args.replay {
            None => Ok(None),
            Some(_) => Err(absent("serve --replay")),
        }
    }

    /// There is nothing to start.
    pub async fn start(self, _: &BaseUrl) -> Result<Served, Stop> {
        match self.0 {}
    }
}

/// Refuses a command that this build does not have.
pub fn absent(command: &str) -> Stop {
    Stop::usage(anyhow!(
        "assay {command}: this build has no laboratory commands: build with default features, or with --features lab"
    ))
}
