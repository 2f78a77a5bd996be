//! `assay inspect`: what a piece of evidence, a certificate or a CSR says, in
//! words. It takes whatever it is given and believes none of it; evidence is
//! also put through the verifier's checks, and each is shown with its outcome.

mod certificate;
mod checks;
mod csr;
mod detect;
mod extension;
mod json;
mod meaning;
mod object;
mod text;
mod tree;
mod words;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use assay_attest::{AwsLc, Refusal, TrustAnchor, Verifier};
use assay_ca::CsrError;
use assay_proto::Timestamp;

use crate::{
    certificates, files,
    inspect::{checks::Question, detect::Found},
    now,
    stop::{OrStop, Stop},
};

/// The largest input that is read, in bytes: far more than any of the things
/// that can be inspected.
const MAX_INPUT_LEN: u64 = 1024 * 1024;

/// `assay inspect`
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// The file: PEM, DER, CBOR, base64, base64url, or a challenge response in
    /// JSON; `-` is standard input.
    pub(crate) file: PathBuf,
    /// The token of the challenge that the evidence answers: the freshness code
    /// is held against it.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) token: Option<String>,
    /// The time of the checks, as RFC 3339 has it or in seconds since 1970; now
    /// where not given.
    #[arg(long, value_name = "TIME", value_parser = crate::values::time)]
    pub(crate) at: Option<Timestamp>,
    /// A root to trust beside Apple's, one PEM certificate; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Vec<PathBuf>,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Why a file cannot be shown.
#[derive(Debug, PartialEq, thiserror::Error)]
enum InspectError {
    /// A certificate, or a chain of which no certificate decodes.
    #[error("this is a certificate that cannot be decoded: {0}")]
    Certificate(Refusal),
    /// A CSR of which nothing decodes.
    #[error("this is a CSR that cannot be decoded: {0}")]
    Csr(CsrError),
    /// No bytes, or white space only.
    #[error("the file is empty")]
    Empty,
    /// JSON without a text `attObj`.
    #[error("this JSON is not a challenge response: it has no text \"attObj\"")]
    JsonWithoutObject,
    /// Certificates and a CSR, or several CSRs.
    #[error("the PEM holds more than one thing: give certificates only, or one CSR")]
    PemMixed,
    /// PEM of other things.
    #[error("the PEM holds neither a CERTIFICATE nor a CERTIFICATE REQUEST")]
    PemOther,
    /// A PEM section that does not end or is not base64.
    #[error("the PEM is broken: {0}")]
    PemBroken(&'static str),
    /// A CBOR map that is not an attestation object.
    #[error("this CBOR map is not an attestation object that can be decoded: {0}")]
    Object(Refusal),
    /// More than [`MAX_INPUT_LEN`] bytes.
    #[error("it is larger than 1 MiB")]
    TooLarge,
    /// Anything else.
    #[error(
        "this is neither an attestation object nor a certificate nor a CSR, as PEM, DER, CBOR, \
         base64 or base64url"
    )]
    Unknown,
}

/// Reads the file and writes what it says.
///
/// # Errors
/// The file cannot be read (usage), or is none of the things that can be
/// inspected (refused). A thing with broken parts is shown with its faults.
pub(crate) fn run(args: &InspectArgs, out: &mut dyn Write) -> Result<(), Stop> {
    let shown = args.file.display();
    let input = files::read_input(&args.file, MAX_INPUT_LEN).map_err(Stop::usage)?;
    let mut anchors = vec![TrustAnchor::apple()];
    for path in &args.root {
        anchors.push(certificates::load_laboratory_root(path).map_err(Stop::usage)?);
    }
    let question = Question {
        at: args.at.map_or_else(now, |at| at.0),
        token: args.token.as_deref(),
        verifier: &Verifier::new(anchors, Box::new(AwsLc)),
    };
    let report = report(&input, &question)
        .map_err(|error| Stop::refused(anyhow::anyhow!("{shown}: {error}")))?;
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

fn report(input: &[u8], question: &Question<'_>) -> Result<json::Report, InspectError> {
    if input.len() as u64 > MAX_INPUT_LEN {
        return Err(InspectError::TooLarge);
    }
    match detect::detect(input)? {
        Found::Certificates(ders) => certificate::report(&ders, question),
        Found::Csr(der) => csr::report(&der).map(json::Report::unjudged),
        Found::Object(object) => object::report(&object, question),
    }
}

#[cfg(test)]
mod tests;
