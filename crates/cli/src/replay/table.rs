use std::io::{self, IsTerminal};

use super::{Row, Totals};
use crate::{logging, terminal::escape};

/// The widest text of a column but the first.
const MAX_WIDTH: usize = 48;

/// The table, what is different line by line, and the totals.
pub fn report(rows: &[Row], totals: &Totals) -> String {
    let colors = logging::colors(io::stdout().is_terminal());
    let mut cells = vec![["FILE", "SOURCE", "RECORDED", "REPLAYED", "RESULT"].map(str::to_owned)];
    cells.extend(rows.iter().map(cells_of));
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
    for row in rows {
        let file = escape(&row.file);
        lines.extend((row.findings().iter()).map(|finding| format!("{file}: {}", escape(finding))));
    }
    if totals.own_root > 0 {
        lines.push(format!(
            "ATTENTION: {} of these were judged under a root that the file brings itself. Such a recording proves only itself: the author of the file can have made the device, too.",
            totals.own_root
        ));
    }
    lines.push(format!(
        "{} recordings: {} same, {} different, {} unreadable",
        totals.recordings, totals.same, totals.different, totals.unreadable
    ));
    lines.join("\n")
}

fn cells_of(row: &Row) -> [String; 5] {
    let file = escape(&row.file);
    let result = row.result();
    match &row.replayed {
        Ok(replayed) => [
            file,
            replayed.source.to_owned(),
            truncate(&replayed.recorded.to_string()),
            truncate(&replayed.verdict.to_string()),
            if replayed.own_root {
                format!("{result} (UNDER ITS OWN ROOT)")
            } else {
                result.to_owned()
            },
        ],
        Err(_) => [file, "-".into(), "-".into(), "-".into(), result.to_owned()],
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
