//! `assay orders refusals`: what newOrder refused lately, of which there is no
//! order.

use anyhow::anyhow;
use assay_proto::admin::{ListRefusals, Request, Response};
use clap::Args;

use super::Source;
use crate::{control::another_answer, output::Text, print, print_json, stop::Stop};

/// `assay orders refusals`
#[derive(Debug, Args)]
pub struct RefusalsArgs {
    /// Only refusals of this device: a serial number or UDID.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub device: Option<String>,
    /// The maximum number of refusals to list.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay orders refusals`
pub async fn run(source: &mut Source<'_>, args: &RefusalsArgs) -> Result<(), Stop> {
    if let Some(device) = &args.device {
        super::check_length("--device", device)?;
    }
    let request = Request::Refusals(ListRefusals {
        device: args.device.clone(),
        limit: args.limit as usize,
    });
    if !source.is_running().await? {
        return Err(Stop::refused(anyhow!(
            "no server runs: only a running one remembers what it refused without an order; the log has it (event `refused`)"
        )));
    }
    let Response::Refusals(found) = source.ask(&request).await? else {
        return Err(another_answer());
    };
    let left_out = found.total.saturating_sub(found.refusals.len());
    if args.json {
        return print_json(&serde_json::json!({
            "refusals": found.refusals,
            "total": found.total,
            "left_out": left_out,
        }));
    }
    if found.refusals.is_empty() {
        return print("No order was refused since the server started.");
    }
    (found.refusals.iter()).try_for_each(|refusal| print(Text(refusal)))?;
    if left_out > 0 {
        super::message(format_args!(
            "{} of {} shown, the newest: --limit N shows more",
            found.refusals.len(),
            found.total
        ));
    }
    Ok(())
}
