//! Opens the database. Where that takes long, because its index must be
//! rebuilt, clients get an answer meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use assay_engine::health::{Health, Part};
use assay_server::answer_while_starting;
use tokio::{net::TcpListener, sync::Notify, time::sleep};

use crate::{
    app::{App, OnRebuild, Parts},
    config::BaseUrl,
    dir::Dir,
    notify,
    progress::{Progress, percent},
    stop::{OrStop, Stop},
    tls::{self, TlsEnd},
};

/// A rebuild that is done sooner is not worth an answer.
const SOON: Duration = Duration::from_millis(300);

/// What a database is opened for.
pub struct Opening {
    pub base_url: BaseUrl,
    pub dir: Dir,
    pub health: Arc<Health>,
    /// Whether the server replays a recording.
    pub replay: bool,
}

/// Opens the database of `parts`. While its index is rebuilt, `listener` is
/// answered: `/livez` by 200, everything else by 503.
pub async fn open(parts: Parts, opening: Opening, listener: &TcpListener) -> Result<App, Stop> {
    let Opening {
        base_url,
        dir,
        health,
        replay,
    } = opening;
    let identity = match &parts.tls {
        TlsEnd::Files(files) => Some(Arc::clone(&files.identity)),
        TlsEnd::Off => None,
        // Its own CA cannot sign yet: what it signs is recorded first, and
        // nothing can be recorded.
        TlsEnd::OwnCa => {
            let kept = (parts.tls_ca()).and_then(|ca| tls::kept::read(&dir, ca, base_url.host()));
            Some(match kept {
                Some(kept) => kept,
                None => tls::throw_away().or_fault("cannot make a TLS certificate")?,
            })
        }
    };
    let (begun, done) = (Arc::new(Notify::new()), Arc::new(AtomicU8::new(0)));
    let proxies = (parts.config.server)
        .proxy_protocol
        .then(|| parts.config.server.trusted_proxies.clone());
    let on_rebuild = reporter(Arc::clone(&begun), Arc::clone(&done), Arc::clone(&health));
    let readiness = super::health::reader(&health);
    let mut opening = tokio::task::spawn_blocking(move || {
        parts.open(&dir, &base_url, replay, on_rebuild, health)
    });
    let answering = async {
        begun.notified().await;
        sleep(SOON).await;
        let percent = Arc::new(move || done.load(Ordering::Relaxed));
        answer_while_starting(
            listener,
            identity.as_deref(),
            proxies.as_deref(),
            percent,
            readiness,
        )
        .await
    };
    let opened = tokio::select! {
        opened = &mut opening => opened,
        never = answering => match never {},
    };
    match opened {
        Ok(opened) => opened?.start().await,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

fn reporter(begun: Arc<Notify>, done: Arc<AtomicU8>, health: Arc<Health>) -> OnRebuild {
    let progress = Progress::new("rebuild of the index");
    Arc::new(move |read, total| {
        progress.show(read, total);
        let percent = percent(read, total);
        let before = done.swap(percent, Ordering::Relaxed);
        let text = format!("its index is being rebuilt ({percent} %)");
        if percent != before || read == 0 {
            notify::starting(&format!("Starting: {text}"));
        }
        health.fail(Part::Store, text);
        begun.notify_one();
    })
}
