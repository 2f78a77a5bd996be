//! What became of all recordings, for people and for programs.

use anyhow::anyhow;
use serde_json::{Value, json};

use super::{Outcome, Row};
use crate::{stop::Stop, terminal::escape};

/// How many of each.
struct Totals {
    same: usize,
    different: usize,
    not_applicable: usize,
    unreadable: usize,
}

impl Totals {
    fn of(rows: &[Row]) -> Self {
        let count = |result| {
            let is = |row: &&Row| row.outcome.result() == result;
            rows.iter().filter(is).count()
        };
        Self {
            same: count("same"),
            different: count("different"),
            not_applicable: count("not-applicable"),
            unreadable: count("unreadable"),
        }
    }
}

/// A line a recording, and one for all.
pub fn text(rows: &[Row]) -> String {
    let totals = Totals::of(rows);
    let mut lines: Vec<_> = rows.iter().map(line).collect();
    lines.push(format!(
        "{} recordings end to end: {} the same, {} different, {} not applicable, {} unreadable",
        rows.len(),
        totals.same,
        totals.different,
        totals.not_applicable,
        totals.unreadable
    ));
    lines.join("\n")
}

/// One object: `results`, one a file, and `totals`.
pub fn json(rows: &[Row]) -> Value {
    let totals = Totals::of(rows);
    json!({
        "results": rows.iter().map(row_json).collect::<Vec<_>>(),
        "totals": {
            "recordings": rows.len(),
            "same": totals.same,
            "different": totals.different,
            "not_applicable": totals.not_applicable,
            "unreadable": totals.unreadable,
        },
    })
}

/// How the command ends. What cannot be read weighs more than what is
/// different; and where nothing was played, nothing was shown.
pub fn end(rows: &[Row]) -> Result<(), Stop> {
    let totals = Totals::of(rows);
    let all = rows.len();
    let first = |result| {
        let found = rows.iter().find(|row| row.outcome.result() == result);
        found.map(line).unwrap_or_default()
    };
    match (totals.unreadable, totals.different, totals.same) {
        (0, 0, 0) => Err(Stop::usage(anyhow!(
            "none of the {all} recordings is of ACME: nothing was played"
        ))),
        (0, 0, _) => Ok(()),
        (0, different, _) => Err(Stop::refused(anyhow!(
            "{different} of {all} recordings replay differently: {}",
            first("different")
        ))),
        (unreadable, ..) => Err(Stop::usage(anyhow!(
            "{unreadable} of {all} recordings cannot be read: {}",
            first("unreadable")
        ))),
    }
}

fn line(row: &Row) -> String {
    let said = match &row.outcome {
        Outcome::Failed { error } => format!("different: it came to no verdict: {error}"),
        Outcome::NotApplicable => {
            "not applicable: an answer to a DeviceInformation query has no part in ACME".to_owned()
        }
        Outcome::Played {
            recorded,
            verdict,
            end,
            own_root,
            transcript_sha256,
        } => {
            let verdicts = if recorded == verdict {
                format!("same: {verdict}")
            } else {
                format!("different: recorded {recorded}, replayed {verdict}")
            };
            let told = end.detail().map(|detail| format!(" ({detail})"));
            format!(
                "{verdicts}; ended with {}{}{}; transcript {transcript_sha256}",
                end.as_str(),
                told.unwrap_or_default(),
                if *own_root {
                    "; under the root that the file brings"
                } else {
                    ""
                },
            )
        }
        Outcome::Unreadable { error } => format!("unreadable: {error}"),
    };
    escape(&format!("{}: {said}", row.file))
}

fn row_json(row: &Row) -> Value {
    let mut object = match &row.outcome {
        Outcome::Failed { error } | Outcome::Unreadable { error } => json!({"error": error}),
        Outcome::NotApplicable => json!({}),
        Outcome::Played {
            recorded,
            verdict,
            end,
            own_root,
            transcript_sha256,
        } => json!({
            "recorded": recorded,
            "replayed": verdict,
            "end": end.as_str(),
            "detail": end.detail(),
            "embedded_root_trusted": own_root,
            "transcript_sha256": transcript_sha256,
        }),
    };
    object["file"] = json!(row.file);
    object["result"] = json!(row.outcome.result());
    object
}
