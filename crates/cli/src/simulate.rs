//! `assay simulate`: a pretended device, attestation authority, fleet.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use assay_simulator::{
    EnrollError, Enrolled, Enrollment, KeyType, Step,
    authority::AttestationAuthority,
    enroll,
    evidence::DeviceProperties,
    load::{self, Latency, Load, LoadReport, Progress},
};
use data_encoding::HEXLOWER;

use crate::{
    args::{EnrollArgs, KeyKind, LoadArgs, SimulateCommand, Target},
    now, print,
    stop::{OrStop, Stop},
};

/// `assay simulate`
pub async fn run(command: &SimulateCommand) -> Result<(), Stop> {
    match command {
        SimulateCommand::Authority { authority } => make_authority(authority),
        SimulateCommand::Enroll(args) => enroll_one(args).await,
        SimulateCommand::Load(args) => enroll_many(args).await,
    }
}

fn make_authority(dir: &Path) -> Result<(), Stop> {
    let authority = AttestationAuthority::create(now()).or_fault("cannot make the authority")?;
    authority
        .save(dir)
        .or_usage(format_args!("cannot write to {}", dir.display()))?;
    print(format_args!(
        "Made an attestation authority in {}.\nTrust it on a laboratory server: assay init --laboratory-root {}",
        dir.display(),
        dir.join("root.pem").display()
    ))
}

async fn enroll_one(args: &EnrollArgs) -> Result<(), Stop> {
    let (authority, ca_bundle) = load_target(&args.target)?;
    if let Some(out) = &args.out {
        // Found out before a certificate is issued that could not be kept.
        fs::create_dir_all(out).or_usage(format_args!("cannot write to {}", out.display()))?;
    }
    let mut enrollment = Enrollment::new(
        &args.target.directory,
        &ca_bundle,
        args.client_identifier.as_ref().unwrap_or(&args.serial),
        DeviceProperties::mac(&args.serial, &args.udid),
    );
    enrollment.key = key_type(args.key);
    let talk = !args.json;
    let result = enroll(&enrollment, &authority, &mut |step| {
        if talk {
            // Progress is a courtesy.
            let _ = writeln!(io::stderr(), "{}", in_words(step));
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
        print(serde_json::json!({
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
        let printed = print(serde_json::json!({
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
    for (name, bytes, mode) in [
        ("key.pem", enrolled.key_pem.as_bytes(), 0o600),
        ("cert.pem", enrolled.certificate_pem.as_bytes(), 0o644),
        ("chain.pem", enrolled.chain_pem.as_bytes(), 0o644),
        ("attestation.cbor", &enrolled.attestation_object, 0o644),
    ] {
        let path = dir.join(name);
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&path)
            .and_then(|mut file| file.write_all(bytes))
            .or_fault(format_args!("cannot write {}", path.display()))?;
    }
    Ok(())
}

async fn enroll_many(args: &LoadArgs) -> Result<(), Stop> {
    let (authority, ca_bundle) = load_target(&args.target)?;
    let mut load = Load::new(&args.target.directory, &ca_bundle);
    load.devices = args.devices;
    load.concurrency = args.concurrency;
    load.server_pid = args.server_pid;
    let talk = io::stderr().is_terminal();
    let devices = args.devices;
    let report = load::run(&load, Arc::new(authority), &mut |progress| {
        if talk {
            let (what, count) = match progress {
                Progress::Prepared(count) => ("prepared", count),
                Progress::Done(count) => ("enrolled", count),
            };
            if count % 50 == 0 || count == devices {
                let _ = write!(io::stderr(), "\r{what} {count} of {devices}   ");
            }
        }
    })
    .await
    .or_fault("cannot put on the load")?;
    if talk {
        let _ = writeln!(io::stderr());
    }
    let failed = report.refused + report.faults;
    if args.json {
        print(serde_json::to_string(&report).or_fault("cannot write the report")?)?;
    } else {
        print(in_a_table(&report))?;
    }
    match (report.refused, failed) {
        (_, 0) => Ok(()),
        (refused, _) if refused == failed => Err(Stop::refused(anyhow::anyhow!(
            "{refused} of {devices} devices were refused"
        ))),
        _ => Err(Stop::fault(anyhow::anyhow!(
            "{failed} of {devices} devices failed"
        ))),
    }
}

fn in_a_table(report: &LoadReport) -> String {
    let mut lines = vec![
        format!(
            "{} of {} devices enrolled in {:.2} s, {} at once: {:.1} a second",
            report.enrolled,
            report.devices,
            report.elapsed_seconds,
            report.concurrency,
            report.enrolments_per_second
        ),
        format!(
            "{:<20}{:>10}{:>10}{:>10}  (milliseconds)",
            "", "p50", "p99", "max"
        ),
    ];
    let row = |name: &str, latency: &Latency| {
        let ms = |microseconds: u64| microseconds as f64 / 1000.0;
        format!(
            "{name:<20}{:>10.2}{:>10.2}{:>10.2}",
            ms(latency.p50),
            ms(latency.p99),
            ms(latency.max)
        )
    };
    lines.extend(report.steps.iter().map(|(step, latency)| {
        let name = serde_json::to_value(step).ok();
        row(
            name.as_ref()
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default(),
            latency,
        )
    }));
    lines.extend(
        report
            .enrolment
            .as_ref()
            .map(|latency| row("whole enrolment", latency)),
    );
    if let Some(server) = &report.server_cpu {
        lines.push(format!(
            "server CPU {:.2} s, {:.0} us an enrolment",
            server.time.total_seconds(),
            server.microseconds_per_enrolment.unwrap_or_default()
        ));
    }
    lines.push(format!(
        "client CPU {:.2} s",
        report.client_cpu.total_seconds()
    ));
    lines.extend(
        report
            .failures
            .iter()
            .map(|failure| format!("{} x {}: {}", failure.count, failure.kind, failure.example)),
    );
    lines.join("\n")
}

fn load_target(target: &Target) -> Result<(AttestationAuthority, String), Stop> {
    let authority = AttestationAuthority::load(&target.authority).or_usage(format_args!(
        "cannot use the authority in {}",
        target.authority.display()
    ))?;
    let ca_bundle = fs::read_to_string(&target.ca_bundle)
        .or_usage(format_args!("cannot read {}", target.ca_bundle.display()))?;
    Ok((authority, ca_bundle))
}

fn key_type(key: KeyKind) -> KeyType {
    match key {
        KeyKind::P256 => KeyType::P256,
        KeyKind::P384 => KeyType::P384,
    }
}

/// A step in plain words.
pub fn in_words(step: Step) -> &'static str {
    match step {
        Step::Connect => "connecting over TLS",
        Step::Directory => "reading the directory",
        Step::NewNonce => "fetching a nonce",
        Step::NewAccount => "making an account",
        Step::NewOrder => "ordering a certificate",
        Step::Authorization => "reading the challenge",
        Step::Attest => "having the key attested, with the challenge's token as freshness",
        Step::Challenge => "sending the evidence",
        Step::PollAuthorization => "asking what came of it",
        Step::Finalize => "sending the CSR, signed with the attested key",
        Step::PollOrder => "asking for the order",
        Step::Certificate => "downloading the certificate",
    }
}
