//! `assay simulate load`: many pretended devices.

use std::{
    io::{self, IsTerminal, Write},
    sync::Arc,
};

use assay_simulator::load::{self, Latency, Load, LoadReport, Progress};

use super::{LoadArgs, read_authority, read_bundle};
use crate::{
    logging, print, print_json,
    stop::{OrStop, Stop},
};

/// `assay simulate load`
pub(super) async fn run(args: &LoadArgs) -> Result<(), Stop> {
    let authority = read_authority(&args.target.authority)?;
    let ca_bundle = read_bundle(&args.target.ca_bundle)?;
    let mut load = Load::new(&args.target.directory, &ca_bundle);
    load.devices = args.devices;
    load.concurrency = args.concurrency;
    load.server_pid = args.server_pid;
    load.client = args.client.into();
    load.source_addresses = args.source_addresses;
    let talk = io::stderr().is_terminal() && !logging::is_json();
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
        print_json(&report)?;
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
