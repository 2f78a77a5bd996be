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
    let (source, element) = match &row.replayed {
        Ok(replayed) => (replayed.source, "failure"),
        Err(_) => ("unreadable", "error"),
    };
    let file = escape(&row.file);
    // Writing into a string cannot fail.
    let _ = write!(
        report,
        "    <testcase classname=\"{source}\" name=\"{file}\""
    );
    let findings = row.findings();
    let _ = match findings.first() {
        None => writeln!(report, "/>"),
        Some(first) => writeln!(
            report,
            ">\n      <{element} message=\"{}\">{}</{element}>\n    </testcase>",
            escape(first),
            escape(&findings.join("\n"))
        ),
    };
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
