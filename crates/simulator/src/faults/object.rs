//! Faults of the object around the chain: structure and CBOR.

use super::{Fault, ForgeError, Forger, Way, Way::Object};
use crate::evidence::{Cbor, Evidence, Extension};

/// 10,000 arrays, nested.
const NESTING: usize = 10_000;

pub(super) const FAULTS: &[Fault] = &[
    Fault::evidence(
        "x5c-empty",
        &[42],
        "chain-empty",
        "The array of certificates is empty.",
        Object(|_| Ok(apple(x5c(Vec::new())))),
    ),
    Fault::evidence(
        "x5c-missing",
        &[42],
        "chain-missing",
        "The statement has no array of certificates.",
        Object(|_| Ok(apple(Cbor::Map(Vec::new())))),
    ),
    Fault::evidence(
        "x5c-not-an-array",
        &[42],
        "chain-malformed",
        "The array of certificates is a text string.",
        Object(|_| {
            Ok(apple(Cbor::Map(vec![(
                Cbor::text("x5c"),
                Cbor::text("leaf"),
            )])))
        }),
    ),
    Fault::evidence(
        "x5c-holds-text",
        &[42],
        "chain-malformed",
        "The intermediate is a text string.",
        Object(|forger| {
            let leaf = Cbor::Bytes(forger.good_leaf()?);
            Ok(apple(x5c(vec![leaf, Cbor::text("sub")])))
        }),
    ),
    Fault::evidence(
        "leaf-garbage",
        &[42],
        "certificate-malformed",
        "The leaf is not DER.",
        Way::Chain(|forger| Ok(with_intermediate(forger, b"not a certificate".to_vec()))),
    ),
    Fault::evidence(
        "leaf-empty",
        &[42],
        "certificate-malformed",
        "The leaf is empty.",
        Way::Chain(|forger| Ok(with_intermediate(forger, Vec::new()))),
    ),
    Fault::evidence(
        "leaf-trailing-byte",
        &[42],
        "certificate-malformed",
        "A byte follows the leaf.",
        Way::Chain(|forger| {
            let mut leaf = forger.good_leaf()?;
            leaf.push(0);
            Ok(with_intermediate(forger, leaf))
        }),
    ),
    Fault::evidence(
        "object-empty",
        &[43],
        "object-empty",
        "The attestation object is empty.",
        Object(|_| Ok(Vec::new())),
    ),
    Fault::evidence(
        "object-json",
        &[43],
        "object-not-map",
        "The attestation object is an empty JSON object.",
        Object(|_| Ok(b"{}".to_vec())),
    ),
    Fault::evidence(
        "object-empty-map",
        &[43],
        "format-missing",
        "The attestation object is an empty map.",
        Object(|_| Ok(Cbor::Map(Vec::new()).encode())),
    ),
    Fault::evidence(
        "object-integer",
        &[44],
        "object-not-map",
        "The attestation object is an integer.",
        Object(|_| Ok(Cbor::Unsigned(7).encode())),
    ),
    Fault::evidence(
        "object-array",
        &[44],
        "object-not-map",
        "The attestation object is an array.",
        Object(|_| Ok(Cbor::Array(vec![Cbor::Unsigned(7)]).encode())),
    ),
    Fault::evidence(
        "depth-bomb",
        &[45],
        "too-deep",
        "A value of the attestation object is 10,000 nested arrays.",
        Object(|forger| with(forger, Cbor::text("a"), nested())),
    ),
    Fault::evidence(
        "object-depth-bomb",
        &[45],
        "object-not-map",
        "The attestation object is 10,000 nested arrays.",
        Object(|_| Ok(nested().encode())),
    ),
    Fault::evidence(
        "length-claim",
        &[45],
        "object-not-cbor",
        "A byte string claims 100,000,000 bytes and has none.",
        Object(|forger| with(forger, Cbor::text("a"), claim(0x40))),
    ),
    Fault::evidence(
        "array-length-claim",
        &[45],
        "object-not-cbor",
        "An array claims 100,000,000 items and has none.",
        Object(|forger| with(forger, Cbor::text("a"), claim(0x80))),
    ),
    Fault::evidence(
        "map-length-claim",
        &[45],
        "too-many-keys",
        "The attestation object claims 100,000,000 keys and has none.",
        Object(|_| Ok(claim(0xa0).encode())),
    ),
    Fault::evidence(
        "fmt-twice",
        &[46],
        "duplicate-key",
        "The key \"fmt\" occurs twice.",
        Object(|forger| with(forger, Cbor::text("fmt"), Cbor::text("apple"))),
    ),
    Fault::evidence(
        "attstmt-twice",
        &[46],
        "duplicate-key",
        "The key \"attStmt\" occurs twice.",
        Object(|forger| with(forger, Cbor::text("attStmt"), forger.statement()?)),
    ),
    Fault::evidence(
        "fmt-none",
        &[47],
        "format-not-supported",
        "The format is \"none\", and the statement empty.",
        Object(|_| Ok(Cbor::attestation_object("none", Cbor::Map(Vec::new())).encode())),
    ),
    Fault::evidence(
        "fmt-unknown",
        &[47],
        "format-not-supported",
        "The format is unknown.",
        Object(|forger| of_format(forger, "unknown")),
    ),
    Fault::evidence(
        "fmt-packed",
        &[47],
        "format-not-supported",
        "The format is \"packed\", which is not enabled.",
        Object(|forger| of_format(forger, "packed")),
    ),
    Fault::evidence(
        "fmt-tpm",
        &[48],
        "format-not-supported",
        "The format is \"tpm\", around a chain of the format \"apple\".",
        Object(|forger| of_format(forger, "tpm")),
    ),
    Fault::evidence(
        "object-trailing-byte",
        &[],
        "trailing-bytes",
        "A byte follows the attestation object.",
        Object(|forger| Ok([object(forger)?.as_slice(), &[0]].concat())),
    ),
    Fault::evidence(
        "object-65-kib",
        &[],
        "object-too-large",
        "The attestation object has more than 64 KiB.",
        Object(|forger| with(forger, Cbor::text("a"), Cbor::Bytes(vec![0; 65 * 1024]))),
    ),
    Fault::evidence(
        "object-indefinite-length",
        &[],
        "indefinite-length",
        "The attestation object is a map of indefinite length.",
        Object(|forger| Ok([b"\xbf", &object(forger)?[1..], b"\xff"].concat())),
    ),
    Fault::evidence(
        "array-257-items",
        &[],
        "too-many-items",
        "An unknown key of the attestation object holds 257 items.",
        Object(|forger| {
            let items = Cbor::Array((0..256).map(Cbor::Unsigned).collect());
            with(forger, Cbor::text("a"), items)
        }),
    ),
    Fault::evidence(
        "object-33-keys",
        &[],
        "too-many-keys",
        "The attestation object has 33 keys.",
        Object(|_| {
            let entry = |key| (Cbor::Unsigned(key), Cbor::Unsigned(0));
            Ok(Cbor::Map((0..33).map(entry).collect()).encode())
        }),
    ),
    Fault::evidence(
        "fmt-bytes",
        &[],
        "format-malformed",
        "The format is a byte string.",
        Object(|forger| {
            let entries = vec![
                (Cbor::text("fmt"), Cbor::Bytes(b"apple".to_vec())),
                (Cbor::text("attStmt"), forger.statement()?),
            ];
            Ok(Cbor::Map(entries).encode())
        }),
    ),
    Fault::evidence(
        "attstmt-tagged",
        &[],
        "statement-malformed",
        "The statement has a tag.",
        Object(|forger| Ok(apple(Cbor::Tag(24, Box::new(forger.statement()?))))),
    ),
    Fault::evidence(
        "attstmt-missing",
        &[],
        "statement-missing",
        "The attestation object has no statement.",
        Object(|_| Ok(Cbor::Map(vec![(Cbor::text("fmt"), Cbor::text("apple"))]).encode())),
    ),
    Fault::evidence(
        "x5c-six-certificates",
        &[],
        "chain-too-long",
        "The chain has six certificates.",
        Way::Chain(|forger| Ok(vec![forger.good_leaf()?; 6])),
    ),
    Fault::evidence(
        "leaf-17-kib",
        &[],
        "certificate-too-large",
        "The leaf has more than 16 KiB.",
        Way::Leaf(|leaf, _| {
            leaf.extensions
                .push(Extension::new("1.2.3", &[0; 16 * 1024]));
        }),
    ),
];

fn apple(statement: Cbor) -> Vec<u8> {
    Cbor::attestation_object("apple", statement).encode()
}

fn of_format(forger: &Forger<'_>, format: &str) -> Result<Vec<u8>, ForgeError> {
    Ok(Cbor::attestation_object(format, forger.statement()?).encode())
}

/// The valid object.
fn object(forger: &Forger<'_>) -> Result<Vec<u8>, ForgeError> {
    let chain = forger.good_chain()?;
    Ok(Evidence { chain }.attestation_object())
}

/// The valid object with one more entry.
fn with(forger: &Forger<'_>, key: Cbor, value: Cbor) -> Result<Vec<u8>, ForgeError> {
    let entries = vec![
        (Cbor::text("fmt"), Cbor::text("apple")),
        (Cbor::text("attStmt"), forger.statement()?),
        (key, value),
    ];
    Ok(Cbor::Map(entries).encode())
}

fn with_intermediate(forger: &Forger<'_>, leaf: Vec<u8>) -> Vec<Vec<u8>> {
    vec![leaf, forger.authority.sub_der().to_vec()]
}

fn x5c(items: Vec<Cbor>) -> Cbor {
    Cbor::Map(vec![(Cbor::text("x5c"), Cbor::Array(items))])
}

fn nested() -> Cbor {
    Cbor::Raw([vec![0x81; NESTING], vec![0]].concat())
}

/// The head of an item of this major type whose length is 100,000,000.
fn claim(major: u8) -> Cbor {
    Cbor::Raw([&[major | 26], 100_000_000_u32.to_be_bytes().as_slice()].concat())
}
