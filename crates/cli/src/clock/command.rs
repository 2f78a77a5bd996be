//! `assay store accept-clock` and `reset-clock`: the operator decides which
//! clock is right.

use anyhow::{Context as _, anyhow, ensure};
use assay_engine::{
    ports::{ChangeSet, Purpose, Random, Store},
    reset_clock,
    time::{ClockRefusal, TOLERANCE, check_confirmation},
};
use assay_proto::{
    Timestamp,
    admin::{Request, Response},
};
use assay_store::{LedgerStore, OpenMode};
use clap::Subcommand;

use crate::{
    certificates::one_certificate,
    control::{self, another_answer},
    database::hand_over,
    dir::Dir,
    files, now, print,
    stop::{OrStop, Stop},
    system::SystemRandom,
    tls::check::validity_of,
    values,
};

/// `assay store accept-clock` and `reset-clock`
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Confirm that the clock is right although it is far ahead of the last
    /// commit, or of the running server's time.
    #[command(
        after_help = "Example:\n  assay --dir /var/lib/assay store accept-clock 2026-11-28T09:30:00Z"
    )]
    AcceptClock {
        /// The current time, to within an hour: RFC 3339, or seconds since
        /// 1970.
        #[arg(value_parser = values::time)]
        time: Timestamp,
    },
    /// Reset the recorded time to the clock's, after a wrong clock was
    /// recorded. Open orders become invalid. The server must not run.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay store reset-clock")]
    ResetClock,
}

/// `assay store accept-clock` and `reset-clock`
pub async fn run(dir: &Dir, command: &ClockCommand) -> Result<(), Stop> {
    let ended = match command {
        ClockCommand::AcceptClock { time } => accept(dir, *time).await,
        ClockCommand::ResetClock => reset(dir).await,
    };
    hand_over(dir, ended)
}

/// Lets the running server follow the clock, or records the clock's time, so
/// that the next start accepts it.
async fn accept(dir: &Dir, confirmed: Timestamp) -> Result<(), Stop> {
    let request = Request::AcceptClock(confirmed.0);
    if let Some(answer) = control::ask(dir, &request).await? {
        let answer = answer.or_fault("the running server did not answer")?;
        return match answer {
            Response::AcceptClock(Ok(now)) => print(format_args!(
                "The running server follows the clock: its time is {}.",
                Timestamp(now)
            )),
            Response::AcceptClock(Err(refusal)) => Err(Stop::usage(anyhow!(refusal))),
            _ => Err(another_answer()),
        };
    }
    let store = LedgerStore::open(&dir.db(), OpenMode::Any)?;
    let wall = Timestamp(now());
    check_confirmation(confirmed, wall).map_err(Stop::usage)?;
    let mark = store.recorded_time();
    if mark > wall.plus(TOLERANCE) {
        let refusal = ClockRefusal::Behind { wall, now: mark };
        return Err(Stop::usage(refusal));
    }
    // Record the clock's own time, which the operator's confirms: a mark ahead
    // of the clock would stop the server.
    store
        .commit("accept-clock", ChangeSet::new(wall, Vec::new()))
        .await
        .or_fault("cannot record the time in the database")?;
    print(format_args!("Recorded {wall}: the server can start."))
}

/// Refuses a clock that is before the start of the issuing CA's certificate:
/// nothing can have been recorded then.
fn check_begin(dir: &Dir, mark: Timestamp, wall: Timestamp) -> anyhow::Result<()> {
    let path = dir.ca_certificate("issuing");
    let pem = files::read_text(&path, files::SMALL)?;
    let begin = one_certificate(&pem)
        .and_then(|der| Ok(validity_of(&der)?.0))
        .with_context(|| format!("{}", path.display()))?;
    ensure!(
        wall >= begin,
        "the clock says {wall}, but the issuing CA's certificate begins at {begin}: the clock is wrong. Correct it, then reset the recorded time, {mark}"
    );
    Ok(())
}

/// Resets the recorded time to the clock's. Opening the database ensures that
/// no server runs meanwhile.
async fn reset(dir: &Dir) -> Result<(), Stop> {
    let store = LedgerStore::open(&dir.db(), OpenMode::Any)?;
    let (mark, wall) = (store.recorded_time(), Timestamp(now()));
    if mark <= wall {
        return Err(Stop::usage(anyhow!(
            "the recorded time {mark} is not ahead of the clock's {wall}: there is nothing to reset"
        )));
    }
    check_begin(dir, mark, wall).map_err(Stop::usage)?;
    let mut nonce_key = [0; 32];
    SystemRandom.fill(Purpose::NonceKey, &mut nonce_key);
    let reset = reset_clock(&store, wall, nonce_key)
        .await
        .or_fault("cannot reset the recorded time")?;
    print(format_args!(
        "The recorded time was {} and is now {wall}.\nOrders that became invalid: {}. Nonces issued before are refused. \
         Accounts, certificates and finished orders are unchanged.",
        reset.before, reset.orders
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_from_before_the_ca_is_refused_with_both_times() {
        let home = tempfile::tempdir().unwrap();
        let dir = Dir::new(home.path());
        std::fs::create_dir(dir.ca()).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2026, 11, 1);
        params.not_after = rcgen::date_time_ymd(2036, 11, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        std::fs::write(dir.ca_certificate("issuing"), pem).unwrap();
        let mark = Timestamp::parse("2031-01-01T00:00:00Z").unwrap();
        let begin = Timestamp::parse("2026-11-01T00:00:00Z").unwrap();
        check_begin(&dir, mark, begin).unwrap();
        for wall in [Timestamp(0), begin.minus(1)] {
            let said = check_begin(&dir, mark, wall).unwrap_err().to_string();
            for part in [wall.to_string(), begin.to_string(), mark.to_string()] {
                assert!(said.contains(&part), "{said}");
            }
            assert!(said.contains("Correct it"), "{said}");
        }
    }
}
