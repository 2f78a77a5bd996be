//! Where a piece came from: its form, what the form says, and what it lacks.

use std::io::{self, Write};

use assay_recording::forms::{Content, Note, Piece};
use serde::Serialize;

use super::{InspectArgs, json::Report};
use crate::{pieces, terminal::escape};

/// The part of a report about the form.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Origin {
    pub(super) form: Vec<&'static str>,
    pub(super) piece: usize,
    pub(super) pieces: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    pub(super) hints: Hints,
    pub(super) notes: Vec<NoteReport>,
    pub(super) lacks: Vec<Lack>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) others: Vec<Other>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Hints {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonces: Option<usize>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct NoteReport {
    pub(super) note: &'static str,
    pub(super) meaning: &'static str,
}

/// What is compared with nothing, and the option that gives it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Lack {
    pub(super) what: &'static str,
    pub(super) option: &'static str,
}

/// A further piece of the same input.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Other {
    Shown(Box<Report>),
    Fault { piece: usize, error: String },
}

impl Origin {
    /// Of the piece with this number, of so many.
    pub(super) fn of(
        piece: &Piece,
        (number, pieces): (usize, usize),
        args: &InspectArgs,
        own_root: bool,
    ) -> Self {
        let hints = &piece.hints;
        let is_recorded = piece.recording.is_some();
        let mut notes: Vec<_> = piece.notes.iter().copied().map(NoteReport::of).collect();
        if is_recorded && args.at.is_none() {
            notes.push(NoteReport {
                note: "recorded-time",
                meaning: "the checks are as of the recorded time; --at gives another one",
            });
        }
        if pieces::names_other_device(piece) {
            let (note, meaning) = pieces::OTHER_DEVICE;
            notes.push(NoteReport { note, meaning });
        }
        if own_root {
            notes.push(NoteReport {
                note: "embedded-root",
                meaning: "the root that the recording embeds is trusted: it proves nothing but itself. --root gives yours instead",
            });
        }
        Self {
            form: piece.form.iter().map(|layer| layer.as_str()).collect(),
            piece: number,
            pieces,
            place: piece.place.map(|place| place.to_string()),
            hints: Hints {
                token: hints.token.clone(),
                time: hints.time.map(|time| time.to_string()),
                serial: hints.serial.clone(),
                udid: hints.udid.clone(),
                identifier: (hints.identifier.as_ref())
                    .map(|one| format!("{} {}", one.kind, one.value)),
                url: hints.url.clone(),
                nonces: (!hints.nonces.is_empty()).then_some(hints.nonces.len()),
            },
            notes,
            lacks: lacks(piece, args),
            others: Vec::new(),
        }
    }

    /// The lines before a report for people: none for a form that says nothing
    /// but what the report says.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.pieces > 1 {
            let place = self.place.as_ref().map(|place| format!(", {place}"));
            let place = place.unwrap_or_default();
            writeln!(out, "Piece {} of {}{place}", self.piece, self.pieces)?;
        }
        let hints = self.hints.lines();
        if self.pieces == 1 && hints.is_empty() && self.notes.is_empty() && self.form.len() < 4 {
            return Ok(());
        }
        writeln!(out, "Read as: {}", self.form.join(" > "))?;
        for (name, value) in hints {
            writeln!(out, "The form says: {name} {}", escape(&value))?;
        }
        for note in &self.notes {
            writeln!(out, "Note: {}", note.meaning)?;
        }
        for lack in &self.lacks {
            writeln!(out, "The form lacks {}: give {}", lack.what, lack.option)?;
        }
        writeln!(out)
    }
}

impl Hints {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("token", &self.token),
            ("time", &self.time),
            ("serial number", &self.serial),
            ("UDID", &self.udid),
            ("identifier", &self.identifier),
            ("URL", &self.url),
        ];
        let texts = texts.into_iter();
        let nonces = self
            .nonces
            .map(|count| ("number of nonces", count.to_string()));
        texts
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .chain(nonces)
            .collect()
    }
}

impl NoteReport {
    fn of(note: Note) -> Self {
        Self {
            note: note.as_str(),
            meaning: note.sentence(),
        }
    }
}

fn lacks(piece: &Piece, args: &InspectArgs) -> Vec<Lack> {
    let hints = &piece.hints;
    let is_given = args.token.is_some() || args.nonce.is_some();
    if is_given || hints.token.is_some() || !hints.nonces.is_empty() {
        return Vec::new();
    }
    match &piece.content {
        Content::Object(_) => vec![Lack {
            what: "the challenge's token",
            option: "--token",
        }],
        Content::Certificates(_) if super::is_attestation(piece) => vec![Lack {
            what: "the nonce that was sent to the device",
            option: "--nonce",
        }],
        Content::Certificates(_) | Content::Csr(_) => Vec::new(),
    }
}
