//! `assay simulate`: a simulated device, attestation authority, fleet.

mod args;
mod device;
mod enroll;
mod forge;
mod load;
mod suggest;
mod table;

use std::{fs, path::Path};

use assay_simulator::{KeyType, authority::AttestationAuthority};

pub use args::{EnrollArgs, FaultChoice, ForgeArgs, LoadArgs, SimulateCommand};
use device::DeviceArgs;
use suggest::suggest;

use crate::{
    now, print,
    stop::{OrStop, Stop},
    values::KeyKind,
};

/// `assay simulate`
pub async fn run(command: &SimulateCommand) -> Result<(), Stop> {
    match command {
        SimulateCommand::Authority { authority } => make_authority(authority),
        SimulateCommand::Enroll(args) => enroll::run(args).await,
        SimulateCommand::Forge(args) => forge::run(args),
        SimulateCommand::Load(args) => load::run(args).await,
    }
}

fn make_authority(dir: &Path) -> Result<(), Stop> {
    let authority = AttestationAuthority::create(now()).or_fault("cannot make the authority")?;
    authority
        .save(dir)
        .or_usage(format_args!("cannot write to {}", dir.display()))?;
    print(format_args!(
        "Made an attestation authority in {}.\nTrust it on a laboratory server: assay init --laboratory-root {}",
        dir.display(),
        dir.join("root.pem").display()
    ))
}

fn read_authority(dir: &Path) -> Result<AttestationAuthority, Stop> {
    AttestationAuthority::load(dir).or_usage(format_args!(
        "cannot use the authority in {}",
        dir.display()
    ))
}

fn read_bundle(file: &Path) -> Result<String, Stop> {
    fs::read_to_string(file).or_usage(format_args!("cannot read {}", file.display()))
}

fn key_type(key: KeyKind) -> KeyType {
    match key {
        KeyKind::P256 => KeyType::P256,
        KeyKind::P384 => KeyType::P384,
    }
}
