//! `assay simulate enroll`: one pretended device, in good faith or not.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write},
    path::Path,
};

use assay_simulator::{Attested, EnrollError, EnrollProgress, Enrolled, Enrollment, enroll};
use data_encoding::HEXLOWER;

use super::{EnrollArgs, FaultChoice, key_type, read_authority, read_bundle, table};
use crate::{
    files, logging, print, print_json,
    stop::{OrStop, Stop},
};

/// What `--out` gets of a certificate.
const ISSUED: [&str; 3] = ["key.pem", "cert.pem", "chain.pem"];

/// What `--out` gets of what was sent, accepted or not.
const SENT: [&str; 3] = ["attestation.cbor", "csr.der", "token"];

/// What the device sent.
struct Sent {
    token: String,
    attestation_object: Vec<u8>,
    csr_der: Vec<u8>,
}

impl Sent {
    fn of(attested: Attested<'_>) -> Self {
        Self {
            token: attested.token.to_owned(),
            attestation_object: attested.attestation_object.to_owned(),
            csr_der: attested.csr_der.to_owned(),
        }
    }

    fn write(&self, dir: &Path) -> Result<(), Stop> {
        let contents = [
            self.attestation_object.as_slice(),
            &self.csr_der,
            self.token.as_bytes(),
        ];
        for (name, bytes) in SENT.into_iter().zip(contents) {
            write(dir, name, bytes, 0o644)?;
        }
        Ok(())
    }
}

/// `assay simulate enroll`
pub(super) async fn run(args: &EnrollArgs) -> Result<(), Stop> {
    if matches!(args.fault, FaultChoice::List) {
        return table::print_faults(args.json);
    }
    let shape = args.device.shape(Some(args.fault))?;
    let directory = required(args.directory.as_ref(), "--directory")?;
    let authority = read_authority(required(args.authority.as_ref(), "--authority")?)?;
    let ca_bundle = read_bundle(required(args.ca_bundle.as_ref(), "--ca-bundle")?)?;
    let serial = required(args.serial.as_ref(), "--serial")?;
    let udid = required(args.udid.as_ref(), "--udid")?;
    if let Some(out) = &args.out {
        // Found out before a certificate is issued that could not be kept.
        fs::create_dir_all(out).or_usage(format_args!("cannot write to {}", out.display()))?;
        let names = || ISSUED.into_iter().chain(SENT);
        if let Some(name) = names().find(|name| out.join(name).is_dir()) {
            return Err(Stop::usage(anyhow::anyhow!(
                "{} is a folder, where a file is to be written",
                out.join(name).display()
            )));
        }
    }
    let mut enrollment = Enrollment::new(
        directory,
        &ca_bundle,
        args.client_identifier.as_ref().unwrap_or(serial),
        args.device.properties(serial, udid)?,
    );
    enrollment.key = key_type(args.key);
    enrollment.shape = shape;
    enrollment.client = args.client.into();
    let talk = !args.json && !logging::is_json();
    let mut sent = None;
    let result = enroll(&enrollment, &authority, &mut |progress| match progress {
        EnrollProgress::Step(step) if talk => {
            // EnrollProgress is a courtesy.
            let _ = writeln!(io::stderr(), "{}", step.describe());
        }
        EnrollProgress::Step(_) => {}
        EnrollProgress::Attested(attested) => sent = Some(Sent::of(attested)),
    })
    .await;
    if let (Some(out), Some(sent)) = (&args.out, &sent) {
        sent.write(out)?;
    }
    let enrolled = match result {
        Ok(enrolled) => enrolled,
        Err(error) => return Err(refusal(error, sent.as_ref(), args.json)),
    };
    if let Some(out) = &args.out {
        write_enrolled(out, &enrolled)?;
    }
    if args.json {
        print_json(&serde_json::json!({
            "result": "enrolled",
            "account": enrolled.account_url,
            "order": enrolled.order_url,
            "certificate": enrolled.certificate_url,
            "certificate_pem": enrolled.certificate_pem,
            "chain_pem": enrolled.chain_pem,
            "token": enrolled.token,
            "attestation_object_hex": HEXLOWER.encode(&enrolled.attestation_object),
        }))
    } else {
        print(enrolled.chain_pem.trim_end())
    }
}

/// What a failed enrolment ends with; with `json` the object is printed too.
fn refusal(error: EnrollError, sent: Option<&Sent>, json: bool) -> Stop {
    if json {
        let (problem, status) = match &error {
            EnrollError::Problem { source, .. } => (
                serde_json::from_slice(source.body.as_bytes()).unwrap_or(serde_json::Value::Null),
                Some(source.status),
            ),
            _ => (serde_json::Value::Null, None),
        };
        let printed = print_json(&serde_json::json!({
            "result": if error.is_refusal() { "refused" } else { "fault" },
            "error": error.to_string(),
            "status": status,
            "problem": problem,
            "token": sent.map(|sent| &sent.token),
            "attestation_object_hex": sent.map(|sent| HEXLOWER.encode(&sent.attestation_object)),
        }));
        if let Err(stop) = printed {
            return stop;
        }
    }
    if error.is_refusal() {
        Stop::refused(error)
    } else {
        Stop::fault(error)
    }
}

fn write_enrolled(dir: &Path, enrolled: &Enrolled) -> Result<(), Stop> {
    let contents = [
        (enrolled.key_pem.as_bytes(), 0o600),
        (enrolled.certificate_pem.as_bytes(), 0o644),
        (enrolled.chain_pem.as_bytes(), 0o644),
    ];
    for (name, (bytes, mode)) in ISSUED.into_iter().zip(contents) {
        write(dir, name, bytes, mode)?;
    }
    Ok(())
}

fn write(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<(), Stop> {
    files::replace(dir, OsStr::new(name), bytes, mode)
        .or_fault(format_args!("cannot write {}", dir.join(name).display()))
}

/// An option that only the list of faults can do without.
fn required<'a, T>(value: Option<&'a T>, name: &str) -> Result<&'a T, Stop> {
    value.ok_or_else(|| {
        Stop::usage(anyhow::anyhow!(
            "{name} is required; assay simulate enroll --help tells more"
        ))
    })
}
