//! What was imported, for people and for programs.

use serde_json::{Value, json};

use super::{ImportArgs, Imported};
use crate::terminal::escape;

/// One object.
pub(super) fn json(args: &ImportArgs, imported: &[Imported]) -> Value {
    let recordings: Vec<Value> = imported.iter().map(one).collect();
    json!({"in": args.input.to_string_lossy(), "recordings": recordings})
}

fn one(imported: &Imported) -> Value {
    let contents = imported.recording.contents();
    let form: Vec<_> = imported
        .piece
        .form
        .iter()
        .map(|layer| layer.as_str())
        .collect();
    let notes: Vec<_> = notes(imported)
        .into_iter()
        .map(|(note, meaning)| json!({"note": note, "meaning": meaning}))
        .collect();
    let mut object = json!({
        "piece": imported.number,
        "form": form,
        "out": imported.output.as_ref().map(|path| path.to_string_lossy()),
        "source": contents.evidence.source(),
        "time": contents.time.to_string(),
        "verdict": contents.claims.verdict,
        "embedded_root_trusted": imported.own_root,
        "notes": notes,
    });
    if let Some(place) = imported.piece.place {
        object["place"] = json!(place.to_string());
    }
    if let Some(facts) = &contents.claims.facts {
        object["facts"] = json!(facts);
    }
    if let Some(root) = &contents.claims.root_sha256 {
        object["root_sha256"] = json!(root);
    }
    object
}

/// The verdict, the facts, and what to know about them.
pub(super) fn words(imported: &[Imported]) -> String {
    let mut lines = Vec::new();
    for one in imported {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(lines_of(one, imported.len()));
    }
    lines.join("\n")
}

fn lines_of(imported: &Imported, of: usize) -> Vec<String> {
    let contents = imported.recording.contents();
    let done = match &imported.output {
        Some(path) => format!("Wrote {}", path.display()),
        None => "Wrote nothing, because no OUT was given".to_owned(),
    };
    let place = imported.piece.place.map(|place| format!(", {place}"));
    let which = match of {
        1 => String::new(),
        _ => format!("piece {}{}, ", imported.number, place.unwrap_or_default()),
    };
    let mut lines = vec![escape(&format!(
        "{done}: {which}source {}, judged at {}: {}.",
        contents.evidence.source(),
        contents.time,
        contents.claims.verdict
    ))];
    let form: Vec<_> = imported
        .piece
        .form
        .iter()
        .map(|layer| layer.as_str())
        .collect();
    lines.push(format!("Read as: {}", form.join(" > ")));
    for (_, note) in notes(imported) {
        lines.push(format!("Note: {note}"));
    }
    if let Some(Value::Object(facts)) = contents.claims.facts.as_ref().map(|facts| json!(facts)) {
        lines.push("The evidence attests:".to_owned());
        for (name, fact) in facts {
            let fact = match fact {
                Value::String(text) => text,
                Value::Array(list) => format!("{} in all", list.len()),
                other => other.to_string(),
            };
            lines.push(escape(&format!("  {name:<18} {fact}")));
        }
    }
    if let Some(root) = &contents.claims.root_sha256 {
        lines.push(format!("  {:<18} {root}", "root_sha256"));
    }
    lines
}

fn notes(imported: &Imported) -> Vec<(&'static str, &'static str)> {
    let form = imported.piece.notes.iter();
    let mut notes: Vec<_> = form.map(|note| (note.as_str(), note.sentence())).collect();
    notes.extend(&imported.notes);
    if imported.own_root {
        notes.push((
            "embedded-root",
            "the root that the recording embeds was trusted: it proves nothing but itself. --root gives yours instead",
        ));
    }
    notes
}
