//! `assay simulate enroll`: one pretended device, in good faith or not.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write},
    path::Path,
};

use assay_lab::forge::Shape;
use assay_simulator::{
    EnrollError, Enrolled, Enrollment, enroll, evidence::DeviceProperties, faults::Good,
};
use data_encoding::HEXLOWER;

use super::{EnrollArgs, FaultChoice, key_type, read_authority, read_bundle, table};
use crate::{
    files, logging, print, print_json,
    stop::{OrStop, Stop},
};

/// What `--out` gets.
const OUT: [&str; 4] = ["key.pem", "cert.pem", "chain.pem", "attestation.cbor"];

/// `assay simulate enroll`
pub(super) async fn run(args: &EnrollArgs) -> Result<(), Stop> {
    let fault = match args.fault {
        FaultChoice::List => return table::print_faults(args.json),
        FaultChoice::Shape(Shape::Good(good)) if good.name() == Good::usual().name() => None,
        FaultChoice::Shape(Shape::Good(good)) => {
            return Err(Stop::usage(anyhow::anyhow!(
                "{} is no fault but an unusual shape: assay simulate forge makes it",
                good.name()
            )));
        }
        FaultChoice::Shape(Shape::Fault(fault)) => Some(fault),
    };
    let directory = required(args.directory.as_ref(), "--directory")?;
    let authority = read_authority(required(args.authority.as_ref(), "--authority")?)?;
    let ca_bundle = read_bundle(required(args.ca_bundle.as_ref(), "--ca-bundle")?)?;
    let serial = required(args.serial.as_ref(), "--serial")?;
    let udid = required(args.udid.as_ref(), "--udid")?;
    if let Some(out) = &args.out {
        // Found out before a certificate is issued that could not be kept.
        fs::create_dir_all(out).or_usage(format_args!("cannot write to {}", out.display()))?;
        if let Some(name) = OUT.iter().find(|name| out.join(name).is_dir()) {
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
        DeviceProperties::mac(serial, udid),
    );
    enrollment.key = key_type(args.key);
    enrollment.fault = fault;
    enrollment.client = args.client.into();
    let talk = !args.json && !logging::is_json();
    let result = enroll(&enrollment, &authority, &mut |step| {
        if talk {
            // Progress is a courtesy.
            let _ = writeln!(io::stderr(), "{}", step.describe());
        }
    })
    .await;
    let enrolled = match result {
        Ok(enrolled) => enrolled,
        Err(error) => return Err(refusal(error, args.json)),
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
fn refusal(error: EnrollError, json: bool) -> Stop {
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
        (enrolled.attestation_object.as_slice(), 0o644),
    ];
    for (name, (bytes, mode)) in OUT.into_iter().zip(contents) {
        files::replace(dir, OsStr::new(name), bytes, mode)
            .or_fault(format_args!("cannot write {}", dir.join(name).display()))?;
    }
    Ok(())
}

/// An option that only the list of faults can do without.
fn required<'a, T>(value: Option<&'a T>, name: &str) -> Result<&'a T, Stop> {
    value.ok_or_else(|| {
        Stop::usage(anyhow::anyhow!(
            "{name} is required; assay simulate enroll --help tells more"
        ))
    })
}
