//! `assay replay`: judges recordings again, and compares the verdicts with what
//! they say.

pub mod batch;
mod json;
mod junit;
pub mod paths;
mod table;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use assay_proto::Timestamp;
use assay_recording::{Difference, Time, Verdict};

use crate::{
    certificates, now, print_json, print_styled,
    replay::batch::{Batch, When},
    stop::{OrStop, Stop},
};

/// `assay replay`
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// Recordings, or folders: all *.json in them.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Judges all of them at this time, RFC 3339 or seconds since 1970, instead
    /// of when they were recorded.
    #[arg(long, value_name = "TIME", value_parser = crate::values::time, conflicts_with = "now")]
    pub at: Option<Timestamp>,
    /// Judges all of them as if they came now.
    #[arg(long)]
    pub now: bool,
    /// Plays each to a whole server in this process instead, from newAccount to
    /// the certificate, when it was recorded and with its token.
    #[arg(long, hide = cfg!(not(feature = "lab")), conflicts_with_all = ["at", "now", "junit"])]
    pub end_to_end: bool,
    /// With --end-to-end: writes what the server sent, one file a recording.
    #[arg(long, hide = cfg!(not(feature = "lab")), value_name = "DIR", requires = "end_to_end")]
    pub transcript: Option<PathBuf>,
    /// A root to trust beside Apple's, one PEM certificate; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub root: Vec<PathBuf>,
    /// Trusts the root that a recording brings, for that recording. It then
    /// proves only itself.
    #[arg(long)]
    pub trust_embedded_roots: bool,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Writes a JUnit report.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// What became of one file.
pub struct Row {
    file: String,
    /// Or why it is no recording that can be judged.
    replayed: Result<Replayed, String>,
}

/// A recording and its new judgement.
struct Replayed {
    source: &'static str,
    time: Time,
    judged_at: u64,
    recorded: Verdict,
    verdict: Verdict,
    root_sha256: Option<String>,
    /// Whether the root that the file brings was trusted.
    own_root: bool,
    differences: Vec<Difference>,
}

/// How many of each.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    recordings: usize,
    same: usize,
    different: usize,
    unreadable: usize,
    own_root: usize,
}

/// `assay replay`
pub fn run(args: &ReplayArgs) -> Result<(), Stop> {
    let files = paths::expand(&args.paths).map_err(Stop::usage)?;
    if let Some(path) = &args.junit {
        spare(&files, path).map_err(Stop::usage)?;
    }
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
    let rows = batch.judge_all(&files).or_fault("replay broke off")?;
    let totals = Totals::of(&rows);
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::report(&rows, &totals))
            .or_fault(format_args!("cannot write {}", path.display()))?;
    }
    if args.json {
        print_json(&json::report(&rows, &totals))?;
    } else {
        print_styled(table::report(&rows, &totals))?;
    }
    totals.end(&rows)
}

/// Whether the report may be written there: not over a recording.
fn spare(files: &[PathBuf], report: &Path) -> anyhow::Result<()> {
    let Ok(there) = report.canonicalize() else {
        return Ok(());
    };
    let same = |file: &&PathBuf| file.canonicalize().is_ok_and(|file| file == there);
    match files.iter().find(same) {
        None => Ok(()),
        Some(file) => Err(anyhow!(
            "the report would be written over the recording {}: name another file",
            file.display()
        )),
    }
}

impl Row {
    /// `same`, `different` or `unreadable`.
    fn result(&self) -> &'static str {
        match &self.replayed {
            Err(_) => "unreadable",
            Ok(replayed) if replayed.differences.is_empty() => "same",
            Ok(_) => "different",
        }
    }

    /// What is wrong, a line each.
    fn findings(&self) -> Vec<String> {
        match &self.replayed {
            Ok(replayed) => replayed
                .differences
                .iter()
                .map(ToString::to_string)
                .collect(),
            Err(error) => vec![error.clone()],
        }
    }
}

impl Totals {
    fn of(rows: &[Row]) -> Self {
        let count = |is: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
        Self {
            recordings: rows.len(),
            same: count(&|row| row.result() == "same"),
            different: count(&|row| row.result() == "different"),
            unreadable: count(&|row| row.result() == "unreadable"),
            own_root: count(&|row| row.replayed.as_ref().is_ok_and(|one| one.own_root)),
        }
    }

    /// What cannot be read weighs more than what is different: that run judged
    /// less than it was asked to.
    fn end(&self, rows: &[Row]) -> Result<(), Stop> {
        let (count, kind, doing) = match (self.unreadable, self.different) {
            (0, 0) => return Ok(()),
            (0, different) => (different, "different", "replay differently"),
            (unreadable, _) => (unreadable, "unreadable", "cannot be judged"),
        };
        let first = rows.iter().find(|row| row.result() == kind);
        let first = first.map_or_else(String::new, |row| {
            let findings = row.findings();
            let finding = findings.first().map_or("", String::as_str);
            format!("{}: {finding}", row.file)
        });
        let error = anyhow!("{count} of {} recordings {doing}: {first}", self.recordings);
        Err(match self.unreadable {
            0 => Stop::refused(error),
            _ => Stop::usage(error),
        })
    }
}

#[cfg(test)]
mod tests;
