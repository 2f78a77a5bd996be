//! `assay recording import`: a recording of evidence that something else
//! captured.

mod contents;
mod report;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use assay_attest::{TrustAnchor, Verifier};
use assay_proto::Timestamp;
use assay_recording::{
    Recording,
    forms::{self, Content, MAX_INPUT_BYTES, Piece},
};
use data_encoding::HEXLOWER;

use crate::{
    certificates, files, now,
    pieces::{self, Nonce},
    print, print_json,
    stop::{OrStop, Stop},
};

/// `assay recording import`
#[derive(Debug, Default, clap::Args)]
pub struct ImportArgs {
    /// The evidence, in any form that `assay inspect` reads; `-` is standard
    /// input.
    #[arg(value_name = "FILE")]
    pub input: PathBuf,
    /// The new recording. Without it nothing is written. Several pieces become
    /// OUT-1, OUT-2 and so on.
    #[arg(value_name = "OUT")]
    pub output: Option<PathBuf>,
    /// The token of the challenge, if FILE does not have it.
    #[arg(long, allow_hyphen_values = true)]
    pub token: Option<String>,
    /// The nonce of the DeviceInformation query: base64url or hex.
    #[arg(long, value_name = "NONCE", value_parser = Nonce::parse, allow_hyphen_values = true, conflicts_with = "token", requires = "sent")]
    pub nonce: Option<Nonce>,
    /// When the nonce was sent: RFC 3339, or seconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = crate::values::time, requires = "nonce")]
    pub sent: Option<Timestamp>,
    /// The time to judge at, RFC 3339 or seconds since 1970. Default: the time in
    /// FILE, otherwise now.
    #[arg(long, value_name = "TIME", value_parser = crate::values::time)]
    pub at: Option<Timestamp>,
    /// The serial number that the evidence must attest.
    #[arg(long, value_name = "SERIAL", allow_hyphen_values = true)]
    pub serial: Option<String>,
    /// The UDID that the evidence must attest, instead.
    #[arg(
        long,
        value_name = "UDID",
        allow_hyphen_values = true,
        conflicts_with = "serial"
    )]
    pub udid: Option<String>,
    /// A root to trust beside Apple's, one PEM certificate; may be repeated.
    /// Default: the one that a recording embeds.
    #[arg(long, value_name = "FILE")]
    pub root: Vec<PathBuf>,
    /// Import only this piece of an input with several, counted from 1.
    #[arg(long, value_name = "N")]
    pub pick: Option<usize>,
    /// Replace an existing OUT.
    #[arg(long)]
    pub force: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A piece that became a recording.
struct Imported {
    number: usize,
    piece: Piece,
    recording: Recording,
    notes: Vec<(&'static str, &'static str)>,
    own_root: bool,
    output: Option<PathBuf>,
}

/// `assay recording import`
pub fn run(args: &ImportArgs) -> Result<(), Stop> {
    let shown = args.input.display();
    let input = files::read_input(&args.input, MAX_INPUT_BYTES as u64).map_err(Stop::usage)?;
    let roots: Vec<TrustAnchor> = (args.root.iter())
        .map(|path| certificates::load_laboratory_root(path))
        .collect::<Result<_, _>>()
        .map_err(Stop::usage)?;
    let found = forms::read(&input).map_err(|error| Stop::refused(anyhow!("{shown}: {error}")))?;
    let picked: Vec<_> = pieces::pick(found, args.pick)
        .or_usage(&shown)?
        .into_iter()
        .filter(|(_, piece)| !matches!(piece.content, Content::Csr(_)))
        .collect();
    if picked.is_empty() {
        let error =
            anyhow!("{shown}: this is a CSR, no evidence: give the answer to the challenge");
        return Err(Stop::refused(error));
    }
    let several = picked.len() > 1;
    let mut imported = Vec::new();
    for (number, piece) in picked {
        let place = match several {
            true => format!("{shown}: piece {number}"),
            false => shown.to_string(),
        };
        let mut one = import(number, piece, args, &roots, &place)?;
        let output = args.output.as_deref();
        one.output = output.map(|output| match several {
            true => numbered(output, number),
            false => output.to_owned(),
        });
        imported.push(one);
    }
    write_all(&imported, args.force)?;
    if args.json {
        print_json(&report::json(args, &imported))
    } else {
        print(report::words(&imported))
    }
}

/// Judges one piece, and makes a recording of it.
fn import(
    number: usize,
    piece: Piece,
    args: &ImportArgs,
    roots: &[TrustAnchor],
    place: &str,
) -> Result<Imported, Stop> {
    let (verifier, own_root) = pieces::verifier(&piece, roots);
    let (mut contents, notes) = contents::of(&piece, args, now()).map_err(|error| {
        let text = anyhow!("{place}: {error}");
        match error {
            contents::Missing::Evidence => Stop::refused(text),
            _ => Stop::usage(text),
        }
    })?;
    let unjudged = Recording::new(contents.clone()).or_usage(place)?;
    contents.claims = unjudged.judge(&verifier, unjudged.time().seconds());
    if contents.embedded_root.is_none() {
        let vouched = contents.claims.root_sha256.as_deref();
        contents.embedded_root = embedded(&verifier, vouched);
    }
    Ok(Imported {
        number,
        recording: Recording::new(contents).or_usage(place)?,
        piece,
        notes,
        own_root,
        output: None,
    })
}

/// As a laboratory server embeds it: the laboratory's root that vouched, or its
/// only one.
fn embedded(verifier: &Verifier, vouched: Option<&str>) -> Option<Vec<u8>> {
    let apple = TrustAnchor::apple();
    let mut own = verifier
        .anchors()
        .iter()
        .filter(|one| one.der() != apple.der());
    match vouched {
        Some(vouched) => own.find(|one| HEXLOWER.encode(one.sha256()) == vouched),
        None => own.next().filter(|_| own.next().is_none()),
    }
    .map(|anchor| anchor.der().to_vec())
}

/// `out.json` becomes `out-1.json`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.file_stem().map_or_else(OsString::new, OsString::from);
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Each file whole or not at all, for its owner alone. All are checked before the
/// first is written.
fn write_all(imported: &[Imported], force: bool) -> Result<(), Stop> {
    let taken = |path: &Path| {
        Stop::usage(anyhow!(
            "{} exists, and nothing was written: name another file, or give --force to replace it",
            path.display()
        ))
    };
    let files = imported
        .iter()
        .filter_map(|one| Some((one.output.as_deref()?, one.recording.to_json())));
    for (path, _) in files.clone() {
        if !force && path.symlink_metadata().is_ok() {
            return Err(taken(path));
        }
    }
    for (path, json) in files {
        match (write(path, &json, force), force) {
            (Ok(()), _) => {}
            // Another process was faster.
            (Err(error), false) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(taken(path));
            }
            (written, _) => written.or_fault(format_args!("cannot write {}", path.display()))?,
        }
    }
    Ok(())
}

fn write(path: &Path, json: &str, force: bool) -> io::Result<()> {
    match path.file_name() {
        Some(name) if force => {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            files::replace(
                folder.unwrap_or(Path::new(".")),
                name,
                json.as_bytes(),
                0o600,
            )
        }
        _ => super::write_new(path, json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_files_are_numbered_before_the_extension() {
        for (path, expected) in [
            ("out.json", "out-2.json"),
            ("a/b.c/out", "a/b.c/out-2"),
            ("../x.y.json", "../x.y-2.json"),
        ] {
            assert_eq!(numbered(Path::new(path), 2), Path::new(expected));
        }
    }
}
