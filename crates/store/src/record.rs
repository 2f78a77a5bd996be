//! The stored form of each value: a format byte, the version in 8 big-endian
//! bytes, then CBOR with numbered fields. These types are separate from the
//! domain types and the wire types, so that each can change alone.
//!
//! No enum is put in an `Option`: minicbor would read an unknown variant as
//! `None`.

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

/// The maximum length of a record, in bytes. A commit changes a few dozen
/// records and is in memory several times; larger values belong in files.
pub(crate) const MAX_LEN: usize = 64 * 1024;

/// The initial capacity for encoding, in bytes. It fits most records, so that
/// they are not moved.
const USUAL_LEN: usize = 512;

const FORMAT: u8 = 1;
const HEADER_LEN: usize = 1 + 8;

/// A stored value.
pub(crate) trait Record: Encode<()> + for<'b> Decode<'b, ()> {
    /// The engine's type.
    type Domain;
    /// The name in messages.
    const NAME: &'static str;

    /// Returns the key of the record.
    fn key(&self) -> Vec<u8>;

    /// Returns the index entries that lead to the record.
    fn index(&self) -> Vec<IndexEntry> {
        Vec::new()
    }

    /// Converts the record to the engine's type.
    fn restore(self, cache: &KeyCache) -> Result<Self::Domain, Damage>;
}

/// An entry of an index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// Whether only one record may have this entry.
    pub(crate) unique: bool,
}

/// What is wrong with a record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("its CBOR is invalid: {0}")]
    Cbor(String),
    #[error("its field {0} has an invalid value")]
    Field(&'static str),
    #[error("its format is {0}, this program reads {FORMAT}")]
    Format(u8),
    #[error("it belongs under another key")]
    Misplaced,
    #[error("it is too short")]
    Short,
}

/// Encodes a record without its version.
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

/// Reads the version of the record under `key`.
pub(crate) fn version(key: &[u8], bytes: &[u8]) -> Result<Version, StoreError> {
    match split(bytes) {
        Ok((version, _)) => Ok(version),
        Err(damage) => Err(damaged("a record", key, &damage)),
    }
}

/// Decodes the record under `key`, with its version.
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

/// Returns whether `key` is that of a record, not of an index entry.
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

/// Checks that the record under `key`, which was written in `layout`, can be
/// read.
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

/// Converts the record under `key`, which was written in `layout`, to the
/// current layout.
///
/// # Errors
/// The record cannot be read.
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

/// Returns the index entries that lead to the record under `key`.
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

/// Reads the version of a record and decodes its CBOR.
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
        // Writing to a String does not fail.
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
    /// Returns the device that it names.
    fn device(&self) -> Option<String> {
        let wire = WireIdentifier {
            kind: self.kind.clone(),
            value: self.value.clone(),
        };
        Some(Identifier::parse(&wire).ok()?.device().to_owned())
    }
}

impl IndexEntry {
    /// Creates an entry without a value, which several records may have.
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

/// Truncates `text` to at most `most` bytes, at a character boundary.
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
