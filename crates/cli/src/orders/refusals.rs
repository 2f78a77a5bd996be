//! `assay orders refusals`: what newOrder refused lately, of which there is no
//! order.

use std::fmt;

use anyhow::anyhow;
use assay_engine::{RecentRefusal, remedy::remedy};
use assay_proto::{Timestamp, WireIdentifier};
use serde::{Deserialize, Serialize};

use super::{Answer, Question, Source};
use crate::{args::RefusalsArgs, print, print_json, stop::Stop, terminal};

/// A refused newOrder, for one of its identifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub at: Timestamp,
    pub identifier: WireIdentifier,
    pub account: String,
    /// The address that it came from, where that is known.
    pub client: Option<String>,
    /// The stable name of the reason.
    pub reason: String,
    /// The exact finding.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl From<RecentRefusal> for Refusal {
    fn from(refusal: RecentRefusal) -> Self {
        Self {
            at: refusal.at,
            identifier: refusal.identifier,
            account: refusal.account.to_string(),
            client: refusal.client.map(|client| client.to_string()),
            remedy: remedy(&refusal.reason).map(str::to_owned),
            reason: refusal.reason,
            detail: refusal.detail,
        }
    }
}

/// `assay orders refusals`
pub async fn run(source: &mut Source<'_>, args: &RefusalsArgs) -> Result<(), Stop> {
    if let Some(device) = &args.device {
        super::check_length("--device", device)?;
    }
    let question = Question::Refusals {
        device: args.device.clone(),
        limit: args.limit as usize,
    };
    if !source.is_running().await? {
        return Err(Stop::refused(anyhow!(
            "no server runs: only a running one remembers what it refused without an order; the log has it (event `refused`)"
        )));
    }
    let Answer::Refusals { refusals, total } = source.ask(&question).await? else {
        return Err(super::another_answer());
    };
    let left_out = total.saturating_sub(refusals.len());
    if args.json {
        return print_json(&serde_json::json!({
            "refusals": refusals,
            "total": total,
            "left_out": left_out,
        }));
    }
    if refusals.is_empty() {
        return print("No order was refused since the server started.");
    }
    refusals.iter().try_for_each(print)?;
    if left_out > 0 {
        super::message(format_args!(
            "{} of {total} shown, the newest: --limit N shows more",
            refusals.len()
        ));
    }
    Ok(())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}  {}  {} {:?}, account {}, from {}",
            self.at,
            self.reason,
            self.identifier.kind.escape_debug(),
            self.identifier.value,
            self.account,
            self.client.as_deref().unwrap_or("an unknown address")
        )?;
        write!(f, "\n  finding      {}", terminal::escape(&self.detail))?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n  what to do   {remedy}"),
            None => Ok(()),
        }
    }
}
