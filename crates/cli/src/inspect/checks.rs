//! The verifier's checks over evidence, each with its outcome.

use assay_attest::{
    AttestedDevice, Check, Outcome, Refusal, SentNonce, UnverifiedCertificate, Verifier,
};
use assay_proto::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    extension::APPLE,
    json::{CheckOutcome, CheckReport, Root, Verdict},
};

/// The suffix of the freshness code in Apple's arc.
const FRESHNESS: &str = "11.1";

/// What the evidence is asked.
pub(super) struct Question<'a> {
    /// When, in seconds since the Unix epoch.
    pub(super) at: u64,
    /// The token of the challenge that it answers, where that is known.
    pub(super) token: Option<&'a str>,
    /// Under which roots.
    pub(super) verifier: &'a Verifier,
}

/// The two surfaces of attestation.
pub(super) enum Evidence<'a> {
    /// `DevicePropertiesAttestation` of a DeviceInformation answer: DER, leaf
    /// first.
    Chain(&'a [&'a [u8]]),
    /// The object of a `device-attest-01` response.
    Object(&'a [u8]),
}

type Decoded = Result<UnverifiedCertificate, Refusal>;

/// Whether a chain is one of attestation: its leaf has an Apple property.
pub(super) fn is_attestation(leaf: Option<&Decoded>) -> bool {
    matches!(leaf, Some(Ok(leaf)) if leaf.extensions.iter().any(|one| one.oid.starts_with(APPLE)))
}

impl Question<'_> {
    /// Puts evidence through every check. Without a token the freshness code is
    /// held against itself, and the check is told as not asked.
    pub(super) fn judge(&self, evidence: &Evidence<'_>, leaf: Option<&Decoded>) -> Verdict {
        let expected = match self.token {
            Some(token) => Sha256::digest(token).to_vec(),
            None => freshness_code(leaf).to_vec(),
        };
        let judged = self.verify(evidence, &expected);
        let refusal = judged.as_ref().err();
        Verdict {
            at: Timestamp(self.at),
            root: judged.as_ref().ok().map(root),
            checks: Check::outcomes(refusal)
                .map(|(check, outcome)| self.line(check, outcome, refusal))
                .collect(),
        }
    }

    fn verify(&self, evidence: &Evidence<'_>, expected: &[u8]) -> Result<AttestedDevice, Refusal> {
        match evidence {
            Evidence::Object(object) => {
                // A code of another length cannot equal this one either, and
                // is refused for its length.
                let expected = expected.try_into().unwrap_or([0; 32]);
                self.verifier.verify_object(object, &expected, self.at)
            }
            Evidence::Chain(chain) => {
                let nonces: Vec<_> = SentNonce::new(expected, self.at).into_iter().collect();
                let answer = self
                    .verifier
                    .verify_device_information(chain, &nonces, self.at)?;
                Ok(answer.device)
            }
        }
    }

    fn line(&self, check: Check, outcome: Outcome, refusal: Option<&Refusal>) -> CheckReport {
        let (outcome, refusal) = match outcome {
            Outcome::Passed if check == Check::Freshness && self.token.is_none() => {
                (CheckOutcome::NotAsked, None)
            }
            Outcome::Passed => (CheckOutcome::Passed, None),
            Outcome::Failed(_) => (CheckOutcome::Failed, refusal),
            Outcome::NotReached => (CheckOutcome::NotReached, None),
        };
        CheckReport {
            check: check.as_str(),
            meaning: check.sentence(),
            outcome,
            fault: refusal.cloned().map(super::certificate::fault),
        }
    }
}

fn freshness_code(leaf: Option<&Decoded>) -> &[u8] {
    let Some(Ok(leaf)) = leaf else {
        return &[];
    };
    leaf.extensions
        .iter()
        .find(|one| one.oid.strip_prefix(APPLE) == Some(FRESHNESS))
        .map_or(&[], |one| one.value.as_slice())
}

fn root(device: &AttestedDevice) -> Root {
    Root {
        name: device.root_name.clone(),
        sha256: hex::encode(device.root_sha256),
        laboratory: device.laboratory,
    }
}
