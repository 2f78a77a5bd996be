//! `assay config check`: shows all problems in one run.

use assay_attest::TrustAnchor;
use clap::Subcommand;

use super::{BadList, Listening, Report, check};
use crate::{app::Parts, dir::Dir, print, print_json, stop::Stop, terminal};

/// `assay config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check configuration, CAs and the list of devices, as serve does.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay config check")]
    Check {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// `assay config check`
pub fn run(dir: &Dir, json: bool) -> Result<(), Stop> {
    let (report, parts) = check(dir, Listening::Configured, BadList::Fails);
    match (report.stop(), parts) {
        (None, Some(parts)) if json => print_json(&as_json(&report, &parts)),
        (None, Some(parts)) => describe(dir, &report, &parts),
        (stop, _) => {
            if json {
                let problems: Vec<_> = report.problems().collect();
                print_json(&serde_json::json!({ "ok": false, "problems": problems }))?;
            } else {
                report.log_warnings();
            }
            stop.map_or(Ok(()), Err)
        }
    }
}

fn base_url(parts: &Parts) -> Option<String> {
    (parts.config.server.base_url.as_ref()).map(ToString::to_string)
}

fn as_json(report: &Report, parts: &Parts) -> serde_json::Value {
    let roots: Vec<&str> = parts.anchors.iter().map(TrustAnchor::name).collect();
    serde_json::json!({
        "ok": true,
        "laboratory": parts.laboratory,
        "base_url": base_url(parts),
        "listen": parts.config.server.listen.to_string(),
        "devices": parts.devices.as_ref().map(|devices| devices.list().len()),
        "attestation_roots": roots,
        "problems": report.problems().collect::<Vec<_>>(),
    })
}

fn describe(dir: &Dir, report: &Report, parts: &Parts) -> Result<(), Stop> {
    let roots: Vec<&str> = parts.anchors.iter().map(TrustAnchor::name).collect();
    print(format_args!(
        "{} is in order.\n  base URL           {}\n  listens on         {}\n  attestation roots  {}\n  devices            {}",
        dir.config().display(),
        base_url(parts)
            .as_deref()
            .unwrap_or("https://localhost and the bound port"),
        parts.config.server.listen,
        roots.join(", "),
        match parts.devices.as_ref().map(|devices| devices.list().len()) {
            Some(0) => "none: every order is refused until devices are listed".to_owned(),
            Some(count) => format!("{count} listed"),
            None => "any that proves itself (laboratory)".to_owned(),
        }
    ))?;
    report.problems().try_for_each(|warning| {
        print(format_args!(
            "warning: {}",
            terminal::escape(&warning.to_string())
        ))
    })
}
