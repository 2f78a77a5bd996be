//! `assay recording export`: the parts of a recording as files that other
//! programs read.

use std::{ffi::OsStr, fs, path::PathBuf, slice};

use anyhow::anyhow;
use assay_recording::{Answer, Evidence, Recording};
use data_encoding::BASE64URL_NOPAD;
use pem_rfc7468::{LineEnding, encode_string};
use serde_json::json;

use super::show::read;
use crate::{
    files, pieces, print, print_json,
    stop::{OrStop, Stop},
};

/// `assay recording export`
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The recording; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The folder to write to. It must be empty, or not exist.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay recording export`
pub fn run(args: &ExportArgs) -> Result<(), Stop> {
    let recording = read(&args.file)?;
    let parts = parts(&recording).map_err(Stop::fault)?;
    let to = args.to.display();
    fs::create_dir_all(&args.to).or_usage(format_args!("cannot write to {to}"))?;
    let mut entries = fs::read_dir(&args.to).or_usage(format_args!("cannot read {to}"))?;
    if entries.next().is_some() {
        return Err(Stop::usage(anyhow!(
            "{to} is not empty, and nothing is overwritten: name another folder"
        )));
    }
    for (name, bytes) in &parts {
        files::replace(&args.to, OsStr::new(name), bytes, 0o600).or_fault(format_args!(
            "cannot write {}",
            args.to.join(name).display()
        ))?;
    }
    let names: Vec<_> = parts.iter().map(|(name, _)| *name).collect();
    if args.json {
        return print_json(&json!({"to": args.to.to_string_lossy(), "files": names}));
    }
    print(format_args!("Wrote {} to {to}.", names.join(", ")))
}

/// The files by name.
fn parts(recording: &Recording) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    let contents = recording.contents();
    let mut parts = Vec::new();
    let chain = match &contents.evidence {
        Evidence::Acme(acme) => {
            parts.push(("token", acme.token.clone().into_bytes()));
            if let Some(csr) = &acme.csr {
                parts.push(("csr.der", csr.clone()));
            }
            match &acme.answer {
                Answer::DeviceError(text) => {
                    parts.push(("device-error.txt", text.clone().into_bytes()));
                    Vec::new()
                }
                Answer::Object(object) => {
                    parts.push(("object.cbor", object.clone()));
                    // An object that cannot be decoded has no chain.
                    let chain = pieces::certificates(object).unwrap_or_default();
                    chain.into_iter().map(<[u8]>::to_vec).collect()
                }
            }
        }
        Evidence::DeviceInformation(answer) => {
            let nonces: Vec<_> = answer
                .nonces
                .iter()
                .map(|nonce| {
                    json!({
                        "nonce": BASE64URL_NOPAD.encode(nonce.nonce()),
                        "sent": nonce.sent(),
                    })
                })
                .collect();
            parts.push(("nonces.json", serde_json::to_vec_pretty(&nonces)?));
            answer.certificates.clone()
        }
    };
    if let Some(leaf) = chain.first() {
        parts.push(("leaf.pem", pem(slice::from_ref(leaf))?));
        parts.push(("chain.pem", pem(&chain)?));
    }
    if let Some(root) = recording.embedded_root() {
        parts.push(("root.pem", pem(&[root.to_vec()])?));
    }
    let expected: serde_json::Value = serde_json::from_str(&recording.to_json())?;
    let keys = ["time", "verdict", "facts", "root_sha256", "issuance"];
    let expected: serde_json::Map<_, _> = keys
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), expected.get(key)?.clone())))
        .collect();
    parts.push(("expected.json", serde_json::to_vec_pretty(&expected)?));
    Ok(parts)
}

fn pem(certificates: &[Vec<u8>]) -> anyhow::Result<Vec<u8>> {
    let mut blocks = String::new();
    for der in certificates {
        blocks.push_str(&encode_string("CERTIFICATE", LineEnding::LF, der)?);
    }
    Ok(blocks.into_bytes())
}
