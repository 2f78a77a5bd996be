//! `assay recording list`: a table of recordings, as they say it.

use std::path::PathBuf;

use anyhow::anyhow;
use assay_proto::Timestamp;
use assay_recording::{MAX_RECORDING_BYTES, Recording};

use super::summary::Summary;
use crate::{
    files, print,
    replay::{foreign, paths},
    stop::Stop,
    terminal,
};

/// `assay recording list`
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Recordings, or folders: all *.json in them; `-` is standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Search folders in folders, too.
    #[arg(long)]
    pub recursive: bool,
    #[command(flatten)]
    pub filter: Filter,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Which recordings are listed: those that meet all conditions.
#[derive(Debug, Default, clap::Args)]
pub struct Filter {
    /// Only this outcome: accepted or refused.
    #[arg(long, value_name = "OUTCOME", value_parser = ["accepted", "refused"])]
    pub outcome: Option<String>,
    /// Only this reason of a refusal.
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// Only devices with this serial number.
    #[arg(long, value_name = "SERIAL", allow_hyphen_values = true)]
    pub serial: Option<String>,
    /// Only devices of this model.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Only this source: acme or device-information.
    #[arg(long, value_name = "SOURCE", value_parser = ["acme", "device-information"])]
    pub source: Option<String>,
    /// Only recordings with this label.
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
    /// Only recordings from this time on, RFC 3339 or seconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = crate::values::time)]
    pub since: Option<Timestamp>,
    /// Only recordings before this time, RFC 3339 or seconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = crate::values::time)]
    pub until: Option<Timestamp>,
}

impl Filter {
    fn lets_pass(&self, recording: &Recording, summary: &Summary) -> bool {
        let is = |wanted: &Option<String>, text: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| text == Some(wanted))
        };
        let time = recording.time().seconds();
        is(&self.outcome, Some(&summary.outcome))
            && is(&self.reason, summary.reason.as_deref())
            && is(&self.serial, summary.device.serial.as_deref())
            && is(&self.model, summary.device.model.as_deref())
            && is(&self.source, Some(summary.source))
            && (self.label.as_ref()).is_none_or(|label| summary.labels.contains(label))
            && self.since.is_none_or(|since| since.0 <= time)
            && self.until.is_none_or(|until| time < until.0)
    }
}

/// `assay recording list`
pub fn run(args: &ListArgs) -> Result<(), Stop> {
    let listing = paths::list(&args.paths, args.recursive).map_err(Stop::usage)?;
    let mut summaries = Vec::new();
    let mut faults = Vec::new();
    let mut skipped = 0;
    for listed in listing.files {
        let file = listed.path.display().to_string();
        match read(&listed) {
            Ok(Some(recording)) => {
                let summary = Summary::of(file, &recording);
                if args.filter.lets_pass(&recording, &summary) {
                    summaries.push(summary);
                }
            }
            Ok(None) => skipped += 1,
            Err(error) => faults.push(format!("{file}: {error:#}")),
        }
    }
    if args.json {
        for summary in &summaries {
            print(terminal::json(&summary.json()).map_err(Stop::fault)?)?;
        }
    } else {
        print(table(&summaries, skipped))?;
    }
    match faults.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(Stop::usage(anyhow!(
            "{} files cannot be read as recordings: {first}",
            faults.len()
        ))),
    }
}

/// The recording; `None` for a file in a folder that is none.
fn read(listed: &paths::Listed) -> anyhow::Result<Option<Recording>> {
    let is_in_folder = listed.folder.is_some();
    if is_in_folder && foreign::by_size(&listed.path).is_some() {
        return Ok(None);
    }
    let bytes = files::read_input(&listed.path, MAX_RECORDING_BYTES as u64)?;
    match Recording::parse(&bytes) {
        Ok(recording) => Ok(Some(recording)),
        Err(_) if is_in_folder && foreign::by_content(&listed.path, &bytes).is_some() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn table(summaries: &[Summary], skipped: usize) -> String {
    let head = [
        "TIME", "SERIAL", "MODEL", "OS", "FORMAT", "OUTCOME", "REASON", "FILE",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(summaries.iter().map(cells));
    let widths: [usize; 8] = std::array::from_fn(|column| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or_default()
    });
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = row.iter().zip(widths);
            let line: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            line.join("  ").trim_end().to_owned()
        })
        .collect();
    if summaries
        .iter()
        .any(|summary| !summary.device.is_recorded && summary.device.is_known())
    {
        lines.push("?: not verified, refused evidence says it of itself".to_owned());
    }
    let skipped = match skipped {
        0 => String::new(),
        count => format!("; {count} files that are no recordings were skipped"),
    };
    lines.push(format!("{} recordings{skipped}", summaries.len()));
    lines.join("\n")
}

fn cells(summary: &Summary) -> [String; 8] {
    let device = &summary.device;
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let outcome = match &summary.freshness {
        Some(freshness) => format!("{}, {freshness}", summary.outcome),
        None => summary.outcome.clone(),
    };
    [
        summary.time.clone(),
        device.cell(device.serial.as_ref()),
        device.cell(device.model.as_ref()),
        device.cell(device.os_version.as_ref()),
        summary
            .format
            .map_or(summary.source, |format| format)
            .to_owned(),
        outcome,
        or_dash(summary.reason.as_deref()),
        summary.file.clone(),
    ]
    .map(|cell| terminal::escape(&cell))
}
