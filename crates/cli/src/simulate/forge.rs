//! `assay simulate forge`: evidence without a server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use assay_proto::Timestamp;
use assay_simulator::{
    Device,
    authority::AttestationAuthority,
    corpus::{self, CorpusError, CorpusFile},
    evidence::DeviceProperties,
    faults::{Fault, Forger},
};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

use super::{FaultChoice, ForgeArgs, key_type, read_authority, table};
use crate::{
    files, now, print, print_json,
    stop::{OrStop, Stop},
};

/// The longest nonce of a DeviceInformation query, in bytes (Apple's schema
/// `information.device.yaml`, key `DeviceAttestationNonce`).
const MAX_NONCE_LEN: usize = 32;

/// `assay simulate forge`
pub(super) fn run(args: &ForgeArgs) -> Result<(), Stop> {
    if let Some(dir) = &args.all {
        let folders = ["good", "bad"].map(|folder| dir.join(folder));
        return write_corpus(dir, &folders, "cbor", corpus::files(), args.json);
    }
    if let Some(dir) = &args.recordings {
        let folders = [dir.clone()];
        return write_corpus(dir, &folders, "json", corpus::recordings(), args.json);
    }
    let choice = args
        .fault
        .ok_or_else(|| anyhow::anyhow!("--fault is required"))
        .or_usage("nothing to forge")?;
    if let FaultChoice::List = choice {
        return table::print_faults(args.json);
    }
    let out = args
        .out
        .as_ref()
        .ok_or_else(|| anyhow::anyhow!("--out is required"))
        .or_usage("nowhere to write")?;
    if let Some(file) = &args.root_out
        && files::are_one(out, file)
    {
        return Err(Stop::usage(anyhow::anyhow!(
            "--out and --root-out are one file, {}: the root would replace the evidence",
            file.display()
        )));
    }
    let (authority, default_time) = match &args.authority {
        None => (corpus::authority(), corpus::NOW),
        Some(dir) => (read_authority(dir)?.deterministic(), now()),
    };
    let authority = authority.or_fault("cannot use the authority")?;
    let time = match args.at.as_deref() {
        None => default_time,
        Some("now") => now(),
        Some(text) => {
            Timestamp::parse(text)
                .or_usage(format_args!(
                    "--at {text} is neither a time of RFC 3339 nor now"
                ))?
                .0
        }
    };
    let properties = DeviceProperties::mac(&args.serial, &args.udid);
    let device =
        corpus::device(properties, key_type(args.key)).or_fault("cannot make the device's key")?;
    let forger = forger(args, &authority, &device, time)?;
    let forged = match choice {
        FaultChoice::Fault(fault) => fault.forge(&forger),
        FaultChoice::Good(good) => good.forge(&forger),
        FaultChoice::List => return Ok(()),
    };
    let object = forged.or_usage("cannot forge that")?.attestation_object();
    write(out, &object)?;
    if let Some(file) = &args.root_out {
        write(file, authority.root_pem().as_bytes())?;
    }
    report(args, choice, &forger, &object)
}

fn forger<'a>(
    args: &ForgeArgs,
    authority: &'a AttestationAuthority,
    device: &'a Device,
    time: u64,
) -> Result<Forger<'a>, Stop> {
    let mut forger = corpus::forger(authority, device);
    forger.now = time;
    if let Some(token) = &args.token {
        forger.freshness = Sha256::digest(token).to_vec();
        forger.key_authorization = corpus::key_authorization(token);
    }
    if let Some(text) = &args.nonce {
        let nonce = BASE64URL_NOPAD.decode(text.as_bytes());
        let nonce = nonce.or_usage(format_args!("--nonce {text} is not base64url"))?;
        if !(1..=MAX_NONCE_LEN).contains(&nonce.len()) {
            return Err(Stop::usage(anyhow::anyhow!(
                "--nonce has {} bytes: a nonce has 1 to {MAX_NONCE_LEN}",
                nonce.len()
            )));
        }
        forger.freshness = nonce;
    }
    Ok(forger)
}

fn report(
    args: &ForgeArgs,
    choice: FaultChoice,
    forger: &Forger<'_>,
    object: &[u8],
) -> Result<(), Stop> {
    let at = Timestamp(forger.now);
    let (name, fault): (&str, Option<&Fault>) = match choice {
        FaultChoice::Fault(fault) => (fault.name(), Some(fault)),
        FaultChoice::Good(good) => (good.name(), None),
        FaultChoice::List => return Ok(()),
    };
    if args.json {
        return print_json(&serde_json::json!({
            "name": name,
            "fault": fault.map(table::fault_json),
            "out": args.out.as_deref().map(Path::to_string_lossy),
            "sha256": HEXLOWER.encode(&Sha256::digest(object)),
            "bytes": object.len(),
            "at": at.to_string(),
            "freshness": HEXLOWER.encode(&forger.freshness),
            "serial": args.serial,
            "udid": args.udid,
            "root_sha256": HEXLOWER.encode(&Sha256::digest(forger.authority.root_der())),
        }));
    }
    let verdict = fault.map_or_else(
        || "accepted, as long as these certificates are valid".to_owned(),
        table::in_words,
    );
    print(format_args!(
        "Forged {name}, made {at} for the freshness code {}.\nA right server says: {verdict}.",
        HEXLOWER.encode(&forger.freshness)
    ))
}

/// Writes a whole corpus; what it does not have, and is of its kind, is removed.
fn write_corpus(
    dir: &Path,
    folders: &[PathBuf],
    kind: &str,
    files: Result<Vec<CorpusFile>, CorpusError>,
    as_json: bool,
) -> Result<(), Stop> {
    let files = files.or_fault("cannot forge the corpus")?;
    for folder in folders {
        let doing = format!("cannot write to {}", folder.display());
        fs::create_dir_all(folder).or_usage(&doing)?;
        for entry in fs::read_dir(folder).or_usage(&doing)? {
            let path = entry.or_usage(&doing)?.path();
            if path.extension().is_some_and(|extension| extension == kind) {
                fs::remove_file(path).or_usage(&doing)?;
            }
        }
    }
    for file in &files {
        write(&dir.join(&file.path), &file.bytes)?;
    }
    if as_json {
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        return print_json(&serde_json::json!({"dir": dir.to_string_lossy(), "files": paths}));
    }
    print(format_args!(
        "Wrote {} files to {}.",
        files.len(),
        dir.display()
    ))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Stop> {
    fs::write(path, bytes).or_usage(format_args!("cannot write {}", path.display()))
}
