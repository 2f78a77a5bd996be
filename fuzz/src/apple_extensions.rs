//! Bytes as the extensions of a leaf. With an even first byte the rest is the
//! DER of the extensions; with an odd one it chooses identifiers and values, so
//! that the DER is right and what matters is within it.
//!
//! Signatures are not looked at: every one counts as good.

use std::{collections::HashSet, sync::LazyLock};

use arbitrary::{Result, Unstructured};
use assay_attest::{
    BadSignature, SignatureAlgorithm, SignatureVerifier, TrustAnchor, UnverifiedCertificate,
    UnverifiedExtension, Verifier, limits::MAX_PROPERTY_BYTES,
};
use assay_simulator::{
    Device, KeyType,
    authority::AttestationAuthority,
    evidence::{DeviceProperties, Evidence, algorithm, der, oids},
};

use crate::support::START;

const FRESHNESS: [u8; 32] = *b"\x0c\x1eof a nonce that looks like DER";
const APPLE_ARC: &str = "1.2.840.113635.100.8";
const KNOWN_TEXTS: [&str; 7] = [
    oids::LLB_VERSION,
    oids::MODEL,
    oids::OS_VERSION,
    oids::SECURE_BOOT,
    oids::SEPOS_VERSION,
    oids::SERIAL,
    oids::UDID,
];
const KNOWN_INTEGERS: [&str; 2] = [oids::KERNEL_EXTENSIONS, oids::SIP];
const OTHERS: [&str; 11] = [
    "1.2.3",
    "1.2.840.113635.100.8.13.4",
    "1.2.840.113635.100.8.9.3",
    "2.5.29.14",
    "2.5.29.15",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.35",
    "2.5.29.37",
    APPLE_ARC,
    oids::WEBAUTHN_NONCE,
];

/// Takes every signature for good.
struct Credulous;

impl SignatureVerifier for Credulous {
    fn verify(
        &self,
        _: SignatureAlgorithm,
        _: &[u8],
        _: &[u8],
        _: &[u8],
    ) -> std::result::Result<(), BadSignature> {
        Ok(())
    }
}

struct World {
    /// What stands before the extensions in the leaf's signed part.
    head: Vec<u8>,
    intermediate: Vec<u8>,
    verifier: Verifier,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let authority = AttestationAuthority::create(START.0).unwrap();
    let device = Device::new(DeviceProperties::default(), KeyType::P256).unwrap();
    let mut leaf = authority.leaf_template(
        &DeviceProperties::default(),
        &device.spki_der(),
        &FRESHNESS,
        START.0,
    );
    leaf.extensions.clear();
    let tbs = leaf.tbs();
    // Tag and length: 30 82 xx xx, or 30 81 xx.
    let header = 2 + usize::from(tbs[1] & 0x7f);
    let root = TrustAnchor::laboratory(authority.root_der(), "fuzz").unwrap();
    World {
        head: tbs[header..].to_owned(),
        intermediate: authority.sub_der().to_owned(),
        verifier: Verifier::new(vec![root], Box::new(Credulous)),
    }
});

/// Judges a leaf with the extensions of `data`.
pub fn run(data: &[u8]) {
    let [mode, rest @ ..] = data else { return };
    let list = match mode % 2 {
        0 => rest.to_owned(),
        // The list ends where the bytes do.
        _ => chosen(&mut Unstructured::new(rest)).unwrap_or_default(),
    };
    let world = &*WORLD;
    let extensions = der::element(0xa3, &der::element(0x30, &list));
    let leaf = der::sequence(&[
        der::sequence(&[&world.head, &extensions]),
        algorithm::ecdsa_sha384(),
        der::bit_string(b"a signature"),
    ]);
    let decoded = UnverifiedCertificate::decode(&leaf);
    if decoded.is_ok() {
        assert_eq!(
            UnverifiedCertificate::sketch(&leaf),
            decoded,
            "read in two ways"
        );
    }
    let object = Evidence {
        chain: vec![leaf, world.intermediate.clone()],
    }
    .attestation_object();
    let verdict = world.verifier.verify_object(&object, &FRESHNESS, START.0);
    match (decoded, verdict) {
        (Err(first), verdict) => {
            let second = verdict.err().map(|refusal| refusal.reason);
            assert_eq!(second, Some(first.reason), "{first}");
        }
        (Ok(decoded), verdict) => {
            let again: Vec<u8> = decoded.extensions.iter().flat_map(encode).collect();
            assert_eq!(again, list, "not DER, or read wrongly");
            let good = decoded.extensions.iter().all(is_good) && are_good(&decoded.extensions);
            let apple = decoded
                .extensions
                .iter()
                .all(|one| one.oid.starts_with(APPLE_ARC));
            match verdict {
                Ok(device) => assert!(good, "{device:?} of {:?}", decoded.extensions),
                Err(refusal) => assert!(!(good && apple), "{refusal}: {:?}", decoded.extensions),
            }
        }
    }
}

/// Extensions of known identifiers with any values.
fn chosen(bytes: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut list = Vec::new();
    while !bytes.is_empty() {
        let (oid, value) = match bytes.int_in_range(0..=3)? {
            0 => (oids::FRESHNESS, FRESHNESS.as_slice()),
            1 => (*bytes.choose(&OTHERS)?, any_value(bytes)?),
            2 => (*bytes.choose(&KNOWN_INTEGERS)?, any_value(bytes)?),
            _ => (*bytes.choose(&KNOWN_TEXTS)?, any_value(bytes)?),
        };
        list.extend(encode_parts(oid, bytes.ratio(1, 16)?, value));
    }
    Ok(list)
}

fn any_value<'a>(bytes: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    let length = bytes.int_in_range(0..=48_usize)?;
    bytes.bytes(length.min(bytes.len()))
}

fn encode(extension: &UnverifiedExtension) -> Vec<u8> {
    encode_parts(&extension.oid, extension.critical, &extension.value)
}

fn encode_parts(oid: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical {
        [1, 1, 0xff].as_slice()
    } else {
        &[]
    };
    der::sequence(&[&der::oid(oid), critical, &der::element(4, value)])
}

/// What must hold of each extension of a leaf that verifies: the rules once
/// more, in other words.
fn is_good(extension: &UnverifiedExtension) -> bool {
    let (oid, value) = (extension.oid.as_str(), extension.value.as_slice());
    let decoded = extension.decoded.as_ref().ok().and_then(Option::as_deref);
    match oid {
        oids::FRESHNESS => value == FRESHNESS,
        "2.5.29.15" => decoded == Some("keyCertSign: false"),
        "2.5.29.19" => decoded == Some("CA: false"),
        "2.5.29.14" | "2.5.29.35" | "2.5.29.37" => true,
        "2.5.29.30" | oids::WEBAUTHN_NONCE => false,
        _ if KNOWN_TEXTS.contains(&oid) => is_text(value),
        _ if KNOWN_INTEGERS.contains(&oid) => value.is_empty() || is_integer(value),
        _ => !extension.critical,
    }
}

fn is_text(value: &[u8]) -> bool {
    value.len() <= MAX_PROPERTY_BYTES
        && String::from_utf8(value.to_owned())
            .is_ok_and(|text| text.chars().all(|letter| !letter.is_control()))
}

/// One DER INTEGER of up to 127 bytes.
fn is_integer(value: &[u8]) -> bool {
    match value {
        [2, length, content @ ..] => {
            *length < 0x80
                && usize::from(*length) == content.len()
                && match content {
                    [] => false,
                    [_] => true,
                    [0, second, ..] => *second >= 0x80,
                    [0xff, second, ..] => *second < 0x80,
                    _ => true,
                }
        }
        _ => false,
    }
}

/// What must hold of all of them together.
fn are_good(extensions: &[UnverifiedExtension]) -> bool {
    let identifiers: HashSet<&str> = extensions.iter().map(|one| one.oid.as_str()).collect();
    identifiers.len() == extensions.len() && identifiers.contains(oids::FRESHNESS)
}
