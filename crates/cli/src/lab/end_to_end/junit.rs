//! A JUnit report of replays from end to end.

use std::fmt::Write as _;

use super::{
    Outcome, Row, SUITE,
    report::{Totals, findings, not_compared},
};
use crate::replay::junit::{attribute, text};

/// One test suite, a test case for each recording: a difference is a failure, an
/// unreadable file an error, and what is no enrolment is skipped.
pub fn report(rows: &[Row]) -> String {
    let totals = Totals::of(rows);
    let skipped = rows.len() - totals.same - totals.different - totals.unreadable;
    let cases: String = rows.iter().map(case).collect();
    suite(
        [rows.len(), totals.different, totals.unreadable, skipped],
        &cases,
    )
}

fn suite([tests, failures, errors, skipped]: [usize; 4], cases: &str) -> String {
    let counts = format!(
        "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\""
    );
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  \
         <testsuite name=\"{SUITE}\" {counts}>\n{cases}  \
         </testsuite>\n</testsuites>\n"
    )
}

fn case(row: &Row) -> String {
    let class = match &row.outcome {
        Outcome::Failed { .. } | Outcome::Played(_) => "acme",
        Outcome::NotApplicable => "device-information",
        Outcome::Unreadable { .. } => "unreadable",
    };
    let mut case = format!(
        "    <testcase classname=\"{class}\" name=\"{}\">\n",
        attribute(&row.file)
    );
    match &row.outcome {
        Outcome::Failed { error } => {
            let finding = format!("there was no verdict: {error}");
            element(&mut case, "failure", &[finding]);
        }
        Outcome::NotApplicable => case.push_str("      <skipped/>\n"),
        Outcome::Unreadable { error } => element(&mut case, "error", std::slice::from_ref(error)),
        Outcome::Played(replayed) => {
            element(&mut case, "failure", &findings(replayed));
            let comparison = &replayed.comparison;
            let mut said: Vec<_> = comparison.not_compared.iter().map(not_compared).collect();
            if replayed.own_root {
                let own_root = "judged under the root that the file brings: it proves only itself";
                said.push(own_root.to_owned());
            }
            if !said.is_empty() {
                // Writing into a string cannot fail.
                let _ = writeln!(case, "      <system-out>{}</system-out>", text(&said));
            }
        }
    }
    case.push_str("    </testcase>\n");
    case
}

/// An element whose message is the first finding; none if there is no finding.
fn element(case: &mut String, name: &str, findings: &[String]) {
    let Some(first) = findings.first() else {
        return;
    };
    // Writing into a string cannot fail.
    let _ = writeln!(
        case,
        "      <{name} message=\"{}\">{}</{name}>",
        attribute(first),
        text(findings)
    );
}
