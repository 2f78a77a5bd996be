//! `assay orders`: what became of orders, from the running server or, when
//! none runs, from the database's ledger.

mod find;
mod list;
mod refusals;
mod text;

use anyhow::anyhow;
use assay_engine::{
    operator::{self, RequestError, Sources},
    ports::Store,
};
use assay_proto::{
    Timestamp,
    admin::{Request, Response},
};
use assay_store::LedgerView;
use clap::Subcommand;

use self::{find::ShowArgs, list::ListArgs, refusals::RefusalsArgs};
use crate::{
    control,
    dir::Dir,
    logging, now,
    stop::{OrStop, Stop},
};

/// The longest text that orders are looked for by, in bytes: more than any URL
/// of an order, and than a device's name may have. The control socket takes it
/// however its JSON escapes it.
const LONGEST_TEXT: usize = 512;

/// `assay orders`
#[derive(Debug, Subcommand)]
pub enum OrdersCommand {
    /// List the orders, newest last.
    #[command(
        after_help = "Examples:\n  assay --dir /var/lib/assay orders list --limit 20\n  \
                      assay --dir /var/lib/assay orders list --status invalid --since 24h\n  \
                      assay --dir /var/lib/assay orders list --device C02XK0AAJHD2"
    )]
    List(ListArgs),
    /// List requests that were refused before an order was created: devices
    /// that are not admitted, exceeded limits.
    #[command(
        after_help = "Example:\n  assay --dir /var/lib/assay orders refusals --device C02XK0AAJHD2"
    )]
    Refusals(RefusalsArgs),
    /// Show an order, or a device's orders: what was refused, why, and what to
    /// do.
    #[command(
        after_help = "Examples:\n  assay --dir /var/lib/assay orders show C02XK0AAJHD2\n  \
                      assay --dir /var/lib/assay orders show _BndzaG99774uYffrGJwFA\n  \
                      assay --dir /var/lib/assay orders show --certificate --pem 6c0686c00c7cecd1fe36465035111dcb"
    )]
    Show(ShowArgs),
}

/// `assay orders`
pub async fn run(dir: &Dir, command: &OrdersCommand) -> Result<(), Stop> {
    let mut source = Source { dir, view: None };
    match command {
        OrdersCommand::List(args) => list::run(&mut source, args).await,
        OrdersCommand::Refusals(args) => refusals::run(&mut source, args).await,
        OrdersCommand::Show(args) => find::run(&mut source, args).await,
    }
}

/// What answers: the running server, or the database's ledger.
pub struct Source<'a> {
    dir: &'a Dir,
    /// The ledger, once no server answered.
    view: Option<LedgerView>,
}

impl Source<'_> {
    fn dir(&self) -> &Dir {
        self.dir
    }

    async fn ask(&mut self, request: &Request) -> Result<Response, Stop> {
        let view = match &self.view {
            Some(view) => view,
            None => {
                if let Some(answer) = control::ask(self.dir, request).await? {
                    return answer.or_fault("the running server did not answer");
                }
                self.view.insert(LedgerView::open(&self.dir.db())?)
            }
        };
        answer(view, request)
            .await
            .or_fault("cannot read the database")
    }

    async fn is_running(&self) -> Result<bool, Stop> {
        Ok(control::ask(self.dir, &Request::Status).await?.is_some())
    }
}

/// Answers from a store that no server runs on.
pub async fn answer(store: &dyn Store, request: &Request) -> Result<Response, RequestError> {
    // As the engine has it: never behind what was recorded.
    let now = Timestamp(now()).max(store.latest_time().await?);
    let sources = Sources {
        store,
        running: None,
    };
    operator::answer(sources, request, now).await
}

/// Refuses a text that is longer than anything it can mean, `name` of the
/// command line.
fn check_length(name: &str, text: &str) -> Result<(), Stop> {
    if text.len() <= LONGEST_TEXT {
        return Ok(());
    }
    Err(Stop::usage(anyhow!(
        "{name} has {} bytes, at most {LONGEST_TEXT} are allowed: give an order's name or URL, a certificate's serial number or a device's name",
        text.len()
    )))
}

/// Says something beside the results.
fn message(text: impl std::fmt::Display) {
    use std::io::Write as _;

    if logging::is_json() {
        tracing::info!(event = "note", "{text}");
        return;
    }
    // A reader that went away is no reason to fail.
    let _ = writeln!(std::io::stderr(), "assay: {text}");
}
