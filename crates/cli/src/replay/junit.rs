//! A report in the dialect of JUnit that continuous integration reads.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;

use super::{
    ReplayArgs, details, foreign, paths,
    replayed::{Outcome, Row, Totals},
};
use crate::{
    files,
    stop::{OrStop as _, Stop},
    terminal,
};

/// Leaves a report that says that the run did not finish, so that one of an
/// earlier run is not taken for this one's. Refuses a place where a recording or
/// a root is.
///
/// # Errors
/// The report must not, or cannot, be written there.
pub fn begin<'a>(
    args: &'a ReplayArgs,
    recordings: impl Iterator<Item = &'a Path>,
) -> Result<(), Stop> {
    let Some(report) = &args.junit else {
        return Ok(());
    };
    let inputs = recordings.chain(args.root.iter().map(PathBuf::as_path));
    paths::check_report(inputs, report).map_err(Stop::usage)?;
    if foreign::is_recording(report) {
        return Err(Stop::usage(anyhow!(
            "the report would be written over the recording {}: name another file",
            report.display()
        )));
    }
    let error = "assay replay did not finish: its message on standard error says why";
    write_to(report, &of_error("assay replay", error))
}

/// The report of a run that judged nothing.
pub fn of_error(suite: &str, error: &str) -> String {
    let error = attribute(error);
    let counts = "tests=\"1\" failures=\"0\" errors=\"1\"";
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite name=\"{suite}\" {counts}>\n    <testcase classname=\"unreadable\" name=\"recordings\">\n      <error message=\"{error}\">{error}</error>\n    </testcase>\n  </testsuite>\n</testsuites>\n"
    )
}

/// Writes a report, whole or not at all: another name of the file before keeps
/// its content.
///
/// # Errors
/// It cannot be written.
pub fn write_to(path: &Path, report: &str) -> Result<(), Stop> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let name = path.file_name().unwrap_or_default();
    let folder = folder.unwrap_or(Path::new("."));
    files::replace(folder, name, report.as_bytes(), 0o666)
        .or_fault(format_args!("cannot write {}", path.display()))
}

/// One test suite, a test case a recording: what is different is a failure,
/// unless it was blessed; what cannot be judged is an error.
pub fn report(rows: &[Row], totals: &Totals) -> String {
    let cases = rows
        .iter()
        .filter(|row| !matches!(row.outcome, Outcome::Skipped(_)));
    let time: Duration = cases.map(|row| row.took).sum();
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{}\"",
        totals.recordings,
        totals.different - totals.blessed,
        totals.unreadable,
        seconds(time),
    );
    let mut report = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite name=\"assay replay\" {counts}>\n"
    );
    if totals.skipped > 0 {
        // Writing into a string cannot fail.
        let _ = writeln!(
            report,
            "    <properties><property name=\"skipped files that are no recordings\" value=\"{}\"/></properties>",
            totals.skipped
        );
    }
    for row in rows {
        case(&mut report, row);
    }
    report.push_str("  </testsuite>\n</testsuites>\n");
    report
}

fn case(report: &mut String, row: &Row) {
    let (class, element, kind) = match &row.outcome {
        Outcome::Skipped(_) => return,
        Outcome::Unreadable(_) => ("unreadable", "error", "unreadable"),
        Outcome::Judged(replayed) => {
            let reason = replayed.verdict.reason.as_deref();
            (replayed.source, "failure", reason.unwrap_or("different"))
        }
    };
    let _ = write!(
        report,
        "    <testcase classname=\"{class}\" name=\"{}\" time=\"{}\">",
        attribute(&row.file),
        seconds(row.took)
    );
    let details = details::of(row);
    let blessed = row.replayed().is_some_and(|replayed| replayed.blessed);
    let findings = row.findings();
    match findings.first() {
        Some(first) if !blessed => {
            // The finding says more than the first difference that follows of it.
            let finding = row.replayed().and_then(details::finding);
            let message = match finding {
                Some(finding) => format!("{first}: {finding}"),
                None => first.clone(),
            };
            let lines: Vec<_> = findings.into_iter().chain(details.lines(true)).collect();
            let _ = write!(
                report,
                "\n      <{element} message=\"{}\" type=\"{}\">{}</{element}>\n    ",
                attribute(&message),
                attribute(kind),
                text(&lines)
            );
        }
        _ => {
            let mut lines = Vec::new();
            if blessed {
                lines.push("blessed: the file now says the new judgement".to_owned());
                lines.extend(findings);
            }
            lines.extend(details.lines(true));
            if !lines.is_empty() {
                let _ = write!(
                    report,
                    "\n      <system-out>{}</system-out>\n    ",
                    text(&lines)
                );
            }
        }
    }
    report.push_str("</testcase>\n");
}

fn seconds(time: Duration) -> String {
    format!("{:.6}", time.as_secs_f64())
}

/// Lines of text, in an element.
pub fn text(lines: &[String]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| attribute(line)).collect();
    lines.join("\n")
}

/// Text of one line, in an attribute or an element. XML 1.0 has no way to write
/// most control characters, and readers replace white space in attributes: they
/// are escaped as on a terminal.
pub fn attribute(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    for c in terminal::escape(line).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
