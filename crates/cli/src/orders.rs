//! `assay orders`: what became of orders, from the running server or, when
//! none runs, from the database's ledger.

pub mod control;
mod find;
mod list;
mod refusals;
mod story;

use anyhow::{anyhow, bail};
use assay_engine::{Engine, ports::Store};
use assay_proto::Timestamp;
use assay_store::LedgerView;
use serde::{Deserialize, Serialize};

pub use find::{FindQuestion, Found};
pub use list::{Page, PageQuestion};
pub use refusals::Refusal;

use crate::{
    args::OrdersCommand,
    dir::Dir,
    logging, now,
    status::Status,
    stop::{OrStop, Stop},
};

/// What is asked of a running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// To follow the clock, since it is this time (seconds since 1970).
    AcceptClock(u64),
    /// What a text means.
    Find(FindQuestion),
    /// A page of orders.
    Page(PageQuestion),
    /// What newOrder refused lately, the newest.
    Refusals {
        /// For this device.
        device: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// How the server is.
    Status,
}

/// What the answer to a [`Question`] is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The server's time (seconds since 1970), or why the clock is not
    /// followed.
    AcceptClock(Result<u64, String>),
    /// What was found.
    Found(Box<Found>),
    /// The orders.
    Page(Page),
    /// What was refused, oldest first, and how much there is.
    Refusals {
        /// The newest.
        refusals: Vec<Refusal>,
        /// How many there are.
        total: usize,
    },
    /// How the server is.
    Status(Box<Status>),
    /// Why the question has no answer.
    Failed(String),
}

/// The longest text that orders are looked for by, in bytes: more than any URL
/// of an order, and than a device's name may have. The control socket takes it
/// however its JSON escapes it.
const LONGEST_TEXT: usize = 512;

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

    async fn ask(&mut self, question: &Question) -> Result<Answer, Stop> {
        let view = match &self.view {
            Some(view) => view,
            None => {
                if let Some(answer) = control::ask(self.dir, question).await? {
                    return answer.or_fault("the running server did not answer");
                }
                self.view.insert(LedgerView::open(&self.dir.db())?)
            }
        };
        answer(view, question)
            .await
            .or_fault("cannot read the database")
    }

    async fn is_running(&self) -> Result<bool, Stop> {
        Ok(control::ask(self.dir, &Question::Status).await?.is_some())
    }
}

/// Answers from a store that no server runs on.
pub async fn answer(store: &dyn Store, question: &Question) -> anyhow::Result<Answer> {
    // As the engine has it: never behind what was recorded.
    let now = Timestamp(now()).max(store.latest_time().await?);
    answer_at(store, None, question, now).await
}

/// Answers from a store, as things are at `now`, and from the engine that runs
/// on it.
async fn answer_at(
    store: &dyn Store,
    engine: Option<&Engine>,
    question: &Question,
    now: Timestamp,
) -> anyhow::Result<Answer> {
    match (question, engine) {
        (Question::AcceptClock(time), Some(engine)) => {
            let accepted = engine.accept_clock(Timestamp(*time)).await;
            let accepted = accepted.map(|now| now.0).map_err(|error| error.to_string());
            Ok(Answer::AcceptClock(accepted))
        }
        (Question::Status, Some(engine)) => Ok(Answer::Status(Box::new(Status::of(engine)))),
        (Question::Refusals { device, limit }, Some(engine)) => {
            let mut refusals = engine.recent_refusals(device.as_deref());
            let total = refusals.len();
            refusals.drain(..total.saturating_sub(*limit));
            let refusals = refusals.into_iter().map(Refusal::from).collect();
            Ok(Answer::Refusals { refusals, total })
        }
        (Question::AcceptClock(_) | Question::Refusals { .. } | Question::Status, None) => {
            bail!("this asks a running server")
        }
        (Question::Page(question), _) => Ok(Answer::Page(list::page(store, question, now).await?)),
        (Question::Find(question), engine) => {
            let found = find::find(store, engine, question, now).await?;
            Ok(Answer::Found(Box::new(found)))
        }
    }
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

/// That the running server is of another version, most likely.
fn another_answer() -> Stop {
    Stop::fault(anyhow!(
        "the running server answered something else than it was asked"
    ))
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
