//! `assay recording show` and `diff`: every value of a recording, and what two
//! recordings say differently. Nothing is judged.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use assay_recording::{Change, Field, MAX_RECORDING_BYTES, Recording};
use serde_json::{Value, json};

use crate::{
    files, print, print_json,
    stop::{OrStop, Stop},
};

/// `assay recording show`
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The recording; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay recording diff`
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// The first recording; `-` is standard input.
    #[arg(value_name = "A")]
    pub first: PathBuf,
    /// The second recording.
    #[arg(value_name = "B")]
    pub second: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay recording show`
pub fn run_show(args: &ShowArgs) -> Result<(), Stop> {
    let recording = read(&args.file)?;
    let fields = recording.fields();
    if args.json {
        let values: serde_json::Map<String, Value> = fields
            .into_iter()
            .map(|field| (field.path, Value::String(field.text)))
            .collect();
        return print_json(&json!({"file": args.file.to_string_lossy(), "fields": values}));
    }
    let width = width(fields.iter().map(|field| field.path.as_str()));
    let lines: Vec<_> = fields
        .iter()
        .map(|Field { path, text, .. }| format!("{path:width$}  {text}"))
        .collect();
    print(lines.join("\n"))
}

/// `assay recording diff`
pub fn run_diff(args: &DiffArgs) -> Result<(), Stop> {
    let (first, second) = (read(&args.first)?, read(&args.second)?);
    let changes = first.changes(&second);
    if args.json {
        let changes: Vec<_> = changes
            .iter()
            .map(|change| json!({"field": change.path, "a": change.before, "b": change.after}))
            .collect();
        print_json(&json!({
            "a": args.first.to_string_lossy(),
            "b": args.second.to_string_lossy(),
            "differences": changes,
        }))?;
    } else if !changes.is_empty() {
        let width = width(changes.iter().map(|change| change.path.as_str()));
        let lines: Vec<_> = changes.iter().map(|change| line(change, width)).collect();
        print(lines.join("\n"))?;
    }
    match changes.len() {
        0 => Ok(()),
        count => Err(Stop::refused(anyhow!(
            "{} and {} differ in {count} values",
            args.first.display(),
            args.second.display()
        ))),
    }
}

fn line(change: &Change, width: usize) -> String {
    let text = |text: &Option<String>| match text {
        Some(text) => format!("{text:?}"),
        None => "nothing".to_owned(),
    };
    let (path, before, after) = (&change.path, text(&change.before), text(&change.after));
    format!("{path:width$}  {before} -> {after}")
}

fn width<'a>(paths: impl Iterator<Item = &'a str>) -> usize {
    paths.map(str::len).max().unwrap_or_default()
}

/// Reads one recording.
pub fn read(file: &Path) -> Result<Recording, Stop> {
    let bytes = files::read_input(file, MAX_RECORDING_BYTES as u64).map_err(Stop::usage)?;
    Recording::parse(&bytes).or_usage(file.display())
}
