//! The laboratory's commands: what needs the simulator, or `assay-lab`. A build
//! without the feature `lab` has `no_lab.rs` in the place of this module.

mod demo;
mod end_to_end;
mod recording;
mod simulate;

pub use self::{
    demo::{DemoArgs, run as run_demo},
    end_to_end::run as run_end_to_end,
    recording::{RecordingCommand, run as run_recording},
    simulate::{SimulateCommand, run as run_simulate},
};

/// The examples of `assay --help`.
pub const EXAMPLES: &str = "Examples:\n  assay demo\n  assay --dir /var/lib/assay init --name \"Example Corp\" --base-url https://ca.example.org\n  \
                            assay --dir /var/lib/assay serve\n  assay --dir /var/lib/assay orders list";

/// The examples of `assay serve --help`.
pub const SERVE_EXAMPLES: &str = "Examples:\n  assay --dir /var/lib/assay serve --listen 0.0.0.0:8443\n  assay --dir lab serve --replay recording.json";

/// The examples of `assay replay --help`.
pub const REPLAY_EXAMPLES: &str = "Examples:\n  assay replay assay/recordings\n  assay replay --root laboratory-root.pem --junit report.xml testdata/recordings\n  \
                                   assay replay --bless --root laboratory-root.pem testdata/recordings\n  \
                                   assay replay --end-to-end --transcript sent recording.json";
