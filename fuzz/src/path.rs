//! Bytes as a chain of certificates: right ones, but for the fields that the
//! bytes change. A chain verifies exactly where a model of a dozen lines, which
//! knows the fields and no DER, says so; with any byte changed it never does.
//!
//! A stamp takes the place of signatures, so that changed certificates can be
//! signed a hundred thousand times a second.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    sync::LazyLock,
};

use arbitrary::{Result, Unstructured};
use assay_attest::{
    BadSignature, SignatureAlgorithm, SignatureVerifier, TrustAnchor, UnverifiedCertificate,
    Verifier,
};
use assay_simulator::{
    Device, KeyType,
    authority::AttestationAuthority,
    evidence::{CertificateTemplate, DeviceProperties, Evidence, Extension, der},
};

use crate::support::START;

const FRESHNESS: [u8; 32] = [7; 32];
/// The number of the root's name, of its key and of its key's identifier.
const ROOT: u8 = 0;
const ALGORITHMS: [(&str, Option<SignatureAlgorithm>); 4] = [
    ("1.2.840.10045.4.3.3", Some(SignatureAlgorithm::EcdsaSha384)),
    ("1.2.840.10045.4.3.2", Some(SignatureAlgorithm::EcdsaSha256)),
    ("1.2.840.113549.1.1.13", Some(SignatureAlgorithm::RsaSha512)),
    // ecdsa-with-SHA1
    ("1.2.840.10045.4.1", None),
];

/// Fields of one certificate. Names, keys and identifiers of keys are numbers.
#[derive(Clone, Copy, Debug)]
struct Plan {
    algorithm: usize,
    authority_key_identifier: Option<u8>,
    ca: Option<bool>,
    critical: bool,
    issuer: u8,
    key: u8,
    key_cert_sign: Option<bool>,
    not_after: u64,
    not_before: u64,
    path_length: Option<u8>,
    signed_by: u8,
    subject: u8,
    subject_key_identifier: Option<u8>,
}

impl Plan {
    /// The right certificate at `place` of a chain whose last is at `top`.
    fn right(place: u8, top: u8) -> Self {
        let issuer = if place == top { ROOT } else { place + 1 };
        let is_ca = place > 0;
        Self {
            algorithm: 0,
            authority_key_identifier: is_ca.then_some(issuer),
            ca: Some(is_ca),
            critical: false,
            issuer,
            key: place,
            key_cert_sign: Some(is_ca),
            not_after: START.0 + 1,
            not_before: START.0,
            path_length: is_ca.then(|| place - 1),
            signed_by: issuer,
            subject: place,
            subject_key_identifier: is_ca.then_some(place),
        }
    }

    /// Changes one field.
    fn change(&mut self, bytes: &mut Unstructured<'_>) -> Result<()> {
        let number = |bytes: &mut Unstructured<'_>| bytes.int_in_range(0..=5);
        let moment = |bytes: &mut Unstructured<'_>| {
            Ok(START.0 - 0x8000 + u64::from(bytes.arbitrary::<u16>()?))
        };
        match bytes.int_in_range(0..=12)? {
            0 => self.algorithm = bytes.choose_index(ALGORITHMS.len())?,
            1 => self.authority_key_identifier = optional(bytes, number)?,
            2 => self.ca = bytes.arbitrary()?,
            3 => self.critical = bytes.arbitrary()?,
            4 => self.issuer = number(bytes)?,
            // The leaf's key must lie on its curve, and signs nothing.
            5 if self.key != 0 => self.key = bytes.int_in_range(1..=5)?,
            6 => self.key_cert_sign = bytes.arbitrary()?,
            7 => self.not_after = moment(bytes)?,
            8 => self.not_before = moment(bytes)?,
            9 => self.path_length = bytes.arbitrary()?,
            10 => self.signed_by = number(bytes)?,
            11 => self.subject = bytes.int_in_range(1..=5)?,
            _ => self.subject_key_identifier = optional(bytes, number)?,
        }
        // pathLenConstraint without cA is not even an encoding.
        if self.ca != Some(true) {
            self.path_length = None;
        }
        Ok(())
    }

    fn certificate(&self, place: usize) -> Vec<u8> {
        let world = &*WORLD;
        let is_leaf = place == 0;
        let mut template = if is_leaf {
            world.leaf.clone()
        } else {
            world.ca.clone()
        };
        template
            .issuer
            .clone_from(&world.names[usize::from(self.issuer)]);
        (template.not_before, template.not_after) = (self.not_before, self.not_after);
        template.inner_algorithm = algorithm(self.algorithm);
        template
            .outer_algorithm
            .clone_from(&template.inner_algorithm);
        if !is_leaf {
            template
                .subject
                .clone_from(&world.names[usize::from(self.subject)]);
            template.spki.clone_from(&world.keys[usize::from(self.key)]);
        }
        let identifier = |number: u8| world.identifiers[usize::from(number)].as_slice();
        template.extensions.extend(
            [
                self.authority_key_identifier
                    .map(|one| Extension::authority_key_identifier(identifier(one))),
                self.subject_key_identifier
                    .map(|one| Extension::subject_key_identifier(identifier(one))),
                self.ca
                    .map(|ca| Extension::basic_constraints(ca, self.path_length.map(u64::from))),
                // keyCertSign; digitalSignature
                self.key_cert_sign
                    .map(|sign| Extension::key_usage(if sign { &[2, 4] } else { &[7, 0x80] })),
                self.critical
                    .then(|| Extension::new("1.2.3", b"").critical()),
            ]
            .into_iter()
            .flatten(),
        );
        let signature = ALGORITHMS[self.algorithm].1.map(|algorithm| {
            let key = &world.keys[usize::from(self.signed_by)];
            stamp(algorithm, key, &template.tbs())
        });
        template.with_signature(&signature.unwrap_or_default())
    }
}

/// The model: which chains verify under the root.
fn is_right(chain: &[Plan]) -> bool {
    chain.iter().enumerate().all(|(place, one)| {
        let issuer = chain.get(place + 1);
        let is_ca = place > 0;
        let identifier = issuer.map_or(Some(ROOT), |issuer| issuer.subject_key_identifier);
        ALGORITHMS[one.algorithm].1.is_some()
            && (one.authority_key_identifier.is_none()
                || identifier.is_none()
                || one.authority_key_identifier == identifier)
            && one.ca.unwrap_or(false) == is_ca
            && one.key_cert_sign.unwrap_or(false) == is_ca
            && one
                .path_length
                .is_none_or(|allowed| usize::from(allowed) + 1 >= place)
            && !one.critical
            && (one.not_before..=one.not_after).contains(&START.0)
            && one.issuer == issuer.map_or(ROOT, |issuer| issuer.subject)
            && one.signed_by == issuer.map_or(ROOT, |issuer| issuer.key)
    })
}

struct World {
    ca: CertificateTemplate,
    identifiers: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
    leaf: CertificateTemplate,
    names: Vec<Vec<u8>>,
    root: Vec<u8>,
    verifier: Verifier,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let authority = AttestationAuthority::create(START.0).unwrap();
    let device = Device::new(DeviceProperties::default(), KeyType::P256).unwrap();
    let properties = DeviceProperties::mac("C02AAA", "UDID");
    let mut leaf = authority.leaf_template(&properties, &device.spki_der(), &FRESHNESS, START.0);
    leaf.remove_extension("2.5.29.15");
    leaf.remove_extension("2.5.29.19");
    let mut ca = authority.sub_template(START.0);
    ca.extensions.clear();
    let root = UnverifiedCertificate::decode(authority.root_der()).unwrap();
    let identifier = root.extensions.iter().find(|one| one.oid == "2.5.29.14");
    // Less the tag and the length of its OCTET STRING.
    let identifier = identifier.unwrap().value[2..].to_owned();
    let other = |number: u8, of_root: &[u8]| {
        let mut bytes = of_root.to_owned();
        let last = bytes.last_mut().unwrap();
        *last = last.wrapping_sub(number);
        bytes
    };
    // The last letter of the country (ZZ, ZY, ..): names stay names.
    let numbered = |of_root: &[u8]| (0..6).map(|number| other(number, of_root)).collect();
    let anchor = TrustAnchor::laboratory(authority.root_der(), "fuzz").unwrap();
    World {
        identifiers: numbered(&identifier),
        keys: numbered(&root.spki_der),
        names: numbered(&ca.issuer),
        root: authority.root_der().to_owned(),
        verifier: Verifier::new(vec![anchor], Box::new(Stamps)),
        ca,
        leaf,
    }
});

/// Judges the chain that `data` describes.
pub fn run(data: &[u8]) {
    // Without bytes there is nothing to change.
    let _ = judge(&mut Unstructured::new(data));
}

fn judge(bytes: &mut Unstructured<'_>) -> Result<()> {
    let top = bytes.int_in_range(1..=4)?;
    let with_root = bytes.ratio(1, 4)? && top < 4;
    let spoiled: Option<(u16, u8)> = bytes.arbitrary()?;
    let mut chain: Vec<Plan> = (0..=top).map(|place| Plan::right(place, top)).collect();
    while !bytes.is_empty() {
        let place = bytes.choose_index(chain.len())?;
        chain[place].change(bytes)?;
    }

    let mut evidence = Evidence {
        chain: chain
            .iter()
            .enumerate()
            .map(|(place, one)| one.certificate(place))
            .collect(),
    };
    if with_root {
        evidence.chain.push(WORLD.root.clone());
    }
    let mut object = evidence.attestation_object();
    let mut right = is_right(&chain);
    if let Some((place, bits)) = spoiled.filter(|(_, bits)| *bits != 0) {
        let place = usize::from(place) % object.len();
        object[place] ^= bits;
        right = false;
    }
    let verdict = WORLD.verifier.verify_object(&object, &FRESHNESS, START.0);
    assert_eq!(
        verdict.is_ok(),
        right,
        "{verdict:?} for {chain:#?}, {spoiled:?}"
    );
    Ok(())
}

fn optional<T>(
    bytes: &mut Unstructured<'_>,
    value: impl FnOnce(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Option<T>> {
    bytes.arbitrary::<bool>()?.then(|| value(bytes)).transpose()
}

fn algorithm(number: usize) -> Vec<u8> {
    let (oid, algorithm) = ALGORITHMS[number];
    match algorithm {
        Some(SignatureAlgorithm::RsaSha512) => {
            der::sequence(&[der::oid(oid), der::element(5, &[])])
        }
        _ => der::sequence(&[der::oid(oid)]),
    }
}

/// What stands for a signature: it changes with the key and with the message.
fn stamp(algorithm: SignatureAlgorithm, spki: &[u8], message: &[u8]) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    (algorithm, spki, message).hash(&mut hasher);
    hasher.finish().to_be_bytes().to_vec()
}

struct Stamps;

impl SignatureVerifier for Stamps {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        spki: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> std::result::Result<(), BadSignature> {
        if signature == stamp(algorithm, spki, message) {
            Ok(())
        } else {
            Err(BadSignature)
        }
    }
}
