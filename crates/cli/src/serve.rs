//! `assay serve`: the server, from its directory to its end.

mod health;
pub mod reload;
mod starting;

use std::{net::TcpListener, sync::Arc, time::Duration};

use anyhow::anyhow;
use assay_engine::{
    Engine, Error,
    health::{Health, Part},
    ports::Store,
};
use assay_proto::Timestamp;
use assay_server::{RESERVED_CONNECTIONS, RequestLog, Server, ServerConfig};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::RwLock,
    time::MissedTickBehavior,
};

use crate::{
    app::{App, TlsEnd},
    args::ServeArgs,
    clock,
    config::BaseUrl,
    devices::{self, Devices, ListFiles},
    dir::Dir,
    notify,
    orders::control,
    preflight::{self, Listening},
    print,
    replay::serve::Replay,
    socket, status,
    stop::{OrStop, Stop},
    tls::OwnIdentity,
};

use reload::{Reload, Started};

/// A server that is ready: its socket is bound, its database open.
pub struct Ready {
    pub app: App,
    background: Background,
    server: Server,
}

/// What clients and `assay orders` get to see: the server itself, or what it
/// replays. The TLS certificate is the server's own either way.
struct Served {
    devices: Option<Arc<Devices>>,
    engine: Arc<Engine>,
    request_log: Arc<RequestLog>,
    store: Arc<dyn Store>,
}

/// Tasks that end with their server.
#[derive(Default)]
struct Background {
    tasks: Vec<tokio::task::JoinHandle<()>>,
    under_way: UnderWay,
}

/// Work of background tasks that is not cut off between a commit and its report.
#[derive(Clone, Default)]
struct UnderWay(Arc<RwLock<()>>);

/// `assay serve`
pub async fn run(dir: &Dir, args: &ServeArgs, inherited: Option<TcpListener>) -> Result<(), Stop> {
    let mut ready = prepare(dir, args, inherited).await?;
    // Before the line by which a supervisor knows that it may end this process.
    let mut terminate = signal(SignalKind::terminate()).or_fault("cannot take SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).or_fault("cannot take SIGINT")?;
    print(format_args!(
        "listening on {}",
        ready.app.engine.urls().directory()
    ))?;
    ready.report();
    ready
        .run(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            notify::stopping("Ending: answering the requests that have arrived");
            tracing::info!(
                event = "draining",
                "asked to end: answering the requests that have arrived"
            );
        })
        .await
}

/// Binds the socket, unless one is `inherited`, opens the database, recovers
/// what was interrupted.
pub async fn prepare(
    dir: &Dir,
    args: &ServeArgs,
    inherited: Option<TcpListener>,
) -> Result<Ready, Stop> {
    let listening = match (&inherited, args.listen) {
        (None, None) => Listening::Configured,
        _ => Listening::Elsewhere,
    };
    let parts = preflight::start(dir, listening)?;
    let started = Started::now(dir, &parts.config);
    let replay = Replay::load(&parts, args)?;
    raise_open_files(parts.config.server.max_connections + RESERVED_CONNECTIONS);
    let is_inherited = inherited.is_some();
    let listener = socket::listen(inherited, args.listen, parts.config.server.listen).await?;
    let bound = listener
        .local_addr()
        .or_fault("cannot read the bound port")?;
    let base_url = parts
        .config
        .server
        .base_url
        .clone()
        .unwrap_or_else(|| BaseUrl::localhost(bound.port()));
    // From here on a hangup ends no server, however soon it comes.
    let hangups = signal(SignalKind::hangup()).or_fault("cannot take SIGHUP")?;
    let mut reload = Reload::new(hangups, started);
    let mut background = Background::default();
    let health = Arc::new(Health::default());
    health.fail(Part::Store, "the database is being opened");
    if let Some(address) = parts.config.health.listen {
        background.spawn(health::listen(address, health::reader(&health)).await?);
    }
    let opening = starting::Opening {
        base_url: base_url.clone(),
        dir: dir.clone(),
        health: Arc::clone(&health),
        replay: replay.is_some(),
    };
    let app = starting::open(parts, opening, &listener).await?;
    status::begin();
    let engine = &app.engine;
    engine
        .record_time("time")
        .await
        .or_fault("cannot record the time in the database")?;
    engine
        .drop_unfinished_server_intents()
        .await
        .or_fault("cannot read the database")?;
    engine
        .count_provisional_accounts()
        .await
        .or_fault("cannot read the database")?;
    engine.check_space();

    background.spawn(clock::keep(Arc::clone(engine)));
    background.spawn(watch(Arc::clone(engine)));
    let served = match replay {
        None => {
            let under_way = background.under_way.clone();
            background.spawn(recover(Arc::clone(engine), under_way.clone()));
            if engine.has_validators() {
                background.spawn(validate(Arc::clone(engine), under_way));
            }
            Served {
                devices: app.devices.clone(),
                engine: Arc::clone(engine),
                request_log: Arc::clone(&app.request_log),
                store: Arc::clone(&app.store) as _,
            }
        }
        // This server's own orders stay as they are.
        Some(replay) => {
            let stage = replay.stage(&base_url).await?;
            Served {
                devices: None,
                engine: stage.engine,
                request_log: stage.request_log,
                store: stage.store,
            }
        }
    };
    match control::listen(dir) {
        Ok(listener) => {
            background.spawn(control::serve(listener, served.store, Arc::clone(engine)))
        }
        // Paths of sockets are short; the server serves all the same.
        Err(error) => tracing::warn!(
            event = "no_control_socket",
            %error,
            "`assay orders` cannot ask this server while it runs"
        ),
    }
    let identity = match &app.tls {
        TlsEnd::Off => {
            tracing::warn!(
                event = "no_tls",
                "serving plain HTTP: a proxy in front must end TLS for {base_url}"
            );
            if app.config.server.trusted_proxies.is_empty() {
                tracing::warn!(
                    event = "no_trusted_proxies",
                    "every request counts as the proxy's, so that one client can use up the limits of all: name the proxy in server.trusted_proxies"
                );
            }
            None
        }
        TlsEnd::Files(files) => {
            let requests = reload.part("tls");
            background.spawn(files.clone().watch(base_url.host().clone(), requests));
            Some(Arc::clone(&files.identity))
        }
        TlsEnd::OwnCa => {
            let host = base_url.host().to_string();
            let own = OwnIdentity::issue(engine, &host, dir)
                .await
                .or_fault("cannot issue the TLS certificate")?;
            let identity = Arc::clone(&own.identity);
            background.spawn(own.renew(Arc::clone(engine), host));
            Some(identity)
        }
    };
    let files = ListFiles::new(dir, &app.config.admission.devices);
    let requests = reload.part("devices");
    background.spawn(devices::watch(served.devices, files, requests, health));
    background.spawn(reload.watch());
    let server = Server::new(
        served.engine,
        served.request_log,
        ServerConfig {
            tls: identity,
            trusted_proxies: app.config.server.trusted_proxies.clone(),
            proxy_protocol: app.config.server.proxy_protocol,
            max_connections: app.config.server.max_connections,
            connections_per_address: app.config.connections_per_address(),
            access_log: app.config.log.access,
            rate_limits: app.config.limits.rates.clone(),
            ..ServerConfig::new(listener)
        },
    );
    // The base URL need not tell: a proxy may stand in between.
    tracing::info!(
        event = "listening",
        address = %bound,
        inherited = is_inherited,
        base_url = %base_url,
        "listening"
    );
    Ok(Ready {
        app,
        background,
        server,
    })
}

impl Ready {
    /// Reports to the service manager from now on that it serves.
    fn report(&mut self) {
        let App {
            engine,
            health,
            store,
            ..
        } = &self.app;
        let store = Arc::downgrade(store);
        let directory = engine.urls().directory();
        let reporting = notify::report(store, Arc::clone(health), directory);
        self.background.spawn(reporting);
    }

    /// Serves until `shutdown`, or until the store fails.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Stop> {
        let poisoned = self.app.store.poisoned();
        let serving = self.server.run(shutdown);
        let result = tokio::select! {
            ended = serving => ended.or_fault("the server failed"),
            fault = poisoned => {
                self.app.health.fail(Part::Store, fault.to_string());
                notify::stopping(&format!("Failed: {fault}"));
                Err(Stop::fault(anyhow!(
                "{fault}. Nothing more is accepted, since it could not be kept. Mend the disk, then start again: everything acknowledged is there"
            )))
            }
        };
        self.background.end().await;
        let engine = &self.app.engine;
        let result = match result {
            Ok(()) => {
                (engine.close().await).or_fault("cannot record the nonces that were redeemed")
            }
            failed => failed,
        };
        if let Some(recordings) = self.app.recordings {
            recordings.finish();
        }
        result
    }
}

impl Background {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task));
    }

    /// Ends all tasks, once what they have under way is done: at most a few
    /// seconds. What takes longer the next start recovers.
    async fn end(self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        let under_way = self.under_way.clone();
        drop(self);
        let _ = tokio::time::timeout(PATIENCE, under_way.0.write()).await;
    }
}

impl UnderWay {
    /// Runs `work` to its end, whatever becomes of the task that waits for it.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        let held = Arc::clone(&self.0).read_owned().await;
        let work = async move {
            let _held = held;
            work.await
        };
        tokio::spawn(work).await
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Brings interrupted orders to their end as their leases run out, and drops
/// what was left of TLS certificates.
async fn recover(engine: Arc<Engine>, under_way: UnderWay) {
    const LATER: Duration = Duration::from_secs(60);
    loop {
        let recovering = Arc::clone(&engine);
        let recovered = under_way
            .to_the_end(async move { recover_once(&recovering).await })
            .await;
        let wait = match recovered
            .map_err(anyhow::Error::from)
            .and_then(|it| Ok(it?))
        {
            Ok(Some(lease)) => Duration::from_secs(lease.0.saturating_sub(engine.now().0).max(1)),
            Ok(None) => LATER,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(event = "recovery_failed", %error, "interrupted orders were not recovered; trying again");
                LATER
            }
        };
        tokio::time::sleep(wait.min(LATER)).await;
    }
}

/// When there is more to recover, where that is known.
async fn recover_once(engine: &Engine) -> Result<Option<Timestamp>, Error> {
    // Neither holds the other up, and the first fault is reported.
    let orders = engine.recover().await;
    let intents = engine.drop_unfinished_server_intents().await;
    Ok([orders?, intents?].into_iter().flatten().min())
}

/// Validates challenges as their attempts become due. What a crash interrupts is
/// found again in the store.
async fn validate(engine: Arc<Engine>, under_way: UnderWay) {
    /// How many are validated at once: most of the time of one is waiting.
    const AT_ONCE: usize = 64;
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut validations = tokio::task::JoinSet::new();
    loop {
        seconds.tick().await;
        while validations.try_join_next().is_some() {}
        let free = AT_ONCE - validations.len();
        match engine.due_validations(free).await {
            Ok(due) => {
                for id in due {
                    let (engine, under_way) = (Arc::clone(&engine), under_way.clone());
                    validations.spawn(async move {
                        let validation = async move { engine.validate(id).await };
                        match under_way.to_the_end(validation).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => {
                                tracing::debug!(%id, %error, "an attempt to validate failed");
                            }
                            Err(error) => {
                                tracing::debug!(%id, %error, "an attempt to validate panicked");
                            }
                        }
                    });
                }
            }
            Err(error) => {
                tracing::debug!(%error, "challenges cannot be validated: trying again");
            }
        }
    }
}

/// Measures the free space and reports what gave way, every second.
async fn watch(engine: Arc<Engine>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        engine.report_displaced();
        let measured = Arc::clone(&engine);
        // A file system of the network may take its time.
        let _ = tokio::task::spawn_blocking(move || measured.check_space()).await;
    }
}

/// Makes room for `connections`, the database and a reserve, where the system
/// allows it.
fn raise_open_files(connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let wanted = connections as u64 + 128;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(allowed),
            maximum: limit.maximum,
        },
    );
    if raised.is_err() || allowed < wanted {
        tracing::warn!(
            event = "few_open_files",
            allowed,
            wanted,
            "max_connections is more than the system's limit of open files allows: raise LimitNOFILE, or lower it"
        );
    }
}
