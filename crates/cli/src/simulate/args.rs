//! The arguments of `assay simulate`.

use std::{path::PathBuf, str::FromStr};

use assay_simulator::{
    ClientKind,
    faults::{Fault, Good},
};
use clap::{Args, Subcommand, ValueEnum};

use crate::args::KeyKind;

/// `assay simulate`
#[derive(Debug, Subcommand)]
pub enum SimulateCommand {
    /// Makes an attestation authority: root.pem, root.key, sub.pem, sub.key.
    #[command(after_help = "Example:\n  assay simulate authority authority")]
    Authority {
        /// Where to write it; made when it is not there.
        #[arg(value_name = "DIR")]
        authority: PathBuf,
    },
    /// Enrols one pretended device over TLS.
    #[command(
        override_usage = "assay simulate enroll --directory URL --ca-bundle FILE --authority DIR --serial S --udid U [OPTIONS]\n       assay simulate enroll --fault list [--json]",
        after_help = "Examples:\n  assay simulate enroll --directory https://localhost:8443/acme/directory \\\n    --ca-bundle assay/ca/root.pem --authority authority --serial C02TEST --udid 00008110-A\n  assay simulate enroll --fault list"
    )]
    Enroll(EnrollArgs),
    /// Makes the evidence of one pretended device, good or broken, and asks no
    /// server. Where nothing else is said it is that of a laboratory whose keys
    /// everybody knows, the same bytes each time.
    #[command(
        after_help = "Examples:\n  assay simulate forge --fault sip-as-text --out attestation.cbor\n  assay simulate forge --fault none --token evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA --out good.cbor\n  assay simulate forge --fault list"
    )]
    Forge(ForgeArgs),
    /// Enrols many pretended devices, and measures.
    #[command(
        after_help = "Example:\n  assay simulate load --directory https://localhost:8443/acme/directory \\\n    --ca-bundle assay/ca/root.pem --authority authority --devices 1000 --concurrency 8"
    )]
    Load(LoadArgs),
}

/// Where a pretended device goes.
#[derive(Debug, Args)]
pub struct Target {
    /// The server's directory URL.
    #[arg(long, value_name = "URL")]
    pub directory: String,
    /// The CA certificates that the device trusts for TLS, PEM.
    #[arg(long, value_name = "FILE")]
    pub ca_bundle: PathBuf,
    /// The attestation authority's directory.
    #[arg(long, value_name = "DIR")]
    pub authority: PathBuf,
}

/// `assay simulate enroll`
#[derive(Debug, Args)]
pub struct EnrollArgs {
    /// The server's directory URL; required.
    #[arg(long, value_name = "URL")]
    pub directory: Option<String>,
    /// The CA certificates that the device trusts for TLS, PEM; required.
    #[arg(long, value_name = "FILE")]
    pub ca_bundle: Option<PathBuf>,
    /// The attestation authority's directory; required.
    #[arg(long, value_name = "DIR")]
    pub authority: Option<PathBuf>,
    /// The device's serial number; required.
    #[arg(long)]
    pub serial: Option<String>,
    /// The device's UDID; required.
    #[arg(long)]
    pub udid: Option<String>,
    /// What the device orders for; its serial number where not given.
    #[arg(long, value_name = "ID")]
    pub client_identifier: Option<String>,
    /// The kind of the device's key.
    #[arg(long, value_enum, default_value = "p256")]
    pub key: KeyKind,
    /// How the client takes what does not go smoothly: standard repeats after
    /// badNonce and polls; apple repeats nothing and gives up after 15 seconds.
    #[arg(long, value_enum, default_value = "standard")]
    pub client: ClientChoice,
    /// What is done wrong, or none; list prints what there is.
    #[arg(long, value_name = "NAME", default_value = "none")]
    pub fault: FaultChoice,
    /// Where to write key.pem, cert.pem, chain.pem and attestation.cbor.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay simulate forge`
#[derive(Debug, Args)]
pub struct ForgeArgs {
    /// What is wrong with the evidence, or none; list prints what there is.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["all", "recordings"])]
    pub fault: Option<FaultChoice>,
    /// Where to write the attestation object (CBOR); required but with list, --all and --recordings.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where to write the root that vouches, PEM.
    #[arg(long, value_name = "FILE")]
    pub root_out: Option<PathBuf>,
    /// The attestation authority's directory, instead of the laboratory's.
    #[arg(long, value_name = "DIR")]
    pub authority: Option<PathBuf>,
    /// The token of the challenge: the freshness code is its SHA-256.
    #[arg(long, conflicts_with = "nonce", allow_hyphen_values = true)]
    pub token: Option<String>,
    /// The freshness code itself, base64url: the nonce of a DeviceInformation
    /// query, 1 to 32 bytes.
    #[arg(long, value_name = "BASE64URL")]
    pub nonce: Option<String>,
    /// The device's serial number.
    #[arg(long, default_value = assay_simulator::corpus::SERIAL)]
    pub serial: String,
    /// The device's UDID.
    #[arg(long, default_value = assay_simulator::corpus::UDID)]
    pub udid: String,
    /// The kind of the device's key.
    #[arg(long, value_enum, default_value = "p256")]
    pub key: KeyKind,
    /// When it is made, RFC 3339 or now. The laboratory's: 2026-11-18T11:06:40Z;
    /// with --authority: now.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Writes the corpus of testdata/evidence, all that is good and all that is
    /// bad, into DIR, in the place of the good and bad ones that are there.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["fault", "out", "root_out", "authority", "token", "nonce", "at"])]
    pub all: Option<PathBuf>,
    /// Writes the recordings of testdata/recordings into DIR, in the place of
    /// those that are there.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["all", "fault", "out", "root_out", "authority", "token", "nonce", "at"])]
    pub recordings: Option<PathBuf>,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What `--fault` says.
#[derive(Clone, Copy, Debug)]
pub enum FaultChoice {
    /// `list`
    List,
    /// `none`, or the name of an unusual shape that is good.
    Good(&'static Good),
    /// The name of a fault.
    Fault(&'static Fault),
}

impl FromStr for FaultChoice {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name == "list" {
            return Ok(Self::List);
        }
        let good = Good::find(name).map(Self::Good);
        good.or_else(|| Fault::find(name).map(Self::Fault))
            .ok_or("there is no such fault: --fault list prints what there is")
    }
}

/// What `--client` says.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ClientChoice {
    Apple,
    Standard,
}

impl From<ClientChoice> for ClientKind {
    fn from(choice: ClientChoice) -> Self {
        match choice {
            ClientChoice::Apple => Self::Apple,
            ClientChoice::Standard => Self::Standard,
        }
    }
}

/// `assay simulate load`
#[derive(Debug, Args)]
pub struct LoadArgs {
    #[command(flatten)]
    pub target: Target,
    /// How many devices enrol.
    #[arg(long, value_name = "N")]
    pub devices: u32,
    /// How many of them at once.
    #[arg(long, value_name = "C")]
    pub concurrency: u32,
    /// How the client takes what does not go smoothly: standard repeats after
    /// badNonce and polls; apple repeats nothing and gives up after 15 seconds.
    #[arg(long, value_enum, default_value = "standard")]
    pub client: ClientChoice,
    /// From how many addresses of 127.0.0.0/8 the devices come, each in a /24 of its
    /// own, so that the server's limits count them apart. The server must listen
    /// on this machine, on an IPv4 address.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true,
          value_parser = clap::value_parser!(u32).range(..=i64::from(assay_simulator::load::SOURCE_ADDRESSES)))]
    pub source_addresses: u32,
    /// The server's process, to measure its processor time.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
}
