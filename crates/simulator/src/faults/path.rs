//! Faults of the path: anchor, constraints, validity, names.

use super::{
    Fault, ForgeError, Forger,
    Way::{Chain, Intermediate, Leaf},
    forger::{AUTHORITY_KEY_IDENTIFIER, BASIC_CONSTRAINTS, KEY_USAGE, other_sub_name},
};
use crate::{
    authority::authority_name,
    evidence::{CertificateTemplate, Extension},
};

const NAME_CONSTRAINTS: &str = "2.5.29.30";
/// An empty SEQUENCE.
const EMPTY: &[u8] = b"\x30\0";

pub(super) const FAULTS: &[Fault] = &[
    Fault::evidence(
        "unknown-root",
        &[38],
        "unknown-anchor",
        "The intermediate names an untrusted root.",
        Chain(|forger| {
            let mut sub = forger.authority.sub_template(forger.now);
            sub.issuer = authority_name("Unknown Attestation Root CA");
            let sub = sub.sign(forger.authority.root_key())?;
            Ok(vec![forger.good_leaf()?, sub])
        }),
    ),
    Fault::evidence(
        "imitated-root",
        &[38],
        "key-identifier-mismatch",
        "Root and intermediate have the right names but other keys.",
        Chain(|forger| {
            let impostor = forger.authority.impostor(forger.now)?;
            let leaf = forger.leaf().sign(impostor.sub_key())?;
            Ok(vec![leaf, impostor.sub_der().to_vec()])
        }),
    ),
    Fault::evidence(
        "imitated-root-and-key-identifier",
        &[38],
        "bad-signature",
        "Another root signed the intermediate, under the right root's name and key identifier.",
        Chain(|forger| {
            let impostor = forger.authority.impostor(forger.now)?;
            let sub = forger.authority.sub_template(forger.now);
            Ok(vec![forger.good_leaf()?, sub.sign(impostor.root_key())?])
        }),
    ),
    Fault::evidence(
        "imitated-root-sent-along",
        &[38],
        "bad-signature",
        "Root and intermediate have the right names but other keys, and the root is in the chain.",
        Chain(|forger| {
            let impostor = forger.authority.impostor(forger.now)?;
            let leaf = forger.leaf().sign(impostor.sub_key())?;
            let ders = [impostor.sub_der(), impostor.root_der()];
            Ok(vec![leaf, ders[0].to_vec(), ders[1].to_vec()])
        }),
    ),
    Fault::evidence(
        "intermediate-missing",
        &[39],
        "incomplete-chain",
        "The chain is the leaf alone.",
        Chain(|forger| Ok(vec![forger.good_leaf()?])),
    ),
    Fault::evidence(
        "self-signed",
        &[39],
        "incomplete-chain",
        "The leaf is signed by the device itself, under its own name.",
        Chain(|forger| Ok(vec![of_the_device(forger)?])),
    ),
    Fault::evidence(
        "leaf-under-the-root",
        &[39],
        "incomplete-chain",
        "The root signed the leaf.",
        Chain(|forger| {
            let mut leaf = forger.leaf();
            leaf.issuer = forger.authority.sub_template(forger.now).issuer;
            Ok(vec![leaf.sign(forger.authority.root_key())?])
        }),
    ),
    Fault::evidence(
        "leaf-and-root",
        &[39],
        "incomplete-chain",
        "The root follows the leaf, without the intermediate.",
        Chain(|forger| {
            Ok(vec![
                forger.good_leaf()?,
                forger.authority.root_der().to_vec(),
            ])
        }),
    ),
    Fault::evidence(
        "root-alone",
        &[39],
        "incomplete-chain",
        "The chain is the root alone.",
        Chain(|forger| Ok(vec![forger.authority.root_der().to_vec()])),
    ),
    Fault::evidence(
        "intermediate-not-a-ca",
        &[40],
        "not-a-ca",
        "The intermediate claims not to be a CA.",
        Intermediate(|sub| constrain(sub, &Extension::basic_constraints(false, None))),
    ),
    Fault::evidence(
        "intermediate-without-basic-constraints",
        &[40],
        "not-a-ca",
        "The intermediate does not claim to be a CA.",
        Intermediate(|sub| sub.remove_extension(BASIC_CONSTRAINTS)),
    ),
    Fault::evidence(
        "leaf-as-issuer",
        &[40],
        "not-a-ca",
        "A device with a good leaf signed the leaf of another key.",
        Chain(|forger| {
            let mut chain = forger.good_chain()?;
            chain.insert(0, of_the_device(forger)?);
            Ok(chain)
        }),
    ),
    Fault::evidence(
        "path-too-long",
        &[40],
        "path-length-exceeded",
        "There is another CA below an intermediate that allows none.",
        Chain(|forger| forger.deeper_chain(Some(0))),
    ),
    Fault::evidence(
        "leaf-expired",
        &[41],
        "expired",
        "The leaf expired a minute ago.",
        Leaf(|leaf, forger| leaf.not_after = forger.now.saturating_sub(60)),
    ),
    Fault::evidence(
        "leaf-not-yet-valid",
        &[41],
        "not-yet-valid",
        "The leaf becomes valid in an hour.",
        Leaf(|leaf, forger| leaf.not_before = forger.now + 3600),
    ),
    Fault::evidence(
        "intermediate-expired",
        &[41],
        "expired",
        "The intermediate expired long ago.",
        Intermediate(|sub| sub.not_after = sub.not_before + 60),
    ),
    Fault::evidence(
        "intermediate-not-yet-valid",
        &[41],
        "not-yet-valid",
        "The intermediate becomes valid in two days.",
        Intermediate(|sub| sub.not_before += 2 * 86_400),
    ),
    Fault::evidence(
        "intermediate-without-cert-sign",
        &[],
        "key-usage",
        "The intermediate's key is not for signing certificates.",
        Intermediate(|sub| sub.set_extension(KEY_USAGE, &Extension::key_usage(&[1, 2]).value)),
    ),
    Fault::evidence(
        "intermediate-without-key-usage",
        &[],
        "key-usage",
        "The intermediate has no keyUsage.",
        Intermediate(|sub| sub.remove_extension(KEY_USAGE)),
    ),
    Fault::evidence(
        "name-constraints-in-the-leaf",
        &[],
        "name-constraints",
        "The leaf has name constraints.",
        Leaf(|leaf, _| {
            leaf.extensions
                .push(Extension::new(NAME_CONSTRAINTS, EMPTY))
        }),
    ),
    Fault::evidence(
        "name-constraints-in-the-intermediate",
        &[],
        "name-constraints",
        "The intermediate has name constraints, which no validator of devices applies.",
        Intermediate(|sub| {
            let constraints = Extension::new(NAME_CONSTRAINTS, EMPTY).critical();
            sub.extensions.push(constraints);
        }),
    ),
    Fault::evidence(
        "unknown-critical-extension",
        &[],
        "unknown-critical-extension",
        "The leaf has an unknown critical extension.",
        Leaf(|leaf, _| {
            leaf.extensions
                .push(Extension::new("1.2.3", b"").critical())
        }),
    ),
    Fault::evidence(
        "undocumented-critical-extension",
        &[],
        "unknown-critical-extension",
        "An undocumented extension of Apple's is critical.",
        Leaf(|leaf, _| {
            let extension = Extension::new("1.2.840.113635.100.8.9.3", b"");
            leaf.extensions.push(extension.critical());
        }),
    ),
    Fault::evidence(
        "key-purpose-in-the-intermediate",
        &[],
        "unknown-critical-extension",
        "The intermediate has a critical extendedKeyUsage.",
        Intermediate(|sub| {
            let purpose = Extension::new("2.5.29.37", b"\x30\x06\x06\x04\x55\x1d\x25\0");
            sub.extensions.push(purpose.critical());
        }),
    ),
    Fault::evidence(
        "policy-constraints-in-the-intermediate",
        &[],
        "unknown-critical-extension",
        "The intermediate has critical policyConstraints.",
        Intermediate(|sub| {
            sub.extensions
                .push(Extension::new("2.5.29.36", EMPTY).critical());
        }),
    ),
    Fault::evidence(
        "leaf-is-a-ca",
        &[],
        "leaf-is-ca",
        "The leaf claims to be a CA.",
        Leaf(|leaf, _| constrain(leaf, &Extension::basic_constraints(true, None))),
    ),
    Fault::evidence(
        "leaf-with-cert-sign",
        &[],
        "leaf-is-ca",
        "The leaf's key is for signing certificates.",
        Leaf(|leaf, _| leaf.set_extension(KEY_USAGE, &Extension::key_usage(&[2, 0x84]).value)),
    ),
    Fault::evidence(
        "issuer-of-another-name",
        &[],
        "issuer-mismatch",
        "The leaf names another issuer than the intermediate.",
        Leaf(|leaf, _| leaf.issuer = other_sub_name()),
    ),
    Fault::evidence(
        "another-root-sent-along",
        &[],
        "issuer-mismatch",
        "An unrelated root is at the end of the chain.",
        Chain(|forger| {
            let impostor = forger.authority.impostor(forger.now)?;
            let mut root = forger.authority.sub_template(forger.now);
            root.subject = authority_name("Another Attestation Root CA");
            root.issuer.clone_from(&root.subject);
            root.spki = rcgen::PublicKeyData::subject_public_key_info(impostor.root_key());
            let mut chain = forger.good_chain()?;
            chain.push(root.sign(impostor.root_key())?);
            Ok(chain)
        }),
    ),
    Fault::evidence(
        "intermediate-twice",
        &[],
        "issuer-mismatch",
        "The intermediate occurs in the chain twice.",
        Chain(|forger| {
            let mut chain = forger.good_chain()?;
            chain.push(forger.authority.sub_der().to_vec());
            Ok(chain)
        }),
    ),
    Fault::evidence(
        "chain-reversed",
        &[],
        // A certificate without freshness and with a P-384 key is in the leaf's place; the
        // freshness is checked first.
        "freshness-missing",
        "The intermediate comes before the leaf.",
        Chain(|forger| {
            let mut chain = forger.good_chain()?;
            chain.reverse();
            Ok(chain)
        }),
    ),
    Fault::evidence(
        "leaf-key-identifier",
        &[],
        "key-identifier-mismatch",
        "The leaf names another key of its issuer.",
        Leaf(|leaf, _| {
            leaf.extensions
                .push(Extension::authority_key_identifier(&[7; 20]));
        }),
    ),
    Fault::evidence(
        "intermediate-key-identifier",
        &[],
        "key-identifier-mismatch",
        "The intermediate names another key of the root.",
        Intermediate(|sub| {
            let identifier = Extension::authority_key_identifier(&[7; 20]);
            sub.set_extension(AUTHORITY_KEY_IDENTIFIER, &identifier.value);
        }),
    ),
];

fn constrain(certificate: &mut CertificateTemplate, constraints: &Extension) {
    certificate.set_extension(BASIC_CONSTRAINTS, &constraints.value);
}

/// The leaf with the device's own name as issuer, signed by the device.
fn of_the_device(forger: &Forger<'_>) -> Result<Vec<u8>, ForgeError> {
    let mut leaf = forger.leaf();
    leaf.issuer.clone_from(&leaf.subject);
    Ok(leaf.sign(forger.device.key())?)
}
