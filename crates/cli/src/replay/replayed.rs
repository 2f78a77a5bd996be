//! What became of each file, and of all of them.

use std::time::Duration;

use anyhow::anyhow;
use assay_recording::{Difference, Facts, Finding, Time, Verdict};

use super::{paths::Listed, roots::Advice};
use crate::stop::Stop;

/// Extensions of a report's facts, and characters of each: so that many files of
/// the largest size fit into memory.
const MAX_EXTENSIONS: usize = 32;
const MAX_EXTENSION: usize = 1024;

/// What became of one file.
pub struct Row {
    /// As it is shown.
    pub file: String,
    pub listed: Listed,
    pub took: Duration,
    pub outcome: Outcome,
}

/// What became of a file.
pub enum Outcome {
    /// It was judged.
    Judged(Box<Replayed>),
    /// It is a file in a folder that is no recording, and why it is none.
    Skipped(String),
    /// Why it cannot be judged.
    Unreadable(String),
}

/// A recording and its new judgement.
pub struct Replayed {
    pub source: &'static str,
    pub time: Time,
    pub judged_at: u64,
    pub recorded: Verdict,
    /// Kept only if the judgement is different.
    pub recorded_facts: Option<Facts>,
    pub verdict: Verdict,
    /// Why it is refused now.
    pub finding: Option<Finding>,
    /// What to do, if it is different because a root is not trusted.
    pub advice: Option<Advice>,
    pub facts: Option<Facts>,
    pub root_sha256: Option<String>,
    /// Whether the root that the file brings was trusted.
    pub own_root: bool,
    /// Conditions that the facts must meet would be one more reason for
    /// [`Row::result`] to be `different`, and lines of [`Row::findings`].
    pub differences: Vec<Difference>,
    /// Whether the file was rewritten to say the new judgement.
    pub blessed: bool,
}

/// How many of each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub recordings: usize,
    pub same: usize,
    pub different: usize,
    pub unreadable: usize,
    pub own_root: usize,
    /// Of those that are different.
    pub blessed: usize,
    /// Files that are no recordings; not among `recordings`.
    pub skipped: usize,
}

impl Row {
    /// `same`, `different`, `unreadable` or `skipped`.
    pub fn result(&self) -> &'static str {
        match &self.outcome {
            Outcome::Skipped(_) => "skipped",
            Outcome::Unreadable(_) => "unreadable",
            Outcome::Judged(replayed) if replayed.differences.is_empty() => "same",
            Outcome::Judged(_) => "different",
        }
    }

    /// The judgement, if there is one.
    pub fn replayed(&self) -> Option<&Replayed> {
        match &self.outcome {
            Outcome::Judged(replayed) => Some(replayed),
            Outcome::Skipped(_) | Outcome::Unreadable(_) => None,
        }
    }

    /// What is wrong, a line each.
    pub fn findings(&self) -> Vec<String> {
        match &self.outcome {
            Outcome::Judged(replayed) => replayed
                .differences
                .iter()
                .map(ToString::to_string)
                .collect(),
            Outcome::Skipped(_) => Vec::new(),
            Outcome::Unreadable(error) => vec![error.clone()],
        }
    }
}

impl Totals {
    pub fn of(rows: &[Row]) -> Self {
        let count = |result| rows.iter().filter(|row| row.result() == result).count();
        let judged = |is: fn(&Replayed) -> bool| {
            let judged = rows.iter().filter_map(Row::replayed);
            judged.filter(|replayed| is(replayed)).count()
        };
        let skipped = count("skipped");
        Self {
            recordings: rows.len() - skipped,
            same: count("same"),
            different: count("different"),
            unreadable: count("unreadable"),
            own_root: judged(|replayed| replayed.own_root),
            blessed: judged(|replayed| replayed.blessed),
            skipped,
        }
    }

    /// What cannot be read weighs more than what is different: that run judged
    /// less than it was asked to. A difference that was blessed is accepted.
    pub fn end(&self, rows: &[Row]) -> Result<(), Stop> {
        let different = self.different - self.blessed;
        let (count, kind, doing) = match (self.unreadable, different) {
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
        let error = anyhow!(
            "{count} of {} recordings {doing}: {first}{}",
            self.recordings,
            roots(rows)
        );
        Err(match self.unreadable {
            0 => Stop::refused(error),
            _ => Stop::usage(error),
        })
    }
}

/// That roots are missing: it explains most differences of a first run.
fn roots(rows: &[Row]) -> String {
    let advice = rows
        .iter()
        .filter_map(|row| row.replayed()?.advice.as_ref());
    let embedded = advice.filter(|advice| advice.is_embedded()).count();
    match embedded {
        0 => String::new(),
        1 => "; 1 embeds a root that is not trusted: pass --root FILE or --trust-embedded-roots"
            .to_owned(),
        _ => format!(
            "; {embedded} embed a root that is not trusted: pass --root FILE or --trust-embedded-roots"
        ),
    }
}

/// Facts of a bounded size.
pub fn bounded(mut facts: Facts) -> Facts {
    facts.unknown_extensions.truncate(MAX_EXTENSIONS);
    for extension in &mut facts.unknown_extensions {
        if let Some((end, _)) = extension.value.char_indices().nth(MAX_EXTENSION) {
            extension.value.truncate(end);
            extension.value.push('…');
        }
    }
    facts
}
