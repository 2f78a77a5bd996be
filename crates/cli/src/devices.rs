//! The list of devices: as it is read at start, and as its file is watched
//! while the server runs.

mod inventory;
mod last_good;
mod list;
mod watch;

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};
use assay_engine::{health::Health, sha256};
use assay_proto::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use self::watch::Watch;
pub use self::{
    inventory::{Devices, PendingCause, PendingList},
    last_good::LastGood,
    list::{DeviceList, DeviceListWarning, Difference, Findings, ListReading, Named},
};
use crate::{
    dir::Dir,
    files, now,
    permissions::{Fault, Owners},
    sighup::Requests,
};

/// The largest list of devices, in bytes: a million of them.
pub const MAX_DEVICE_LIST: u64 = 64 * 1024 * 1024;

const CHECK: Duration = Duration::from_secs(1);

/// The files of the list of devices in a server's directory.
#[derive(Clone, Debug)]
pub struct ListFiles {
    dir: PathBuf,
    list: PathBuf,
    last_good: LastGood,
}

impl ListFiles {
    /// The list that the configuration names, and the last good one beside it.
    pub fn new(dir: &Dir, configured: &Path) -> Self {
        Self {
            dir: dir.path().to_owned(),
            list: dir.resolve(configured),
            last_good: LastGood::of(dir, configured),
        }
    }

    /// Where the list is.
    pub fn list(&self) -> &Path {
        &self.list
    }

    /// Reads the list.
    pub fn read(&self) -> anyhow::Result<ListReading> {
        self.parse(&self.bytes(|_| Ok(()))?)
    }

    fn parse(&self, bytes: &[u8]) -> anyhow::Result<ListReading> {
        DeviceList::read(bytes).with_context(|| format!("{}", self.list.display()))
    }

    /// The content of the list: at start, for a check, and while it is watched.
    fn bytes(
        &self,
        check: impl FnOnce(&Metadata) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<u8>> {
        ensure!(
            !self.last_good.is_at(&self.list),
            "admission.devices names {}, where the server keeps its last good list: name another file",
            self.list.display()
        );
        files::read_checked(&self.list, MAX_DEVICE_LIST, check)
    }

    /// The same of a list that users other than the server's own cannot change,
    /// neither it nor which file it is. The preflight asks at start: it may have
    /// become so since.
    fn own_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let owners = Owners::of(&self.dir)?;
        let refuse = |fault| match fault {
            Fault::Open { what, remedy } => Err(anyhow!("{what}: {remedy}")),
            Fault::Group(_) => Ok(()),
        };
        owners
            .check_path(&self.list)
            .into_iter()
            .try_for_each(refuse)?;
        self.bytes(|opened| owners.judge(&self.list, opened).map_or(Ok(()), refuse))
    }

    /// Reads the list for a start. A content that is not the last good one must
    /// be there twice: it may be half of what is being written.
    fn read_settled(&self, last_good: &DeviceList) -> anyhow::Result<ListReading> {
        let bytes = self.own_bytes()?;
        if sha256(&bytes) != last_good.digest() {
            thread::sleep(watch::SETTLED);
            ensure!(
                self.own_bytes()? == bytes,
                "{} is being written: it was another one within a second",
                self.list.display()
            );
        }
        self.parse(&bytes)
    }

    /// Why a start would keep `list` back and serve the last good one.
    pub fn kept_back(&self, list: &DeviceList) -> Option<String> {
        loss_since(&self.last_good.read()?.list, list)
    }

    /// The devices to serve: those of the list or, where it is at fault or has
    /// lost too many, those of the last good one. [`watch()`] reports which.
    pub fn at_start(&self) -> anyhow::Result<Devices> {
        let Some(good) = self.last_good.read().map(|reading| reading.list) else {
            return Ok(Devices::new(self.read()?.list));
        };
        let cause = match self.read_settled(&good) {
            Ok(reading) => match loss_since(&good, &reading.list) {
                None => return Ok(Devices::new(reading.list)),
                Some(text) => PendingCause::KeptBack(text),
            },
            Err(error) => PendingCause::Unusable(format!("{error:#}")),
        };
        let since = changed_at(&self.list).unwrap_or_else(|| Timestamp(now()));
        Ok(Devices::with_pending(
            good,
            Some(PendingList { since, cause }),
        ))
    }
}

/// What `list` lacks of the one before, where that is so much that it waits for
/// a confirmation.
fn loss_since(before: &DeviceList, list: &DeviceList) -> Option<String> {
    let changes = list.changes_since(before);
    let is_great = changes.is_great_loss(before.len());
    is_great.then(|| watch::loss(&changes, before.len(), list.len()))
}

/// Watches the list indefinitely: it is read again on SIGHUP, and within about
/// two seconds of a change. Without a list, SIGHUP is taken and nothing done.
pub async fn watch(
    devices: Option<Arc<Devices>>,
    files: ListFiles,
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
    let mut watch = Watch::new(devices, files, health);
    let mut ticks = interval(CHECK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A SIGHUP whose outcome is not known yet: a changed list needs two looks.
    let mut is_owed = false;
    loop {
        let asked = tokio::select! {
            _ = ticks.tick() => false,
            _ = hangup.recv() => true,
        };
        // A look at a file's metadata blocks for microseconds, less than a
        // thread for it would cost.
        if !asked && !watch.is_due(Instant::now()) {
            continue;
        }
        let looked = tokio::task::spawn_blocking(move || {
            watch.look(asked, Instant::now());
            watch
        });
        match looked.await {
            Ok(same) => watch = same,
            // Of a runtime that ends, or a fault of the program, which is
            // logged as such.
            Err(error) => {
                tracing::error!(
                    event = "devices_unwatched",
                    %error,
                    "changes of the list of devices are not seen any more: restart the server"
                );
                return;
            }
        }
        is_owed |= asked;
        if is_owed && let Some(outcome) = watch.outcome() {
            hangup.report(outcome);
            is_owed = false;
        }
        // Whole seconds lie between two looks, also after a SIGHUP.
        ticks.reset();
    }
}

/// When the file was changed last.
fn changed_at(path: &Path) -> Option<Timestamp> {
    let metadata = std::fs::metadata(path).ok()?;
    u64::try_from(metadata.mtime()).ok().map(Timestamp)
}
