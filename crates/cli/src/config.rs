//! The configuration file `assay.toml`: its keys and their values.

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

/// The whole configuration, validated.
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
    /// `[profile.NAME]`, except the default one.
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
    /// Whether each request is logged.
    pub access: bool,
}

/// `[health]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Health {
    /// The address of the separate health listener, which returns reasons and
    /// uses plain HTTP.
    pub listen: Option<SocketAddr>,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Store {
    /// How long ledger segments are kept after a checkpoint covers them.
    pub keep_ledger: Duration,
    /// The minimum free space; below it new accounts and orders are refused.
    /// Default: the smaller of 1 GiB and 5 % of the file system.
    pub free_space: Option<Size>,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// The origin of all URLs; by default localhost with the bound port.
    pub base_url: Option<BaseUrl>,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The source of the TLS certificate.
    pub tls: Tls,
    /// The proxies whose X-Forwarded-For is trusted.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Whether these proxies start each connection with a PROXY protocol
    /// header. If so, other peers cannot connect.
    pub proxy_protocol: bool,
    /// The maximum number of concurrent connections.
    pub max_connections: usize,
}

/// The source of the TLS certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// From files: the chain and its key, PEM.
    Files { certificate: PathBuf, key: PathBuf },
    /// None: a proxy in front terminates TLS.
    Off,
    /// The TLS CA of this server.
    OwnCa,
}

/// `[acme]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Acme {
    /// URL of the terms of service that an account must agree to.
    pub terms_of_service: Option<String>,
    /// URL of a page about this CA.
    pub website: Option<String>,
    /// The time limit of an order.
    pub order_lifetime: Duration,
}

/// `[attestation.apple]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Apple {
    /// Additional attestation roots: laboratories only.
    pub laboratory_roots: Vec<PathBuf>,
    /// The assigners that a permanent identifier may contain.
    pub assigners: Vec<String>,
}

/// `[admission]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Admission {
    /// Who may order.
    pub mode: Mode,
    /// With `any-attested`: the attribute that a permanent identifier must
    /// match.
    pub bind: Bind,
    /// With `listed`: the path of the list.
    pub devices: PathBuf,
}

/// Who may order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Every attested device: laboratories only.
    AnyAttested,
    /// The devices in the list.
    Listed,
}

/// The attribute that a permanent identifier must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bind {
    /// The UDID if the identifier looks like one, otherwise the serial number.
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
    /// Which verdicts are recorded.
    pub keep: Keep,
    /// The directory of the recordings.
    pub directory: PathBuf,
    /// How many days recordings are kept.
    pub retention_days: u32,
}

/// Which verdicts are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// All of them.
    All,
    /// None.
    None,
    /// Only refusals.
    Refused,
}

/// `[time]`
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Time {
    /// The largest forward step of the wall clock that a running server follows
    /// automatically.
    pub max_jump: Duration,
    /// The maximum time since the last commit that a start accepts without
    /// confirmation of the wall clock.
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
    /// Loads the file at `path`, and the process's environment.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = files::read_text(path, files::SMALL)?;
        let overrides = overrides(std::env::vars_os())?;
        let mut sources = path.display().to_string();
        for (name, _) in &overrides {
            sources = format!("{sources} with {name}");
        }
        Self::parse(&text, overrides.into_iter()).context(sources)
    }

    /// Parses `text`, overridden by the variables `ASSAY_SECTION__KEY`.
    pub fn parse(
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let mut table: toml::Table = toml::from_str(text)?;
        keys::check(&table)?;
        keys::override_from(&mut table, environment)?;
        // The overrides may have added tables or lists of tables.
        keys::check(&table)?;
        let tables: Tables = toml::Value::Table(table).try_into()?;
        tables.check()
    }

    /// The networks that cover every address, in the union of
    /// `server.trusted_proxies`.
    pub fn trusted_everyone(&self) -> impl Iterator<Item = ipnet::IpNet> {
        let networks = ipnet::IpNet::aggregate(&self.server.trusted_proxies);
        networks.into_iter().filter(network::is_everyone)
    }

    /// The maximum number of connections per address: as configured, or a
    /// quarter of all, so that one address leaves room for others, and a fleet
    /// behind one address has 1,024 of the default 4,096.
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

    /// Whether any setting is for laboratories only.
    pub fn needs_laboratory(&self) -> bool {
        self.admission.mode == Mode::AnyAttested || !self.apple.laboratory_roots.is_empty()
    }
}

/// The variables that override keys. A variable that is not UTF-8 is an error:
/// it would be ignored, and the server would run with another setting than its
/// operator expects.
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
                "the environment variable {shown:?} does not name a configuration key: its name is not UTF-8 text"
            ),
            (_, Err(_)) => anyhow::bail!(
                "the environment variable {shown} is not UTF-8 text: correct or unset it"
            ),
        }
    }
    Ok(found)
}

/// Refuses a page URL that clients could not open.
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
                "server.tls_certificate and server.tls_key require server.tls = \"files\", which requires both"
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
            "server.proxy_protocol is true and server.trusted_proxies is empty, so every connection would be refused: list the proxies there"
        );
        if let Some(listen) = health.listen {
            anyhow::ensure!(
                !network::overlap(listen, server.listen),
                "health.listen ({listen}) overlaps server.listen ({}): use another address or port",
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
    /// Converts to the engine's type.
    pub fn engine(self) -> admission::IdentifierBinding {
        match self {
            Self::ByForm => admission::IdentifierBinding::ByForm,
            Self::Serial => admission::IdentifierBinding::Serial,
            Self::Udid => admission::IdentifierBinding::Udid,
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
