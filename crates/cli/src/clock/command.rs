//! `assay store accept-clock` and `reset-clock`: the operator decides which
//! clock is right.

use anyhow::anyhow;
use assay_engine::{
    ports::{ChangeSet, Purpose, Random, Store},
    reset_clock,
    time::{ClockRefusal, TOLERANCE, check_confirmation},
};
use assay_proto::Timestamp;
use assay_store::{LedgerStore, OpenMode};

use crate::{
    app::SystemRandom,
    args::ClockCommand,
    dir::Dir,
    now,
    orders::{Answer, Question, control},
    print,
    stop::{OrStop, Stop},
};

/// `assay store accept-clock` and `reset-clock`
pub async fn run(dir: &Dir, command: &ClockCommand) -> Result<(), Stop> {
    match command {
        ClockCommand::AcceptClock { time } => accept(dir, *time).await,
        ClockCommand::ResetClock => reset(dir).await,
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

/// Takes the recorded time back to the clock's. The database is opened, so that
/// no server can run meanwhile.
async fn reset(dir: &Dir) -> Result<(), Stop> {
    let store = LedgerStore::open(&dir.db(), OpenMode::Any)?;
    let (mark, wall) = (store.latest_time(), Timestamp(now()));
    if mark <= wall {
        return Err(Stop::usage(anyhow!(
            "the recorded time {mark} is not ahead of the clock's {wall}: there is nothing to take back"
        )));
    }
    let mut nonce_key = [0; 32];
    SystemRandom.fill(Purpose::NonceKey, &mut nonce_key);
    let reset = reset_clock(&store, wall, nonce_key)
        .await
        .or_fault("cannot take the recorded time back")?;
    print(format_args!(
        "The recorded time was {} and is {wall} now.\nOrders that ended: {}. Nonces that were given out before are refused. \
         Accounts, certificates and finished orders stay as they are.",
        reset.before, reset.orders
    ))
}
