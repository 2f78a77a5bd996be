//! A chain as a tree: who says to have issued whom.

use std::io::{self, Write};

use super::json::{Certificate, Entry, EntryContent, Verdict};
use crate::terminal::escape;

/// Draws the chain from its root down to its leaf.
pub(super) fn write(
    certificates: &[Entry],
    verdict: Option<&Verdict>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(top) = certificates.last() else {
        return Ok(());
    };
    if let Some(top) = decoded(top)
        && top.issuer != top.subject
    {
        let standing = match verdict.and_then(|verdict| verdict.root.as_ref()) {
            Some(root) => format!("trusted: {}", root.name),
            None => "named only, not in the file".to_owned(),
        };
        writeln!(out, "{} ({})", escape(&top.issuer), escape(&standing))?;
    } else {
        writeln!(out, "(no issuer beyond the file)")?;
    }
    let mut above = None;
    for (depth, (index, one)) in certificates.iter().enumerate().rev().enumerate() {
        let indent = "   ".repeat(depth);
        match decoded(one) {
            Some(certificate) => {
                let subject = escape(&certificate.subject);
                writeln!(out, "{indent}└─ {index}: {subject}")?;
                if let Some(above) = above
                    && certificate.issuer != above
                {
                    let issuer = escape(&certificate.issuer);
                    writeln!(out, "{indent}      but its issuer is {issuer}")?;
                }
            }
            None => writeln!(out, "{indent}└─ {index}: cannot be decoded")?,
        }
        above = decoded(one).map(|one| one.subject.as_str());
    }
    writeln!(out)
}

/// Whether most certificates name the one behind them as their issuer: a list of
/// roots, say, is no chain.
pub(super) fn is_linked(certificates: &[Entry]) -> bool {
    let issued = |pair: &&[Entry]| match (decoded(&pair[0]), decoded(&pair[1])) {
        (Some(below), Some(above)) => {
            below.issuer == above.subject && below.issuer != below.subject
        }
        _ => false,
    };
    let pairs = certificates.windows(2);
    pairs.clone().filter(issued).count() * 2 >= pairs.len().max(1)
}

fn decoded(entry: &Entry) -> Option<&Certificate> {
    match &entry.content {
        EntryContent::Certificate(certificate) => Some(certificate),
        EntryContent::Broken { .. } => None,
    }
}
