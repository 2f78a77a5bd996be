//! `--fault list`: what can be done wrong.

use assay_simulator::faults::{Fault, Good, Outcome};
use serde_json::{Value, json};

use crate::{print, print_json, stop::Stop};

/// Prints the table of faults.
pub(super) fn print_faults(as_json: bool) -> Result<(), Stop> {
    if as_json {
        let faults: Vec<Value> = Fault::all().map(fault_json).collect();
        let goods: Vec<Value> = Good::all()
            .map(|good| json!({"name": good.name(), "meaning": good.meaning()}))
            .collect();
        return print_json(&json!({"faults": faults, "good": goods}));
    }
    let mut lines = Vec::new();
    for fault in Fault::all() {
        let scenarios: Vec<String> = fault.scenarios().iter().map(u16::to_string).collect();
        lines.push(format!(
            "{:<40} {:<8} {}",
            fault.name(),
            scenarios.join(","),
            in_words(fault)
        ));
        lines.push(format!("    {}", fault.meaning()));
    }
    lines.push("\nNothing is wrong (forge only, but for none):".to_owned());
    for good in Good::all() {
        lines.push(format!("{}\n    {}", good.name(), good.meaning()));
    }
    print(lines.join("\n"))
}

/// What a fault is, as JSON.
pub(super) fn fault_json(fault: &Fault) -> Value {
    let outcome = fault.outcome();
    let (verdict, unless) = match outcome {
        Outcome::Accepted { unless } => ("accepted", Some(unless)),
        _ => ("refused", None),
    };
    json!({
        "name": fault.name(),
        "scenarios": fault.scenarios(),
        "meaning": fault.meaning(),
        "where": place(fault),
        "outcome": verdict,
        "problem": outcome.problem(),
        "reason": outcome.reason(),
        "accepted_unless": unless,
    })
}

/// What a right server says, in words.
pub(super) fn in_words(fault: &Fault) -> String {
    let outcome = fault.outcome();
    match (outcome, outcome.problem(), outcome.reason()) {
        (Outcome::Accepted { unless }, ..) => format!("accepted, unless {unless}"),
        (_, Some(problem), Some(reason)) => {
            let only = if fault.is_forgeable() {
                ""
            } else {
                ", enroll only"
            };
            format!("{reason} ({problem}{only})")
        }
        (_, problem, _) => format!("{} (enroll only)", problem.unwrap_or_default()),
    }
}

/// Where the fault is.
fn place(fault: &Fault) -> &'static str {
    match fault.outcome() {
        _ if !fault.is_forgeable() => "request",
        Outcome::Identity { .. } => "identity",
        Outcome::Accepted { .. } => "posture",
        Outcome::Evidence { .. } | Outcome::Request { .. } => "evidence",
    }
}
