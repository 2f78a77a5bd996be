//! The wiring: from a directory to an engine. `serve`, `demo` and
//! `config check` all come through here.

use std::{collections::HashSet, os::unix::ffi::OsStrExt, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow, bail, ensure};
use assay_attest::{TrustAnchor, recording::Rule};
use assay_ca::{
    Issuer,
    authority::{self, Host},
};
use assay_engine::{
    Engine, Limits, SERVER_CERTIFICATE_LIFETIME, Setup,
    admission::{Admission, AdmissionPolicy, DeviceListWarning, Devices, Findings},
    health::Health,
    issuance,
    ports::{Clock, Purpose, Random, Store},
    urls::Urls,
};
use assay_proto::{DottedOid, Timestamp};
use assay_store::{LedgerStore, OpenError, OpenMode, Options, maintenance};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    certificates::{load_issuer, load_laboratory_root},
    clock,
    config::{BaseUrl, Config, Mode, Tls, UrlHost},
    devices::ListFiles,
    dir::Dir,
    issuer, now, print, print_json,
    recordings::{Plan, Recordings},
    space::FileSystem,
    stop::{OrStop, Stop},
    store,
    tls::{FileIdentity, check::check_ca},
};

/// Everything that the directory's files say, checked; the database is not
/// open yet.
pub struct Parts {
    pub config: Config,
    anchors: Vec<TrustAnchor>,
    devices: Option<Arc<Devices>>,
    /// Of the list, where it was only read to be checked.
    list_warnings: Findings<DeviceListWarning>,
    issuer: Issuer,
    laboratory: bool,
    tls: TlsEnd,
    tls_issuer: Option<Issuer>,
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
    pub store: Arc<LedgerStore>,
    pub tls: TlsEnd,
}

/// Refuses a CA that has ended, and tells when its end shortens certificates.
fn check_end(name: &str, issuer: &Issuer, now: Timestamp, lifetime: u64) -> Result<(), Stop> {
    let end = issuance::end_of_ca(name, issuer, now);
    let end = end.map_err(|text| Stop::usage(anyhow!(text)))?;
    if now.plus(lifetime) > end {
        tracing::warn!(
            event = "ca_ends",
            ca = name,
            %end,
            "a CA ends before certificates of the usual lifetime: they are cut to its end"
        );
    }
    Ok(())
}

/// What a list of devices at fault is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BadList {
    /// An error.
    Fails,
    /// A reason to start from the last good one, where there is one.
    GivesWay,
}

impl Parts {
    /// Reads and checks the files in `dir`.
    pub fn load(dir: &Dir) -> Result<Self, Stop> {
        Self::try_load(dir, BadList::Fails).map_err(Stop::usage)
    }

    /// The same, but a list of devices at fault gives way to the last good one.
    pub fn load_to_serve(dir: &Dir) -> Result<Self, Stop> {
        Self::try_load(dir, BadList::GivesWay).map_err(Stop::usage)
    }

    fn try_load(dir: &Dir, bad_list: BadList) -> anyhow::Result<Self> {
        ensure!(
            dir.config().exists(),
            "{} has no assay.toml: make a server there with `assay --dir {} init`, or name the right directory with --dir",
            dir.path().display(),
            dir.path().display()
        );
        let config = Config::load(&dir.config())?;
        config.warn();
        check_recordings(dir, &config.recording.directory)?;
        let present = SystemClock.now();
        let (issuer, laboratory) = load_issuer(dir, "issuing")?;
        check_ca("issuing", &issuer, present)?;
        if config.needs_laboratory() && !laboratory {
            bail!(
                "admission mode any-attested and laboratory_roots are for laboratory servers only, and this one was not made as one: make another with `assay init --laboratory`"
            );
        }
        issuance::try_profile(&issuer, &config.profile)
            .context("profile.default makes no certificate")?;
        let (tls, tls_issuer) = match &config.server.tls {
            Tls::Files { certificate, key } => {
                let identity = FileIdentity::read(dir.resolve(certificate), dir.resolve(key))?;
                identity.check(None)?;
                (TlsEnd::Files(identity), None)
            }
            Tls::Off => (TlsEnd::Off, None),
            Tls::OwnCa => {
                let (issuer, _) = load_issuer(dir, "tls")?;
                check_ca("TLS", &issuer, present)?;
                issuance::try_server_certificates(&issuer)
                    .with_context(|| format!("{}", dir.ca_certificate("tls").display()))?;
                (TlsEnd::OwnCa, Some(issuer))
            }
        };
        let mut anchors = vec![TrustAnchor::apple()];
        for path in &config.apple.laboratory_roots {
            anchors.push(load_laboratory_root(&dir.resolve(path))?);
        }
        let files = ListFiles::new(dir, &config.admission.devices);
        let mut list_warnings = Findings::default();
        let devices = match (config.admission.mode, bad_list) {
            (Mode::AnyAttested, _) => None,
            (Mode::Listed, BadList::GivesWay) => Some(Arc::new(files.at_start()?)),
            (Mode::Listed, BadList::Fails) => {
                let reading = files.read()?;
                list_warnings = reading.warnings;
                Some(Arc::new(Devices::new(reading.list)))
            }
        };
        Ok(Self {
            config,
            anchors,
            devices,
            list_warnings,
            issuer,
            laboratory,
            tls,
            tls_issuer,
        })
    }

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

    /// Checks that this server may serve TLS for `base_url`.
    fn check_host(&self, base_url: &BaseUrl) -> anyhow::Result<()> {
        if let TlsEnd::Files(files) = &self.tls {
            return files.check(Some(base_url.host()));
        }
        let Some(issuer) = &self.tls_issuer else {
            return Ok(());
        };
        let host = match base_url.host() {
            UrlHost::Dns(name) => Host::Dns(name.clone()),
            UrlHost::Ip(address) => Host::Ip(*address),
        };
        ensure!(
            authority::is_constrained_to(issuer.certificate_der(), &host),
            "the TLS CA may not certify {}, the host of the base URL: its name constraints were set by init; \
             give server.base_url that host, or use tls = \"files\" or \"off\"",
            base_url.host()
        );
        Ok(())
    }

    /// What is suspicious in the list of devices, in words.
    fn list_warnings(&self) -> Vec<String> {
        let list = self.config.admission.devices.display();
        let more = self.list_warnings.more;
        (self.list_warnings.first.iter())
            .map(|warning| format!("{list}: {warning}"))
            .chain((more > 0).then(|| format!("{list}: {more} more warnings")))
            .collect()
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

    /// Opens the database and puts everything together. A `replay` keeps no
    /// recordings, and removes none: it may be playing one of them.
    /// `on_rebuild` is told how far the index is, where it must be rebuilt.
    pub fn open(
        self,
        dir: &Dir,
        base_url: &BaseUrl,
        replay: bool,
        on_rebuild: OnRebuild,
        health: Arc<Health>,
    ) -> Result<App, Stop> {
        self.check_host(base_url).map_err(Stop::usage)?;
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
        options.health = Arc::clone(&health);
        options.on_rebuild = on_rebuild;
        let store = match (LedgerStore::open_with(&dir.db(), mode, options), wrong_mark) {
            (Err(OpenError::IsLaboratory(_)), Some(wrong)) => return Err(Stop::usage(wrong)),
            (opened, _) => opened?,
        };
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
        clock::check_start(store.latest_time(), clock_says, max_rest).map_err(Stop::usage)?;
        issuer::check(dir, &self.issuer, &store)?;
        let lifetime = self.config.profile.lifetime;
        check_end("issuing", &self.issuer, clock_says, lifetime)?;
        if let Some(issuer) = &self.tls_issuer {
            check_end("TLS", issuer, clock_says, SERVER_CERTIFICATE_LIFETIME)?;
        }
        let store = Arc::new(store);
        let admission = match &self.devices {
            Some(devices) => Admission::Listed(Box::new(Arc::clone(devices))),
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
        let (recordings, recorder) = if replay {
            (None, None)
        } else {
            let (recordings, recorder) =
                Recordings::start(self.recording_plan(dir, free_space), Arc::clone(&health))
                    .or_fault("cannot start the thread that writes recordings")?;
            (Some(recordings), recorder)
        };
        let engine = Engine::new(Setup {
            admission: AdmissionPolicy {
                admission,
                assigners,
            },
            anchors: self.anchors,
            clock: Arc::new(SystemClock),
            health: Arc::clone(&health),
            exempt: self.config.limits.rates.exempt.clone(),
            issuer: self.issuer,
            limits: Limits {
                free_space,
                order_lifetime: self.config.acme.order_lifetime.seconds(),
                provisional_accounts: self.config.limits.provisional_accounts,
                ..Limits::default()
            },
            max_jump: self.config.time.max_jump.seconds(),
            profile: self.config.profile.clone(),
            random: Arc::new(SystemRandom),
            recorder,
            server_issuer: self.tls_issuer,
            space: Some(Arc::new(space)),
            store: Arc::clone(&store) as _,
            terms_of_service: self.config.acme.terms_of_service.clone(),
            urls: Urls::new(base_url.to_string()),
        });
        Ok(App {
            config: self.config,
            devices: self.devices,
            engine: Arc::new(engine),
            health,
            recordings,
            store,
            tls: self.tls,
        })
    }
}

/// `assay config check`
pub fn check(dir: &Dir, json: bool) -> Result<(), Stop> {
    let parts = Parts::load(dir)?;
    if let Some(base_url) = &parts.config.server.base_url {
        parts.check_host(base_url).map_err(Stop::usage)?;
    }
    let devices = parts.devices.as_ref().map(|devices| devices.list().len());
    let base_url = parts
        .config
        .server
        .base_url
        .as_ref()
        .map(ToString::to_string);
    let roots: Vec<&str> = parts.anchors.iter().map(TrustAnchor::name).collect();
    let warnings = parts.list_warnings();
    if json {
        return print_json(&serde_json::json!({
            "ok": true,
            "laboratory": parts.laboratory,
            "base_url": base_url,
            "listen": parts.config.server.listen.to_string(),
            "devices": devices,
            "attestation_roots": roots,
            "problems": warnings
                .iter()
                .map(|what| serde_json::json!({"severity": "warning", "what": what}))
                .collect::<Vec<_>>(),
        }));
    }
    print(format_args!(
        "{} is in order.\n  base URL           {}\n  listens on         {}\n  attestation roots  {}\n  devices            {}",
        dir.config().display(),
        base_url
            .as_deref()
            .unwrap_or("https://localhost and the bound port"),
        parts.config.server.listen,
        roots.join(", "),
        match devices {
            Some(0) => "none: every order is refused until devices are listed".to_owned(),
            Some(count) => format!("{count} listed"),
            None => "any that proves itself (laboratory)".to_owned(),
        }
    ))?;
    (warnings.iter()).try_for_each(|what| print(format_args!("warning: {what}")))
}

/// Recordings have a folder of their own, which nothing else of the server's is
/// in.
fn check_recordings(dir: &Dir, directory: &Path) -> anyhow::Result<()> {
    let folder = dir.resolve(directory);
    let own = [
        dir.db(),
        dir.ca(),
        dir.attestation(),
        dir.config(),
        dir.control(),
    ];
    let taken = own.iter().any(|own| folder.starts_with(own));
    ensure!(
        !taken && folder != dir.path() && !folder.as_os_str().as_bytes().contains(&0),
        "recording.directory is {directory:?}, which is no place for recordings: name a folder of their own"
    );
    Ok(())
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
