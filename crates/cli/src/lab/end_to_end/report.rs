//! What became of all recordings, for people and for programs.

use anyhow::anyhow;
use assay_recording::{CertificateFacts, Difference, NotCompared};
use serde_json::{Value, json};

use super::{Outcome, Replayed, Row};
use crate::{stop::Stop, terminal::escape};

/// The difference that a recording without an end of issuance can have.
const UNRECORDED_REFUSAL: &str = "the recording does not say how issuance ended, and its CSR is refused now: pass --allow-refused-csr if it was refused then";

/// How many of each.
pub(super) struct Totals {
    pub(super) same: usize,
    pub(super) different: usize,
    not_applicable: usize,
    pub(super) unreadable: usize,
}

impl Totals {
    pub(super) fn of(rows: &[Row]) -> Self {
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
        Outcome::Played(replayed) => played(replayed),
        Outcome::Unreadable { error } => format!("unreadable: {error}"),
    };
    escape(&format!("{}: {said}", row.file))
}

/// What is different or the same, how it ended, and what was not compared.
fn played(replayed: &Replayed) -> String {
    let verdict = &replayed.result.verdict;
    let mut said = if *verdict != replayed.recorded {
        let recorded = &replayed.recorded;
        vec![format!(
            "different: recorded {recorded}, replayed {verdict}"
        )]
    } else if replayed.comparison.is_same() {
        vec![format!("same: {verdict}")]
    } else {
        let findings = findings(replayed);
        vec![format!("different: {}", findings.join("; "))]
    };
    let detail = replayed.end.detail().map(|detail| format!(" ({detail})"));
    said.push(format!(
        "ended with {}{}",
        replayed.end.as_str(),
        detail.unwrap_or_default()
    ));
    let issuance = replayed.result.issuance.as_ref();
    let certificate = issuance.and_then(|issuance| issuance.certificate.as_ref());
    said.extend(certificate.map(facts));
    if replayed.own_root {
        said.push("under the root that the file brings".to_owned());
    }
    said.extend(replayed.comparison.not_compared.iter().map(not_compared));
    said.push(format!("transcript {}", replayed.transcript_sha256));
    said.join("; ")
}

/// Every difference, a line each, and what to do about them if that is known.
pub(super) fn findings(replayed: &Replayed) -> Vec<String> {
    let comparison = &replayed.comparison;
    let mut findings: Vec<_> = (comparison.differences.iter())
        .map(ToString::to_string)
        .collect();
    if comparison.unrecorded_refusal {
        findings.push(UNRECORDED_REFUSAL.to_owned());
    }
    findings
}

pub(super) fn not_compared(one: &NotCompared) -> String {
    format!("not compared: {}: {}", one.field, one.why)
}

/// The facts about the certificate.
fn facts(facts: &CertificateFacts) -> String {
    let names = match facts.names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(" "),
    };
    format!(
        "subject {:?}, names {names}, key {}, key usage {}, extended key usage {}, lifetime {} s",
        facts.subject,
        facts.spki_sha256,
        facts.key_usage.join(" "),
        facts.extended_key_usage.join(" "),
        facts.lifetime
    )
}

fn row_json(row: &Row) -> Value {
    let mut object = match &row.outcome {
        Outcome::Failed { error } | Outcome::Unreadable { error } => json!({"error": error}),
        Outcome::NotApplicable => json!({}),
        Outcome::Played(replayed) => json!({
            "recorded": replayed.recorded,
            "replayed": replayed.result.verdict,
            "recorded_issuance": replayed.recorded_issuance,
            "issuance": replayed.result.issuance,
            "differences": replayed.comparison.differences.iter().map(difference).collect::<Vec<_>>(),
            "not_compared": replayed.comparison.not_compared.iter().map(|one| json!({
                "field": one.field,
                "why": one.why,
            })).collect::<Vec<_>>(),
            "end": replayed.end.as_str(),
            "detail": replayed.end.detail(),
            "embedded_root_trusted": replayed.own_root,
            "transcript_sha256": replayed.transcript_sha256,
        }),
    };
    object["file"] = json!(row.file);
    object["result"] = json!(row.outcome.result());
    object
}

fn difference(difference: &Difference) -> Value {
    json!({
        "field": difference.field,
        "recorded": difference.recorded,
        "replayed": difference.replayed,
    })
}
