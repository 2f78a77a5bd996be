//! The one thing that is broken, and the reason that must be given.

use assay_attest::Reason;
use assay_simulator::evidence::{Extension, oids};
use proptest::sample::Index;

use super::shape::{
    BASIC_CONSTRAINTS, KEY_USAGE, KEYS, MAX_CAS, NOW, Shape, as_u64, identifier, name,
};

/// The one broken thing. Where it lies is an index of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    AlgorithmMismatch,
    AuthorityKeyIdentifier,
    CaFalse,
    CaWithoutBasicConstraints,
    CaWithoutCertSign,
    CaWithoutKeyUsage,
    CertificateMissing,
    Critical,
    ExtensionTwice,
    Expired,
    Freshness,
    IssuerName,
    LeafCertSign,
    LeafIsCa,
    NameConstraints,
    NotYetValid,
    Order,
    PathLength,
    SerialNumber,
    SignatureBit,
    SignedByAnother,
    Version,
}

pub(super) const FAULTS: [Fault; 22] = [
    Fault::AlgorithmMismatch,
    Fault::AuthorityKeyIdentifier,
    Fault::CaFalse,
    Fault::CaWithoutBasicConstraints,
    Fault::CaWithoutCertSign,
    Fault::CaWithoutKeyUsage,
    Fault::CertificateMissing,
    Fault::Critical,
    Fault::ExtensionTwice,
    Fault::Expired,
    Fault::Freshness,
    Fault::IssuerName,
    Fault::LeafCertSign,
    Fault::LeafIsCa,
    Fault::NameConstraints,
    Fault::NotYetValid,
    Fault::Order,
    Fault::PathLength,
    Fault::SerialNumber,
    Fault::SignatureBit,
    Fault::SignedByAnother,
    Fault::Version,
];

impl Shape {
    /// The chain with this fault, root last, and the reason that must be given;
    /// `None` where this shape cannot have it.
    pub(super) fn broken(&self, fault: Fault, place: Index) -> Option<(Vec<Vec<u8>>, Reason)> {
        let root = self.root();
        let any = place.index(root);
        let ca = 1 + place.index(root - 1);
        let mut templates = self.templates();
        let reason = match fault {
            Fault::AlgorithmMismatch => {
                let other = (self.links[any + 1].key + 1) % KEYS.len();
                templates[any]
                    .inner_algorithm
                    .clone_from(&KEYS[other].algorithm);
                Reason::SignatureAlgorithmMismatch
            }
            Fault::AuthorityKeyIdentifier => {
                if !self.links[any + 1].subject_key_identifier {
                    return None;
                }
                templates[any].remove_extension("2.5.29.35");
                let other = Extension::authority_key_identifier(&identifier(any));
                templates[any].extensions.push(other);
                Reason::KeyIdentifierMismatch
            }
            Fault::CaFalse => {
                *templates[ca].extension_mut(BASIC_CONSTRAINTS)? =
                    Extension::basic_constraints(false, None);
                Reason::NotACa
            }
            Fault::CaWithoutBasicConstraints => {
                templates[ca].remove_extension(BASIC_CONSTRAINTS);
                Reason::NotACa
            }
            Fault::CaWithoutCertSign => {
                *templates[ca].extension_mut(KEY_USAGE)? = Extension::key_usage(&[1, 2]);
                Reason::KeyUsage
            }
            Fault::CaWithoutKeyUsage => {
                templates[ca].remove_extension(KEY_USAGE);
                Reason::KeyUsage
            }
            Fault::CertificateMissing => {
                let mut chain = self.sign(&templates);
                chain.remove(ca);
                let reason = match (root, self.with_root) {
                    (2, _) => Reason::IncompleteChain,
                    // The uppermost: what is left ends at a name that no
                    // root has.
                    _ if ca == root - 1 && !self.with_root => Reason::UnknownAnchor,
                    _ => Reason::IssuerMismatch,
                };
                return Some((chain, reason));
            }
            Fault::Critical => {
                templates[any]
                    .extensions
                    .push(Extension::new("1.2.4", b"").critical());
                Reason::UnknownCriticalExtension
            }
            Fault::ExtensionTwice => {
                let extension = templates[any].extensions[0].clone();
                let reason = match extension.oid.as_str() {
                    oids::FRESHNESS => Reason::FreshnessRepeated,
                    oid if oid.starts_with("1.2.840.113635.100.8.") => Reason::PropertyRepeated,
                    _ => Reason::DuplicateExtension,
                };
                templates[any].extensions.push(extension);
                reason
            }
            Fault::Expired => {
                templates[any].not_after = NOW - 1;
                templates[any].not_before = NOW - 2;
                Reason::Expired
            }
            Fault::Freshness => {
                templates[0].extension_mut(oids::FRESHNESS)?.value[any] ^= 1;
                Reason::FreshnessMismatch
            }
            Fault::IssuerName => {
                templates[any].issuer = name(MAX_CAS + 3);
                if any == root - 1 && !self.with_root {
                    Reason::UnknownAnchor
                } else {
                    Reason::IssuerMismatch
                }
            }
            Fault::LeafCertSign => {
                templates[0].remove_extension(KEY_USAGE);
                templates[0].extensions.push(Extension::key_usage(&[2, 4]));
                Reason::LeafIsCa
            }
            Fault::LeafIsCa => {
                templates[0].remove_extension(BASIC_CONSTRAINTS);
                templates[0]
                    .extensions
                    .push(Extension::basic_constraints(true, None));
                Reason::LeafIsCa
            }
            Fault::NameConstraints => {
                templates[any]
                    .extensions
                    .push(Extension::new("2.5.29.30", b"\x30\0"));
                Reason::NameConstraints
            }
            Fault::NotYetValid => {
                templates[any].not_before = NOW + 1;
                templates[any].not_after = NOW + 2;
                Reason::NotYetValid
            }
            Fault::Order => {
                let mut chain = self.sign(&templates);
                let lower = any.min(root - 2);
                chain.swap(lower, lower + 1);
                let reason = match lower {
                    // A CA in the leaf's place: its key is asked for first,
                    // then the freshness code that it lacks.
                    0 if KEYS[self.links[1].key].is_rsa => Reason::KeyNotSupported,
                    0 => Reason::FreshnessMissing,
                    _ => Reason::IssuerMismatch,
                };
                return Some((chain, reason));
            }
            Fault::PathLength => {
                // The root may forbid it, too.
                let above = 2 + place.index(root - 1);
                let too_few = as_u64(above) - 2;
                *templates[above].extension_mut(BASIC_CONSTRAINTS)? =
                    Extension::basic_constraints(true, Some(too_few));
                Reason::PathLengthExceeded
            }
            Fault::SerialNumber => {
                templates[any].serial = vec![0];
                Reason::CertificateSerialNumber
            }
            Fault::SignatureBit => {
                let mut chain = self.sign(&templates);
                *chain[any].last_mut()? ^= 1;
                return Some((chain, Reason::BadSignature));
            }
            Fault::SignedByAnother => {
                let mut chain = self.sign(&templates);
                chain[any] = templates[any].sign(&self.signer(any).pair[1]).unwrap();
                return Some((chain, Reason::BadSignature));
            }
            Fault::Version => {
                templates[any].version = Some(1);
                Reason::CertificateVersion
            }
        };
        Some((self.sign(&templates), reason))
    }
}
