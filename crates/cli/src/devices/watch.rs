//! What becomes of a changed list of devices.
//!
//! A list is put in force only when two looks a second apart found the same
//! content, so that none is read while it is written, and only when it has not
//! lost most of its devices, unless the operator confirms that by SIGHUP.

#[cfg(test)]
mod tests;

use std::{
    mem::discriminant,
    sync::Arc,
    time::{Duration, Instant},
};

use assay_engine::{
    health::{Health, Part},
    sha256,
};
use assay_proto::Timestamp;

use super::{
    DeviceList, DeviceListWarning, Devices, Difference, Findings, ListFiles, MAX_DEVICE_LIST,
    Named, PendingCause, PendingList,
};
use crate::{
    files::{Stamp, stamp},
    now,
};

/// How far apart two looks are that must agree: almost the second between two
/// ticks.
pub const SETTLED: Duration = Duration::from_millis(900);
/// How often the content is read though the file looks unchanged: times on some
/// file systems are coarse, or come from another machine.
const CONTENT: Duration = Duration::from_secs(30);
/// How long a list may be written until that is a fault.
const MAX_CHANGING: Duration = Duration::from_secs(60);
/// Warnings that are logged of one list.
const MAX_WARNINGS: usize = 5;

/// The SHA-256 of the file, or why it cannot be read.
type Content = Result<[u8; 32], String>;

/// The list in force, and what is known of its file.
pub struct Watch {
    devices: Arc<Devices>,
    files: ListFiles,
    health: Arc<Health>,
    /// The file at the last look at its content, and when that was.
    seen: Option<(Option<Stamp>, Instant)>,
    /// A content that the next look must find again.
    pending: Option<(Content, Instant)>,
    /// Since when each look found another content.
    changing: Option<Instant>,
    /// The content that was judged and not put in force.
    refused: Option<Content>,
    /// The content that the operator confirms, whatever it lacks.
    confirmed: Option<[u8; 32]>,
    /// What was said of a list that is not used, to say it once.
    said: Option<PendingCause>,
    /// Whether the last good list could not be kept.
    is_unkept: bool,
}

/// How many devices a list lacks.
pub fn loss(changes: &Difference, before: usize, now: usize) -> String {
    let what = match changes.lost_column(before) {
        Some((name, lost, of)) => format!("{lost} of the {of} {name}s"),
        None => format!("{} of the {before}", changes.removed.count),
    };
    format!(
        "it has {now} devices and lacks {what} in force; if that is meant, confirm it by SIGHUP (systemctl reload), else write the whole list"
    )
}

impl Watch {
    /// Watches from now on. Reports where the server starts from the last good
    /// list.
    pub fn new(devices: Arc<Devices>, files: ListFiles, health: Arc<Health>) -> Self {
        let pending = devices.pending();
        if let Some(pending) = &pending {
            health.degrade(Part::Devices, pending.to_string());
            tracing::error!(
                event = "devices_last_good",
                devices = devices.list().len(),
                list = %files.list.display(),
                since = %pending.since,
                reason = %pending,
                "the server starts from the last good list of devices"
            );
        }
        Self {
            devices,
            files,
            health,
            seen: None,
            pending: None,
            changing: None,
            refused: None,
            confirmed: None,
            said: pending.map(|pending| pending.cause),
            is_unkept: false,
        }
    }

    /// Whether the content must be looked at, though no SIGHUP came.
    pub fn is_due(&self, now: Instant) -> bool {
        // What keeps a file from being read may go without a trace on the file.
        let is_unreadable = matches!(self.refused, Some(Err(_)));
        let is_same = self.seen.is_some_and(|(seen, at)| {
            now.duration_since(at) < CONTENT && seen == stamp(&self.files.list)
        });
        !is_same || is_unreadable || self.pending.is_some()
    }

    /// What is in force after the last look, or why the list of the file is not;
    /// `None` while the next look must find the same content again.
    pub fn outcome(&self) -> Option<Result<String, String>> {
        if self.pending.is_some() {
            return None;
        }
        Some(match self.devices.pending() {
            Some(pending) => Err(pending.to_string()),
            None => Ok(format!("{} devices", self.devices.list().len())),
        })
    }

    /// Looks at the list; `asked` by SIGHUP.
    pub fn look(&mut self, asked: bool, now: Instant) {
        // Taken first: a change while the content is read shows at the next
        // look.
        let stamp = stamp(&self.files.list);
        let is_first = self.seen.is_none();
        let is_touched = self.seen.is_none_or(|(seen, _)| seen != stamp);
        self.seen = Some((stamp, now));
        let (content, bytes) = self.read(stamp);
        if asked {
            self.confirmed = content.clone().ok();
        }
        if content == Ok(self.devices.list().digest()) {
            self.is_in_force(&bytes, is_first, asked || is_touched);
        } else if self.refused.as_ref() == Some(&content) {
            self.pending = None;
            self.changing = None;
            if asked {
                self.said = None;
                self.judge(content, &bytes);
            }
        } else {
            self.is_changed(content, &bytes, now);
        }
    }

    fn read(&self, stamp: Option<Stamp>) -> (Content, Vec<u8>) {
        let list = &self.files.list;
        if stamp.is_some_and(|stamp| stamp.length > MAX_DEVICE_LIST) {
            let error = format!("{} is larger than {MAX_DEVICE_LIST} bytes", list.display());
            return (Err(error), Vec::new());
        }
        match self.files.own_bytes() {
            Ok(bytes) => (Ok(sha256(&bytes)), bytes),
            Err(error) => (Err(format!("{error:#}")), Vec::new()),
        }
    }

    /// The file has the content of the list in force (again).
    fn is_in_force(&mut self, bytes: &[u8], is_first: bool, is_news: bool) {
        let was_refused = self.settle();
        if is_first {
            // What came and went while no server ran.
            let before = self.files.last_good.read().map(|reading| reading.list);
            let list = self.devices.list();
            let changes = before.as_ref().map(|before| list.changes_since(before));
            self.report(
                &list,
                &changes.unwrap_or_default(),
                before.map_or(0, |one| one.len()),
            );
            self.warn(bytes);
        } else if is_news || was_refused {
            self.report(&self.devices.list(), &Difference::default(), 0);
        }
        if is_first || self.is_unkept {
            self.keep(bytes);
        }
    }

    /// The file has a content that was not judged yet.
    fn is_changed(&mut self, content: Content, bytes: &[u8], now: Instant) {
        match &self.pending {
            Some((pending, at)) if *pending == content => {
                if now.duration_since(*at) >= SETTLED {
                    self.judge(content, bytes);
                }
                return;
            }
            _ => self.pending = Some((content, now)),
        }
        // What is known of an earlier one goes on being true.
        if self.devices.pending().is_none() {
            self.set_pending(PendingCause::Changing);
        }
        let since = *self.changing.get_or_insert(now);
        if now.duration_since(since) >= MAX_CHANGING {
            let text = format!(
                "{} is another one at each look, a second apart: change it less often, and write the list beside it and rename it",
                self.files.list.display()
            );
            self.refuse(PendingCause::Unusable(text));
        }
    }

    /// Puts a whole content in force, or says why not.
    fn judge(&mut self, content: Content, bytes: &[u8]) {
        self.pending = None;
        self.changing = None;
        let unusable = |text| PendingCause::Unusable(text);
        let cause = match &content {
            Err(error) => unusable(error.clone()),
            Ok(digest) => match DeviceList::read(bytes) {
                Err(error) => unusable(format!("{}: {error}", self.files.list.display())),
                Ok(reading) => {
                    let before = self.devices.list();
                    let changes = reading.list.changes_since(&before);
                    if !changes.is_great_loss(before.len()) || self.confirmed == Some(*digest) {
                        self.devices.replace(reading.list);
                        self.settle();
                        self.report(&self.devices.list(), &changes, before.len());
                        self.log_warnings(&reading.warnings);
                        self.keep(bytes);
                        return;
                    }
                    PendingCause::KeptBack(loss(&changes, before.len(), reading.list.len()))
                }
            },
        };
        // Another content is reported even where its fault is the same.
        if self.refused.is_some() {
            self.said = None;
        }
        self.refused = Some(content);
        self.refuse(cause);
    }

    /// The list in force stays, and this is why.
    fn refuse(&mut self, cause: PendingCause) {
        self.set_pending(cause.clone());
        if let Some(pending) = self.devices.pending() {
            self.health.degrade(Part::Devices, pending.to_string());
        }
        if self.said.as_ref() == Some(&cause) {
            return;
        }
        match &cause {
            PendingCause::Changing => {}
            PendingCause::KeptBack(reason) => tracing::error!(
                event = "devices_kept_back",
                %reason,
                "the new list of devices lacks most of them: the old one stays"
            ),
            PendingCause::Unusable(error) => tracing::error!(
                event = "devices_refused",
                %error,
                "the list of devices cannot be used: the old one stays"
            ),
        }
        self.said = Some(cause);
    }

    /// A newer list is pending, since the first one that was.
    fn set_pending(&self, cause: PendingCause) {
        let since = match self.devices.pending() {
            // A change that came to rest, or the same again.
            Some(earlier)
                if earlier.cause == PendingCause::Changing
                    || discriminant(&earlier.cause) == discriminant(&cause) =>
            {
                earlier.since
            }
            _ => Timestamp(now()),
        };
        self.devices.set_pending(Some(PendingList { since, cause }));
    }

    /// The list in force is the one of the file. Returns whether it was not.
    fn settle(&mut self) -> bool {
        let was_refused = self.said.is_some() || self.refused.is_some();
        self.devices.set_pending(None);
        self.health.recover(Part::Devices);
        self.pending = None;
        self.changing = None;
        self.refused = None;
        self.confirmed = None;
        self.said = None;
        was_refused
    }

    fn report(&self, list: &DeviceList, changes: &Difference, before: usize) {
        let names = |devices: &Named| match devices.count {
            0 => None,
            count if count > devices.first.len() => {
                Some(format!("{}, …", devices.first.join(", ")))
            }
            _ => Some(devices.first.join(", ")),
        };
        tracing::info!(
            event = "devices_reloaded",
            devices = list.len(),
            added = changes.added.count,
            removed = changes.removed.count,
            added_names = names(&changes.added),
            removed_names = names(&changes.removed),
            "list of devices read again"
        );
        if list.is_empty() && before > 0 {
            tracing::warn!(
                event = "devices_warning",
                devices = 0,
                before,
                "the list has no devices any more: every order is refused"
            );
        }
    }

    fn warn(&self, bytes: &[u8]) {
        if let Ok(reading) = DeviceList::read(bytes) {
            self.log_warnings(&reading.warnings);
        }
    }

    fn log_warnings(&self, warnings: &Findings<DeviceListWarning>) {
        for warning in warnings.first.iter().take(MAX_WARNINGS) {
            tracing::warn!(
                event = "devices_warning",
                line = warning.line,
                warning = %warning.kind,
                "the list of devices may not mean what was meant"
            );
        }
        let more = (warnings.first.len() + warnings.more).saturating_sub(MAX_WARNINGS);
        if more > 0 {
            tracing::warn!(
                event = "devices_warning",
                more,
                "there are more warnings of the list of devices: `assay config check` shows them"
            );
        }
    }

    /// Keeps the list in force for the next start.
    fn keep(&mut self, bytes: &[u8]) {
        match self.files.last_good.keep(bytes) {
            Ok(()) => self.is_unkept = false,
            Err(error) => {
                if !self.is_unkept {
                    tracing::warn!(
                        event = "last_good_not_kept",
                        path = %self.files.last_good.path().display(),
                        %error,
                        "the list of devices cannot be kept for the next start: it will not start while the list is at fault. Let the server write there"
                    );
                }
                self.is_unkept = true;
            }
        }
    }
}
