//! `assay replay`: judges recordings again, and compares the verdicts with what
//! they say.

pub mod batch;
mod bless;
mod details;
pub mod foreign;
mod json;
pub mod junit;
pub mod paths;
mod replayed;
mod roots;
mod table;

use std::{collections::HashSet, path::PathBuf};

use anyhow::anyhow;
use assay_proto::Timestamp;

use crate::{
    certificates, now, print_json, print_styled,
    replay::{
        batch::{Batch, When},
        paths::Listing,
        replayed::{Outcome, Replayed, Row, Totals},
    },
    stop::{OrStop, Stop},
};

/// `assay replay`
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// Recordings, or folders: all *.json in them; `-` is standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Search folders in folders, too.
    #[arg(long)]
    pub recursive: bool,
    /// Judge all of them at this time, RFC 3339 or seconds since 1970, instead
    /// of when they were recorded.
    #[arg(long, value_name = "TIME", value_parser = crate::values::time, conflicts_with = "now")]
    pub at: Option<Timestamp>,
    /// Judge all of them as if they came now.
    #[arg(long)]
    pub now: bool,
    /// Play each to a whole server in this process instead, from newAccount to
    /// the certificate, when it was recorded and with its token.
    #[arg(long, hide = cfg!(not(feature = "lab")), conflicts_with_all = ["at", "now"])]
    pub end_to_end: bool,
    /// With --end-to-end: accept that a CSR is refused, if the recording does
    /// not say how issuance ended.
    #[arg(long, hide = cfg!(not(feature = "lab")), requires = "end_to_end")]
    pub allow_refused_csr: bool,
    /// With --end-to-end: write what the server sent, one file a recording.
    #[arg(long, hide = cfg!(not(feature = "lab")), value_name = "DIR", requires = "end_to_end")]
    pub transcript: Option<PathBuf>,
    /// A root to trust beside Apple's, one PEM certificate; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub root: Vec<PathBuf>,
    /// Trust the root that a recording brings, for that recording. It then
    /// proves only itself.
    #[arg(long)]
    pub trust_embedded_roots: bool,
    /// Rewrite each recording that is different, so that it says the new
    /// verdict, facts and root: the difference is intended.
    #[arg(long, conflicts_with_all = ["at", "now", "end_to_end"])]
    pub bless: bool,
    /// Show facts and checks of every recording, and the names of files that
    /// were skipped.
    #[arg(short, long, conflicts_with = "end_to_end")]
    pub verbose: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// `assay replay`
pub fn run(args: &ReplayArgs) -> Result<(), Stop> {
    let listing = paths::list(&args.paths, args.recursive);
    let files = listing.iter().flat_map(|listing| &listing.files);
    junit::begin(args, files.map(|listed| listed.path.as_path()))?;
    let listing = listing.map_err(Stop::usage)?;
    let roots = (args.root.iter())
        .map(|path| certificates::load_laboratory_root(path))
        .collect::<Result<_, _>>()
        .map_err(Stop::usage)?;
    let when = match (args.at, args.now) {
        (Some(at), _) => When::At(at.0),
        (None, true) => When::At(now()),
        (None, false) => When::Recorded,
    };
    let batch = Batch::new(roots, args.trust_embedded_roots, when);
    let mut rows = batch
        .judge_all(&listing.files)
        .or_fault("replay broke off")?;
    // What was judged is reported before the error of a file that was not written.
    let blessed = match args.bless {
        true => bless::bless(&mut rows, &listing.folders, &batch),
        false => Ok(()),
    };
    let totals = Totals::of(&rows);
    report(args, &rows, &listing, &totals)?;
    blessed?;
    let ended = totals.end(&rows);
    match empty_folder(&rows, &listing) {
        Some(folder) if totals.unreadable == 0 => Err(Stop::usage(anyhow!(paths::empty(folder)))),
        _ => ended,
    }
}

/// Writes the reports that the command line asks for.
fn report(args: &ReplayArgs, rows: &[Row], listing: &Listing, totals: &Totals) -> Result<(), Stop> {
    if let Some(path) = &args.junit {
        junit::write_to(path, &junit::report(rows, totals))?;
    }
    let shown = |path: &PathBuf| path.display().to_string();
    let hidden: Vec<_> = listing.hidden.iter().map(shown).collect();
    // A folder without recordings is an error, which says so by itself.
    if args.json && (totals.recordings > 0 || totals.skipped > 0 || !hidden.is_empty()) {
        print_json(&json::report(rows, &hidden, totals))?;
    } else if !args.json {
        print_styled(table::report(rows, &hidden, totals, args.verbose))?;
    }
    Ok(())
}

/// The first folder of the command line in which there is no recording.
fn empty_folder<'a>(rows: &[Row], listing: &'a Listing) -> Option<&'a PathBuf> {
    let has_recording: HashSet<_> = rows
        .iter()
        .filter(|row| !matches!(row.outcome, Outcome::Skipped(_)))
        .filter_map(|row| row.listed.folder)
        .collect();
    let mut folders = listing.folders.iter().enumerate();
    folders
        .find(|(index, _)| !has_recording.contains(index))
        .map(|(_, folder)| folder)
}

#[cfg(test)]
mod tests;
