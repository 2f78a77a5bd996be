//! `assay store`: checks and maintains the database.

use anyhow::anyhow;
use assay_store::{
    LedgerStore, OpenMode, Options,
    maintenance::{self, Repaired, Report},
};
use clap::Subcommand;

use crate::{
    clock::command::ClockCommand,
    database::{describe_restored, hand_over, with_progress},
    dir::Dir,
    issuer, print, print_json,
    progress::Progress,
    stop::{OrStop, Stop},
};

/// `assay store`
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Read the whole ledger and list all damage. Exit code 0: intact, 1:
    /// damaged, 3: unreadable.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay store check")]
    Check {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Repair a damaged ledger from the index; the damaged files are kept. The
    /// server must not run.
    #[command(
        after_help = "Examples:\n  assay --dir /var/lib/assay store repair\n  assay --dir /var/lib/assay store repair --accept-loss"
    )]
    Repair {
        /// Accept data loss: keep every intact entry, and list what is lost.
        #[arg(long)]
        accept_loss: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Rebuild the index from the ledger. The server must not run.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay store rebuild")]
    Rebuild,
    /// Remove files that were set aside: old indexes, damaged ledgers, files of
    /// an older layout. The server must not run.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay store clean")]
    Clean {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Acknowledge that the database was restored, or repaired with a loss:
    /// `serve` warns until then. The server must not run.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay store acknowledge")]
    Acknowledge,
    /// Confirm that the issuing CA was replaced on purpose: `serve` refuses a
    /// CA that the database does not belong to. The server must not run.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay store accept-issuer")]
    AcceptIssuer,
    /// Decide which clock is right.
    #[command(flatten)]
    Clock(ClockCommand),
}

/// `assay store`
pub fn run(dir: &Dir, command: &StoreCommand) -> Result<(), Stop> {
    let ended = run_command(dir, command);
    hand_over(dir, ended)
}

fn run_command(dir: &Dir, command: &StoreCommand) -> Result<(), Stop> {
    match command {
        StoreCommand::Check { json } => check(dir, *json),
        StoreCommand::Repair { accept_loss, json } => repair(dir, *accept_loss, *json),
        StoreCommand::Rebuild => rebuild(dir),
        StoreCommand::Clean { json } => clean(dir, *json),
        StoreCommand::Acknowledge => acknowledge(dir),
        StoreCommand::AcceptIssuer => issuer::accept(dir),
        // The clock commands are asynchronous: `clock::command`.
        StoreCommand::Clock(_) => Ok(()),
    }
}

fn check(dir: &Dir, json: bool) -> Result<(), Stop> {
    let progress = Progress::new("check");
    let report = maintenance::check(&dir.db(), &|done, total| progress.show(done, total))?;
    progress.show(1, 1);
    if json {
        print_json(&as_json(&report))?;
    } else {
        describe(&report)?;
    }
    match report.is_whole() {
        true => Ok(()),
        false => Err(Stop::refused(anyhow!(
            "the database in {} is damaged: nothing was changed; repair it with `assay store repair`",
            dir.db().display()
        ))),
    }
}

fn as_json(report: &Report) -> serde_json::Value {
    serde_json::json!({
        "whole": report.is_whole(),
        "laboratory": report.laboratory,
        "checkpoint": report.checkpoint.map(|(commit, _)| commit),
        "pairs": report.checkpoint.map(|(_, pairs)| pairs),
        "live_bytes": report.live_bytes,
        "bytes": report.bytes,
        "segments": report.segments,
        "last": report.last,
        "time": report.time.to_string(),
        "acknowledged": report.acknowledged,
        "damage": report.damage.iter().map(|damage| serde_json::json!({
            "file": damage.path.to_string_lossy(),
            "offset": damage.offset,
            "detail": damage.detail,
        })).collect::<Vec<_>>(),
        "missing": report.missing.iter().map(|range| [range.start(), range.end()]).collect::<Vec<_>>(),
        "torn": report.tear.is_some(),
    })
}

fn describe(report: &Report) -> Result<(), Stop> {
    for damage in &report.damage {
        print(format_args!("damaged: {damage}"))?;
    }
    for missing in &report.missing {
        print(format_args!("missing: {}", commits(missing)))?;
    }
    if let Some(tear) = &report.tear {
        print(format_args!(
            "{tear}: a write that was never acknowledged, which the next start truncates"
        ))?;
    }
    let checkpoint = match report.checkpoint {
        Some((commit, pairs)) => format!("checkpoint at commit {commit} with {pairs} pairs"),
        None => "no checkpoint".to_owned(),
    };
    print(format_args!(
        "{}: {checkpoint}, {} segments, {} bytes; last commit {} ({})",
        if report.is_whole() {
            "whole"
        } else {
            "damaged"
        },
        report.segments,
        report.bytes,
        report.last,
        report.time,
    ))
}

fn commits(range: &std::ops::RangeInclusive<u64>) -> String {
    match (range.start(), range.end()) {
        (start, end) if start == end => format!("commit {start}"),
        (start, end) => format!("commits {start} to {end}"),
    }
}

fn repair(dir: &Dir, accept_loss: bool, json: bool) -> Result<(), Stop> {
    let (report, repaired) = maintenance::repair(&dir.db(), accept_loss, &Options::default())?;
    if json {
        let (outcome, missing) = match &repaired {
            Repaired::Nothing => ("whole", Vec::new()),
            Repaired::Watermark { .. } | Repaired::FromIndex { .. } => ("repaired", Vec::new()),
            Repaired::WithLoss { missing, .. } => ("repaired-with-loss", missing.clone()),
            Repaired::Refused(_) => ("refused", report.missing.clone()),
        };
        let missing: Vec<_> = missing
            .iter()
            .map(|range| [*range.start(), *range.end()])
            .collect();
        print_json(&serde_json::json!({
            "outcome": outcome,
            "missing": missing,
            "found": as_json(&report),
        }))?;
    }
    match repaired {
        Repaired::Nothing if json => Ok(()),
        Repaired::Nothing => print("whole: there is nothing to repair"),
        Repaired::Watermark { .. } | Repaired::FromIndex { .. } if json => Ok(()),
        Repaired::Watermark { last } => print(format_args!(
            "Rewrote the file watermark, without a loss: the database was closed after commit \
             {last}, and the ledger ends with it."
        )),
        Repaired::FromIndex { last } => print(format_args!(
            "Repaired from the index, without a loss: the last commit is {last}. \
             The damaged files are kept until `assay store clean`."
        )),
        Repaired::WithLoss { .. } if json => Ok(()),
        Repaired::WithLoss {
            last,
            missing,
            blocks,
        } => {
            for range in &missing {
                print(format_args!("lost: {}", commits(range)))?;
            }
            if blocks > 0 {
                print(format_args!("lost: {blocks} blocks of the checkpoint"))?;
            }
            print(format_args!(
                "Repaired with a loss: every intact entry is kept, the last commit is {last}. \
                 The damaged files are kept until `assay store clean`. `serve` warns until \
                 `assay --dir {} store acknowledge`.",
                dir.path().display()
            ))
        }
        Repaired::Refused(reason) => {
            if !json {
                describe(&report)?;
            }
            Err(Stop::refused(anyhow!(
                "it cannot be repaired without a loss: {reason}. Nothing was changed. Restore a backup, or accept the loss with `assay store repair --accept-loss`"
            )))
        }
    }
}

fn rebuild(dir: &Dir) -> Result<(), Stop> {
    maintenance::rebuild(&dir.db(), with_progress())?;
    print("Rebuilt the index. The old one is kept until `assay store clean`.")
}

fn clean(dir: &Dir, json: bool) -> Result<(), Stop> {
    let removed = maintenance::clean(&dir.db())?;
    if json {
        let removed: Vec<_> = (removed.iter())
            .map(|leftover| serde_json::json!({"name": leftover.name, "bytes": leftover.bytes}))
            .collect();
        return print_json(&serde_json::json!({ "removed": removed }));
    }
    if removed.is_empty() {
        return print("There is nothing to remove.");
    }
    removed.iter().try_for_each(|leftover| {
        print(format_args!(
            "removed {}: {} bytes",
            leftover.name, leftover.bytes
        ))
    })
}

fn acknowledge(dir: &Dir) -> Result<(), Stop> {
    let store = LedgerStore::open_with(&dir.db(), OpenMode::Any, with_progress())?;
    let reading = "cannot read the database";
    let Some(restored) = store.restored().or_fault(reading)? else {
        return print("There is nothing to acknowledge: the database was not restored.");
    };
    store
        .set_restored(None)
        .or_fault("cannot write the database")?;
    print(format_args!(
        "Acknowledged: {}",
        describe_restored(&restored)
    ))
}
