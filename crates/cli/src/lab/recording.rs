//! `assay recording`: makes recordings of evidence from elsewhere, and others
//! that can be shared.

mod export;
mod import;
mod list;
mod report;
mod show;
mod summary;

use std::{
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use assay_lab::anonymise::{RandomSource, anonymise};
use tempfile::NamedTempFile;

use crate::{
    certificates, print, print_json,
    replay::batch::{Batch, When},
    stop::{OrStop, Stop},
};

/// `assay recording`
#[derive(Debug, clap::Subcommand)]
pub enum RecordingCommand {
    /// Write a recording about an invented device that is judged the same, and
    /// say what each check means now.
    #[command(
        after_help = "Example:\n  assay recording anonymise --root laboratory-root.pem order.json to-send.json"
    )]
    Anonymise(AnonymiseArgs),
    /// Show what two recordings say differently.
    #[command(after_help = "Example:\n  assay recording diff before.json after.json")]
    Diff(show::DiffArgs),
    /// Write the parts of a recording as files that other programs read.
    #[command(after_help = "Example:\n  assay recording export recording.json --to parts")]
    Export(export::ExportArgs),
    /// Make a recording of evidence that something else captured, in any form:
    /// judge it and show the verdict.
    #[command(
        after_help = "Examples:\n  assay recording import enrolment.har recording.json\n  \
                      assay recording import --token TOKEN --serial C02XK0AAJHD2 --at 2026-11-18T12:00:00Z attestation.cbor recording.json\n  \
                      assay recording import --nonce 0a1b2c --sent 2026-11-18T12:00:00Z answer.plist recording.json"
    )]
    Import(Box<import::ImportArgs>),
    /// List recordings: time, device, outcome and reason, as the files say.
    #[command(after_help = "Examples:\n  assay recording list assay/recordings\n  \
                      assay recording list --outcome refused --since 2026-11-01T00:00:00Z --json assay/recordings")]
    List(Box<list::ListArgs>),
    /// Show every value of a recording.
    #[command(after_help = "Example:\n  assay recording show recording.json")]
    Show(show::ShowArgs),
}

/// `assay recording anonymise`
#[derive(Debug, clap::Args)]
pub struct AnonymiseArgs {
    /// The recording. It stays as it is.
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The new recording. Nothing is overwritten.
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// A root to trust beside Apple's, one PEM certificate; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub root: Vec<PathBuf>,
    /// Trust the root that the recording brings: it then proves only itself.
    #[arg(long)]
    pub trust_embedded_roots: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay recording`
pub fn run(command: &RecordingCommand) -> Result<(), Stop> {
    match command {
        RecordingCommand::Anonymise(args) => run_anonymise(args),
        RecordingCommand::Diff(args) => show::run_diff(args),
        RecordingCommand::Export(args) => export::run(args),
        RecordingCommand::Import(args) => import::run(args),
        RecordingCommand::List(args) => list::run(args),
        RecordingCommand::Show(args) => show::run_show(args),
    }
}

fn run_anonymise(args: &AnonymiseArgs) -> Result<(), Stop> {
    let (input, output) = (args.input.display(), args.output.display());
    let taken = || {
        Stop::usage(anyhow!(
            "{output} is there already, and nothing is overwritten: name another file"
        ))
    };
    if args.output.symlink_metadata().is_ok() {
        return Err(taken());
    }
    let roots = (args.root.iter())
        .map(|path| certificates::load_laboratory_root(path))
        .collect::<Result<_, _>>()
        .map_err(Stop::usage)?;
    let batch = Batch::new(roots, args.trust_embedded_roots, When::Recorded);
    let opened = batch.open(&args.input).or_usage(&input)?;
    let anonymised = anonymise(
        &opened.recording,
        &opened.verifier,
        opened.at,
        &mut RandomSource(&mut system_random),
    )
    .map_err(|error| Stop::refused(error.context(input.to_string())))?;
    match write_new(&args.output, &anonymised.recording.to_json()) {
        Ok(()) => {}
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(taken()),
        written @ Err(_) => written.or_fault(format_args!("cannot write {output}"))?,
    }
    if args.json {
        print_json(&report::json(args, &opened, &anonymised))
    } else {
        print(report::words(&args.output, &opened, &anonymised))
    }
}

fn system_random(bytes: &mut [u8]) -> anyhow::Result<()> {
    aws_lc_rs::rand::fill(bytes).context("the operating system gives no random bytes")
}

/// A new file for its owner alone, whole or not at all.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    // The mode of temporary files is 600.
    let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}
