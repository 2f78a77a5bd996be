use assay_proto::Timestamp;
use assay_recording::{Difference, Finding};
use serde_json::{Value, json};

use super::{
    replayed::{Outcome, Replayed, Row, Totals},
    roots::{Advice, RootName, Untrusted},
};

/// One object: `results`, one a recording, `skipped`, and `totals`.
pub fn report(rows: &[Row], hidden: &[String], totals: &Totals) -> Value {
    let skipped = rows.iter().filter_map(|row| match &row.outcome {
        Outcome::Skipped(why) => Some(json!({"file": row.file, "why": why})),
        _ => None,
    });
    let hidden = hidden
        .iter()
        .map(|file| json!({"file": file, "why": "it is hidden: its name begins with a dot"}));
    json!({
        "results": rows.iter().filter_map(row).collect::<Vec<_>>(),
        "skipped": skipped.chain(hidden).collect::<Vec<_>>(),
        "totals": {
            "recordings": totals.recordings,
            "same": totals.same,
            "different": totals.different,
            "unreadable": totals.unreadable,
            "under_embedded_roots": totals.own_root,
        },
    })
}

fn row(row: &Row) -> Option<Value> {
    let mut object = match &row.outcome {
        Outcome::Skipped(_) => return None,
        Outcome::Unreadable(error) => json!({"error": error}),
        Outcome::Judged(replayed) => judged(replayed),
    };
    object["file"] = json!(row.file);
    object["result"] = json!(row.result());
    object["milliseconds"] = json!(milliseconds(row));
    Some(object)
}

fn judged(replayed: &Replayed) -> Value {
    let finding = replayed.finding.as_ref();
    let mut object = json!({
        "source": replayed.source,
        "time": replayed.time.to_string(),
        "judged_at": Timestamp(replayed.judged_at).to_string(),
        "recorded": replayed.recorded,
        "replayed": replayed.verdict,
        "facts": replayed.facts,
        "failed_check": finding.map(|finding| json!({
            "check": finding.check,
            "meaning": finding.sentence,
        })),
        "finding": finding.map(|one| self::finding(one, replayed.advice.as_ref())),
        "root_sha256": replayed.root_sha256,
        "embedded_root_trusted": replayed.own_root,
        "differences": replayed.differences.iter().map(difference).collect::<Vec<_>>(),
        "blessed": replayed.blessed,
    });
    if let Some(facts) = &replayed.recorded_facts {
        object["recorded_facts"] = json!(facts);
    }
    object
}

fn finding(finding: &Finding, advice: Option<&Advice>) -> Value {
    let mut object = json!({"reason": finding.reason, "detail": finding.detail});
    if let Some(advice) = advice {
        object["advice"] = json!(advice.to_string());
        if let Untrusted::Embedded(root) = &advice.untrusted {
            object["embedded_root"] = named(root);
        }
        object["same_name"] = advice.same_name.iter().map(named).collect();
    }
    object
}

fn named(root: &RootName) -> Value {
    json!({"name": root.name, "sha256": root.sha256})
}

fn difference(difference: &Difference) -> Value {
    json!({
        "field": difference.field,
        "recorded": difference.recorded,
        "replayed": difference.replayed,
    })
}

/// With three digits behind the point.
fn milliseconds(row: &Row) -> f64 {
    (row.took.as_secs_f64() * 1e6).round() / 1e3
}
