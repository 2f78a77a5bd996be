//! `assay store accept-clock`: the operator decides about a clock.

use anyhow::anyhow;
use assay_engine::{
    ports::{ChangeSet, Store},
    time::{ClockRefusal, TOLERANCE, check_confirmation},
};
use assay_proto::Timestamp;
use assay_store::{LedgerStore, OpenMode};

use crate::{
    args::StoreCommand,
    dir::Dir,
    now,
    orders::{Answer, Question, control},
    print,
    stop::{OrStop, Stop},
};

/// `assay store accept-clock`
pub async fn run(dir: &Dir, command: &StoreCommand) -> Result<(), Stop> {
    match command {
        StoreCommand::AcceptClock { time } => accept(dir, *time).await,
    }
}

/// Lets the running server follow the clock, or records the clock's time, so
/// that the next start goes on from there.
async fn accept(dir: &Dir, confirmed: Timestamp) -> Result<(), Stop> {
    let question = Question::AcceptClock(confirmed.0);
    if let Some(answer) = control::ask(dir, &question).await {
        let answer = answer.or_fault("the running server did not answer")?;
        return match answer {
            Answer::AcceptClock(Ok(now)) => print(format_args!(
                "The running server follows the clock: its time is {}.",
                Timestamp(now)
            )),
            Answer::AcceptClock(Err(refusal)) => Err(Stop::usage(anyhow!(refusal))),
            _ => Err(Stop::fault(anyhow!(
                "the running server answered something else than it was asked"
            ))),
        };
    }
    let store = LedgerStore::open(&dir.db(), OpenMode::Any)?;
    let wall = Timestamp(now());
    check_confirmation(confirmed, wall).map_err(Stop::usage)?;
    let mark = store.latest_time();
    if mark > wall.plus(TOLERANCE) {
        let refusal = ClockRefusal::Behind { wall, now: mark };
        return Err(Stop::usage(refusal));
    }
    // The clock's own time, which the operator's confirms: a mark that is ahead
    // of the clock would stop the server.
    store
        .commit("accept-clock", ChangeSet::new(wall, Vec::new()))
        .await
        .or_fault("cannot record the time in the database")?;
    print(format_args!("Recorded {wall}: the server can start."))
}
