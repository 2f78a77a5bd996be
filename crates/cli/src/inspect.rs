//! `assay inspect`: what a piece of evidence, a certificate or a CSR says, in
//! words. It takes whatever it is given and believes none of it; evidence is
//! also put through the verifier's checks, and each is shown with its outcome.

mod certificate;
mod checks;
mod csr;
mod extension;
mod json;
mod meaning;
mod object;
mod origin;
mod text;
mod tree;
mod words;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use assay_attest::{Refusal, SentNonce, TrustAnchor};
use assay_ca::CsrError;
use assay_proto::Timestamp;
use assay_recording::forms::{self, Content, FormError, MAX_INPUT_BYTES, Piece};

use crate::{
    certificates, files,
    inspect::{
        checks::Question,
        extension::APPLE,
        json::Report,
        origin::{Origin, Other},
    },
    now,
    pieces::{self, Nonce},
    stop::{OrStop, Stop},
};

/// `assay inspect`
#[derive(Debug, Default, clap::Args)]
pub(crate) struct InspectArgs {
    /// The file: CBOR, DER, PEM, PKCS #7, base64, hex, a challenge response, a
    /// JWS, a HAR, an MDM's DeviceInformation answer, a recording, or a log with
    /// one of them; `-` is standard input.
    pub(crate) file: PathBuf,
    /// The token of the challenge that the evidence answers, to compare with the
    /// freshness code. Default: the one in FILE, if it has one.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) token: Option<String>,
    /// The nonce that was sent to the device, or the freshness code itself:
    /// base64url or hex.
    #[arg(long, value_name = "NONCE", value_parser = Nonce::parse, allow_hyphen_values = true, conflicts_with = "token")]
    pub(crate) nonce: Option<Nonce>,
    /// The time of the checks, RFC 3339 or seconds since 1970. Default: now, or
    /// the time of a recording.
    #[arg(long, value_name = "TIME", value_parser = crate::values::time)]
    pub(crate) at: Option<Timestamp>,
    /// A root to trust beside Apple's, one PEM certificate; may be repeated.
    /// Default: the one that a recording embeds.
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Vec<PathBuf>,
    /// Show only this piece of an input with several, counted from 1.
    #[arg(long, value_name = "N")]
    pub(crate) pick: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Why a piece cannot be shown.
#[derive(Debug, PartialEq, thiserror::Error)]
enum InspectError {
    /// A certificate, or a chain of which no certificate decodes.
    #[error("this is a certificate that cannot be decoded: {0}")]
    Certificate(Refusal),
    /// A CSR of which nothing decodes.
    #[error("this is a CSR that cannot be decoded: {0}")]
    Csr(CsrError),
    /// Nothing to be shown was found.
    #[error(transparent)]
    Form(#[from] FormError),
    /// A CBOR map that is not an attestation object.
    #[error("this is not an attestation object that can be decoded: {0}")]
    Object(Refusal),
}

/// Reads the file and writes what it says.
///
/// # Errors
/// The file cannot be read (usage), or is none of the things that can be
/// inspected (refused). A thing with broken parts is shown with its faults.
pub(crate) fn run(args: &InspectArgs, out: &mut dyn Write) -> Result<(), Stop> {
    let shown = args.file.display();
    let input = files::read_input(&args.file, MAX_INPUT_BYTES as u64).map_err(Stop::usage)?;
    let roots: Vec<TrustAnchor> = (args.root.iter())
        .map(|path| certificates::load_laboratory_root(path))
        .collect::<Result<_, _>>()
        .map_err(Stop::usage)?;
    let refused = |error: InspectError| Stop::refused(anyhow::anyhow!("{shown}: {error}"));
    let found = forms::read(&input).map_err(|error| refused(error.into()))?;
    let count = found.len();
    let picked = pieces::pick(found, args.pick).or_usage(&shown)?;
    let reports = (picked.iter())
        .map(|(number, piece)| (*number, inspect(piece, (*number, count), args, &roots)))
        .collect();
    let report = joined(reports).map_err(refused)?;
    let written = if args.json {
        json::write(&report, out)
    } else {
        text::write(&report, out)
    };
    match written.and_then(|()| out.flush()) {
        // The reader of a pipe has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.or_fault("cannot write to standard output"),
    }
}

/// One report: of the first piece that can be shown, with those of the others.
fn joined(reports: Vec<(usize, Result<Report, InspectError>)>) -> Result<Report, InspectError> {
    let mut fault = None;
    let mut first: Option<Report> = None;
    let mut others = Vec::new();
    for (piece, report) in reports {
        match report {
            Ok(report) if first.is_none() => first = Some(report),
            Ok(report) => others.push(Other::Shown(Box::new(report))),
            Err(error) => {
                let text = error.to_string();
                others.push(Other::Fault { piece, error: text });
                fault.get_or_insert(error);
            }
        }
    }
    match (first, fault) {
        (Some(mut report), _) => {
            if let Some(origin) = &mut report.origin {
                origin.others = others;
            }
            Ok(report)
        }
        (None, fault) => Err(fault.unwrap_or(InspectError::Form(FormError::Unknown))),
    }
}

/// Reports on one piece, with where it came from.
fn inspect(
    piece: &Piece,
    place: (usize, usize),
    args: &InspectArgs,
    roots: &[TrustAnchor],
) -> Result<Report, InspectError> {
    let (verifier, own_root) = pieces::verifier(piece, roots);
    let recorded = piece.recording.as_ref().map(|one| one.time().seconds());
    let at = args.at.map(|at| at.0).or(recorded).unwrap_or_else(now);
    let leaf = pieces::leaf(&piece.content);
    let nonce = args
        .nonce
        .as_ref()
        .map(|nonce| nonce.for_leaf(leaf.as_ref()));
    let given = args.token.is_some() || nonce.is_some();
    let token = (args.token.as_deref()).or_else(|| {
        let token = piece.hints.token.as_deref();
        token.filter(|_| nonce.is_none())
    });
    let recorded: &[SentNonce] = if given { &[] } else { &piece.hints.nonces };
    let question = Question {
        at,
        token,
        nonce,
        nonces: recorded,
        verifier: &verifier,
    };
    let mut report = report(piece, &question)?;
    report.origin = Some(Origin::of(piece, place, args, own_root));
    Ok(report)
}

fn report(piece: &Piece, question: &Question<'_>) -> Result<Report, InspectError> {
    match &piece.content {
        Content::Certificates(ders) => certificate::report(ders, question),
        Content::Csr(der) => csr::report(der).map(Report::unjudged),
        Content::Object(object) => object::report(object, question),
    }
}

/// Whether a piece is evidence: an object, or certificates whose leaf has an
/// Apple property.
fn is_attestation(piece: &Piece) -> bool {
    match &piece.content {
        Content::Certificates(_) => pieces::leaf(&piece.content)
            .is_some_and(|leaf| leaf.extensions.iter().any(|one| one.oid.starts_with(APPLE))),
        Content::Csr(_) => false,
        Content::Object(_) => true,
    }
}

#[cfg(test)]
mod tests;
