//! Everything about one recording that people need to understand its result.

use assay_recording::Facts;

use super::replayed::{Outcome, Replayed, Row};

/// What follows the differences of a recording.
#[derive(Default)]
pub struct Details {
    /// Name and text.
    lines: Vec<(&'static str, String)>,
    /// What to do about a root that is not trusted.
    remedy: Option<&'static str>,
}

/// The details of a row; none if it was not judged.
pub fn of(row: &Row) -> Details {
    let Outcome::Judged(replayed) = &row.outcome else {
        return Details::default();
    };
    let mut details = Details::default();
    let mut add = |name, text: String| details.lines.push((name, text));
    match &replayed.finding {
        Some(finding) => {
            add(
                "check",
                format!("{} failed; it demands: {}", finding.check, finding.sentence),
            );
            add("finding", format!("{}: {}", finding.reason, finding.detail));
        }
        None => add("check", "all passed".to_owned()),
    }
    if let Some(advice) = &replayed.advice {
        add("root", advice.fact());
    }
    match (&replayed.facts, &replayed.recorded_facts) {
        (Some(facts), _) => add("facts", words(facts)),
        (None, Some(recorded)) => add(
            "facts",
            format!("recorded, not verified now: {}", words(recorded)),
        ),
        (None, None) => {}
    }
    if replayed.own_root {
        add(
            "root",
            "judged under the root that the file brings: it proves only itself".to_owned(),
        );
    }
    details.remedy = replayed.advice.as_ref().map(|advice| advice.remedy());
    details
}

/// The finding in one line, with what to do.
pub fn finding(replayed: &Replayed) -> Option<String> {
    let finding = replayed.finding.as_ref()?;
    let advice = replayed.advice.as_ref();
    let advice = advice.map(|advice| format!("; {advice}"));
    Some(format!(
        "check {}: {}: {}{}",
        finding.check,
        finding.reason,
        finding.detail,
        advice.unwrap_or_default()
    ))
}

impl Details {
    /// A line each; with what to do about a root, unless that is said once for
    /// all recordings.
    pub fn lines(&self, with_remedy: bool) -> impl Iterator<Item = String> {
        self.lines.iter().map(move |(name, text)| {
            let remedy = match (*name, self.remedy) {
                ("root", Some(remedy)) if with_remedy => format!(": {remedy}"),
                ("root", Some(_)) => ": see ROOTS below".to_owned(),
                _ => String::new(),
            };
            format!("  {name:<8}{text}{remedy}")
        })
    }
}

fn words(facts: &Facts) -> String {
    let facts: Vec<_> = (facts.texts().into_iter())
        .map(|(key, text)| format!("{key} {text}"))
        .collect();
    facts.join(", ")
}
