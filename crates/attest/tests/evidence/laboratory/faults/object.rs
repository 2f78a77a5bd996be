//! Shape and CBOR. The finer points of CBOR are tested beside the decoder.

use assay_attest::Reason;
use assay_simulator::evidence::{Cbor, Extension};

use super::{Fault, fault};
use crate::laboratory::{Laboratory, object, statement_object};

pub(crate) fn object_faults(laboratory: &Laboratory) -> Vec<Fault> {
    let chain = || {
        [
            laboratory.good_leaf(),
            laboratory.authority.sub_der().to_vec(),
        ]
    };
    let x5c = |items: Vec<Cbor>| Cbor::Map(vec![(Cbor::text("x5c"), Cbor::Array(items))]);
    let statement = || x5c(chain().map(Cbor::Bytes).to_vec());
    let entries = || {
        vec![
            (Cbor::text("fmt"), Cbor::text("apple")),
            (Cbor::text("attStmt"), statement()),
        ]
    };
    let with = |key: Cbor, value: Cbor| {
        let mut entries = entries();
        entries.push((key, value));
        Cbor::Map(entries).encode()
    };
    let nested = Cbor::Raw([vec![0x81; 10_000], vec![0]].concat());
    let mut trailing = object(chain().to_vec());
    trailing.push(0);
    let garbage = |bytes: &[u8]| object(vec![bytes.to_vec(), chain()[1].clone()]);

    vec![
        fault(
            42,
            "no-certificates",
            Reason::ChainEmpty,
            statement_object("apple", x5c(Vec::new())),
        ),
        fault(
            42,
            "no-x5c",
            Reason::ChainMissing,
            statement_object("apple", Cbor::Map(Vec::new())),
        ),
        fault(
            42,
            "text-in-x5c",
            Reason::ChainMalformed,
            statement_object(
                "apple",
                x5c(vec![Cbor::Bytes(chain()[0].clone()), Cbor::text("sub")]),
            ),
        ),
        fault(
            42,
            "garbage",
            Reason::CertificateMalformed,
            garbage(b"not a certificate"),
        ),
        fault(
            42,
            "empty-certificate",
            Reason::CertificateMalformed,
            garbage(b""),
        ),
        fault(
            42,
            "byte-after-certificate",
            Reason::CertificateMalformed,
            garbage(&[chain()[0].as_slice(), &[0]].concat()),
        ),
        fault(43, "nothing", Reason::ObjectEmpty, Vec::new()),
        fault(43, "json", Reason::ObjectNotMap, b"{}".to_vec()),
        fault(43, "empty-map", Reason::FormatMissing, vec![0xa0]),
        fault(44, "integer", Reason::ObjectNotMap, vec![7]),
        fault(44, "array", Reason::ObjectNotMap, vec![0x81, 7]),
        fault(
            45,
            "nested-value",
            Reason::TooDeep,
            with(Cbor::text("a"), nested.clone()),
        ),
        fault(45, "nested-object", Reason::ObjectNotMap, nested.encode()),
        fault(
            45,
            "length-claim",
            Reason::ObjectNotCbor,
            with(Cbor::text("a"), Cbor::Raw(b"\x5a\x05\xf5\xe1\x00".to_vec())),
        ),
        fault(
            46,
            "format-twice",
            Reason::DuplicateKey,
            with(Cbor::text("fmt"), Cbor::text("apple")),
        ),
        fault(
            46,
            "statement-twice",
            Reason::DuplicateKey,
            with(Cbor::text("attStmt"), statement()),
        ),
        fault(
            47,
            "none",
            Reason::FormatNotSupported,
            statement_object("none", Cbor::Map(Vec::new())),
        ),
        fault(
            47,
            "packed",
            Reason::FormatNotSupported,
            statement_object("packed", statement()),
        ),
        fault(
            48,
            "tpm",
            Reason::FormatNotSupported,
            statement_object("tpm", statement()),
        ),
        fault(0, "trailing-byte", Reason::TrailingBytes, trailing),
        fault(
            0,
            "65-kib",
            Reason::ObjectTooLarge,
            with(Cbor::text("a"), Cbor::Bytes(vec![0; 65 * 1024])),
        ),
        fault(
            0,
            "object",
            Reason::IndefiniteLength,
            [b"\xbf".as_slice(), &object(chain().to_vec())[1..], b"\xff"].concat(),
        ),
        fault(
            0,
            "33",
            Reason::TooManyKeys,
            Cbor::Map(
                (0..33)
                    .map(|key| (Cbor::Unsigned(key), Cbor::Unsigned(0)))
                    .collect(),
            )
            .encode(),
        ),
        fault(
            0,
            "257",
            Reason::TooManyItems,
            with(
                Cbor::text("a"),
                Cbor::Array((0..256).map(Cbor::Unsigned).collect()),
            ),
        ),
        fault(
            0,
            "bytes",
            Reason::FormatMalformed,
            Cbor::Map(vec![
                (Cbor::text("fmt"), Cbor::Bytes(b"apple".to_vec())),
                (Cbor::text("attStmt"), statement()),
            ])
            .encode(),
        ),
        fault(
            0,
            "tag",
            Reason::StatementMalformed,
            statement_object("apple", Cbor::Tag(24, Box::new(statement()))),
        ),
        fault(
            0,
            "format-alone",
            Reason::StatementMissing,
            Cbor::Map(entries()[..1].to_vec()).encode(),
        ),
        fault(
            0,
            "six-certificates",
            Reason::ChainTooLong,
            object(vec![chain()[0].clone(); 6]),
        ),
        fault(
            0,
            "long-certificate",
            Reason::CertificateTooLarge,
            laboratory.with_leaf(|leaf| {
                leaf.extensions
                    .push(Extension::new("1.2.3", &[0; 16 * 1024]));
            }),
        ),
    ]
}
