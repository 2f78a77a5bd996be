//! Faults of signatures.

use rcgen::SigningKey;

use super::{
    Fault,
    Way::{Chain, Leaf},
};
use crate::evidence::{algorithm, der, oids};

pub(super) const FAULTS: &[Fault] = &[
    Fault::evidence(
        "leaf-signed-by-its-own-key",
        &[],
        "bad-signature",
        "The device signed its leaf, under the intermediate's name.",
        Chain(|forger| {
            let leaf = forger.leaf().sign(forger.device.key())?;
            Ok(vec![leaf, forger.authority.sub_der().to_vec()])
        }),
    ),
    Fault::evidence(
        "leaf-signature-bit",
        &[],
        "bad-signature",
        "The last bit of the leaf's signature is another.",
        Chain(|forger| {
            let mut chain = forger.good_chain()?;
            flip_last_bit(&mut chain[0]);
            Ok(chain)
        }),
    ),
    Fault::evidence(
        "intermediate-signature-bit",
        &[],
        "bad-signature",
        "The last bit of the intermediate's signature is another.",
        Chain(|forger| {
            let mut chain = forger.good_chain()?;
            flip_last_bit(&mut chain[1]);
            Ok(chain)
        }),
    ),
    Fault::evidence(
        "signed-for-another-serial",
        &[],
        "bad-signature",
        "The serial number was exchanged after the leaf was signed.",
        Chain(|forger| {
            let mut leaf = forger.leaf();
            leaf.set_extension(oids::SERIAL, b"C02STRANGER");
            let signature = forger.authority.sub_key().sign(&leaf.tbs())?;
            let leaf = forger.leaf().with_signature(&signature);
            Ok(vec![leaf, forger.authority.sub_der().to_vec()])
        }),
    ),
    Fault::evidence(
        "signed-with-another-hash",
        &[],
        "bad-signature",
        "The leaf says ECDSA with SHA-256 and is signed with SHA-384.",
        Leaf(|leaf, _| {
            leaf.inner_algorithm = algorithm::ecdsa_sha256();
            leaf.outer_algorithm = algorithm::ecdsa_sha256();
        }),
    ),
    Fault::evidence(
        "rsa-algorithm-for-an-ec-key",
        &[],
        "bad-signature",
        "The leaf says RSA with SHA-256, but its issuer's key is on P-384.",
        Leaf(|leaf, _| {
            let rsa = [der::oid("1.2.840.113549.1.1.11"), der::element(5, &[])];
            leaf.inner_algorithm = der::sequence(&rsa);
            leaf.outer_algorithm.clone_from(&leaf.inner_algorithm);
        }),
    ),
];

fn flip_last_bit(der: &mut [u8]) {
    if let Some(last) = der.last_mut() {
        *last ^= 1;
    }
}
