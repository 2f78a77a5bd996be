//! `assay store`: checks and maintains the database.

use std::{io, sync::Arc};

use anyhow::anyhow;
use assay_store::{
    LedgerStore, OpenMode, Options,
    maintenance::{self, Repaired, Report, Restored, RestoredFrom},
};

use crate::{
    args::StoreCommand,
    dir::Dir,
    issuer,
    permissions::give_to_owner_of,
    print, print_json,
    progress::Progress,
    stop::{OrStop, Stop},
};

/// `assay store`
pub fn run(dir: &Dir, command: &StoreCommand) -> Result<(), Stop> {
    let ended = run_command(dir, command);
    hand_over(dir, ended)
}

/// Ends a command that may have written the database: gives files that root
/// created to the owner of the directory, whose server could not start
/// otherwise.
pub fn hand_over(dir: &Dir, ended: Result<(), Stop>) -> Result<(), Stop> {
    let given = match give_to_owner_of(dir.path(), &dir.db()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let doing = format!("cannot give {} to its owner", dir.db().display());
    ended.and(given.or_fault(&doing))
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

/// Options that show the progress of an index rebuild.
pub fn with_progress() -> Options {
    let progress = Progress::new("rebuild of the index");
    let mut options = Options::default();
    options.on_rebuild = Arc::new(move |done, total| progress.show(done, total));
    options
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
    print(format_args!("Acknowledged: {}", in_words(&restored)))
}

/// Describes what happened to a restored database.
pub fn in_words(restored: &Restored) -> String {
    let Restored {
        from,
        sequence,
        time,
    } = restored;
    match from {
        RestoredFrom::Backup => format!(
            "the database was restored from a backup that ends with commit {sequence} ({time}); certificates issued or revoked after that are unknown"
        ),
        RestoredFrom::Anew => format!(
            "the database was lost, and an empty one was created for its CA at {time}: everything issued, revoked or ordered before that is unknown"
        ),
        RestoredFrom::Loss => format!(
            "the database was damaged after commit {sequence}, and repaired with a loss; certificates issued or revoked after that may be unknown"
        ),
    }
}
