//! `assay status`: whether the running server is well, and why not.

use std::{fmt, sync::LazyLock, time::Instant};

use anyhow::anyhow;
use assay_engine::Engine;
use assay_proto::{PartState, Readiness, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    args::StatusArgs,
    dir::Dir,
    orders::{Answer, Question, control},
    print, print_json,
    stop::{OrStop, Stop},
    terminal,
};

/// When this process began to serve.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How a running server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its parts.
    #[serde(flatten)]
    pub readiness: Readiness,
    /// The program's version.
    pub version: String,
    /// The URL that clients begin with.
    pub directory: String,
    /// The server's time.
    pub time: Timestamp,
    /// For how long it has been serving.
    pub uptime_seconds: u64,
}

/// Notes that the server begins to serve.
pub fn begin() {
    LazyLock::force(&STARTED);
}

impl Status {
    /// How the server of `engine` is now.
    pub fn of(engine: &Engine) -> Self {
        Self {
            readiness: engine.readiness(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            directory: engine.urls().directory(),
            time: engine.now(),
            uptime_seconds: STARTED.elapsed().as_secs(),
        }
    }
}

/// `assay status`
pub async fn run(dir: &Dir, args: &StatusArgs) -> Result<(), Stop> {
    let answer = match control::ask(dir, &Question::Status).await? {
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
    let Answer::Status(status) = answer else {
        return Err(Stop::fault(anyhow!(
            "the running server answered something else than it was asked"
        )));
    };
    if args.json {
        let mut json = serde_json::to_value(&status).or_fault("cannot write JSON")?;
        json["running"] = true.into();
        print_json(&json)?;
    } else {
        print(&status)?;
    }
    if status.readiness.ready {
        Ok(())
    } else {
        Err(Stop::refused(anyhow!("no device can enrol now")))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            readiness,
            version,
            directory,
            time,
            uptime_seconds,
        } = self;
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
