//! The committed corpus of evidence: one laboratory, one device, one challenge, and every valid and
//! invalid shape, with reproducible bytes.

mod recordings;

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    authority::{AttestationAuthority, AuthorityError},
    device::{Device, DeviceError},
    evidence::DeviceProperties,
    faults::{Fault, ForgeError, Forger, Good, Outcome},
    key::KeyType,
};

pub use self::recordings::recordings;

/// The time of all evidence: seconds since the Unix epoch, 2026-11-18T11:06:40Z.
pub const NOW: u64 = 1_795_000_000;
/// The challenge's token. Its SHA-256, the freshness code, starts like a DER OCTET STRING of 30
/// bytes, so a validator that guesses whether to unwrap it fails.
pub const TOKEN: &str = "laboratory-token-whose-digest-is-as-DERG46I";
/// The thumbprint of the challenged account: that of RFC 7638 section 3.1.
pub const THUMBPRINT: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
/// The device's serial number.
pub const SERIAL: &str = "C02XK0AAJHD2";
/// The device's UDID.
pub const UDID: &str = "00008112-000A1B2C3D4E5F60";

/// The seed of all keys of the corpus. It is public, so its root must be trusted only in tests.
const SEED: &[u8] = b"assay laboratory";

/// The freshness code of [`TOKEN`].
#[must_use]
pub fn freshness() -> [u8; 32] {
    Sha256::digest(TOKEN).into()
}

/// The key authorization of a challenge with this token (RFC 8555 section 8.1).
#[must_use]
pub fn key_authorization(token: &str) -> String {
    format!("{token}.{THUMBPRINT}")
}

/// The authority of the corpus, derived from its seed.
///
/// # Errors
/// A library refuses the keys.
pub fn authority() -> Result<AttestationAuthority, AuthorityError> {
    AttestationAuthority::from_seed(SEED, NOW)
}

/// A device with these properties; there is one key of each type.
///
/// # Errors
/// A library refuses the key.
pub fn device(properties: DeviceProperties, key: KeyType) -> Result<Device, DeviceError> {
    Device::from_seed(properties, key, SEED)
}

/// A file of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorpusFile {
    /// Its path below `testdata/evidence` (invalid evidence is `bad/REASON.FAULT.cbor`) or
    /// `testdata/recordings`.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Every file of the corpus, ordered by path.
///
/// # Errors
/// A key cannot sign.
pub fn files() -> Result<Vec<CorpusFile>, CorpusError> {
    let authority = authority()?;
    let mut files = vec![
        file("manifest.json", manifest()?),
        file("root.der", authority.root_der().to_vec()),
    ];
    for (name, properties) in DeviceProperties::platforms(SERIAL, UDID) {
        let device = device(properties, KeyType::P256)?;
        files.push(good(&authority, &device, name, Good::usual())?);
    }
    let mac = || DeviceProperties::mac(SERIAL, UDID);
    let p384 = device(mac(), KeyType::P384)?;
    files.push(good(&authority, &p384, "p384-key", Good::usual())?);
    let device = device(mac(), KeyType::P256)?;
    for shape in Good::all().filter(|shape| shape.name() != "none") {
        files.push(good(&authority, &device, shape.name(), shape)?);
    }
    let forger = forger(&authority, &device);
    for fault in Fault::all().filter(|fault| fault.is_forgeable()) {
        let name = fault.name();
        let path = match fault.outcome() {
            Outcome::Evidence { reason } => format!("bad/{reason}.{name}.cbor"),
            Outcome::Accepted { .. } => format!("good/{name}.cbor"),
            // Valid evidence about another device is already in the corpus.
            Outcome::Identity { .. } | Outcome::Request { .. } => continue,
        };
        files.push(file(&path, fault.forge(&forger)?.attestation_object()));
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// The forger of the corpus for this device.
#[must_use]
pub fn forger<'a>(authority: &'a AttestationAuthority, device: &'a Device) -> Forger<'a> {
    Forger {
        authority,
        device,
        freshness: freshness().to_vec(),
        key_authorization: key_authorization(TOKEN),
        now: NOW,
    }
}

/// Why the corpus could not be generated.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// The authority failed.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Evidence could not be forged.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// A manifest or a recording could not be serialized.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
}

fn good(
    authority: &AttestationAuthority,
    device: &Device,
    name: &str,
    shape: &Good,
) -> Result<CorpusFile, CorpusError> {
    let object = shape.forge(&forger(authority, device))?;
    Ok(file(
        &format!("good/{name}.cbor"),
        object.attestation_object(),
    ))
}

fn file(path: &str, bytes: Vec<u8>) -> CorpusFile {
    CorpusFile {
        path: path.to_owned(),
        bytes,
    }
}

/// `manifest.json`: what a test needs to verify the corpus.
#[derive(Serialize)]
struct Manifest {
    now: u64,
    token: &'static str,
    key_authorization: String,
    freshness: String,
    serial: &'static str,
    udid: &'static str,
}

fn manifest() -> Result<Vec<u8>, CorpusError> {
    let mut json = serde_json::to_vec_pretty(&Manifest {
        now: NOW,
        token: TOKEN,
        key_authorization: key_authorization(TOKEN),
        freshness: HEXLOWER.encode(&freshness()),
        serial: SERIAL,
        udid: UDID,
    })?;
    json.push(b'\n');
    Ok(json)
}

#[cfg(test)]
mod tests;
