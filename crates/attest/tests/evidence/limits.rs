//! Each limit, at it and above it.

use assay_attest::{Reason, limits};
use assay_simulator::evidence::{Cbor, CertificateTemplate, Extension, der, oids};

use crate::laboratory::{Laboratory, NOW, object};

/// The reason at a limit and above it.
fn assert_limit(laboratory: &Laboratory, at: &[u8], above: &[u8], reason: Reason) {
    assert_eq!(laboratory.judge(at).err(), None, "at the limit: {reason}");
    assert_eq!(laboratory.judge(above).err(), Some(reason));
}

/// A good object with one more key.
fn with_value(laboratory: &Laboratory, value: Cbor) -> Vec<u8> {
    with_entries(laboratory, vec![(Cbor::text("a"), value)])
}

/// A good object with more keys.
fn with_entries(laboratory: &Laboratory, more: Vec<(Cbor, Cbor)>) -> Vec<u8> {
    let chain = [
        laboratory.good_leaf(),
        laboratory.authority.sub_der().to_vec(),
    ];
    let x5c = Cbor::Array(chain.map(Cbor::Bytes).to_vec());
    let mut entries = vec![
        (Cbor::text("fmt"), Cbor::text("apple")),
        (
            Cbor::text("attStmt"),
            Cbor::Map(vec![(Cbor::text("x5c"), x5c)]),
        ),
    ];
    entries.extend(more);
    Cbor::Map(entries).encode()
}

/// Makes something of exactly this size from a number of filler bytes. An
/// ECDSA signature's length varies, so that it may take some attempts.
fn sized(size: usize, make: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut filler = size - 2048;
    for _ in 0..1000 {
        let made = make(filler);
        if made.len() == size {
            return made;
        }
        filler = filler + size - made.len();
    }
    panic!("no attempt had {size} bytes");
}

#[test]
fn an_object_has_64_kib() {
    assert_eq!(limits::MAX_OBJECT_BYTES, 65_536);
    let laboratory = Laboratory::new();
    let filled = |size: usize| {
        sized(size, |filler| {
            with_value(&laboratory, Cbor::Bytes(vec![0; filler]))
        })
    };
    assert_limit(
        &laboratory,
        &filled(65_536),
        &filled(65_537),
        Reason::ObjectTooLarge,
    );
}

#[test]
fn a_certificate_has_16_kib() {
    assert_eq!(limits::MAX_CERTIFICATE_BYTES, 16_384);
    let laboratory = Laboratory::new();
    let filled = |size: usize| {
        let leaf = sized(size, |filler| {
            let mut leaf = laboratory.leaf();
            leaf.extensions
                .push(Extension::new("1.2.3", &vec![0; filler]));
            leaf.sign(laboratory.authority.sub_key()).unwrap()
        });
        object(vec![leaf, laboratory.authority.sub_der().to_vec()])
    };
    assert_limit(
        &laboratory,
        &filled(16_384),
        &filled(16_385),
        Reason::CertificateTooLarge,
    );
}

#[test]
fn x5c_has_five_certificates() {
    assert_eq!(limits::MAX_CHAIN_CERTIFICATES, 5);
    let laboratory = Laboratory::new();
    let authority = &laboratory.authority;
    // Three CAs with one key under the root, and a copy of the root.
    let mut upper = authority.sub_template(NOW);
    *upper.extension_mut("2.5.29.19").unwrap() = Extension::basic_constraints(true, None);
    let below = |issuer: &CertificateTemplate| {
        let mut ca = authority.sub_template(NOW);
        ca.issuer.clone_from(&issuer.subject);
        // Any other name will do.
        ca.subject.clone_from(&laboratory.leaf().subject);
        *ca.extension_mut("2.5.29.19").unwrap() = Extension::basic_constraints(true, None);
        ca.remove_extension("2.5.29.35");
        ca
    };
    let middle = below(&upper);
    let mut lower = below(&upper);
    lower.issuer.clone_from(&middle.subject);
    lower.subject.clone_from(&upper.subject);
    let chain = vec![
        laboratory.good_leaf(),
        lower.sign(authority.sub_key()).unwrap(),
        middle.sign(authority.sub_key()).unwrap(),
        upper.sign(authority.root_key()).unwrap(),
        authority.root_der().to_vec(),
    ];
    let mut longer = chain.clone();
    longer.insert(1, chain[1].clone());
    assert_limit(
        &laboratory,
        &object(chain),
        &object(longer),
        Reason::ChainTooLong,
    );
}

#[test]
fn a_certificate_has_64_extensions() {
    assert_eq!(limits::MAX_EXTENSIONS, 64);
    let laboratory = Laboratory::new();
    let filled = |count: usize| {
        laboratory.with_leaf(|leaf| {
            let more = (leaf.extensions.len()..count)
                .map(|number| Extension::new(&format!("1.2.3.{number}"), b""));
            leaf.extensions.extend(more.collect::<Vec<_>>());
        })
    };
    assert_limit(
        &laboratory,
        &filled(64),
        &filled(65),
        Reason::TooManyExtensions,
    );
}

#[test]
fn cbor_nests_8_deep() {
    assert_eq!(limits::MAX_CBOR_DEPTH, 8);
    let laboratory = Laboratory::new();
    // The object is the first level.
    let nested = |levels: usize| {
        let value = [vec![0x81; levels - 1], vec![0]].concat();
        with_value(&laboratory, Cbor::Raw(value))
    };
    assert_limit(&laboratory, &nested(8), &nested(9), Reason::TooDeep);
}

#[test]
fn a_map_has_32_keys() {
    assert_eq!(limits::MAX_CBOR_KEYS, 32);
    let laboratory = Laboratory::new();
    let filled = |count: u64| {
        let more = (2..count).map(|key| (Cbor::Unsigned(key), Cbor::Unsigned(0)));
        with_entries(&laboratory, more.collect())
    };
    assert_limit(&laboratory, &filled(32), &filled(33), Reason::TooManyKeys);
}

#[test]
fn a_text_has_256_bytes() {
    assert_eq!(limits::MAX_PROPERTY_BYTES, 256);
    let laboratory = Laboratory::new();
    let filled = |size: usize| {
        laboratory.with_leaf(|leaf| {
            leaf.extension_mut(oids::SERIAL).unwrap().value = vec![b'A'; size];
        })
    };
    assert_limit(
        &laboratory,
        &filled(256),
        &filled(257),
        Reason::PropertyMalformed,
    );
}

#[test]
fn a_serial_number_has_20_bytes() {
    assert_eq!(limits::MAX_SERIAL_BYTES, 20);
    let laboratory = Laboratory::new();
    let filled = |size: usize| laboratory.with_leaf(|leaf| leaf.serial = vec![1; size]);
    assert_limit(
        &laboratory,
        &filled(20),
        &filled(21),
        Reason::CertificateSerialNumber,
    );
}

#[test]
fn a_chain_has_96_extensions() {
    assert_eq!(limits::MAX_CHAIN_EXTENSIONS, 96);
    let laboratory = Laboratory::new();
    let authority = &laboratory.authority;
    let filled = |count: usize| {
        let fill = |certificate: &mut CertificateTemplate, to: usize| {
            let more = (certificate.extensions.len()..to)
                .map(|number| Extension::new(&format!("1.2.3.{number}"), b""));
            let more: Vec<_> = more.collect();
            certificate.extensions.extend(more);
        };
        let (mut leaf, mut sub) = (laboratory.leaf(), authority.sub_template(NOW));
        fill(&mut leaf, 64);
        fill(&mut sub, count - 64);
        object(vec![
            leaf.sign(authority.sub_key()).unwrap(),
            sub.sign(authority.root_key()).unwrap(),
        ])
    };
    assert_limit(
        &laboratory,
        &filled(96),
        &filled(97),
        Reason::TooManyExtensions,
    );
}

#[test]
fn a_name_has_16_attributes() {
    assert_eq!(limits::MAX_NAME_ATTRIBUTES, 16);
    let laboratory = Laboratory::new();
    let named = |count: usize| {
        laboratory.with_leaf(|leaf| {
            let attribute = der::sequence(&[der::oid("2.5.4.3"), der::element(0x0c, b"A")]);
            leaf.subject = der::sequence(&vec![der::element(0x31, &attribute); count]);
        })
    };
    assert_limit(
        &laboratory,
        &named(16),
        &named(17),
        Reason::TooManyAttributes,
    );
}
