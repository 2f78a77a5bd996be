//! Opens the database. Where that takes long, because its index must be
//! rebuilt, clients get an answer meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use assay_server::{TlsIdentity, answer_while_starting};
use tokio::{net::TcpListener, sync::Notify, time::sleep};

use crate::{
    app::{App, OnRebuild, Parts, TlsEnd},
    config::BaseUrl,
    dir::Dir,
    progress::{Progress, percent},
    stop::{OrStop, Stop},
    tls,
};

/// A rebuild that is done sooner is not worth an answer.
const SOON: Duration = Duration::from_millis(300);

/// Opens the database of `parts`. While its index is rebuilt, `listener` is
/// answered: `/livez` by 200, everything else by 503.
pub async fn open(
    parts: Parts,
    dir: &Dir,
    base_url: &BaseUrl,
    replay: bool,
    listener: &TcpListener,
) -> Result<App, Stop> {
    let identity = match parts.tls() {
        TlsEnd::Files(files) => Some(Arc::clone(&files.identity)),
        TlsEnd::Off => None,
        // Its own CA cannot sign yet: what it signs is recorded first, and
        // nothing can be recorded.
        TlsEnd::OwnCa => Some(tls::throw_away().or_fault("cannot make a TLS certificate")?),
    };
    let (begun, done) = (Arc::new(Notify::new()), Arc::new(AtomicU8::new(0)));
    let on_rebuild = reporter(Arc::clone(&begun), Arc::clone(&done));
    let (dir, base_url) = (dir.clone(), base_url.clone());
    let mut opening =
        tokio::task::spawn_blocking(move || parts.open(&dir, &base_url, replay, on_rebuild));
    let answering = async {
        begun.notified().await;
        sleep(SOON).await;
        answer(listener, identity.as_deref(), done).await
    };
    let opened = tokio::select! {
        opened = &mut opening => opened,
        never = answering => match never {},
    };
    match opened {
        Ok(opened) => opened,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

fn reporter(begun: Arc<Notify>, done: Arc<AtomicU8>) -> OnRebuild {
    let progress = Progress::new("rebuild of the index");
    Arc::new(move |read, total| {
        progress.show(read, total);
        done.store(percent(read, total), Ordering::Relaxed);
        begun.notify_one();
    })
}

async fn answer(
    listener: &TcpListener,
    identity: Option<&TlsIdentity>,
    done: Arc<AtomicU8>,
) -> std::convert::Infallible {
    let percent = Arc::new(move || done.load(Ordering::Relaxed));
    answer_while_starting(listener, identity, percent).await
}
