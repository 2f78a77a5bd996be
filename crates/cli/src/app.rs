//! The wiring: from a directory to an engine. `serve` and `demo` come through
//! here.

mod directories;
mod ledger;

use std::{sync::Arc, time::Duration};

use assay_attest::TrustAnchor;
use assay_ca::Issuer;
use assay_engine::{
    Engine, Issuers, Limits, Setup,
    health::Health,
    ports::{Observer, Store},
};
use assay_recording::Rule;
use assay_server::RequestLog;

pub use self::ledger::OnRebuild;
use crate::{
    config::{BaseUrl, Config, Mode},
    database::{Database, describe_restored},
    devices::Devices,
    dir::Dir,
    issuer,
    logging::LogObserver,
    recordings::{Plan, Recordings},
    signing_threads::SigningThreads,
    space::FileSystem,
    stop::{OrStop, Stop},
    system::{SystemClock, SystemRandom},
    tls::TlsEnd,
};

/// The most signatures at once, of signers that block: about as many as a module
/// has sessions.
const SIGNATURES: usize = 16;

/// Everything that the directory's files say, checked; the database is not
/// open yet.
pub struct Parts {
    pub config: Config,
    /// The roots that may vouch for devices.
    pub anchors: Vec<TrustAnchor>,
    pub devices: Option<Arc<Devices>>,
    pub issuer: Issuer,
    /// Whether its CA says that it is a laboratory's.
    pub laboratory: bool,
    /// Where TLS ends.
    pub tls: TlsEnd,
    pub tls_issuer: Option<Issuer>,
}

/// A server's insides.
pub struct App {
    pub config: Config,
    /// The list of devices, where admission goes by one.
    pub devices: Option<Arc<Devices>>,
    pub engine: Arc<Engine>,
    pub health: Arc<Health>,
    pub recordings: Option<Recordings>,
    /// Which lines of requests are logged, the engine's among them.
    pub request_log: Arc<RequestLog>,
    pub store: Arc<dyn Database>,
    pub tls: TlsEnd,
}

/// What clients and `assay orders` get to see: the server itself, or what it
/// replays. The TLS certificate is the server's own either way.
pub struct Served {
    pub devices: Option<Arc<Devices>>,
    pub engine: Arc<Engine>,
    pub request_log: Arc<RequestLog>,
    pub store: Arc<dyn Store>,
}

/// A database that is open, and the setup of the engine that is to run on it.
pub struct Opened {
    config: Config,
    devices: Option<Arc<Devices>>,
    recordings: Option<Recordings>,
    request_log: Arc<RequestLog>,
    setup: Setup,
    store: Arc<dyn Database>,
    tls: TlsEnd,
}

impl Opened {
    /// Starts the engine.
    pub async fn start(self) -> Result<App, Stop> {
        let health = Arc::clone(&self.setup.health);
        let engine = Engine::start(self.setup).await;
        Ok(App {
            config: self.config,
            devices: self.devices,
            engine: Arc::new(engine.or_fault("cannot read the database")?),
            health,
            recordings: self.recordings,
            request_log: self.request_log,
            store: self.store,
            tls: self.tls,
        })
    }
}

impl Parts {
    /// The certificate of the server's own TLS CA, DER, where it has one.
    pub fn tls_ca(&self) -> Option<&[u8]> {
        self.tls_issuer.as_ref().map(Issuer::certificate_der)
    }

    /// What is kept of verdicts, and where.
    fn recording_plan(&self, dir: &Dir, free_space: u64) -> Plan {
        let recording = &self.config.recording;
        Plan {
            keep: recording.keep,
            directory: dir.resolve(&recording.directory),
            retention: Duration::from_secs(u64::from(recording.retention_days) * 86_400),
            rule: match self.config.admission.mode {
                Mode::AnyAttested => Rule::AnyAttested,
                Mode::Listed => Rule::Listed,
            },
            laboratory_roots: (self.anchors.iter())
                .filter(|anchor| anchor.is_laboratory())
                .cloned()
                .collect(),
            free_space,
        }
    }

    /// Opens the database and assembles the engine's setup. Blocks. A `replay`
    /// keeps no recordings, and removes none: it may be playing one of them.
    /// `on_rebuild` is told how far the index is, where it must be rebuilt.
    pub fn open(
        self,
        dir: &Dir,
        base_url: &BaseUrl,
        replay: bool,
        on_rebuild: OnRebuild,
        health: Arc<Health>,
    ) -> Result<Opened, Stop> {
        (self.tls.check_host(self.tls_issuer.as_ref(), base_url)).map_err(Stop::usage)?;
        let store = ledger::open(&self, dir, on_rebuild, &health)?;
        warn_if_restored(store.as_ref())?;
        let (space, free_space) = self.space(dir)?;
        issuer::check(dir, &self.issuer, store.as_ref())?;
        let (recordings, recording) = match replay {
            true => (None, None),
            false => {
                let (recordings, observer) = self.recordings(dir, free_space, &health)?;
                (Some(recordings), observer)
            }
        };
        let directories = directories::directories(&self.config, base_url, self.devices.as_ref())
            .map_err(Stop::usage)?;
        let clock = Arc::new(SystemClock);
        let request_log = Arc::new(RequestLog::new(clock.clone()));
        let log = LogObserver::new(Arc::clone(&request_log));
        let mut observers: Vec<Arc<dyn Observer>> = vec![Arc::new(log)];
        observers.extend(recording);
        let setup = Setup {
            anchors: self.anchors,
            blocking: Some(Arc::new(SigningThreads::new(SIGNATURES))),
            clock,
            directories,
            health,
            exempt: self.config.limits.rates.exempt.clone(),
            issuers: Issuers::single(self.issuer),
            limits: Limits {
                free_space,
                order_lifetime: self.config.acme.order_lifetime.seconds(),
                provisional_accounts: self.config.limits.provisional_accounts,
                ..Limits::default()
            },
            max_jump: self.config.time.max_jump.seconds(),
            nonces: None,
            observers,
            random: Arc::new(SystemRandom),
            server_issuer: self.tls_issuer,
            space: Some(Arc::new(space)),
            store: Arc::clone(&store) as _,
            validators: Vec::new(),
        };
        Ok(Opened {
            config: self.config,
            devices: self.devices,
            recordings,
            request_log,
            setup,
            store,
            tls: self.tls,
        })
    }

    /// The disk, and how much of it stays free: as configured, or as is usual for
    /// its size.
    fn space(&self, dir: &Dir) -> Result<(FileSystem, u64), Stop> {
        let space =
            FileSystem::of(&dir.db()).or_fault("cannot ask for the free space of the disk")?;
        let free_space = match self.config.store.free_space {
            Some(size) => size.bytes(),
            None => space
                .usual_reserve()
                .or_fault("cannot ask for the size of the disk")?,
        };
        Ok((space, free_space))
    }

    /// Starts to keep recordings, as far as the configuration has it.
    fn recordings(
        &self,
        dir: &Dir,
        free_space: u64,
        health: &Arc<Health>,
    ) -> Result<(Recordings, Option<Arc<dyn Observer>>), Stop> {
        let plan = self.recording_plan(dir, free_space);
        Recordings::start(plan, Arc::clone(health))
            .or_fault("cannot start the thread that writes recordings")
    }
}

fn warn_if_restored(store: &dyn Database) -> Result<(), Stop> {
    if let Some(restored) = store.restored().or_fault("cannot read the database")? {
        tracing::warn!(
            event = "restored_not_acknowledged",
            "{}: acknowledge it by `assay store acknowledge`",
            describe_restored(&restored)
        );
    }
    Ok(())
}
