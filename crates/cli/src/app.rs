//! The wiring: from a directory to an engine. `serve` and `demo` come through
//! here.

use std::{
    collections::{BTreeMap, HashSet},
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{anyhow, ensure};
use assay_attest::TrustAnchor;
use assay_ca::{Issuer, authority};
use assay_engine::{
    Engine, Issuers, Limits, Setup,
    admission::{Admission, AdmissionPolicy},
    directories::{Directories, DirectoryFault, DirectoryPlan},
    health::Health,
    names::DirectoryName,
    ports::{Clock, Observer, Purpose, Random},
};
use assay_proto::{DottedOid, Timestamp};
use assay_recording::Rule;
use assay_server::RequestLog;
use assay_store::{LedgerStore, OlderDatabase, OpenError, OpenMode, Options, maintenance};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    clock,
    config::{BaseUrl, Config, Mode},
    database::Database,
    devices::Devices,
    dir::Dir,
    issuer,
    logging::LogObserver,
    now,
    recordings::{Plan, Recordings},
    signing_threads::SigningThreads,
    space::FileSystem,
    stop::{OrStop, Stop},
    store,
    tls::FileIdentity,
};

/// The most signatures at once, of signers that block: about as many as a module
/// has sessions.
const SIGNATURES: usize = 16;

/// Everything that the directory's files say, checked; the database is not
/// open yet.
pub struct Parts {
    pub config: Config,
    pub anchors: Vec<TrustAnchor>,
    pub devices: Option<Arc<Devices>>,
    pub issuer: Issuer,
    pub laboratory: bool,
    pub tls: TlsEnd,
    pub tls_issuer: Option<Issuer>,
}

/// Is told what a rebuild of the index has read, and of how much, in bytes.
pub type OnRebuild = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// Where TLS ends, and with which certificate.
#[derive(Clone)]
pub enum TlsEnd {
    /// Here, with a certificate from files.
    Files(FileIdentity),
    /// At a proxy in front.
    Off,
    /// Here, with a certificate of the server's own TLS CA.
    OwnCa,
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

/// A database that is open, and the engine that is to run on it.
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
    /// Where TLS ends.
    pub fn tls(&self) -> &TlsEnd {
        &self.tls
    }

    /// The certificate of the server's own TLS CA, DER, where it has one.
    pub fn tls_ca(&self) -> Option<&[u8]> {
        self.tls_issuer.as_ref().map(Issuer::certificate_der)
    }

    /// The roots that may vouch for devices.
    pub fn anchors(&self) -> &[TrustAnchor] {
        &self.anchors
    }

    /// Whether its CA says that it is a laboratory's.
    pub fn is_laboratory(&self) -> bool {
        self.laboratory
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

    /// Opens the ledger, and migrates it where it is of an older layout. Blocks.
    /// A start that is refused changes nothing.
    fn open_ledger(
        &self,
        dir: &Dir,
        on_rebuild: OnRebuild,
        health: &Arc<Health>,
    ) -> Result<Arc<dyn Database>, Stop> {
        let (mode, wrong_mark) = if self.laboratory {
            (OpenMode::Laboratory, None)
        } else {
            (
                OpenMode::Production,
                Some(anyhow!(
                    "the database in {} and the CA in {} do not belong together: one is a laboratory's, the other is not",
                    dir.db().display(),
                    dir.ca_certificate("issuing").display()
                )),
            )
        };
        let clock_says = SystemClock.now();
        let max_rest = self.config.time.max_rest.seconds();
        // Where there is no index yet, a start that is refused makes none.
        if let Some(facts) = maintenance::peek(&dir.db())? {
            clock::check_start(facts.latest_time, clock_says, max_rest).map_err(Stop::usage)?;
            if let Some(noted) = facts.issuer {
                issuer::check_noted(dir, &self.issuer, noted).map_err(Stop::usage)?;
            }
        }
        let mut options = Options::default();
        options.keep_ledger = self.config.store.keep_ledger.seconds();
        options.health = Arc::clone(health);
        options.on_rebuild = on_rebuild;
        // A start that is refused migrates nothing: the program that wrote the
        // database would be locked out of it.
        let check_older = |older: &OlderDatabase| {
            clock::check_start(older.latest_time, clock_says, max_rest)
                .and_then(|()| issuer::check_older(dir, &self.issuer, older))
                .map_err(|error| error.to_string())
        };
        let opened = LedgerStore::open_checked(&dir.db(), mode, options, &check_older);
        let store = match (opened, wrong_mark) {
            (Err(OpenError::IsLaboratory(_)), Some(wrong)) => return Err(Stop::usage(wrong)),
            (opened, _) => opened?,
        };
        clock::check_start(store.recorded_time(), clock_says, max_rest).map_err(Stop::usage)?;
        Ok(Arc::new(store))
    }

    /// Opens the database and names what goes with it. Blocks. A `replay` keeps no
    /// recordings, and removes none: it may be playing one of them.
    /// `on_rebuild` is told how far the index is, where it must be rebuilt.
    pub fn open(
        self,
        dir: &Dir,
        base_url: &BaseUrl,
        replay: bool,
        on_rebuild: OnRebuild,
        health: Arc<Health>,
    ) -> Result<Opened, Stop> {
        check_host(&self.tls, self.tls_issuer.as_ref(), base_url).map_err(Stop::usage)?;
        let store = self.open_ledger(dir, on_rebuild, &health)?;
        if let Some(restored) = store.restored().or_fault("cannot read the database")? {
            tracing::warn!(
                event = "restored_not_acknowledged",
                "{}: acknowledge it by `assay store acknowledge`",
                store::in_words(&restored)
            );
        }
        let space =
            FileSystem::of(&dir.db()).or_fault("cannot ask for the free space of the disk")?;
        let free_space = match self.config.store.free_space {
            Some(size) => size.bytes(),
            None => space
                .usual_reserve()
                .or_fault("cannot ask for the size of the disk")?,
        };
        issuer::check(dir, &self.issuer, store.as_ref())?;
        let admission = match &self.devices {
            Some(devices) => Admission::Listed(Arc::<Devices>::clone(devices)),
            None => Admission::AnyAttested {
                bind: self.config.admission.bind.engine(),
            },
        };
        let assigners: HashSet<DottedOid> = self
            .config
            .apple
            .assigners
            .iter()
            .filter_map(|assigner| DottedOid::parse(assigner))
            .collect();
        let (recordings, recording) = if replay {
            (None, None)
        } else {
            let (recordings, recording) =
                Recordings::start(self.recording_plan(dir, free_space), Arc::clone(&health))
                    .or_fault("cannot start the thread that writes recordings")?;
            (Some(recordings), recording)
        };
        let policy = AdmissionPolicy {
            admission,
            assigners,
        };
        let directories = directories(&self.config, base_url, policy).map_err(Stop::usage)?;
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
}

/// The directories of the configuration, with the same admission.
fn directories(
    config: &Config,
    base_url: &BaseUrl,
    admission: AdmissionPolicy,
) -> Result<Directories, DirectoryFault> {
    let default = DirectoryPlan {
        terms_of_service: config.acme.terms_of_service.clone(),
        website: config.acme.website.clone(),
        ..DirectoryPlan::new(admission)
    };
    let named = config.directories.iter().map(|(name, directory)| {
        let plan = DirectoryPlan {
            admission: Arc::clone(&default.admission),
            default_profile: directory.default_profile,
            profiles: directory.profiles.clone(),
            terms_of_service: directory.terms_of_service.clone(),
            website: directory.website.clone(),
        };
        (*name, plan)
    });
    let mut plans: BTreeMap<_, _> = named.collect();
    plans.insert(DirectoryName::DEFAULT, default);
    let profiles = config.profiles();
    let profiles = profiles.map(|(name, profile)| (name, profile.clone()));
    Directories::new(&base_url.to_string(), &profiles.collect(), plans)
}

/// Checks that this server may serve TLS for `base_url`.
pub fn check_host(
    tls: &TlsEnd,
    tls_issuer: Option<&Issuer>,
    base_url: &BaseUrl,
) -> anyhow::Result<()> {
    if let TlsEnd::Files(files) = tls {
        return files.check(base_url.host());
    }
    let Some(issuer) = tls_issuer else {
        return Ok(());
    };
    let host = base_url.host();
    ensure!(
        authority::is_constrained_to(issuer.certificate_der(), &host.for_certificate()),
        "the TLS CA may not certify {host}, the host of the base URL: its name constraints were set by init; \
         make a TLS CA for that host with `assay tls host {host} --root-key FILE`, or give server.base_url the host of init, \
         or use tls = \"files\" or \"off\"",
    );
    Ok(())
}

/// Recordings have a folder of their own, which nothing else of the server's is
/// in.
pub fn check_recordings(dir: &Dir, directory: &Path) -> anyhow::Result<()> {
    let folder = resolved(&dir.resolve(directory));
    let own = [
        dir.db(),
        dir.ca(),
        dir.attestation(),
        dir.config(),
        dir.control(),
    ];
    let taken = own.iter().any(|own| folder.starts_with(resolved(own)));
    ensure!(
        !taken && folder != resolved(dir.path()) && !folder.as_os_str().as_bytes().contains(&0),
        "recording.directory is {directory:?}, which is no place for recordings: name a folder of their own"
    );
    Ok(())
}

/// Where a path leads: through its symbolic links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut place = PathBuf::new();
    for step in path.components() {
        match step {
            Component::ParentDir => {
                place.pop();
            }
            step => place.push(step),
        }
        if let Ok(real) = place.canonicalize() {
            place = real;
        }
    }
    place
}

/// The system's clocks.
struct SystemClock;

impl Clock for SystemClock {
    /// Suspension included, so that a machine that slept is no fault.
    fn uptime(&self) -> u64 {
        u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or(0)
    }

    fn now(&self) -> Timestamp {
        Timestamp(now())
    }
}

/// The system's source of random bytes.
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::expect_used,
        reason = "without chance nothing may go on: no nonce, no token, no serial number"
    )]
    fn fill(&self, _: Purpose, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the operating system gives no random bytes");
    }
}
