//! The stored form of each value: a format byte, the version in 8 big-endian
//! bytes, then CBOR with numbered fields. These types are neither the domain's
//! nor the wire's: each may change without the others.
//!
//! Inside an `Option` stand no enums: minicbor would read a variant that it
//! does not know as `None`.

mod account;
mod authorization;
mod cache;
mod certificate;
mod failure;
mod lease;
mod notes;
mod order;
mod origin;

use std::{borrow::Cow, fmt::Write as _};

use assay_engine::{
    SerialNumber,
    names::DirectoryName,
    ports::{StoreError, Version, Versioned},
};
use assay_proto::{Identifier, WireIdentifier};
use minicbor::{Decode, Encode};

use crate::keys;

use self::authorization::before_layout_7::OldAuthorization;
pub(crate) use self::{
    account::StoredAccount,
    authorization::StoredAuthorization,
    cache::KeyCache,
    certificate::{StoredCertificate, StoredServerIntent},
    lease::StoredLease,
    notes::StoredNotes,
    order::{StoredOrder, Unproven},
    origin::decode as decode_origin,
};

/// The largest record, in bytes. A commit changes a few dozen records and is
/// held in memory several times over; what is larger belongs into a file.
pub(crate) const MAX_LEN: usize = 64 * 1024;

/// Room for most records, in bytes: a larger one is moved while it is encoded.
const USUAL_LEN: usize = 512;

const FORMAT: u8 = 1;
const HEADER_LEN: usize = 1 + 8;

/// A stored value.
pub(crate) trait Record: Encode<()> + for<'b> Decode<'b, ()> {
    /// What the engine knows it as.
    type Domain;
    /// For messages.
    const NAME: &'static str;

    /// Where it is stored.
    fn key(&self) -> Vec<u8>;

    /// The index entries that lead to it.
    fn index(&self) -> Vec<IndexEntry> {
        Vec::new()
    }

    /// The value again.
    fn restore(self, cache: &KeyCache) -> Result<Self::Domain, Damage>;
}

/// An entry of an index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// Whether no other record may have it.
    pub(crate) unique: bool,
}

/// What is wrong with a record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("it is not the CBOR that was written: {0}")]
    Cbor(String),
    #[error("its field {0} holds what was never written")]
    Field(&'static str),
    #[error("its format is {0}, this program reads {FORMAT}")]
    Format(u8),
    #[error("it belongs under another key")]
    Misplaced,
    #[error("it is too short")]
    Short,
}

/// Encodes a record, its version still open.
pub(crate) fn encode<R: Record>(record: &R) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::with_capacity(USUAL_LEN);
    bytes.push(FORMAT);
    bytes.resize(HEADER_LEN, 0);
    minicbor::encode(record, &mut bytes)
        .map_err(|error| StoreError(format!("cannot encode {}: {error}", R::NAME)))?;
    if bytes.len() > MAX_LEN {
        return Err(StoreError(format!(
            "{} of {} bytes is larger than the {MAX_LEN} that are stored: nothing was changed",
            R::NAME,
            bytes.len(),
        )));
    }
    Ok(bytes)
}

/// Writes the version into an encoded record.
pub(crate) fn stamp(bytes: &mut [u8], version: Version) {
    bytes[1..HEADER_LEN].copy_from_slice(&version.0.to_be_bytes());
}

/// The version of the record under `key`.
pub(crate) fn version(key: &[u8], bytes: &[u8]) -> Result<Version, StoreError> {
    match split(bytes) {
        Ok((version, _)) => Ok(version),
        Err(damage) => Err(damaged("a record", key, &damage)),
    }
}

/// The value of the record under `key`, and its version.
pub(crate) fn decode<R: Record>(
    key: &[u8],
    bytes: &[u8],
    cache: &KeyCache,
) -> Result<Versioned<R::Domain>, StoreError> {
    let restored = parse::<R>(key, bytes).and_then(|(version, record)| {
        Ok(Versioned {
            value: record.restore(cache)?,
            version,
        })
    });
    restored.map_err(|damage| damaged(R::NAME, key, &damage))
}

/// Whether a record lies under `key`, and not an index entry.
pub(crate) fn is_record(key: &[u8]) -> bool {
    matches!(
        key.first(),
        Some(
            &keys::ACCOUNT
                | &keys::AUTHORIZATION
                | &keys::CERTIFICATE
                | &keys::LEASE
                | &keys::NOTES
                | &keys::ORDER
                | &keys::SERVER_INTENT
        )
    )
}

/// Whether the record under `key`, which was written in `layout`, can be read.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(key: &[u8], bytes: &[u8], layout: u32) -> Result<(), StoreError> {
    fn of<R: Record>(key: &[u8], bytes: &[u8]) -> Result<(), StoreError> {
        let read = parse::<R>(key, bytes).map(drop);
        read.map_err(|damage| damaged(R::NAME, key, &damage))
    }
    let bytes = &*upgrade(key, bytes, layout)?;
    match key.first() {
        Some(&keys::ACCOUNT) => of::<StoredAccount>(key, bytes),
        Some(&keys::AUTHORIZATION) => of::<StoredAuthorization>(key, bytes),
        Some(&keys::CERTIFICATE) => of::<StoredCertificate>(key, bytes),
        Some(&keys::LEASE) => of::<StoredLease>(key, bytes),
        Some(&keys::NOTES) => of::<StoredNotes>(key, bytes),
        Some(&keys::ORDER) => of::<StoredOrder>(key, bytes),
        Some(&keys::SERVER_INTENT) => of::<StoredServerIntent>(key, bytes),
        _ => Ok(()),
    }
}

/// The record under `key` in the present layout; `layout` is the one that it
/// was written in.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn upgrade<'a>(
    key: &[u8],
    bytes: &'a [u8],
    layout: u32,
) -> Result<Cow<'a, [u8]>, StoreError> {
    match key.first() {
        Some(&keys::AUTHORIZATION) if layout < 7 => {
            let damaged = |damage| damaged(StoredAuthorization::NAME, key, &damage);
            let (version, old) = cbor::<OldAuthorization>(bytes).map_err(damaged)?;
            let mut bytes = encode(&StoredAuthorization::from(old))?;
            stamp(&mut bytes, version);
            Ok(Cow::Owned(bytes))
        }
        _ => Ok(Cow::Borrowed(bytes)),
    }
}

/// The index entries that lead to the record under `key`.
pub(crate) fn index_of(key: &[u8], bytes: &[u8]) -> Result<Vec<IndexEntry>, StoreError> {
    fn of<R: Record>(key: &[u8], bytes: &[u8]) -> Result<Vec<IndexEntry>, StoreError> {
        match parse::<R>(key, bytes) {
            Ok((_, record)) => Ok(record.index()),
            Err(damage) => Err(damaged(R::NAME, key, &damage)),
        }
    }
    match key.first() {
        Some(&keys::ACCOUNT) => of::<StoredAccount>(key, bytes),
        Some(&keys::AUTHORIZATION) => of::<StoredAuthorization>(key, bytes),
        Some(&keys::ORDER) => of::<StoredOrder>(key, bytes),
        _ => Ok(Vec::new()),
    }
}

/// The version of a record, and what its CBOR holds.
fn cbor<T: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> Result<(Version, T), Damage> {
    let (version, cbor) = split(bytes)?;
    let mut decoder = minicbor::Decoder::new(cbor);
    let value: T = decoder
        .decode()
        .map_err(|error| Damage::Cbor(error.to_string()))?;
    if decoder.position() != cbor.len() {
        return Err(Damage::Cbor("bytes follow it".to_owned()));
    }
    Ok((version, value))
}

fn parse<R: Record>(key: &[u8], bytes: &[u8]) -> Result<(Version, R), Damage> {
    let (version, record) = cbor::<R>(bytes)?;
    if record.key() != key {
        return Err(Damage::Misplaced);
    }
    Ok((version, record))
}

fn split(bytes: &[u8]) -> Result<(Version, &[u8]), Damage> {
    let (format, rest) = bytes.split_first().ok_or(Damage::Short)?;
    if *format != FORMAT {
        return Err(Damage::Format(*format));
    }
    let (version, cbor) = rest.split_first_chunk().ok_or(Damage::Short)?;
    Ok((Version(u64::from_be_bytes(*version)), cbor))
}

fn damaged(name: &str, key: &[u8], damage: &Damage) -> StoreError {
    let mut hex = String::with_capacity(2 * key.len());
    for byte in key {
        // Writing into a String does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    StoreError(format!(
        "{name} under the key {hex} is damaged: {damage}; restore the database from a backup"
    ))
}

/// An identifier.
#[derive(Decode, Encode)]
struct StoredIdentifier {
    #[n(0)]
    kind: String,
    #[n(1)]
    value: String,
}

impl StoredIdentifier {
    /// The device that it names.
    fn device(&self) -> Option<String> {
        let wire = WireIdentifier {
            kind: self.kind.clone(),
            value: self.value.clone(),
        };
        Some(Identifier::parse(&wire).ok()?.device().to_owned())
    }
}

impl IndexEntry {
    /// An entry without a value, which other records may have too.
    fn bare(key: Vec<u8>) -> Self {
        Self {
            key,
            value: Vec::new(),
            unique: false,
        }
    }
}

impl From<Identifier> for StoredIdentifier {
    fn from(identifier: Identifier) -> Self {
        identifier.to_wire().into()
    }
}

impl From<WireIdentifier> for StoredIdentifier {
    fn from(WireIdentifier { kind, value }: WireIdentifier) -> Self {
        Self { kind, value }
    }
}

impl From<StoredIdentifier> for WireIdentifier {
    fn from(StoredIdentifier { kind, value }: StoredIdentifier) -> Self {
        Self { kind, value }
    }
}

impl TryFrom<StoredIdentifier> for Identifier {
    type Error = Damage;

    fn try_from(stored: StoredIdentifier) -> Result<Self, Damage> {
        Self::parse(&stored.into()).map_err(|_| Damage::Field("identifier"))
    }
}

/// Cuts `text` to `most` bytes, between characters.
fn clip(mut text: String, most: usize) -> String {
    if text.len() > most {
        let mut end = most;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

/// Reads the name of a directory; absent for the default one.
fn directory(name: Option<&str>) -> Result<DirectoryName, Damage> {
    name.map_or(Ok(DirectoryName::DEFAULT), |name| {
        DirectoryName::stored(name).map_err(|_| Damage::Field("directory"))
    })
}

/// Reads a serial number's magnitude.
fn serial(magnitude: &[u8]) -> Result<SerialNumber, Damage> {
    SerialNumber::from_magnitude(magnitude).map_err(|_| Damage::Field("serial"))
}

#[cfg(test)]
mod tests;
