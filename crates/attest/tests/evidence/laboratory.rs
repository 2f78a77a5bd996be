//! A laboratory: one pretend authority, one device, and verifiers of every
//! kind that must agree.

pub(crate) mod faults;
pub(crate) mod goods;

use assay_attest::{
    AttestedDevice, AwsLc, Reason, RustCrypto, SignatureVerifier, TrustAnchor, Verifier,
};
use assay_simulator::{
    authority::AttestationAuthority,
    evidence::{Cbor, CertificateTemplate, DeviceProperties, Evidence, Extension},
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData};

/// The time of every test, seconds since the Unix epoch.
pub(crate) const NOW: u64 = 1_795_000_000;
/// The freshness code that every test asks for.
pub(crate) const FRESHNESS: [u8; 32] = *b"\x04\x1eof a nonce that looks like DER";
pub(crate) const SERIAL: &str = "C02XK0AAJHD2";
pub(crate) const UDID: &str = "00008112-000A1B2C3D4E5F60";

pub(crate) struct Laboratory {
    pub(crate) authority: AttestationAuthority,
    pub(crate) device: KeyPair,
    warm: Vec<Verifier>,
}

impl Laboratory {
    pub(crate) fn new() -> Self {
        let authority = AttestationAuthority::create(NOW).unwrap();
        let warm = verifiers(authority.root_der());
        Self {
            authority,
            device: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            warm,
        }
    }

    /// The leaf's fields for a Mac in good order.
    pub(crate) fn leaf(&self) -> CertificateTemplate {
        self.leaf_of(&DeviceProperties::mac(SERIAL, UDID))
    }

    pub(crate) fn leaf_of(&self, properties: &DeviceProperties) -> CertificateTemplate {
        let spki = self.device.subject_public_key_info();
        self.authority
            .leaf_template(properties, &spki, &FRESHNESS, NOW)
    }

    /// The object around a leaf with changed fields and the true intermediate.
    pub(crate) fn with_leaf(&self, change: impl FnOnce(&mut CertificateTemplate)) -> Vec<u8> {
        let mut leaf = self.leaf();
        change(&mut leaf);
        let leaf = leaf.sign(self.authority.sub_key()).unwrap();
        object(vec![leaf, self.authority.sub_der().to_vec()])
    }

    /// The object around a good leaf and an intermediate with changed fields.
    pub(crate) fn with_intermediate(
        &self,
        change: impl FnOnce(&mut CertificateTemplate),
    ) -> Vec<u8> {
        let mut sub = self.authority.sub_template(NOW);
        change(&mut sub);
        let sub = sub.sign(self.authority.root_key()).unwrap();
        object(vec![self.good_leaf(), sub])
    }

    pub(crate) fn good_leaf(&self) -> Vec<u8> {
        self.leaf().sign(self.authority.sub_key()).unwrap()
    }

    /// A chain of one more CA than Apple's; the path length of the upper one.
    pub(crate) fn deeper_chain(&self, path_length: Option<u64>) -> Vec<Vec<u8>> {
        let lower_key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let mut upper = self.authority.sub_template(NOW);
        *upper.extension_mut("2.5.29.19").unwrap() =
            Extension::basic_constraints(true, path_length);
        let mut lower = self.authority.sub_template(NOW);
        lower.issuer.clone_from(&upper.subject);
        lower.subject = renamed(&upper.subject);
        lower.spki = lower_key.subject_public_key_info();
        lower.remove_extension("2.5.29.35");
        lower.remove_extension("2.5.29.14");
        let mut leaf = self.leaf();
        leaf.issuer.clone_from(&lower.subject);
        vec![
            leaf.sign(&lower_key).unwrap(),
            lower.sign(self.authority.sub_key()).unwrap(),
            upper.sign(self.authority.root_key()).unwrap(),
        ]
    }

    /// Judges an object at [`NOW`].
    pub(crate) fn judge(&self, object: &[u8]) -> Result<AttestedDevice, Reason> {
        self.judge_at(object, NOW)
    }

    /// Judges an object by every back-end, with an empty memory and with the
    /// one of all judgements before: they must agree.
    pub(crate) fn judge_at(&self, object: &[u8], now: u64) -> Result<AttestedDevice, Reason> {
        let cold = verifiers(self.authority.root_der());
        let mut verdicts = cold.iter().chain(&self.warm).map(|verifier| {
            verifier
                .verify_object(object, &FRESHNESS, now)
                .map_err(|refusal| refusal.reason)
        });
        let verdict = verdicts.next().unwrap();
        for other in verdicts {
            assert_eq!(other, verdict);
        }
        verdict
    }
}

/// The same name with a digit changed: "Sub CA 1" becomes "Sub CA 2".
pub(crate) fn renamed(name: &[u8]) -> Vec<u8> {
    replaced(name, b"CA 1", b"CA 2")
}

/// Every occurrence of some bytes replaced by as many others.
pub(crate) fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = bytes.to_vec();
    let places: Vec<usize> = (0..=bytes.len() - from.len())
        .filter(|start| bytes[*start..].starts_with(from))
        .collect();
    assert!(!places.is_empty(), "nothing to replace");
    for start in places {
        out[start..start + to.len()].copy_from_slice(to);
    }
    out
}

pub(crate) fn object(chain: Vec<Vec<u8>>) -> Vec<u8> {
    Evidence { chain }.attestation_object()
}

pub(crate) fn statement_object(format: &str, statement: Cbor) -> Vec<u8> {
    Cbor::attestation_object(format, statement).encode()
}

pub(crate) fn backends() -> [Box<dyn SignatureVerifier>; 2] {
    [Box::new(RustCrypto), Box::new(AwsLc)]
}

/// One verifier for each back-end, all of which trust Apple and one laboratory.
pub(crate) fn verifiers(root: &[u8]) -> Vec<Verifier> {
    backends()
        .into_iter()
        .map(|backend| {
            let laboratory = TrustAnchor::laboratory(root, "test laboratory").unwrap();
            Verifier::new(vec![TrustAnchor::apple(), laboratory], backend)
        })
        .collect()
}
