//! The arguments of `assay simulate`.

use std::{path::PathBuf, str::FromStr};

use assay_simulator::{ClientKind, faults::Shape};
use clap::{Args, Subcommand, ValueEnum};

use super::{DeviceArgs, suggest};
use crate::values::KeyKind;

/// `assay simulate`
#[derive(Debug, Subcommand)]
pub enum SimulateCommand {
    /// Create an attestation authority: root.pem, root.key, sub.pem, sub.key.
    #[command(after_help = "Example:\n  assay simulate authority authority")]
    Authority {
        /// The directory to write it to; created if it does not exist.
        #[arg(value_name = "DIR")]
        authority: PathBuf,
    },
    /// Enrol one simulated device over TLS.
    #[command(
        override_usage = "assay simulate enroll --directory URL --ca-bundle FILE --authority DIR --serial S --udid U [OPTIONS]\n       assay simulate enroll --fault list [--json]",
        after_help = "Examples:\n  assay simulate enroll --directory https://localhost:8443/acme/directory \\\n    --ca-bundle assay/ca/root.pem --authority authority --serial C02TEST --udid 00008110-A\n  assay simulate enroll --platform iphone --os-version 18.6 --property model=D83AP ...\n  assay simulate enroll --fault list"
    )]
    Enroll(Box<EnrollArgs>),
    /// Create the evidence of one simulated device, valid or broken, without a
    /// server. By default it comes from a laboratory whose keys are public,
    /// with the same bytes each time.
    #[command(
        after_help = "Examples:\n  assay simulate forge --fault sip-as-text --out attestation.cbor\n  assay simulate forge --fault none --token evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA --out good.cbor\n  assay simulate forge --fault list"
    )]
    Forge(Box<ForgeArgs>),
    /// Enrol many simulated devices, and measure the server.
    #[command(
        after_help = "Example:\n  assay simulate load --directory https://localhost:8443/acme/directory \\\n    --ca-bundle assay/ca/root.pem --authority authority --devices 1000 --concurrency 8"
    )]
    Load(LoadArgs),
}

/// The server and the authority of a simulated device.
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
    #[command(flatten)]
    pub device: DeviceArgs,
    /// The identifier to order; by default the serial number.
    #[arg(long, value_name = "ID")]
    pub client_identifier: Option<String>,
    /// The type of the device's key.
    #[arg(long, value_enum, default_value = "p256")]
    pub key: KeyKind,
    /// How the client handles delays and errors: standard retries after
    /// badNonce and polls; apple retries nothing and times out after 15
    /// seconds.
    #[arg(long, value_enum, default_value = "standard")]
    pub client: ClientChoice,
    /// The fault to simulate, the name of an unusual shape of valid evidence,
    /// or none; list prints them.
    #[arg(long, value_name = "NAME", default_value = "none")]
    pub fault: FaultChoice,
    /// The directory to write key.pem, cert.pem, chain.pem, attestation.cbor,
    /// csr.der and token to; after a refusal, the last three.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay simulate forge`
#[derive(Debug, Args)]
pub struct ForgeArgs {
    /// The fault of the evidence, or none; list prints all faults.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["all", "recordings", "platform"])]
    pub fault: Option<FaultChoice>,
    /// The file to write the attestation object (CBOR) to; required except with
    /// list, --all and --recordings.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The file to write the attestation root to, PEM.
    #[arg(long, value_name = "FILE")]
    pub root_out: Option<PathBuf>,
    /// Replace the files of --out and --root-out if they exist; with --all or
    /// --recordings, remove files of the same kind that are not of the corpus.
    #[arg(long)]
    pub force: bool,
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
    #[command(flatten)]
    pub device: DeviceArgs,
    /// The type of the device's key.
    #[arg(long, value_enum, default_value = "p256")]
    pub key: KeyKind,
    /// The time of the evidence, RFC 3339 or now. Default:
    /// 2026-11-18T11:06:40Z; with --authority: now.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Write the corpus of testdata/evidence, all valid and invalid evidence,
    /// to DIR, replacing the folders good and bad.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["fault", "out", "root_out", "authority", "token", "nonce", "at"])]
    pub all: Option<PathBuf>,
    /// Write the recordings of testdata/recordings to DIR, replacing existing
    /// ones.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["all", "fault", "out", "root_out", "authority", "token", "nonce", "at"])]
    pub recordings: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The value of `--fault`.
#[derive(Clone, Copy, Debug)]
pub enum FaultChoice {
    /// `list`
    List,
    /// `none`, the name of an unusual shape of valid evidence, or the name of a
    /// fault.
    Shape(Shape),
}

impl FromStr for FaultChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name == "list" {
            return Ok(Self::List);
        }
        Shape::find(name).map(Self::Shape).ok_or_else(|| {
            let nearest = suggest("fault", name, Shape::all().map(Shape::name));
            format!("{nearest} --fault list prints all faults")
        })
    }
}

/// The value of `--client`.
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
    /// How many devices enrol at the same time.
    #[arg(long, value_name = "C")]
    pub concurrency: u32,
    /// How the client handles delays and errors: standard retries after
    /// badNonce and polls; apple retries nothing and times out after 15
    /// seconds.
    #[arg(long, value_enum, default_value = "standard")]
    pub client: ClientChoice,
    /// The number of addresses of 127.0.0.0/8 that the devices connect from,
    /// each in its own /24, so that the server's limits count them separately.
    /// The server must listen on this machine, on an IPv4 address.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true,
          value_parser = clap::value_parser!(u32).range(..=i64::from(assay_simulator::load::SOURCE_ADDRESSES)))]
    pub source_addresses: u32,
    /// The server's process ID, to measure its processor time.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
