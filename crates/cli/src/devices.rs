//! Keeps the list of devices as its file is: re-read on SIGHUP, and within two
//! seconds of a change.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use assay_engine::{
    admission::Devices,
    health::{Health, Part},
};
use tokio::time::{MissedTickBehavior, interval};

use crate::{app::read_devices, serve::reload::Requests};

const CHECK: Duration = Duration::from_secs(1);

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

/// Watches `path`, for ever. A bad file keeps the old list. Without a list,
/// SIGHUP is taken and nothing done.
pub async fn watch(
    devices: Option<Arc<Devices>>,
    path: PathBuf,
    mut hangup: Requests,
    health: Arc<Health>,
) {
    let Some(devices) = devices else {
        loop {
            hangup.recv().await;
            tracing::info!(
                event = "nothing_to_reload",
                "there is no list of devices to read again"
            );
            hangup.report(Ok("there is no list".to_owned()));
        }
    };
    let mut ticks = interval(CHECK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first look reads it again: it may have changed since it was opened.
    let mut seen = None;
    let mut complaint = None;
    loop {
        let asked = tokio::select! {
            _ = ticks.tick() => false,
            _ = hangup.recv() => true,
        };
        let present = stamp(&path);
        // A file that could not be used is tried until it can: what kept it
        // from being read may be gone without a trace on the file.
        if !asked && present == seen && complaint.is_none() {
            continue;
        }
        seen = present;
        let reading = path.clone();
        let read = tokio::task::spawn_blocking(move || read_devices(&reading)).await;
        let error = match read {
            Ok(Ok(list)) => {
                let count = list.len();
                devices.replace(list);
                complaint = None;
                health.recover(Part::Devices);
                tracing::info!(
                    event = "devices_reloaded",
                    devices = count,
                    "list of devices read again"
                );
                if asked {
                    hangup.report(Ok(format!("{count} devices")));
                }
                continue;
            }
            Ok(Err(error)) => format!("{error:#}"),
            Err(error) => error.to_string(),
        };
        if asked || complaint.as_ref() != Some(&error) {
            tracing::error!(
                event = "devices_refused",
                %error,
                "the list of devices cannot be used: the old one stays"
            );
        }
        if asked {
            hangup.report(Err(error.clone()));
        }
        health.degrade(Part::Devices, error.clone());
        complaint = Some(error);
    }
}

/// What the file is like. A look at its metadata blocks for microseconds, less than a thread for
/// it would cost.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        length: metadata.len(),
        inode: metadata.ino(),
    })
}
