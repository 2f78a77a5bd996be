//! In the place of the laboratory's commands, in a build without the feature
//! `lab`: a production build forges nothing, and has no server whose keys are
//! public. The commands are hidden from `--help`, and end with an error that
//! says why they are not there.

use std::ffi::OsString;

use clap::Args;

use crate::{replay::ReplayArgs, replay_server::absent, stop::Stop};

/// The examples of `assay --help`.
pub const EXAMPLES: &str = "Examples:\n  assay --dir /var/lib/assay init --name \"Example Corp\" --base-url https://ca.example.org\n  \
                            assay --dir /var/lib/assay serve\n  assay --dir /var/lib/assay orders list";

/// The examples of `assay serve --help`.
pub const SERVE_EXAMPLES: &str =
    "Example:\n  assay --dir /var/lib/assay serve --listen 0.0.0.0:8443";

/// The examples of `assay replay --help`.
pub const REPLAY_EXAMPLES: &str = "Examples:\n  assay replay assay/recordings\n  assay replay --root laboratory-root.pem --junit report.xml testdata/recordings\n  assay replay --bless --root laboratory-root.pem testdata/recordings";

/// The arguments of a command that this build does not have: anything.
#[derive(Debug, Args)]
pub struct Absent {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

/// `assay demo`
pub type DemoArgs = Absent;
/// `assay recording`
pub type RecordingCommand = Absent;
/// `assay simulate`
pub type SimulateCommand = Absent;

/// `assay demo`
pub async fn run_demo(_: &DemoArgs) -> Result<(), Stop> {
    Err(absent("demo"))
}

/// `assay replay --end-to-end`
pub async fn run_end_to_end(_: &ReplayArgs) -> Result<(), Stop> {
    Err(absent("replay --end-to-end"))
}

/// `assay recording`
pub fn run_recording(_: &RecordingCommand) -> Result<(), Stop> {
    Err(absent("recording"))
}

/// `assay simulate`
pub async fn run_simulate(_: &SimulateCommand) -> Result<(), Stop> {
    Err(absent("simulate"))
}
