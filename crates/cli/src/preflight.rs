//! Checks whether a server's directory can be served. `config check` shows all
//! errors and warnings; `serve` refuses to start for each error and logs each
//! warning.

mod authorities;
pub mod command;
mod owners;

use std::{fmt, path::Path, sync::Arc};

use anyhow::{anyhow, ensure};
use assay_attest::TrustAnchor;
use assay_ca::{Issuer, LeafUsage};
use assay_engine::{
    SERVER_CERTIFICATE_LIFETIME, issuance,
    names::ProfileName,
    ports::Space as _,
    profile::{CsrNames, Profile},
};
use assay_proto::Timestamp;
use assay_store::{OpenError, maintenance};
use serde::Serialize;

use crate::{
    app::Parts,
    certificates::load_laboratory_root,
    config::{BaseUrl, Config, Mode, Tls},
    devices::{DeviceListWarning, Devices, Findings, ListFiles},
    dir::Dir,
    now,
    permissions::{self, is_there},
    recordings,
    space::FileSystem,
    stop::Stop,
    tls::{
        FileIdentity, TlsEnd,
        check::{check_ca, validity_of},
    },
};

/// How severe a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// `serve` does not start.
    Error,
    /// `serve` starts, and logs a warning.
    Warning,
}

/// A problem of a server's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The severity.
    pub severity: Severity,
    /// For a warning: the event that `serve` logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<&'static str>,
    /// What is wrong, and where.
    pub what: String,
    /// What to do, unless `what` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The CA concerned.
    #[serde(skip)]
    ca: Option<&'static str>,
    /// When that CA expires.
    #[serde(skip)]
    end: Option<Timestamp>,
}

/// All problems of a server's directory.
#[derive(Debug, Default)]
pub struct Report {
    problems: Vec<Problem>,
    /// Whether a fault of the machine is among the problems, not only of the
    /// configuration.
    is_fault: bool,
}

/// The address that a server listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// The address of `server.listen`.
    Configured,
    /// Another address: `--listen`, or a socket that a service manager passed.
    Elsewhere,
}

/// How to treat an invalid list of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadList {
    /// As an error.
    Fails,
    /// As a warning, if the last valid list can be used instead.
    GivesWay,
    /// Do not read the list: a running server watches it.
    Unread,
}

/// Checks the files in `dir` before a start: logs warnings and refuses errors.
pub fn start(dir: &Dir, listening: Listening) -> Result<Parts, Stop> {
    let (report, parts) = check(dir, listening, BadList::GivesWay);
    report.log_warnings();
    if let Some(owner) = permissions::other_owner(dir.path()) {
        tracing::warn!(
            event = "served_as_root",
            owner,
            "root serves the directory of another user: that user's server cannot access files that root creates there. Run as the owner: sudo -u {owner} assay ..."
        );
    }
    match (report.stop(), parts) {
        (None, Some(parts)) => Ok(parts),
        (Some(stop), _) => Err(stop),
        // Parts are missing only if an error says so.
        (None, None) => Err(Stop::fault(anyhow!(
            "{} could not be checked",
            dir.path().display()
        ))),
    }
}

/// Checks the files in `dir`. The parts are returned unless one of their files
/// is missing or unreadable; the report decides whether they may be served.
pub fn check(dir: &Dir, listening: Listening, bad_list: BadList) -> (Report, Option<Parts>) {
    let mut report = Report::default();
    let parts = report.check(dir, listening, bad_list);
    (report, parts)
}

impl Report {
    /// All problems, errors first.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        let of = |severity| (self.problems.iter()).filter(move |found| found.severity == severity);
        of(Severity::Error).chain(of(Severity::Warning))
    }

    /// The failure of a command because of these errors, if there are any.
    pub fn stop(&self) -> Option<Stop> {
        let errors: Vec<_> = (self.problems.iter())
            .filter(|found| found.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        let said = match errors.as_slice() {
            [] => return None,
            [only] => anyhow!(only.clone()),
            many => anyhow!(
                "{} errors keep this server from starting:\n{}",
                many.len(),
                many.join("\n")
            ),
        };
        Some(match self.is_fault {
            true => Stop::fault(said),
            false => Stop::usage(said),
        })
    }

    fn log_warnings(&self) {
        for warning in &self.problems {
            // The engine measures the free space itself, and logs this event.
            let Some(event) = warning.event.filter(|event| *event != FREE_SPACE) else {
                continue;
            };
            tracing::warn!(
                event,
                ca = warning.ca,
                end = warning.end.map(tracing::field::display),
                "{warning}"
            );
        }
    }

    fn add(&mut self, problem: Problem) {
        if !(self.problems.iter()).any(|known| known.what == problem.what) {
            self.problems.push(problem);
        }
    }

    fn error(&mut self, what: impl fmt::Display, remedy: Option<&str>) {
        self.add(Problem {
            severity: Severity::Error,
            event: None,
            what: what.to_string(),
            remedy: remedy.map(str::to_owned),
            ca: None,
            end: None,
        });
    }

    fn warn(&mut self, event: &'static str, what: impl fmt::Display, remedy: &str) {
        self.add(Problem {
            severity: Severity::Warning,
            event: Some(event),
            what: what.to_string(),
            remedy: Some(remedy.to_owned()),
            ca: None,
            end: None,
        });
    }

    /// Returns the value; records a failure to read it as an error.
    fn take<T>(&mut self, read: anyhow::Result<T>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(Stop::usage(error), None);
                None
            }
        }
    }

    fn check(&mut self, dir: &Dir, listening: Listening, bad_list: BadList) -> Option<Parts> {
        self.take(check_there(dir))?;
        let config = self.take(Config::load(&dir.config()));
        self.check_owners(dir, config.as_ref());
        let present = Timestamp(now());
        let root = self.root(dir, present);
        let issuing = self.ca(dir, "issuing", root.as_ref(), present);
        self.check_for_root_key(dir);
        self.look_for_database(dir);
        let config = config?;
        self.take(recordings::check_place(dir, &config.recording.directory));
        self.disk(dir, &config);
        self.proxies(&config);
        // A CA that cannot issue has its own error.
        let issuer = (issuing.as_ref())
            .map(|(issuer, _)| issuer)
            .filter(|issuer| {
                issuer.may_certify(LeafUsage::ClientAuth)
                    && check_ca("issuing", issuer, present).is_ok()
            });
        for (name, profile) in config.profiles() {
            self.profile(name, profile, issuer);
        }
        self.unused_profiles(&config);
        let (tls, tls_issuer) = match &config.server.tls {
            Tls::Files { certificate, key } => {
                let read = FileIdentity::read(dir.resolve(certificate), dir.resolve(key));
                (self.take(read).map(TlsEnd::Files), None)
            }
            Tls::Off => (Some(TlsEnd::Off), None),
            Tls::OwnCa => {
                let found = self.ca(dir, "tls", root.as_ref(), present);
                (Some(TlsEnd::OwnCa), found.map(|(issuer, _)| issuer))
            }
        };
        if let Some(tls) = &tls {
            self.tls(&config, tls, tls_issuer.as_ref(), listening, present);
        }
        let lifetimes = config.profiles().map(|(_, profile)| profile.lifetime);
        let lifetime = lifetimes.max().unwrap_or_default();
        if let Some(root) = &root {
            self.ends("root", Timestamp(root.not_after()), present, lifetime);
        }
        if let Some((issuer, _)) = &issuing {
            self.ends("issuing", Timestamp(issuer.not_after()), present, lifetime);
        }
        let is_laboratory = issuing.as_ref().map(|(_, laboratory)| *laboratory);
        if config.needs_laboratory() && is_laboratory == Some(false) {
            self.error(
                "admission mode any-attested and laboratory_roots are for laboratory servers only, and this server is not a laboratory",
                Some("create another server with `assay init --laboratory`"),
            );
        }
        let mut anchors = vec![TrustAnchor::apple()];
        for path in &config.apple.laboratory_roots {
            let anchor = self.take(load_laboratory_root(&dir.resolve(path)));
            if let Some(anchor) = &anchor {
                self.anchor(&dir.resolve(path), anchor, present);
            }
            anchors.extend(anchor);
        }
        let devices = match config.admission.mode {
            Mode::AnyAttested => None,
            Mode::Listed => {
                let files = ListFiles::new(dir, &config.admission.devices);
                Some(Arc::new(self.devices(&files, bad_list)?))
            }
        };
        let (issuer, laboratory) = issuing?;
        if matches!(tls, Some(TlsEnd::OwnCa)) && tls_issuer.is_none() {
            return None;
        }
        Some(Parts {
            config,
            anchors,
            devices,
            issuer,
            laboratory,
            tls: tls?,
            tls_issuer,
        })
    }

    /// Warns about an attestation root that is not valid now, so that evidence
    /// below it is refused.
    fn anchor(&mut self, path: &Path, anchor: &TrustAnchor, present: Timestamp) {
        let Some((begin, end)) = self.take(validity_of(anchor.der())) else {
            return;
        };
        if present < begin || present > end {
            self.warn(
                "attestation_root_out_of_time",
                format_args!(
                    "the attestation root in {} is valid from {begin} until {end}, and the clock says {present}: all evidence under it is refused",
                    path.display()
                ),
                "correct the clock, or remove the root from laboratory_roots",
            );
        }
    }

    /// Reads the list of devices. While serving, the server itself logs the
    /// warnings of this list and of later ones.
    fn devices(&mut self, files: &ListFiles, bad_list: BadList) -> Option<Devices> {
        match bad_list {
            BadList::Unread => Some(Devices::default()),
            BadList::GivesWay => self.take(files.at_start()),
            BadList::Fails => {
                let reading = self.take(files.read())?;
                self.list_warnings(files, &reading.warnings);
                if let Some(text) = files.kept_back(&reading.list) {
                    let list = files.list().display();
                    self.add(Problem {
                        severity: Severity::Warning,
                        event: Some("devices_kept_back"),
                        what: format!("{list}: the last valid list is used instead: {text}"),
                        remedy: None,
                        ca: None,
                        end: None,
                    });
                }
                Some(Devices::new(reading.list))
            }
        }
    }

    fn list_warnings(&mut self, files: &ListFiles, warnings: &Findings<DeviceListWarning>) {
        let list = files.list().display();
        let more = (warnings.more > 0).then(|| format!("{list}: {} more warnings", warnings.more));
        let all = warnings.first.iter().map(|one| format!("{list}: {one}"));
        for what in all.chain(more) {
            self.add(Problem {
                severity: Severity::Warning,
                event: Some("devices_warning"),
                what,
                remedy: None,
                ca: None,
                end: None,
            });
        }
    }

    fn proxies(&mut self, config: &Config) {
        for network in config.trusted_everyone() {
            self.warn(
                "trusted_proxies_everyone",
                format_args!(
                    "server.trusted_proxies contains every address ({network}): each client can claim any address, so limits per address have no effect"
                ),
                "list only the addresses of the proxies",
            );
        }
    }

    fn look_for_database(&mut self, dir: &Dir) {
        match self.take(is_there(&dir.db())) {
            Some(false) => self.error(Stop::from(OpenError::Missing(dir.db())), None),
            Some(true) => {
                if let Err(error) = maintenance::check_present(&dir.db()) {
                    let stop = Stop::from(error);
                    self.is_fault |= stop.exit_code() != Stop::USAGE;
                    self.error(stop, None);
                }
            }
            None => {}
        }
    }

    /// A disk with too little space is a warning, since requests in progress
    /// can finish; on a read-only disk nothing works.
    fn disk(&mut self, dir: &Dir, config: &Config) {
        let shown = dir.db();
        let shown = shown.display();
        let found = FileSystem::of(&dir.db()).and_then(|system| {
            if system.is_read_only()? {
                self.error(
                    format_args!("the file system of {shown} is mounted read-only"),
                    Some("mount it writable"),
                );
                self.is_fault = true;
            }
            let wanted = match config.store.free_space {
                Some(size) => size.bytes(),
                None => system.usual_reserve()?,
            };
            Ok((system.free()?, wanted))
        });
        if let Ok((free, wanted)) = found
            && free < wanted
        {
            self.warn(
                FREE_SPACE,
                format_args!(
                    "the disk of {shown} has only {free} bytes free, less than store.free_space ({wanted})"
                ),
                "free some space: new accounts and orders are refused until then",
            );
        }
    }

    /// A profile without effect may mean that a directory's list lacks it.
    fn unused_profiles(&mut self, config: &Config) {
        for name in config.named_profiles.keys() {
            let mut directories = config.directories.values();
            if !directories.any(|directory| directory.profiles.contains(name)) {
                self.warn(
                    "profile_unused",
                    format_args!("no directory offers profile.{name}"),
                    "add it to the `profiles` of a [directory.NAME], or remove it",
                );
            }
        }
    }

    fn profile(&mut self, name: ProfileName, profile: &Profile, issuer: Option<&Issuer>) {
        if let Some(issuer) = issuer
            && let Err(error) = issuance::try_profile(issuer, profile)
        {
            let error = anyhow!(error).context(format!("profile.{name} makes no certificate"));
            self.error(Stop::usage(error), None);
        }
        if profile.csr_names == CsrNames::Refuse {
            self.warn(
                "csr_names_refused",
                format_args!(
                    "profile.{name}.csr_names = \"refuse\" refuses every Apple device: its payload requires a Subject, so its CSR contains one"
                ),
                "set \"ignore\", unless all your clients send CSRs without a subject",
            );
        }
        if !profile.names_device() {
            self.warn(
                "profile_names_no_device",
                format_args!(
                    "profile.{name} names neither the device nor its key: the certificates of all devices have the same subject and the same names"
                ),
                "write {serial}, {udid} or {spki-sha256} in subject, or add \"permanent-identifier\" to san",
            );
        }
        for variable in profile.foreign_variables() {
            self.warn(
                "profile_variable",
                format_args!(
                    "profile.{name} contains {variable}, which every certificate would contain literally: variables of an MDM are not replaced here"
                ),
                "write {serial}, {udid} or {spki-sha256}",
            );
        }
    }

    fn tls(
        &mut self,
        config: &Config,
        tls: &TlsEnd,
        issuer: Option<&Issuer>,
        listening: Listening,
        present: Timestamp,
    ) {
        let listen = config.server.listen;
        let base_url = config.server.base_url.clone();
        let url = (base_url.clone()).unwrap_or_else(|| BaseUrl::localhost(listen.port().max(1)));
        self.take(tls.check_host(issuer, &url));
        if let Some(issuer) = issuer {
            let end = Timestamp(issuer.not_after());
            self.ends("TLS", end, present, SERVER_CERTIFICATE_LIFETIME);
        }
        if let TlsEnd::Files(files) = tls
            && let Some(end) = files.ends_soon(present)
        {
            self.warn(
                "tls_ends",
                format_args!("the TLS certificate of tls = \"files\" ends at {end}, and less than a tenth of its lifetime is left"),
                "renew it: the new files are read within two seconds",
            );
        }
        // With a proxy in front, the base URL is the proxy's.
        let direct = !matches!(tls, TlsEnd::Off) && config.server.trusted_proxies.is_empty();
        if let Some(url) = base_url.filter(|_| direct && listening == Listening::Configured)
            && ![0, url.port()].contains(&listen.port())
        {
            self.warn(
                "base_url_port",
                format_args!(
                    "server.base_url is {url}, of port {}, and server.listen is {listen}: clients connect to the port of the base URL",
                    url.port()
                ),
                "use the same port for both, unless something in between forwards one to the other",
            );
        }
    }
}

/// The event for too little free space, which the engine logs.
const FREE_SPACE: &str = "free_space_low";

fn check_there(dir: &Dir) -> anyhow::Result<()> {
    let shown = dir.path().display();
    ensure!(
        is_there(&dir.config())?,
        "{shown} has no assay.toml: create a server there with `assay --dir {shown} init`, or name the right directory with --dir"
    );
    Ok(())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remedy {
            Some(remedy) => write!(f, "{}: {remedy}", self.what),
            None => f.write_str(&self.what),
        }
    }
}
