//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use assay_engine::text::disturbs;
use assay_proto::{Timestamp, admin};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    config::{BaseUrl, Mode, UrlHost},
    inspect::InspectArgs,
    lab::{self, DemoArgs, RecordingCommand, SimulateCommand},
    replay::ReplayArgs,
};

/// An ACME certificate authority that issues certificates only to devices that
/// prove their identity by attestation.
#[derive(Debug, Parser)]
#[command(
    name = "assay",
    version,
    after_help = format!(
        "Exit codes: 0 done, 1 refused or different, 2 usage or configuration, 3 server or network fault.\n\n{}",
        lab::EXAMPLES
    )
)]
pub struct Cli {
    /// The server's directory.
    #[arg(
        long,
        global = true,
        env = "ASSAY_DIR",
        default_value = "assay",
        value_name = "DIR"
    )]
    pub dir: PathBuf,

    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `assay`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show an enrolment from an empty directory to a certificate, and a
    /// refusal.
    #[cfg_attr(feature = "lab", command(after_help = "Example:\n  assay demo --keep"))]
    #[cfg_attr(not(feature = "lab"), command(hide = true, disable_help_flag = true))]
    Demo(DemoArgs),
    /// Create a server: its CAs, its database, its configuration.
    #[command(
        after_help = "Examples:\n  assay --dir /var/lib/assay init --name \"Example Corp\" --base-url https://ca.example.org\n  \
                      assay --dir lab init --laboratory-root authority/root.pem\n  \
                      assay --dir /var/lib/assay init --keep-ca"
    )]
    Init(InitArgs),
    /// Run the server.
    #[command(after_help = lab::SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Show whether the running server works, and what fails.
    #[command(
        after_help = "Exit code 1: no device can enrol now, or no server runs.\n\nExamples:\n  assay --dir /var/lib/assay status\n  assay --dir /var/lib/assay status --json"
    )]
    Status(StatusArgs),
    /// Check the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show orders and why they failed.
    #[command(subcommand)]
    Orders(OrdersCommand),
    /// Show the content of an attestation object, a certificate or chain, or a
    /// CSR.
    #[command(
        after_help = "Examples:\n  assay inspect attestation.cbor\n  assay inspect --json chain.pem\n  \
                      assay inspect --token TOKEN --at 2026-11-18T12:00:00Z --root authority/root.pem attestation.cbor"
    )]
    Inspect(InspectArgs),
    /// Anonymise recordings, so that they can be shared.
    #[cfg_attr(feature = "lab", command(subcommand))]
    #[cfg_attr(not(feature = "lab"), command(hide = true, disable_help_flag = true))]
    Recording(RecordingCommand),
    /// Verify recordings again, and show the differences.
    #[command(after_help = lab::REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
    /// Write a backup of the server's directory, whether the server runs or
    /// not.
    #[command(
        after_help = "Example:\n  assay --dir /var/lib/assay backup /var/backups/assay-2026-11-28.tar"
    )]
    Backup(BackupArgs),
    /// Create a server's directory from a backup.
    #[command(
        after_help = "Example:\n  assay --dir /var/lib/assay-restored restore /var/backups/assay-2026-11-28.tar"
    )]
    Restore(RestoreArgs),
    /// Check and maintain the database.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Manage the server's own TLS CA.
    #[command(subcommand)]
    Tls(TlsCommand),
    /// Simulate a device, an attestation authority, or many devices.
    #[cfg_attr(feature = "lab", command(subcommand))]
    #[cfg_attr(not(feature = "lab"), command(hide = true, disable_help_flag = true))]
    Simulate(SimulateCommand),
}

/// `assay tls`
#[derive(Debug, Subcommand)]
pub enum TlsCommand {
    /// Create a TLS CA for another host: the current one may certify no other.
    #[command(
        after_help = "Example:\n  assay --dir /var/lib/assay tls host ca.example.com --root-key /media/offline/root.key"
    )]
    Host {
        /// The host of the new base URL: a DNS name or an address.
        #[arg(value_parser = host)]
        host: UrlHost,
        /// The private key of the root, ca/root.pem: PEM, PKCS #8. It is only
        /// read, never stored.
        #[arg(long, value_name = "FILE")]
        root_key: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// `assay status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The operator's name, which becomes part of the CAs' names.
    #[arg(long, default_value = "Assay", value_name = "N", value_parser = plain_name)]
    pub name: String,
    /// The origin of all URLs, for example `https://ca.example.org`.
    #[arg(long, value_name = "URL")]
    pub base_url: Option<BaseUrl>,
    /// The key type of the CA that issues to devices.
    #[arg(long, value_enum, default_value = "p256")]
    pub key: KeyKind,
    /// Mark the server as a laboratory (test mode). It can never become a
    /// production server.
    #[arg(long)]
    pub laboratory: bool,
    /// The certificate of an attestation authority to trust in addition to
    /// Apple's; implies --laboratory.
    #[arg(long, value_name = "FILE")]
    pub laboratory_root: Vec<PathBuf>,
    /// Who may order: devices in the list, or any attested device. any-attested
    /// implies --laboratory.
    #[arg(long, value_enum, default_value = "listed")]
    pub admission: Mode,
    /// Create an empty database for an existing CA whose database was lost;
    /// everything else stays unchanged.
    #[arg(
        long,
        conflicts_with_all = ["name", "base_url", "key", "laboratory", "laboratory_root", "admission"]
    )]
    pub keep_ca: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay serve`
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// The address to listen on, instead of the configured one; port 0 selects
    /// a free port.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Serve a recorded enrolment instead: its token for every challenge, at
    /// its time, from memory. Laboratory servers only.
    #[arg(long, hide = cfg!(not(feature = "lab")), value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Trust the root that the recording contains: this proves nothing about a
    /// real device.
    #[arg(long, hide = cfg!(not(feature = "lab")), requires = "replay")]
    pub trust_embedded_roots: bool,
}

/// `assay config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check configuration, CAs and the list of devices, as serve does.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay config check")]
    Check {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// `assay orders`
#[derive(Debug, Subcommand)]
pub enum OrdersCommand {
    /// List the orders, newest last.
    #[command(
        after_help = "Examples:\n  assay --dir /var/lib/assay orders list --limit 20\n  \
                      assay --dir /var/lib/assay orders list --status invalid --since 24h\n  \
                      assay --dir /var/lib/assay orders list --device C02XK0AAJHD2"
    )]
    List(ListArgs),
    /// List requests that were refused before an order was created: devices
    /// that are not admitted, exceeded limits.
    #[command(
        after_help = "Example:\n  assay --dir /var/lib/assay orders refusals --device C02XK0AAJHD2"
    )]
    Refusals(RefusalsArgs),
    /// Show an order, or a device's orders: what was refused, why, and what to
    /// do.
    #[command(
        after_help = "Examples:\n  assay --dir /var/lib/assay orders show C02XK0AAJHD2\n  \
                      assay --dir /var/lib/assay orders show _BndzaG99774uYffrGJwFA\n  \
                      assay --dir /var/lib/assay orders show --certificate --pem 6c0686c00c7cecd1fe36465035111dcb"
    )]
    Show(ShowArgs),
}

/// `assay orders list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The maximum number of orders to list.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Only orders of this device: a serial number or UDID, ordered or
    /// attested.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub device: Option<String>,
    /// Only orders with this status.
    #[arg(long)]
    pub status: Option<StatusFilter>,
    /// Only orders since a time (RFC 3339 or seconds since 1970), or of the
    /// last 90s, 30m, 24h, 7d.
    #[arg(long, value_name = "TIME|SPAN", value_parser = since)]
    pub since: Option<Since>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay orders refusals`
#[derive(Debug, Args)]
pub struct RefusalsArgs {
    /// Only refusals of this device: a serial number or UDID.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub device: Option<String>,
    /// The maximum number of refusals to list.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay orders show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// An order (the last part of its URL), a device's serial number or UDID,
    /// or a certificate's serial number in hex.
    #[arg(allow_hyphen_values = true, value_name = "WHAT")]
    pub what: String,
    /// Treat WHAT as a certificate's serial number.
    #[arg(long)]
    pub certificate: bool,
    /// Print the certificate and its issuer, PEM.
    #[arg(long, conflicts_with = "json")]
    pub pem: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A status to filter orders by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusFilter {
    /// Waiting for the device's attestation.
    Pending,
    /// Waiting for the CSR.
    Ready,
    /// The certificate is being signed.
    Processing,
    /// The certificate was issued.
    Valid,
    /// Refused, expired or abandoned.
    Invalid,
    /// The certificate was issued and later revoked.
    Revoked,
}

impl From<StatusFilter> for admin::StatusFilter {
    fn from(status: StatusFilter) -> Self {
        match status {
            StatusFilter::Pending => Self::Pending,
            StatusFilter::Ready => Self::Ready,
            StatusFilter::Processing => Self::Processing,
            StatusFilter::Valid => Self::Valid,
            StatusFilter::Invalid => Self::Invalid,
            StatusFilter::Revoked => Self::Revoked,
        }
    }
}

/// The start of a time range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Since a time.
    Time(Timestamp),
    /// This number of seconds ago.
    Ago(u64),
}

impl Since {
    /// Resolves to a time, relative to `now`.
    pub fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Time(time) => time,
            Self::Ago(seconds) => now.minus(seconds),
        }
    }
}

/// Parses a time, or a span before now.
pub fn since(text: &str) -> Result<Since, String> {
    let units = [
        ('s', 1),
        ('m', 60),
        ('h', 3_600),
        ('d', 86_400),
        ('w', 604_800),
    ];
    let span = units.into_iter().find_map(|(unit, seconds)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(seconds)
    });
    match span {
        Some(seconds) => Ok(Since::Ago(seconds)),
        None => time(text)
            .map(Since::Time)
            .map_err(|error| format!("{error}, or a span such as 90s, 30m, 24h, 7d or 2w")),
    }
}

/// `assay backup`
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to write, which must not exist yet: a tar archive, mode 0600.
    pub file: PathBuf,
    /// Leave out the private keys of the CAs and the nonce key.
    #[arg(long)]
    pub no_keys: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup. The directory of --dir must be empty or not exist.
    pub file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay store`
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Read the whole ledger and list all damage. Exit code 0: intact, 1:
    /// damaged, 3: unreadable.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay store check")]
    Check {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Repair a damaged ledger from the index; the damaged files are kept. The
    /// server must not run.
    #[command(
        after_help = "Examples:\n  assay --dir /var/lib/assay store repair\n  assay --dir /var/lib/assay store repair --accept-loss"
    )]
    Repair {
        /// Accept data loss: keep every intact entry, and list what is lost.
        #[arg(long)]
        accept_loss: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Rebuild the index from the ledger. The server must not run.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay store rebuild")]
    Rebuild,
    /// Remove files that were set aside: old indexes, damaged ledgers, files of
    /// an older layout. The server must not run.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay store clean")]
    Clean {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Acknowledge that the database was restored, or repaired with a loss:
    /// `serve` warns until then. The server must not run.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay store acknowledge")]
    Acknowledge,
    /// Confirm that the issuing CA was replaced on purpose: `serve` refuses a
    /// CA that the database does not belong to. The server must not run.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay store accept-issuer")]
    AcceptIssuer,
    /// Decide which clock is right.
    #[command(flatten)]
    Clock(ClockCommand),
}

/// `assay store accept-clock` and `reset-clock`
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Confirm that the clock is right although it is far ahead of the last
    /// commit, or of the running server's time.
    #[command(
        after_help = "Example:\n  assay --dir /var/lib/assay store accept-clock 2026-11-28T09:30:00Z"
    )]
    AcceptClock {
        /// The current time, to within an hour: RFC 3339, or seconds since
        /// 1970.
        #[arg(value_parser = time)]
        time: Timestamp,
    },
    /// Reset the recorded time to the clock's, after a wrong clock was
    /// recorded. Open orders become invalid. The server must not run.
    #[command(after_help = "Example:\n  assay --dir /var/lib/assay store reset-clock")]
    ResetClock,
}

/// A key type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyKind {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
}

/// Parses a name without control characters, invisible characters and
/// characters that change the direction of text.
fn plain_name(text: &str) -> Result<String, String> {
    match text.chars().find(|letter| disturbs(*letter)) {
        None => Ok(text.to_owned()),
        Some(letter) => Err(format!(
            "it contains {}, a control or invisible character: remove it",
            letter.escape_unicode()
        )),
    }
}

/// Parses a DNS name or an address, as the host of a base URL.
fn host(text: &str) -> Result<UrlHost, String> {
    if let Ok(address) = text.parse() {
        return Ok(UrlHost::Ip(address));
    }
    let url = Some(format!("https://{text}")).filter(|_| !text.contains(':'));
    match url.and_then(|url| url.parse::<BaseUrl>().ok()) {
        Some(url) => Ok(url.host().clone()),
        None => Err("give a DNS name or an address, for example ca.example.org".to_owned()),
    }
}

/// Parses a time: RFC 3339, or seconds since 1970.
pub fn time(text: &str) -> Result<Timestamp, String> {
    let time = match text.parse() {
        Ok(seconds) => Some(Timestamp(seconds)).filter(|time| *time <= Timestamp::MAX),
        Err(_) => Timestamp::parse(text).ok(),
    };
    time.ok_or_else(|| {
        "give a time such as 2026-11-18T12:00:00Z, or seconds since 1970 (up to the year 9999)"
            .to_owned()
    })
}

#[cfg(test)]
mod documentation;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_a_span() {
        assert_eq!(since("60"), Ok(Since::Time(Timestamp(60))));
        let now = Timestamp(1_000_000);
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1_800),
            ("24h", 86_400),
            ("7d", 604_800),
        ] {
            assert_eq!(since(text), Ok(Since::Ago(seconds)), "{text}");
            let expected = Timestamp(1_000_000 - seconds);
            assert_eq!(Since::Ago(seconds).before(now), expected);
        }
        for bad in ["", "h", "-1h", "yesterday", "99999999999999999999d"] {
            assert!(since(bad).unwrap_err().contains("24h"), "{bad}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for (text, expected) in [
            ("CA.example.org", "ca.example.org"),
            ("192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
        ] {
            assert_eq!(host(text).unwrap().to_string(), expected);
        }
        for bad in [
            "",
            "https://ca.example.org",
            "ca.example.org:8443",
            "a/b",
            "a b",
            "-",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_is_rfc_3339_or_seconds() {
        assert_eq!(time("1970-01-01T00:01:00Z"), Ok(Timestamp(60)));
        assert_eq!(time("60"), Ok(Timestamp(60)));
        assert_eq!(time("253402300799"), Ok(Timestamp::MAX));
        for bad in ["", "-1", "253402300800", "2026-11-18", "tomorrow"] {
            assert!(
                time(bad).unwrap_err().starts_with("give a time such as"),
                "{bad}"
            );
        }
    }
}
