//! A report in the dialect of JUnit that continuous integration reads.

use std::fmt::Write as _;

use super::{Row, Totals};

/// One test suite, a test case a file: what is different is a failure, what
/// cannot be judged an error.
pub fn report(rows: &[Row], totals: &Totals) -> String {
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\"",
        totals.recordings, totals.different, totals.unreadable
    );
    let mut report = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite name=\"assay replay\" {counts}>\n"
    );
    for row in rows {
        case(&mut report, row);
    }
    report.push_str("  </testsuite>\n</testsuites>\n");
    report
}

fn case(report: &mut String, row: &Row) {
    let (source, element, own_root) = match &row.replayed {
        Ok(replayed) => (replayed.source, "failure", replayed.own_root),
        Err(_) => ("unreadable", "error", false),
    };
    let file = escape(&row.file);
    // Writing into a string cannot fail.
    let _ = write!(
        report,
        "    <testcase classname=\"{source}\" name=\"{file}\""
    );
    let findings = row.findings();
    if findings.is_empty() && !own_root {
        report.push_str("/>\n");
        return;
    }
    report.push_str(">\n");
    if let Some(first) = findings.first() {
        let _ = writeln!(
            report,
            "      <{element} message=\"{}\">{}</{element}>",
            escape(first),
            escape(&findings.join("\n"))
        );
    }
    if own_root {
        report.push_str(
            "      <system-out>judged under the root that the file brings: it proves only itself</system-out>\n",
        );
    }
    report.push_str("    </testcase>\n");
}

/// XML 1.0 has no way to write most control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push('\n'),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
