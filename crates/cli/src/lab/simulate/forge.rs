//! `assay simulate forge`: evidence without a server.

use std::{fs, path::Path};

use assay_lab::forge::{Corpus, Error, Forged, Freshness, MAX_NONCE_LEN, Request, forge};
use assay_proto::Timestamp;
use assay_simulator::{corpus, faults::Shape};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

use super::{FaultChoice, ForgeArgs, key_type, read_authority, table};
use crate::{
    files, now, print, print_json,
    stop::{OrStop, Stop},
};

/// `assay simulate forge`
pub(super) fn run(args: &ForgeArgs) -> Result<(), Stop> {
    if let Some(dir) = &args.all {
        return write_corpus(dir, Corpus::Evidence, args);
    }
    if let Some(dir) = &args.recordings {
        return write_corpus(dir, Corpus::Recordings, args);
    }
    if matches!(args.fault, Some(FaultChoice::List)) {
        return table::print_faults(args.json);
    }
    let out = args
        .out
        .as_ref()
        .ok_or_else(|| anyhow::anyhow!("--out is required"))
        .or_usage("nowhere to write")?;
    if let Some(file) = &args.root_out
        && are_one(out, file)
    {
        return Err(Stop::usage(anyhow::anyhow!(
            "--out and --root-out are one file, {}: the root would replace the evidence",
            file.display()
        )));
    }
    if !args.force {
        check_new("--out", out)?;
        if let Some(file) = &args.root_out {
            check_new("--root-out", file)?;
        }
    }
    let (authority, default_time) = match &args.authority {
        None => (corpus::authority(), corpus::NOW),
        Some(dir) => (read_authority(dir)?.deterministic(), now()),
    };
    let authority = authority.or_fault("cannot use the authority")?;
    let request = Request {
        shape: args.device.shape(args.fault)?,
        authority: &authority,
        properties: args.device.properties(&args.serial, &args.udid)?,
        key: key_type(args.key),
        time: time(args.at.as_deref(), default_time)?,
        freshness: freshness(args)?,
    };
    let forged = forge(&request).map_err(|error| match error {
        Error::Device(_) => Stop::fault(error),
        Error::Forge(_) => Stop::usage(error),
    })?;
    write(out, &forged.object)?;
    if let Some(file) = &args.root_out {
        write(file, authority.root_pem().as_bytes())?;
    }
    report(args, &request, &forged)
}

fn time(text: Option<&str>, default: u64) -> Result<u64, Stop> {
    match text {
        None => Ok(default),
        Some("now") => Ok(now()),
        Some(text) => {
            let time = Timestamp::parse(text).or_usage(format_args!(
                "--at {text} is neither a time of RFC 3339 nor now"
            ))?;
            Ok(time.0)
        }
    }
}

fn freshness(args: &ForgeArgs) -> Result<Freshness, Stop> {
    if let Some(token) = &args.token {
        return Ok(Freshness::Token(token.clone()));
    }
    let Some(text) = &args.nonce else {
        return Ok(Freshness::Corpus);
    };
    let nonce = BASE64URL_NOPAD.decode(text.as_bytes());
    let nonce = nonce.or_usage(format_args!("--nonce {text} is not base64url"))?;
    if !(1..=MAX_NONCE_LEN).contains(&nonce.len()) {
        return Err(Stop::usage(anyhow::anyhow!(
            "--nonce has {} bytes: a nonce has 1 to {MAX_NONCE_LEN}",
            nonce.len()
        )));
    }
    Ok(Freshness::Code(nonce))
}

fn report(args: &ForgeArgs, request: &Request<'_>, forged: &Forged) -> Result<(), Stop> {
    let at = Timestamp(request.time);
    let name = request.shape.name();
    if args.json {
        return print_json(&serde_json::json!({
            "name": name,
            "fault": request.shape.fault().map(table::fault_json),
            "out": args.out.as_deref().map(Path::to_string_lossy),
            "sha256": HEXLOWER.encode(&Sha256::digest(&forged.object)),
            "bytes": forged.object.len(),
            "at": at.to_string(),
            "freshness": HEXLOWER.encode(&forged.freshness),
            "serial": args.serial,
            "udid": args.udid,
            "root_sha256": HEXLOWER.encode(&Sha256::digest(request.authority.root_der())),
        }));
    }
    let verdict = match request.shape {
        Shape::Good(_) => "accepted, as long as these certificates are valid".to_owned(),
        Shape::Fault(fault) => table::in_words(fault),
    };
    print(format_args!(
        "Forged {name}, made {at} for the freshness code {}.\nA right server says: {verdict}.",
        HEXLOWER.encode(&forged.freshness)
    ))
}

/// Writes a whole corpus; what it does not have, and is of its kind, is removed.
fn write_corpus(dir: &Path, corpus: Corpus, args: &ForgeArgs) -> Result<(), Stop> {
    let files = corpus.files().or_fault("cannot forge the corpus")?;
    corpus.write(dir, &files, args.force).map_err(Stop::usage)?;
    if args.json {
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        return print_json(&serde_json::json!({"dir": dir.to_string_lossy(), "files": paths}));
    }
    print(format_args!(
        "Wrote {} files to {}.",
        files.len(),
        dir.display()
    ))
}

/// Refuses a file that exists: it may be evidence that nobody can make again.
/// What is no file, such as a pipe, loses nothing.
fn check_new(option: &str, path: &Path) -> Result<(), Stop> {
    if path.is_file() {
        return Err(Stop::usage(anyhow::anyhow!(
            "{option} {} exists already: name another file, or replace it with --force",
            path.display()
        )));
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Stop> {
    fs::write(path, bytes).or_usage(format_args!("cannot write {}", path.display()))
}

/// Whether both paths are of one place, or lead through symbolic links to one
/// file that is there.
fn are_one(a: &Path, b: &Path) -> bool {
    matches!((files::place(a), files::place(b)), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_paths_to_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let [new, old, link] = ["new", "old", "link"].map(|name| dir.path().join(name));
        fs::write(&old, "").unwrap();
        std::os::unix::fs::symlink(&old, &link).unwrap();
        assert!(are_one(&new, &dir.path().join("./new")));
        assert!(are_one(&old, &link));
        assert!(!are_one(&new, &old));
        assert!(!are_one(&dir.path().join("no-folder/new"), &new));
        assert!(are_one(Path::new("new"), Path::new("./new")));
    }
}
