//! A laboratory: one pretend authority, one device, and verifiers of every
//! kind that must agree.

pub(crate) mod goods;

use assay_attest::{
    AttestedDevice, AwsLc, Reason, RustCrypto, SignatureVerifier, TrustAnchor, Verifier,
};
pub(crate) use assay_simulator::corpus::{NOW, SERIAL, UDID};
use assay_simulator::{
    Device, KeyType,
    authority::AttestationAuthority,
    evidence::{CertificateTemplate, DeviceProperties, Evidence},
    faults::Forger,
};

/// The freshness code that every test asks for.
pub(crate) const FRESHNESS: [u8; 32] = *b"\x04\x1eof a nonce that looks like DER";

pub(crate) struct Laboratory {
    pub(crate) authority: AttestationAuthority,
    pub(crate) device: Device,
    warm: Vec<Verifier>,
}

impl Laboratory {
    pub(crate) fn new() -> Self {
        let authority = AttestationAuthority::create(NOW).unwrap();
        let warm = verifiers(authority.root_der());
        Self {
            authority,
            device: Device::new(DeviceProperties::mac(SERIAL, UDID), KeyType::P256).unwrap(),
            warm,
        }
    }

    /// The leaf's fields for a Mac in good order.
    pub(crate) fn leaf(&self) -> CertificateTemplate {
        self.forger().leaf()
    }

    pub(crate) fn leaf_of(&self, properties: &DeviceProperties) -> CertificateTemplate {
        self.forger().leaf_of(properties)
    }

    /// Whoever forges for the device's challenge.
    pub(crate) fn forger(&self) -> Forger<'_> {
        Forger {
            authority: &self.authority,
            device: &self.device,
            freshness: FRESHNESS.to_vec(),
            key_authorization: "token.thumbprint".to_owned(),
            now: NOW,
        }
    }

    /// The object around a leaf with changed fields and the true intermediate.
    pub(crate) fn with_leaf(&self, change: impl FnOnce(&mut CertificateTemplate)) -> Vec<u8> {
        let mut leaf = self.leaf();
        change(&mut leaf);
        let leaf = leaf.sign(self.authority.sub_key()).unwrap();
        object(vec![leaf, self.authority.sub_der().to_vec()])
    }

    pub(crate) fn good_leaf(&self) -> Vec<u8> {
        self.leaf().sign(self.authority.sub_key()).unwrap()
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

pub(crate) fn object(chain: Vec<Vec<u8>>) -> Vec<u8> {
    Evidence { chain }.attestation_object()
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
