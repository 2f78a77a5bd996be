//! `assay serve`: the server, from its directory to its end.

mod background;
mod health;
mod open_files;
mod reload;
mod starting;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anyhow::anyhow;
use assay_engine::{Engine, health::Part};
use assay_server::{RESERVED_CONNECTIONS, Server, ServerConfig, TlsIdentity};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    app::{App, Served},
    config::{BaseUrl, Config},
    control,
    devices::{self, ListFiles},
    dir::Dir,
    notify,
    preflight::{self, Listening},
    print,
    replay_server::{Replay, ReplayServerArgs},
    socket,
    stop::{OrStop, Stop},
    tls::{OwnIdentity, TlsEnd},
};

use background::Background;
use reload::{Reload, Started};

/// `assay serve`
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// The address to listen on, instead of the configured one; port 0 selects
    /// a free port.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// What to serve instead of the server itself.
    #[command(flatten)]
    pub replay: ReplayServerArgs,
}

/// A server that is ready: its socket is bound, its database open.
pub struct Ready {
    pub app: App,
    background: Background,
    server: Server,
}

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
    let replay = Replay::load(&parts, &args.replay)?;
    open_files::raise(parts.config.server.max_connections + RESERVED_CONNECTIONS);
    let socket = Socket::bind(inherited, args, &parts.config).await?;
    // From here on a hangup ends no server, however soon it comes.
    let hangups = signal(SignalKind::hangup()).or_fault("cannot take SIGHUP")?;
    let mut reload = Reload::new(hangups, started);
    let mut background = Background::default();
    let health = health::begin(&parts.config, &mut background).await?;
    let opening = starting::Opening {
        base_url: socket.base_url.clone(),
        dir: dir.clone(),
        health: Arc::clone(&health),
        replay: replay.is_some(),
    };
    let app = starting::open(parts, opening, &socket.listener).await?;
    control::begin();
    take_up(&app.engine).await?;
    background.keep(&app.engine);
    let served = match replay {
        None => {
            background.work(&app.engine);
            Served::own(&app)
        }
        // This server's own orders stay as they are.
        Some(replay) => replay.start(&socket.base_url).await?,
    };
    answer_operators(dir, &app.engine, &served, &mut background);
    let tls = identity(&app, dir, &socket.base_url, &mut reload, &mut background).await?;
    let files = ListFiles::new(dir, &app.config.admission.devices);
    let requests = reload.part("devices");
    background.spawn(devices::watch(
        served.devices.clone(),
        files,
        requests,
        health,
    ));
    background.spawn(reload.watch());
    socket.log();
    let server = served.by(socket.listener, &app.config, tls);
    Ok(Ready {
        app,
        background,
        server,
    })
}

/// The socket to serve on, and the URL that clients reach it by.
struct Socket {
    address: SocketAddr,
    base_url: BaseUrl,
    is_inherited: bool,
    listener: tokio::net::TcpListener,
}

impl Socket {
    /// Binds the socket, unless one is `inherited`.
    async fn bind(
        inherited: Option<TcpListener>,
        args: &ServeArgs,
        config: &Config,
    ) -> Result<Self, Stop> {
        let is_inherited = inherited.is_some();
        let listener = socket::listen(inherited, args.listen, config.server.listen).await?;
        let address = listener
            .local_addr()
            .or_fault("cannot read the bound port")?;
        let base_url =
            (config.server.base_url.clone()).unwrap_or_else(|| BaseUrl::localhost(address.port()));
        Ok(Self {
            address,
            base_url,
            is_inherited,
            listener,
        })
    }

    fn log(&self) {
        // The base URL need not tell: a proxy may stand in between.
        tracing::info!(
            event = "listening",
            address = %self.address,
            inherited = self.is_inherited,
            base_url = %self.base_url,
            "listening"
        );
    }
}

/// Finishes what an earlier process left.
async fn take_up(engine: &Engine) -> Result<(), Stop> {
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
    Ok(())
}

impl Served {
    /// The server itself.
    fn own(app: &App) -> Self {
        Self {
            devices: app.devices.clone(),
            engine: Arc::clone(&app.engine),
            request_log: Arc::clone(&app.request_log),
            store: Arc::clone(&app.store) as _,
        }
    }

    /// Makes the server on `listener`.
    fn by(
        self,
        listener: tokio::net::TcpListener,
        config: &Config,
        tls: Option<Arc<TlsIdentity>>,
    ) -> Server {
        let config = ServerConfig {
            tls,
            trusted_proxies: config.server.trusted_proxies.clone(),
            proxy_protocol: config.server.proxy_protocol,
            max_connections: config.server.max_connections,
            connections_per_address: config.connections_per_address(),
            access_log: config.log.access,
            rate_limits: config.limits.rates.clone(),
            ..ServerConfig::new(listener)
        };
        Server::new(self.engine, self.request_log, config)
    }
}

/// Answers operators' commands (`assay orders`, `status`, `store accept-clock`)
/// while the server runs.
fn answer_operators(dir: &Dir, engine: &Arc<Engine>, served: &Served, background: &mut Background) {
    match control::listen(dir) {
        Ok(listener) => {
            let store = Arc::clone(&served.store);
            background.spawn(control::serve(listener, store, Arc::clone(engine)));
        }
        // Paths of sockets are short; the server serves all the same.
        Err(error) => tracing::warn!(
            event = "no_control_socket",
            %error,
            "`assay orders` cannot ask this server while it runs"
        ),
    }
}

/// The certificate to serve with, which is renewed or read again while the server
/// runs; `None` where a proxy ends TLS.
async fn identity(
    app: &App,
    dir: &Dir,
    base_url: &BaseUrl,
    reload: &mut Reload,
    background: &mut Background,
) -> Result<Option<Arc<TlsIdentity>>, Stop> {
    match &app.tls {
        TlsEnd::Off => {
            warn_without_tls(base_url, &app.config);
            Ok(None)
        }
        TlsEnd::Files(files) => {
            let requests = reload.part("tls");
            background.spawn(files.clone().watch(base_url.host().clone(), requests));
            Ok(Some(Arc::clone(&files.identity)))
        }
        TlsEnd::OwnCa => {
            let host = base_url.host().to_string();
            let own = OwnIdentity::issue(&app.engine, &host, dir)
                .await
                .or_fault("cannot issue the TLS certificate")?;
            let identity = Arc::clone(&own.identity);
            background.spawn(own.renew(Arc::clone(&app.engine), host));
            Ok(Some(identity))
        }
    }
}

fn warn_without_tls(base_url: &BaseUrl, config: &Config) {
    tracing::warn!(
        event = "no_tls",
        "serving plain HTTP: a proxy in front must end TLS for {base_url}"
    );
    if config.server.trusted_proxies.is_empty() {
        tracing::warn!(
            event = "no_trusted_proxies",
            "every request counts as the proxy's, so that one client can use up the limits of all: name the proxy in server.trusted_proxies"
        );
    }
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
