//! The verifier's checks over evidence, each for itself: evidence that expired in
//! August may be genuine, and an operator asks just that.

use assay_attest::{Check, Examination, Examined, SentNonce, SignedStatement, Verifier};
use assay_proto::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    certificate::{Decoded, fault},
    extension::APPLE,
    json::{CheckOutcome, CheckReport, Fact, Facts, Root, Verdict},
};

/// What the evidence is asked.
pub(super) struct Question<'a> {
    /// When, in seconds since the Unix epoch.
    pub(super) at: u64,
    /// The token of the challenge that it answers, where that is known.
    pub(super) token: Option<&'a str>,
    /// Or the freshness code itself.
    pub(super) nonce: Option<&'a [u8]>,
    /// Or the nonces that a recording says were sent.
    pub(super) nonces: &'a [SentNonce],
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

/// Whether a chain is one of attestation: its leaf has an Apple property.
pub(super) fn is_attestation(leaf: Option<&Decoded>) -> bool {
    let apple = |leaf: &Decoded| match leaf {
        Ok(leaf) => (leaf.certificate.extensions.iter()).any(|one| one.oid.starts_with(APPLE)),
        Err(_) => false,
    };
    leaf.is_some_and(apple)
}

impl Question<'_> {
    /// Puts evidence through every check. Without a token or nonce the freshness
    /// code is compared with nothing.
    pub(super) fn judge(&self, evidence: &Evidence<'_>) -> Verdict {
        let examination = self.examine(evidence);
        Verdict {
            at: Timestamp(self.at),
            root: examination.statement().map(root),
            facts: facts(&examination),
            checks: examination
                .checks()
                .iter()
                .map(|(check, examined)| line(*check, examined))
                .collect(),
        }
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        let code: Option<Vec<u8>> = match (self.nonce, self.token) {
            (Some(nonce), _) => Some(nonce.to_owned()),
            (None, Some(token)) => Some(Sha256::digest(token).to_vec()),
            (None, None) => None,
        };
        match evidence {
            Evidence::Object(object) => {
                // A nonce of another length cannot be the code of an object,
                // which has 32 bytes.
                let expected = code.map(|code| code.try_into().unwrap_or([0; 32]));
                self.verifier
                    .examine_object(object, expected.as_ref(), self.at)
            }
            Evidence::Chain(chain) => {
                let nonces = match code {
                    Some(code) => SentNonce::new(&code, self.at).ok().map(|one| vec![one]),
                    None => (!self.nonces.is_empty()).then(|| self.nonces.to_vec()),
                };
                self.verifier
                    .examine_device_information(chain, nonces.as_deref(), self.at)
            }
        }
    }
}

fn line(check: Check, examined: &Examined) -> CheckReport {
    let (outcome, refusal) = outcome(examined);
    CheckReport {
        check: check.as_str(),
        meaning: check.sentence(),
        outcome,
        fault: refusal.cloned().map(fault),
    }
}

fn outcome(examined: &Examined) -> (CheckOutcome, Option<&assay_attest::Refusal>) {
    match examined {
        Examined::Failed(refusal) => (CheckOutcome::Failed, Some(refusal)),
        Examined::NotAsked => (CheckOutcome::NotAsked, None),
        Examined::NotReached => (CheckOutcome::NotReached, None),
        Examined::Passed => (CheckOutcome::Passed, None),
    }
}

/// The four questions of an operator, none of which hides another.
fn facts(examination: &Examination) -> Facts {
    let of = |checks: &[Check]| {
        let mut fact = Fact {
            outcome: CheckOutcome::Passed,
            fault: None,
        };
        let mut asked = (examination.checks().iter())
            .filter(|(check, _)| checks.contains(check))
            .map(|(_, examined)| outcome(examined));
        // One that failed says more than one that was not reached.
        while fact.outcome != CheckOutcome::Failed
            && let Some((outcome, refusal)) = asked.next()
        {
            if outcome != CheckOutcome::Passed {
                fact.outcome = outcome;
                fact.fault = refusal.cloned().map(fault);
            }
        }
        fact
    };
    Facts {
        chain: of(&[
            Check::Object,
            Check::Certificates,
            Check::Chain,
            Check::Path,
            Check::Anchor,
            Check::Signatures,
        ]),
        freshness: of(&[Check::Freshness]),
        dates: of(&[Check::Validity]),
        key: of(&[Check::Key]),
        properties: of(&[Check::Properties]),
    }
}

fn root(statement: &SignedStatement) -> Root {
    Root {
        name: statement.root_name.clone(),
        sha256: hex::encode(statement.root_sha256),
        laboratory: statement.laboratory,
    }
}
