//! `assay orders`: what became of orders, from the running server or, when
//! none runs, from the database's ledger.

pub mod control;
mod story;

use anyhow::bail;
use assay_engine::{ids::OrderId, ports::Store};
use assay_proto::Timestamp;
use assay_store::LedgerView;
use serde::{Deserialize, Serialize};

pub use story::{Story, Summary};

use crate::{
    args::OrdersCommand,
    dir::Dir,
    now, print, print_json,
    status::Status,
    stop::{OrStop, Stop},
};

/// What is asked of a running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// To follow the clock, since it is this time (seconds since 1970).
    AcceptClock(u64),
    /// The latest orders, at most so many.
    List(usize),
    /// One order; its name is the last part of its URL.
    Show(String),
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
    /// The orders, the newest last.
    List(Vec<Summary>),
    /// The order, if there is such a one.
    Show(Option<Box<Story>>),
    /// How the server is.
    Status(Box<Status>),
}

/// `assay orders`
pub async fn run(dir: &Dir, command: &OrdersCommand) -> Result<(), Stop> {
    let (question, json) = match command {
        OrdersCommand::List { limit, json } => (Question::List(*limit as usize), *json),
        OrdersCommand::Show { id, json } => (Question::Show(id.clone()), *json),
    };
    let answer = match control::ask(dir, &question).await {
        Some(answer) => answer.or_fault("the running server did not answer")?,
        None => {
            let store = LedgerView::open(&dir.db())?;
            answer(&store, &question)
                .await
                .or_fault("cannot read the database")?
        }
    };
    match answer {
        Answer::AcceptClock(_) | Answer::Status(_) => Err(Stop::fault(anyhow::anyhow!(
            "the running server answered something else than it was asked"
        ))),
        Answer::List(orders) if json => print_json(&serde_json::json!({ "orders": orders })),
        Answer::List(orders) if orders.is_empty() => print("There are no orders yet."),
        Answer::List(orders) => orders.iter().try_for_each(print),
        Answer::Show(None) => Err(Stop::refused(anyhow::anyhow!(
            "there is no such order: `assay orders list` names them"
        ))),
        Answer::Show(Some(story)) if json => print_json(&story),
        Answer::Show(Some(story)) => print(story),
    }
}

/// Answers from a store that no server runs on.
pub async fn answer(store: &dyn Store, question: &Question) -> anyhow::Result<Answer> {
    // As the engine has it: never behind what was recorded.
    let now = Timestamp(now()).max(store.latest_time());
    answer_at(store, question, now).await
}

/// Answers from a store, as things are at `now`.
async fn answer_at(
    store: &dyn Store,
    question: &Question,
    now: Timestamp,
) -> anyhow::Result<Answer> {
    match question {
        Question::AcceptClock(_) | Question::Status => bail!("this asks a running server"),
        Question::List(limit) => {
            // The newest are wanted, and the store lists the oldest first.
            let mut latest = std::collections::VecDeque::new();
            let mut after = None;
            loop {
                let page = store.orders(None, after, 1000).await?;
                let Some(last) = page.last() else { break };
                after = Some(*last);
                latest.extend(page);
                while latest.len() > *limit {
                    latest.pop_front();
                }
            }
            let mut orders = Vec::with_capacity(latest.len());
            for cursor in latest {
                if let Some(order) = store.order(cursor.id).await? {
                    orders.push(Summary::of(&order.value, now));
                }
            }
            Ok(Answer::List(orders))
        }
        Question::Show(text) => {
            let id = OrderId::parse(text.rsplit('/').next().unwrap_or(text));
            let order = match id {
                Some(id) => store.order(id).await?,
                None => None,
            };
            Ok(Answer::Show(match order {
                Some(order) => Some(Box::new(Story::read(store, order.value, now).await?)),
                None => None,
            }))
        }
    }
}
