//! What was made of a recording, for people and for programs.

use std::path::Path;

use assay_lab::anonymise::{Anonymised, Meaning, Means, Way};
use serde_json::{Value, json};

use super::AnonymiseArgs;
use crate::{replay::batch::Opened, terminal::escape};

/// One object.
pub fn json(args: &AnonymiseArgs, opened: &Opened, anonymised: &Anonymised) -> Value {
    let contents = anonymised.recording.contents();
    let checks: Vec<Value> = anonymised
        .meanings
        .iter()
        .map(|meaning| {
            json!({
                "check": meaning.check,
                "outcome": meaning.outcome,
                "means": meaning.means.as_str(),
                "why": meaning.why,
            })
        })
        .collect();
    json!({
        "in": args.input.to_string_lossy(),
        "out": args.output.to_string_lossy(),
        "verdict": contents.claims.verdict,
        "embedded_root_trusted": opened.own_root,
        "checks": checks,
        "fault": match &anonymised.way {
            Way::Forged(fault) => Some(fault.name()),
            Way::AsItWas | Way::Rebuilt { .. } => None,
        },
        "extensions_left_out": left_out(&anonymised.way),
    })
}

/// The checks in three groups, and what to look at before the file is given
/// away.
pub fn words(output: &Path, opened: &Opened, anonymised: &Anonymised) -> String {
    let verdict = &anonymised.recording.contents().claims.verdict;
    let mut lines = vec![format!(
        "Wrote {}: about an invented device, under a laboratory's root of its own, and judged the same: {}.",
        escape(&output.display().to_string()),
        escape(&verdict.to_string())
    )];
    for (means, title) in [
        (Means::Same, "These mean the same, of other values:"),
        (Means::Else, "These mean something else now:"),
        (Means::NotReached, "These were not reached:"),
    ] {
        let group: Vec<_> = (anonymised.meanings.iter())
            .filter(|meaning| meaning.means == means)
            .map(line)
            .collect();
        if !group.is_empty() {
            lines.push(String::new());
            lines.push(title.to_owned());
            lines.extend(group);
        }
    }
    lines.push(String::new());
    let left_out = left_out(&anonymised.way);
    if !left_out.is_empty() {
        lines.push(format!("Extensions left out: {}.", left_out.join(", ")));
    }
    if opened.own_root {
        lines.push(
            "ATTENTION: the original was judged under a root that it brings itself: it proves only itself."
                .to_owned(),
        );
    }
    lines.push(
        "Kept as they were: times, model, versions, posture, kind of key, what the key is for (extended key usage), an identifier's assigner or hardware type. Look whether they tell too much before you give the file away."
            .to_owned(),
    );
    lines.join("\n")
}

fn line(meaning: &Meaning) -> String {
    let outcome = meaning.outcome.as_deref().unwrap_or_default();
    let line = format!("  {:<13} {outcome:<12} {}", meaning.check, meaning.why);
    line.trim_end().to_owned()
}

fn left_out(way: &Way) -> &[String] {
    match way {
        Way::Rebuilt { left_out } => left_out,
        Way::AsItWas | Way::Forged(_) => &[],
    }
}
