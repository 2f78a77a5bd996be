use std::io::{self, IsTerminal};

use super::{
    details,
    replayed::{Outcome, Row, Totals},
    roots,
};
use crate::{logging, terminal::escape};

/// The widest text of a column but the first.
const MAX_WIDTH: usize = 48;

/// The table, what is different line by line with its details, what to do about
/// roots, and the totals. `verbose`: the details of all, and the names of
/// skipped files.
pub fn report(rows: &[Row], hidden: &[String], totals: &Totals, verbose: bool) -> String {
    let colors = logging::colors(io::stdout().is_terminal());
    let judged: Vec<_> = rows
        .iter()
        .filter(|row| !matches!(row.outcome, Outcome::Skipped(_)))
        .collect();
    let mut lines = table(&judged, colors);
    let blocks: Vec<_> = judged.iter().flat_map(|row| block(row, verbose)).collect();
    if !blocks.is_empty() {
        lines.extend(blocks);
        lines.push(String::new());
    }
    let advice = rows
        .iter()
        .filter_map(|row| row.replayed()?.advice.as_ref());
    lines.extend(roots::summary(advice).iter().map(|line| escape(line)));
    if totals.own_root > 0 {
        lines.push(format!(
            "ATTENTION: {} of these were judged under a root that the file brings itself. Such a recording proves only itself: the author of the file can have made the device, too.",
            totals.own_root
        ));
    }
    if totals.blessed > 0 {
        lines.push(format!(
            "BLESSED: {} of these were rewritten: they now say the new judgement.",
            totals.blessed
        ));
    }
    lines.extend(skipped(rows, hidden, verbose));
    lines.push(format!(
        "{} recordings: {} same, {} different, {} unreadable",
        totals.recordings, totals.same, totals.different, totals.unreadable
    ));
    lines.join("\n")
}

fn table(rows: &[&Row], colors: bool) -> Vec<String> {
    let mut cells = vec![["FILE", "SOURCE", "RECORDED", "REPLAYED", "RESULT"].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| cells_of(row)));
    let widths: [usize; 5] = std::array::from_fn(|column| {
        let lengths = cells.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or_default()
    });
    let mut lines = Vec::with_capacity(cells.len() + 2);
    for (index, row) in cells.iter().enumerate() {
        let [file, source, recorded, replayed, result] = row;
        let color = match index.checked_sub(1).and_then(|index| rows.get(index)) {
            Some(row) if colors => color(row.result()),
            _ => ("", ""),
        };
        let [one, two, three, four, _] = widths;
        lines.push(format!(
            "{file:one$}  {source:two$}  {recorded:three$}  {replayed:four$}  {}{result}{}",
            color.0, color.1
        ));
    }
    lines
}

/// An empty line, what is wrong with a recording, each line with the file's
/// name, and its details.
fn block(row: &Row, verbose: bool) -> Vec<String> {
    let file = escape(&row.file);
    let findings = row.findings();
    if findings.is_empty() && !verbose {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    if let Some(replayed) = row.replayed() {
        let (result, verdict) = (row.result(), &replayed.verdict);
        let verdicts = match replayed.recorded == *verdict {
            true => verdict.to_string(),
            false => format!("recorded {}, replayed {verdict}", replayed.recorded),
        };
        lines.push(format!("{file}: {result}: {}", escape(&verdicts)));
    }
    lines.extend((findings.iter()).map(|finding| format!("{file}: {}", escape(finding))));
    lines.extend(details::of(row).lines(false).map(|line| escape(&line)));
    lines
}

fn skipped(rows: &[Row], hidden: &[String], verbose: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let skipped: Vec<_> = rows
        .iter()
        .filter_map(|row| match &row.outcome {
            Outcome::Skipped(why) => Some((row.file.as_str(), why.as_str())),
            _ => None,
        })
        .chain(hidden.iter().map(|file| (file.as_str(), "it is hidden")))
        .collect();
    if verbose {
        let line = |(file, why): &(&str, &str)| escape(&format!("{file}: skipped: {why}"));
        lines.extend(skipped.iter().map(line));
    }
    let names = if verbose { "" } else { "; -v names them" };
    match skipped.len() {
        0 => {}
        1 => lines.push(format!("1 file was skipped, which is no recording{names}")),
        count => lines.push(format!(
            "{count} files were skipped, which are no recordings{names}"
        )),
    }
    lines
}

fn cells_of(row: &Row) -> [String; 5] {
    let file = escape(&row.file);
    let result = row.result();
    match row.replayed() {
        Some(replayed) => {
            let mut notes = Vec::new();
            if replayed.own_root {
                notes.push("UNDER ITS OWN ROOT");
            }
            if replayed.blessed {
                notes.push("BLESSED");
            }
            [
                file,
                replayed.source.to_owned(),
                truncate(&replayed.recorded.to_string()),
                truncate(&replayed.verdict.to_string()),
                match notes.as_slice() {
                    [] => result.to_owned(),
                    notes => format!("{result} ({})", notes.join(", ")),
                },
            ]
        }
        None => [file, "-".into(), "-".into(), "-".into(), result.to_owned()],
    }
}

fn truncate(text: &str) -> String {
    let escaped = escape(text);
    if escaped.chars().count() <= MAX_WIDTH {
        return escaped;
    }
    let kept: String = escaped.chars().take(MAX_WIDTH - 1).collect();
    format!("{kept}…")
}

fn color(result: &str) -> (&'static str, &'static str) {
    match result {
        "same" => ("\u{1b}[32m", "\u{1b}[0m"),
        "different" => ("\u{1b}[31m", "\u{1b}[0m"),
        _ => ("\u{1b}[33m", "\u{1b}[0m"),
    }
}
