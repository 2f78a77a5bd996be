//! Objects that verify.

use assay_simulator::evidence::{Cbor, DeviceProperties, Extension};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PublicKeyData};

use super::{Laboratory, SERIAL, UDID, object};

/// Names and objects.
pub(crate) fn goods(laboratory: &Laboratory) -> Vec<(&'static str, Vec<u8>)> {
    let authority = &laboratory.authority;
    let signed = |properties: &DeviceProperties| {
        let leaf = laboratory.leaf_of(properties);
        let chain = vec![
            leaf.sign(authority.sub_key()).unwrap(),
            authority.sub_der().to_vec(),
        ];
        object(chain)
    };
    let chain = || vec![laboratory.good_leaf(), authority.sub_der().to_vec()];
    let mut with_root = chain();
    with_root.push(authority.root_der().to_vec());
    let x5c = Cbor::Array(chain().into_iter().map(Cbor::Bytes).collect());
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();

    vec![
        ("mac", signed(&DeviceProperties::mac(SERIAL, UDID))),
        ("iphone", signed(&DeviceProperties::iphone(SERIAL, UDID))),
        (
            "iphone-ios16",
            signed(&DeviceProperties::iphone_ios16(SERIAL, UDID)),
        ),
        ("user-enrolment", signed(&DeviceProperties::default())),
        (
            "p384-key",
            laboratory.with_leaf(|leaf| leaf.spki = p384.subject_public_key_info()),
        ),
        ("copy-of-the-root", object(with_root)),
        (
            "statement-first-and-unknown-keys",
            Cbor::Map(vec![
                (Cbor::Unsigned(7), Cbor::Raw(vec![0xf6])),
                (
                    Cbor::text("attStmt"),
                    Cbor::Map(vec![
                        (Cbor::text("receipt"), Cbor::Bytes(vec![1, 2, 3])),
                        (Cbor::text("x5c"), x5c),
                    ]),
                ),
                (Cbor::text("authData"), Cbor::Bytes(vec![0; 37])),
                (Cbor::text("fmt"), Cbor::text("apple")),
            ])
            .encode(),
        ),
        ("deeper-chain", object(laboratory.deeper_chain(Some(1)))),
        (
            "extended-key-usage",
            laboratory.with_leaf(|leaf| {
                let value = b"\x30\x0c\x06\x0a\x2a\x86\x48\x86\xf7\x63\x64\x04\x18\x01";
                leaf.extensions
                    .push(Extension::new("2.5.29.37", value).critical());
            }),
        ),
        (
            "unknown-extensions-that-are-not-critical",
            laboratory.with_intermediate(|sub| {
                sub.extensions.push(Extension::new("1.2.3", b"x"));
                sub.extensions.push(Extension::new("2.5.29.37", b"x"));
            }),
        ),
        (
            "undocumented-apple-extensions",
            laboratory.with_leaf(|leaf| {
                let arc = "1.2.840.113635.100.8";
                leaf.extensions
                    .push(Extension::new(&format!("{arc}.9.3"), b"\x01\xff"));
                leaf.extensions
                    .push(Extension::new(&format!("{arc}.13.4"), b""));
            }),
        ),
    ]
}
