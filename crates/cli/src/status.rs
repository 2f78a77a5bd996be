//! `assay status`: shows whether the running server works, and what fails.

use std::fmt;

use anyhow::anyhow;
use assay_proto::{
    PartState,
    admin::{Request, Response, Status},
};
use clap::Args;

use crate::{
    control::{self, another_answer},
    dir::Dir,
    output::Text,
    print, print_json,
    stop::{OrStop, Stop},
    terminal,
};

/// `assay status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay status`
pub async fn run(dir: &Dir, args: &StatusArgs) -> Result<(), Stop> {
    let answer = match control::ask(dir, &Request::Status).await? {
        Some(answer) => answer.or_fault("the running server did not answer")?,
        None => {
            if args.json {
                print_json(&serde_json::json!({ "running": false, "ready": false }))?;
            }
            return Err(Stop::refused(anyhow!(
                "no server runs in {}, or it is still starting",
                dir.path().display()
            )));
        }
    };
    let Response::Status(status) = answer else {
        return Err(another_answer());
    };
    if args.json {
        let mut json = serde_json::to_value(&status).or_fault("cannot write JSON")?;
        json["running"] = true.into();
        print_json(&json)?;
    } else {
        print(Text(&*status))?;
    }
    if status.readiness.ready {
        Ok(())
    } else {
        Err(Stop::refused(anyhow!("no device can enrol now")))
    }
}

impl fmt::Display for Text<'_, Status> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status {
            readiness,
            version,
            directory,
            time,
            uptime_seconds,
            ..
        } = self.0;
        let ready = if readiness.ready {
            "ready"
        } else {
            "NOT READY"
        };
        writeln!(f, "assay {version} at {directory}: {ready}")?;
        write!(f, "  time         {time}, serving for {uptime_seconds} s")?;
        for (part, state) in &readiness.parts {
            let state = match state {
                PartState::Failing => "FAILING",
                PartState::Ok => "ok",
            };
            write!(f, "\n  {part:12} {state}")?;
            if let Some(reason) = readiness.reasons.get(part) {
                write!(f, ": {}", terminal::escape(reason))?;
            }
        }
        Ok(())
    }
}
