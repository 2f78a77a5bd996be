//! The WebAuthn attestation object: CBOR, read by hand and strictly.
//!
//! ```text
//! {"fmt": "apple", "attStmt": {"x5c": [leaf DER, intermediate DER, ..]}}
//! ```
//!
//! Keys stand in any order and unknown ones, of whatever type, are skipped.
//! Refused are repeated keys, indefinite lengths, tags before anything that
//! is read, lengths beyond the input (nothing is allocated for them), deep
//! nesting, many items and trailing bytes.

use minicbor::{Decoder, data::Type};

use crate::{
    limits::{
        MAX_CBOR_DEPTH, MAX_CBOR_ITEMS, MAX_CBOR_KEYS, MAX_CHAIN_CERTIFICATES, MAX_OBJECT_BYTES,
    },
    reason::{Finding, Reason},
};

/// An object's statement, read as far as its format determines. Every reader of
/// objects takes it apart, so that none compiles until it decides about a new
/// format.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Statement<'b> {
    /// Apple's Managed Device Attestation: the certificates of `x5c`, slices of
    /// the input, one to [`MAX_CHAIN_CERTIFICATES`].
    Apple(Vec<&'b [u8]>),
}

/// Reads an object.
pub(crate) fn read(object: &[u8]) -> Result<Statement<'_>, Finding> {
    if object.is_empty() {
        return Err(Finding::new(Reason::ObjectEmpty, "0 bytes"));
    }
    if object.len() > MAX_OBJECT_BYTES {
        return Err(Finding::new(
            Reason::ObjectTooLarge,
            format!("{} bytes, at most {MAX_OBJECT_BYTES}", object.len()),
        ));
    }
    let mut decoder = Decoder::new(object);
    let [format, statement] = read_map(&mut decoder, Reason::ObjectNotMap, ["fmt", "attStmt"])?;
    if decoder.position() != object.len() {
        return Err(Finding::new(
            Reason::TrailingBytes,
            format!(
                "the object ends at byte {} of {}",
                decoder.position(),
                object.len()
            ),
        ));
    }

    // The format decides what a statement means, so it is judged first.
    let format = format.ok_or_else(|| Finding::new(Reason::FormatMissing, "no key \"fmt\""))?;
    let mut decoder = Decoder::new(format);
    expect(&decoder, Type::String, Reason::FormatMalformed)?;
    let format = read_text(&mut decoder)?;
    let statement =
        statement.ok_or_else(|| Finding::new(Reason::StatementMissing, "no key \"attStmt\""));
    match format {
        b"apple" => read_x5c(statement?).map(Statement::Apple),
        other => {
            let shown = String::from_utf8_lossy(other.get(..64).unwrap_or(other));
            Err(Finding::new(
                Reason::FormatNotSupported,
                format!("fmt is {shown:?}, only \"apple\" is supported"),
            ))
        }
    }
}

/// Reads a statement that holds a chain.
fn read_x5c(statement: &[u8]) -> Result<Vec<&[u8]>, Finding> {
    let mut decoder = Decoder::new(statement);
    let [chain] = read_map(&mut decoder, Reason::StatementMalformed, ["x5c"])?;
    read_chain(chain.ok_or_else(|| Finding::new(Reason::ChainMissing, "no key \"x5c\""))?)
}

fn read_chain(encoded: &[u8]) -> Result<Vec<&[u8]>, Finding> {
    let mut decoder = Decoder::new(encoded);
    expect(&decoder, Type::Array, Reason::ChainMalformed)?;
    let count = length(decoder.array().map_err(not_cbor)?)?;
    check_count(count)?;
    (0..count)
        .map(|_| {
            expect(&decoder, Type::Bytes, Reason::ChainMalformed)?;
            decoder.bytes().map_err(not_cbor)
        })
        .collect()
}

/// The certificates of a chain are bounded, whatever they came in.
pub(crate) fn check_count(count: u64) -> Result<(), Finding> {
    if count == 0 {
        return Err(Finding::new(Reason::ChainEmpty, "no certificates"));
    }
    if count > MAX_CHAIN_CERTIFICATES as u64 {
        return Err(Finding::new(
            Reason::ChainTooLong,
            format!("{count} certificates, at most {MAX_CHAIN_CERTIFICATES}"),
        ));
    }
    Ok(())
}

/// A key of a map, compared by value where its type is one that has an
/// obvious value, else by its encoding.
#[derive(PartialEq)]
enum Key<'b> {
    Bytes(&'b [u8]),
    Encoded(&'b [u8]),
    Integer(i128),
    Text(&'b [u8]),
}

/// Reads a map to its end and gives the encoded values of the wanted keys.
fn read_map<'b, const N: usize>(
    decoder: &mut Decoder<'b>,
    otherwise: Reason,
    wanted: [&str; N],
) -> Result<[Option<&'b [u8]>; N], Finding> {
    expect(decoder, Type::Map, otherwise)?;
    let count = length(decoder.map().map_err(not_cbor)?)?;
    if count > MAX_CBOR_KEYS as u64 {
        return Err(Finding::new(
            Reason::TooManyKeys,
            format!("{count} keys, at most {MAX_CBOR_KEYS}"),
        ));
    }
    let mut found = [None; N];
    let mut left = MAX_CBOR_ITEMS;
    let mut keys = Vec::with_capacity(wanted.len());
    for _ in 0..count {
        let start = decoder.position();
        let key = read_key(decoder, &mut left)?;
        if keys.contains(&key) {
            return Err(Finding::new(
                Reason::DuplicateKey,
                format!("the key at byte {start} stands earlier too"),
            ));
        }
        let start = decoder.position();
        skip(decoder, 1, &mut left)?;
        if let Key::Text(text) = key
            && let Some(index) = wanted.iter().position(|name| name.as_bytes() == text)
        {
            found[index] = decoder.input().get(start..decoder.position());
        }
        keys.push(key);
    }
    Ok(found)
}

fn read_key<'b>(decoder: &mut Decoder<'b>, left: &mut usize) -> Result<Key<'b>, Finding> {
    let start = decoder.position();
    Ok(match decoder.datatype().map_err(not_cbor)? {
        Type::Bytes => Key::Bytes(decoder.bytes().map_err(not_cbor)?),
        Type::String => Key::Text(read_text(decoder)?),
        Type::U8
        | Type::U16
        | Type::U32
        | Type::U64
        | Type::I8
        | Type::I16
        | Type::I32
        | Type::I64
        | Type::Int => Key::Integer(decoder.int().map_err(not_cbor)?.into()),
        _ => {
            skip(decoder, 1, left)?;
            Key::Encoded(
                decoder
                    .input()
                    .get(start..decoder.position())
                    .unwrap_or_default(),
            )
        }
    })
}

/// The bytes of a text. Whether they are UTF-8 is a question of validity, not
/// of form (RFC 8949 section 5.3.1): no text but our own ASCII has a meaning
/// here, and to look at 64 KiB of characters would cost as much as a
/// signature.
fn read_text<'b>(decoder: &mut Decoder<'b>) -> Result<&'b [u8], Finding> {
    const MAJOR_TYPE: u8 = 0b1110_0000;

    // A length is written like an unsigned integer, but for the major type.
    let rest = decoder
        .input()
        .get(decoder.position()..)
        .unwrap_or_default();
    let mut head = [0; 9];
    for (to, from) in head.iter_mut().zip(rest) {
        *to = *from;
    }
    head[0] &= !MAJOR_TYPE;
    let mut number = Decoder::new(&head);
    let length = number.u64().map_err(not_cbor)?;
    let start = number.position();
    let text = usize::try_from(length)
        .ok()
        .and_then(|length| rest.get(start..)?.get(..length))
        .ok_or_else(|| {
            Finding::new(
                Reason::ObjectNotCbor,
                format!("a text of {length} bytes at byte {}", decoder.position()),
            )
        })?;
    decoder.set_position(decoder.position() + start + text.len());
    Ok(text)
}

/// Passes over one item that stands inside `depth` containers, and may hold
/// what is `left` of the items that a map may.
fn skip(decoder: &mut Decoder<'_>, depth: usize, left: &mut usize) -> Result<(), Finding> {
    *left = left.checked_sub(1).ok_or_else(|| {
        Finding::new(
            Reason::TooManyItems,
            format!(
                "more than {MAX_CBOR_ITEMS} in one map at byte {}",
                decoder.position()
            ),
        )
    })?;
    let items = match decoder.datatype().map_err(not_cbor)? {
        Type::Array => length(decoder.array().map_err(not_cbor)?)?,
        // Each entry takes at least two bytes, so no count that the input
        // could hold saturates.
        Type::Map => length(decoder.map().map_err(not_cbor)?)?.saturating_mul(2),
        Type::Tag => {
            decoder.tag().map_err(not_cbor)?;
            1
        }
        Type::ArrayIndef | Type::BytesIndef | Type::MapIndef | Type::StringIndef => {
            return length(None).map(drop);
        }
        Type::String => return read_text(decoder).map(drop),
        // The decoder would pass over both.
        Type::Break | Type::Unknown(_) => {
            return Err(Finding::new(
                Reason::ObjectNotCbor,
                format!("no item begins at byte {}", decoder.position()),
            ));
        }
        // RFC 8949 section 3.3: "an encoder MUST NOT issue two-byte sequences
        // that start with 0xf8 [..] and continue with a byte less than 0x20
        // [..]. Such sequences are not well-formed."
        Type::Simple
            if matches!(
                decoder.input().get(decoder.position()..),
                Some([0xf8, ..=0x1f, ..])
            ) =>
        {
            return Err(Finding::new(
                Reason::ObjectNotCbor,
                format!(
                    "a simple value that is too short at byte {}",
                    decoder.position()
                ),
            ));
        }
        // Numbers, bytes and simple values: no item within them.
        _ => return decoder.skip().map_err(not_cbor),
    };
    if depth >= MAX_CBOR_DEPTH {
        return Err(Finding::new(
            Reason::TooDeep,
            format!(
                "more than {MAX_CBOR_DEPTH} levels at byte {}",
                decoder.position()
            ),
        ));
    }
    for _ in 0..items {
        skip(decoder, depth + 1, left)?;
    }
    Ok(())
}

/// The next item is of this type; if it only lacks a definite length it is
/// refused for that, else for the reason given.
fn expect(decoder: &Decoder<'_>, wanted: Type, otherwise: Reason) -> Result<(), Finding> {
    let found = decoder.datatype().map_err(not_cbor)?;
    match (found, wanted) {
        _ if found == wanted => Ok(()),
        (Type::ArrayIndef, Type::Array)
        | (Type::BytesIndef, Type::Bytes)
        | (Type::MapIndef, Type::Map)
        | (Type::StringIndef, Type::String) => length(None).map(drop),
        _ => Err(Finding::new(
            otherwise,
            format!("found {found} where {wanted} belongs"),
        )),
    }
}

fn length(claimed: Option<u64>) -> Result<u64, Finding> {
    claimed.ok_or_else(|| {
        Finding::new(
            Reason::IndefiniteLength,
            "an array, map or string of indefinite length",
        )
    })
}

fn not_cbor(error: minicbor::decode::Error) -> Finding {
    Finding::new(Reason::ObjectNotCbor, error.to_string())
}

#[cfg(test)]
mod tests;
