//! `assay.toml`: what it may say, and what it says.

mod base_url;
mod difference;
mod directory;
mod duration;
mod keys;
mod limits;
mod network;
mod profile;
mod size;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use assay_engine::{
    admission,
    names::{DirectoryName, ProfileName},
    profile::Profile,
    time::MAX_JUMP,
};
use assay_proto::DottedOid;
use serde::Deserialize;

use crate::files;

pub use base_url::{BaseUrl, UrlHost};
pub use directory::Directory;
use directory::DirectoryTable;
pub use duration::Duration;
pub use limits::Limits;
use limits::LimitsTable;
use profile::ProfileTable;
pub use size::Size;

/// The whole configuration, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[acme]`
    pub acme: Acme,
    /// `[attestation.apple]`
    pub apple: Apple,
    /// `[admission]`
    pub admission: Admission,
    /// `[profile.default]`
    pub profile: Profile,
    /// `[profile.NAME]`, but the default one.
    pub named_profiles: BTreeMap<ProfileName, Profile>,
    /// `[directory.NAME]`
    pub directories: BTreeMap<DirectoryName, Directory>,
    /// `[recording]`
    pub recording: Recording,
    /// `[time]`
    pub time: Time,
    /// `[store]`
    pub store: Store,
    /// `[health]`
    pub health: Health,
    /// `[limits]`
    pub limits: Limits,
    /// `[log]`
    pub log: Log,
}

/// `[log]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Log {
    /// Whether each request gets a line.
    pub access: bool,
}

/// `[health]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Where health is answered, with reasons and in plain HTTP, beside the
    /// public listener.
    pub listen: Option<SocketAddr>,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Store {
    /// How long segments of the ledger are kept that a checkpoint holds.
    pub keep_ledger: Duration,
    /// Below so much free space new accounts and orders are refused; without
    /// it, the smaller of 1 GiB and 5 % of the file system.
    pub free_space: Option<Size>,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// The origin that all URLs begin with; without one, the bound port on
    /// localhost.
    pub base_url: Option<BaseUrl>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the TLS certificate comes from.
    pub tls: Tls,
    /// The proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Whether these begin each connection with a header of the PROXY protocol,
    /// and no other peer may connect.
    pub proxy_protocol: bool,
    /// The most connections at once.
    pub max_connections: usize,
}

/// Where the TLS certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// From files: the chain and its key, PEM.
    Files { certificate: PathBuf, key: PathBuf },
    /// There is none: a proxy in front ends TLS.
    Off,
    /// From the TLS CA of this server.
    OwnCa,
}

/// `[acme]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Acme {
    /// The URL of the terms of service that an account must agree to.
    pub terms_of_service: Option<String>,
    /// The URL of a page about this CA.
    pub website: Option<String>,
    /// How long an order may take.
    pub order_lifetime: Duration,
}

/// `[attestation.apple]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Apple {
    /// Roots beside Apple's own: laboratories only.
    pub laboratory_roots: Vec<PathBuf>,
    /// The assigners that a permanent identifier may name.
    pub assigners: Vec<String>,
}

/// `[admission]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Admission {
    /// Who may order.
    pub mode: Mode,
    /// With `any-attested`: what a permanent identifier names.
    pub bind: Bind,
    /// With `listed`: the list.
    pub devices: PathBuf,
}

/// Who may order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Every device that proves itself: laboratories only.
    AnyAttested,
    /// The devices of a list.
    Listed,
}

/// What a permanent identifier names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bind {
    /// The UDID where it has the form of one, else the serial number.
    ByForm,
    /// The serial number.
    Serial,
    /// The UDID.
    Udid,
}

/// `[recording]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Recording {
    /// What is kept.
    pub keep: Keep,
    /// Where.
    pub directory: PathBuf,
    /// For how many days.
    pub retention_days: u32,
}

/// Which verdicts are kept as recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// All of them.
    All,
    /// None.
    None,
    /// Those that refuse.
    Refused,
}

/// `[time]`
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Time {
    /// The largest forward step of the wall clock that a running server follows
    /// by itself.
    pub max_jump: Duration,
    /// How long a database may rest before the wall clock at start needs
    /// confirmation.
    pub max_rest: Duration,
}

#[derive(Deserialize)]
#[serde(default)]
struct ServerTable {
    base_url: Option<BaseUrl>,
    listen: SocketAddr,
    tls: TlsText,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    trusted_proxies: Vec<String>,
    proxy_protocol: bool,
    max_connections: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TlsText {
    Files,
    Off,
    OwnCa,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tables {
    server: ServerTable,
    acme: Acme,
    attestation: AttestationTable,
    admission: Admission,
    profile: BTreeMap<String, ProfileTable>,
    directory: BTreeMap<String, DirectoryTable>,
    recording: Recording,
    time: Time,
    store: Store,
    health: Health,
    limits: LimitsTable,
    log: Log,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AttestationTable {
    apple: Apple,
}

impl Config {
    /// Reads the file at `path`, and the process's environment.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = files::read_text(path, files::SMALL)?;
        let overrides = overrides(std::env::vars_os())?;
        let mut sources = path.display().to_string();
        for (name, _) in &overrides {
            sources = format!("{sources} with {name}");
        }
        Self::parse(&text, overrides.into_iter()).context(sources)
    }

    /// Reads `text`, overridden by the variables `ASSAY_SECTION__KEY`.
    pub fn parse(
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let mut table: toml::Table = toml::from_str(text)?;
        keys::check(&table)?;
        keys::override_from(&mut table, environment)?;
        // Tables and lists of them may have come from there.
        keys::check(&table)?;
        let tables: Tables = toml::Value::Table(table).try_into()?;
        tables.check()
    }

    /// What `server.trusted_proxies`, taken together, holds of networks that are
    /// every address there is.
    pub fn trusted_everyone(&self) -> impl Iterator<Item = ipnet::IpNet> {
        let networks = ipnet::IpNet::aggregate(&self.server.trusted_proxies);
        networks.into_iter().filter(network::is_everyone)
    }

    /// The most connections of one address: as configured, or a quarter of all,
    /// so that one address leaves room for others, and a fleet behind one has a
    /// thousand of the usual 4,096.
    pub fn connections_per_address(&self) -> usize {
        let quarter = (self.server.max_connections / 4).max(1);
        (self.limits.connections_per_address).unwrap_or(quarter)
    }

    /// All profiles, the default one first.
    pub fn profiles(&self) -> impl Iterator<Item = (ProfileName, &Profile)> {
        let named = self.named_profiles.iter();
        std::iter::once((ProfileName::DEFAULT, &self.profile))
            .chain(named.map(|(name, profile)| (*name, profile)))
    }

    /// Whether anything here is for laboratories only.
    pub fn needs_laboratory(&self) -> bool {
        self.admission.mode == Mode::AnyAttested || !self.apple.laboratory_roots.is_empty()
    }
}

/// The variables that override keys. One that is not text overrides nothing, and
/// its server would run with another setting than its operator believes.
fn overrides(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for (name, value) in variables {
        let shown = name.to_string_lossy();
        if keys::overridden(&shown).is_none() {
            continue;
        }
        match (name.to_str(), value.into_string()) {
            (Some(name), Ok(value)) => found.push((name.to_owned(), value)),
            (None, _) => anyhow::bail!(
                "the environment variable {shown:?} names no key of the configuration: its name is not UTF-8 text"
            ),
            (_, Err(_)) => anyhow::bail!(
                "the environment variable {shown} is not UTF-8 text: mend or unset it"
            ),
        }
    }
    Ok(found)
}

/// Refuses the address of a page that clients could not open.
fn check_page(key: &str, page: Option<&str>) -> anyhow::Result<()> {
    let is_page = |text: &str| {
        let uri = text.parse::<hyper::Uri>().ok();
        let scheme = uri.as_ref().and_then(hyper::Uri::scheme_str);
        text.chars().all(|letter| letter.is_ascii_graphic())
            && matches!(scheme, Some("http" | "https"))
    };
    if let Some(page) = page {
        anyhow::ensure!(
            is_page(page),
            "{key}: {page:?} is not the URL of a page: write it as \"https://example.org/page\""
        );
    }
    Ok(())
}

impl Tables {
    fn check(self) -> anyhow::Result<Config> {
        let Self {
            server,
            acme,
            attestation: AttestationTable { apple },
            admission,
            profile,
            directory,
            recording,
            time,
            store,
            health,
            limits,
            log,
        } = self;
        let tls = match (server.tls, server.tls_certificate, server.tls_key) {
            (TlsText::Files, Some(certificate), Some(key)) => Tls::Files { certificate, key },
            (TlsText::Off, None, None) => Tls::Off,
            (TlsText::OwnCa, None, None) => Tls::OwnCa,
            _ => anyhow::bail!(
                "server.tls_certificate and server.tls_key go with server.tls = \"files\", and only with it"
            ),
        };
        anyhow::ensure!(
            server.max_connections > 0,
            "server.max_connections must be at least 1"
        );
        anyhow::ensure!(
            server.max_connections <= 1_000_000,
            "server.max_connections must be at most 1000000"
        );
        let trusted_proxies =
            network::parse_trusted("server.trusted_proxies", &server.trusted_proxies)?;
        anyhow::ensure!(
            !server.proxy_protocol || !trusted_proxies.is_empty(),
            "server.proxy_protocol is true and server.trusted_proxies is empty, so that every connection would be refused: name the proxies there"
        );
        if let Some(listen) = health.listen {
            anyhow::ensure!(
                !network::overlap(listen, server.listen),
                "health.listen ({listen}) is server.listen ({}), or one holds the other: give it an address or port of its own",
                server.listen
            );
        }
        check_page("acme.terms_of_service", acme.terms_of_service.as_deref())?;
        check_page("acme.website", acme.website.as_deref())?;
        for assigner in &apple.assigners {
            anyhow::ensure!(
                DottedOid::parse(assigner).is_some(),
                "attestation.apple.assigners: {assigner:?} is not a dotted-decimal object identifier"
            );
        }
        anyhow::ensure!(
            (60..=30 * 86_400).contains(&acme.order_lifetime.seconds()),
            "acme.order_lifetime must be from 1m to 30d"
        );
        anyhow::ensure!(
            store.keep_ledger.seconds() <= 3650 * 86_400,
            "store.keep_ledger must be at most 3650d"
        );
        anyhow::ensure!(
            (1..=3650).contains(&recording.retention_days),
            "recording.retention_days must be from 1 to 3650"
        );
        anyhow::ensure!(
            (60..=86_400).contains(&time.max_jump.seconds()),
            "time.max_jump must be from 1m to 1d"
        );
        anyhow::ensure!(
            (3600..=3650 * 86_400).contains(&time.max_rest.seconds()),
            "time.max_rest must be from 1h to 3650d"
        );
        let (profile, named_profiles) = profile::check_all(profile)?;
        let directories = directory::check_all(directory, &named_profiles)?;
        Ok(Config {
            server: Server {
                base_url: server.base_url,
                listen: server.listen,
                tls,
                trusted_proxies,
                proxy_protocol: server.proxy_protocol,
                max_connections: server.max_connections,
            },
            acme,
            apple,
            admission,
            profile,
            named_profiles,
            directories,
            recording,
            time,
            store,
            health,
            limits: limits.check()?,
            log,
        })
    }
}

impl Bind {
    /// As the engine has it.
    pub fn engine(self) -> admission::Bind {
        match self {
            Self::ByForm => admission::Bind::ByForm,
            Self::Serial => admission::Bind::Serial,
            Self::Udid => admission::Bind::Udid,
        }
    }
}

impl Default for ServerTable {
    fn default() -> Self {
        Self {
            base_url: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            tls: TlsText::OwnCa,
            tls_certificate: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            max_connections: 4096,
        }
    }
}

impl Default for Acme {
    fn default() -> Self {
        Self {
            terms_of_service: None,
            website: None,
            order_lifetime: Duration::from_seconds(8 * 3600),
        }
    }
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            mode: Mode::Listed,
            bind: Bind::Serial,
            devices: PathBuf::from("devices.csv"),
        }
    }
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            keep: Keep::None,
            directory: PathBuf::from("recordings"),
            retention_days: 30,
        }
    }
}

impl Default for Time {
    fn default() -> Self {
        Self {
            max_jump: Duration::from_seconds(MAX_JUMP),
            max_rest: Duration::from_seconds(30 * 86_400),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            keep_ledger: Duration::from_seconds(0),
            free_space: None,
        }
    }
}
