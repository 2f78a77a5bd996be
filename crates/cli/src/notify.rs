//! Notifies the service manager (systemd, sd_notify(3)) when the server is
//! ready, that it is alive, and when it stops. Without `NOTIFY_SOCKET` nothing
//! is sent.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::{Arc, Weak},
    time::Duration,
};

use assay_engine::health::Health;
use assay_proto::Readiness;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{database::Database, terminal};

/// How often the status text is checked for changes.
const STATUS: Duration = Duration::from_secs(1);

/// The maximum time of a start between two progress reports.
const PROGRESS: Duration = Duration::from_secs(300);

/// How many keep-alive reports are sent within the watchdog's time limit: one
/// report may be late, and the next is still in time.
const PER_LIMIT: u32 = 3;

/// Reports readiness, then the status text and keep-alives, until dropped.
pub async fn report(store: Weak<dyn Database>, health: Arc<Health>, directory: String) {
    let text = || status(&directory, &health.readiness());
    let first = text();
    if let Err(error) = notify(&[NotifyState::Ready, NotifyState::Status(&first)]) {
        tracing::warn!(
            event = "notify_failed",
            %error,
            "the service manager cannot be reached at NOTIFY_SOCKET: it does not learn that the server serves"
        );
    }
    let responds = || {
        // Held only during the query: a store closes when its last owner is
        // dropped.
        let store = store.upgrade();
        async move {
            match store {
                Some(store) => store.respond().await.is_ok(),
                None => false,
            }
        }
    };
    let limit = sd_notify::watchdog_enabled();
    tokio::join!(watchdog(limit, responds, send), follow(first, text));
}

/// Sends keep-alive reports as often as a watchdog of `limit` requires. A
/// report proves that this task and so the runtime runs, and that the store
/// `responds`. Conditions that a restart does not fix, such as a full disk, do
/// not stop the reports.
async fn watchdog<R: Future<Output = bool>>(
    limit: Option<Duration>,
    responds: impl Fn() -> R,
    send: impl Fn(&[NotifyState<'_>]),
) {
    let Some(period) = limit
        .map(|limit| limit / PER_LIMIT)
        .filter(|period| !period.is_zero())
    else {
        return;
    };
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if timeout(period, responds()).await == Ok(true) {
            send(&[NotifyState::Watchdog]);
        }
    }
}

/// Sends the status text whenever it changes.
async fn follow(mut shown: String, text: impl Fn() -> String) {
    let mut ticks = interval(STATUS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = text();
        if now != shown {
            send(&[NotifyState::Status(&now)]);
            shown = now;
        }
    }
}

/// Reports the progress of the start, which extends its time limit.
pub fn starting(text: &str) {
    let more = u32::try_from(PROGRESS.as_micros()).unwrap_or(u32::MAX);
    send(&[
        NotifyState::Status(&terminal::escape(text)),
        NotifyState::ExtendTimeoutUsec(more),
    ]);
}

/// Reports that the server stops, and why.
pub fn stopping(why: &str) {
    send(&[
        NotifyState::Stopping,
        NotifyState::Status(&terminal::escape(why)),
    ]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::debug!(%error, "the service manager cannot be reached");
    }
}

/// Sends to `NOTIFY_SOCKET`. sd_notify(3): a value that begins with "@" is "a
/// Linux abstract namespace socket", which the crate treats as a path.
fn notify(states: &[NotifyState<'_>]) -> io::Result<()> {
    let socket = env::var_os("NOTIFY_SOCKET").unwrap_or_default();
    let Some(name) = socket.as_bytes().strip_prefix(b"@") else {
        return sd_notify::notify(states);
    };
    let manager = SocketAddr::from_abstract_name(name)?;
    let message: String = states.iter().map(|state| format!("{state}\n")).collect();
    // A datagram is sent completely or not at all.
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &manager)?;
    Ok(())
}

/// The status in one line: a line break would start another notification.
fn status(directory: &str, readiness: &Readiness) -> String {
    let start = match readiness.ready {
        true => format!("Serving {directory}"),
        false => "No device can enrol".to_owned(),
    };
    let failing = (readiness.reasons.iter()).map(|(part, reason)| format!("; {part}: {reason}"));
    terminal::escape(&failing.fold(start, |text, part| text + &part))
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::ready};

    use assay_engine::health::Part;

    use super::*;

    /// The number of reports per minute for a watchdog of 10 seconds.
    async fn reports<R: Future<Output = bool>>(responds: impl Fn() -> R) -> u32 {
        let reports = Cell::new(0);
        let send = |states: &[NotifyState<'_>]| {
            assert!(matches!(states, [NotifyState::Watchdog]));
            reports.set(reports.get() + 1);
        };
        let watchdog = watchdog(Some(Duration::from_secs(10)), responds, send);
        assert!(timeout(Duration::from_secs(60), watchdog).await.is_err());
        reports.get()
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_hears_of_a_store_that_responds_and_of_no_other() {
        let reports_of_a_live_store = reports(|| ready(true)).await;
        assert!(
            (18..=19).contains(&reports_of_a_live_store),
            "{reports_of_a_live_store}"
        );
        assert_eq!(reports(|| ready(false)).await, 0);
        assert_eq!(reports(std::future::pending).await, 0);
    }

    #[test]
    fn the_status_is_one_line_and_names_what_fails() {
        let health = Health::default();
        let text = || status("https://ca.example.org/acme/directory", &health.readiness());
        assert_eq!(text(), "Serving https://ca.example.org/acme/directory");
        health.degrade(Part::Devices, "line 2: \"a\nREADY=1\"");
        assert_eq!(
            text(),
            "Serving https://ca.example.org/acme/directory; devices: line 2: \"a\\u{a}READY=1\""
        );
        health.fail(Part::Store, "it broke");
        assert!(
            text().starts_with("No device can enrol; devices: "),
            "{}",
            text()
        );
        assert!(text().ends_with("; store: it broke"), "{}", text());
    }
}
