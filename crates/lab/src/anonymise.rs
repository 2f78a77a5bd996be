//! Makes a recording of an invented device that is judged as the original was.
//!
//! A signed leaf cannot be redacted in place. So a new one is made, signed by
//! an authority that is created for this one file and whose keys are not kept.

mod invent;
mod invented_device;
mod issuance;
mod leaf;
mod leak;
mod meaning;
mod original;

use anyhow::{Context as _, bail};
use assay_attest::{AwsLc, Check, Outcome, TrustAnchor, Verifier};
use assay_recording::{Answer, Claims, Contents, DeviceInformationAnswer, Evidence, Recording};
use assay_simulator::faults::{Fault, ForgeError, Forger, Forgery};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

pub use self::{
    invent::RandomSource,
    meaning::{Meaning, Means, Way},
};
use self::{invented_device::InventedDevice, leaf::Rebuilt, original::Original};

/// Replaces the error text that a device sent.
const DEVICE_ERROR: &str = "anonymised";

/// The new recording, and what it still says about the original.
pub struct Anonymised {
    /// The new recording.
    pub recording: Recording,
    /// How the new evidence was made.
    pub way: Way,
    /// Every check, in order.
    pub meanings: Vec<Meaning>,
}

/// New evidence that may be judged as the recorded one was.
struct Candidate {
    evidence: Evidence,
    way: Way,
}

/// Makes the new recording of one that is judged by `verifier`, at the time `at`
/// (seconds since the Unix epoch), as it claims.
///
/// # Errors
/// The recording is judged otherwise than it claims; something in it cannot be
/// replaced; or the new one would be judged otherwise: then the error names the
/// check that would mean something else.
pub fn anonymise(
    recording: &Recording,
    verifier: &Verifier,
    at: u64,
    random: &mut RandomSource<'_>,
) -> anyhow::Result<Anonymised> {
    let claims = recording.judge(verifier, at);
    if let Some(difference) = recording.differences(&claims).first() {
        bail!(
            "its replay differs from its recorded verdict, and only a true one is anonymised: {difference}"
        );
    }
    let reason = claims.verdict.reason.clone();
    let work = Work::prepare(recording, verifier, claims, at, random)?;
    let failure = match work.closest()? {
        Some(candidate) => match work.hold(candidate)? {
            Ok(anonymised) => return Ok(anonymised),
            Err(failure) => failure,
        },
        None => "the leaf cannot be made again".to_owned(),
    };
    for fault in reason.as_deref().into_iter().flat_map(meaning::faults) {
        if let Some(candidate) = work.forge(fault)?
            && let Ok(anonymised) = work.hold(candidate)?
        {
            return Ok(anonymised);
        }
    }
    bail!(
        "nothing stands for this evidence: {failure}, and no fault that can be forged is judged the same"
    )
}

/// What all attempts have in common.
struct Work<'a> {
    recording: &'a Recording,
    /// How it is judged.
    claims: Claims,
    /// When, in seconds since the Unix epoch.
    at: u64,
    original: Original,
    invented: InventedDevice,
    /// Trusts the new root alone.
    verifier: Verifier,
    /// The outcome of each check of the original.
    before: Option<Vec<(Check, Outcome)>>,
}

impl<'a> Work<'a> {
    fn prepare(
        recording: &'a Recording,
        verifier: &Verifier,
        claims: Claims,
        at: u64,
        random: &mut RandomSource<'_>,
    ) -> anyhow::Result<Self> {
        let evidence = &recording.contents().evidence;
        let original = Original::read(evidence);
        let invented = InventedDevice::invent(evidence, &original, at, random)?;
        let anchor = TrustAnchor::laboratory(invented.authority.root_der(), "laboratory")
            .context("no laboratory's certificate can be made for the recorded time")?;
        Ok(Self {
            recording,
            claims,
            at,
            original,
            invented,
            verifier: Verifier::new(vec![anchor], Box::new(AwsLc)),
            before: recording.checks(verifier, at),
        })
    }

    /// The evidence that is closest to the original: empty if that is empty,
    /// otherwise a rebuilt leaf.
    fn closest(&self) -> anyhow::Result<Option<Candidate>> {
        let nothing = match &self.recording.contents().evidence {
            Evidence::Acme(acme) => match &acme.answer {
                Answer::DeviceError(_) => Some(Forgery::Object(Vec::new())),
                Answer::Object(object) => object.is_empty().then(|| Forgery::Object(Vec::new())),
            },
            Evidence::DeviceInformation(answer) => answer
                .certificates
                .is_empty()
                .then(|| Forgery::Chain(Vec::new())),
        };
        if let Some(nothing) = nothing {
            return self.candidate(&nothing, Way::AsItWas);
        }
        let Some(leaf) = self
            .original
            .leaf()
            .filter(|_| self.original.key_type().is_some())
        else {
            return Ok(None);
        };
        match leaf::rebuild(leaf, &self.invented, self.at)? {
            Some(Rebuilt { chain, left_out }) => {
                self.candidate(&Forgery::Chain(chain), Way::Rebuilt { left_out })
            }
            None => Ok(None),
        }
    }

    /// Evidence with this fault; `None` where this device or this source cannot
    /// have it.
    fn forge(&self, fault: &'static Fault) -> anyhow::Result<Option<Candidate>> {
        let forger = Forger {
            authority: &self.invented.authority,
            device: &self.invented.device,
            freshness: self.invented.freshness.clone(),
            key_authorization: self.invented.key_authorization(),
            now: self.at,
        };
        match fault.forge(&forger) {
            Ok(forgery) => self.candidate(&forgery, Way::Forged(fault)),
            Err(ForgeError::NoDifference { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// `None` where the source cannot carry it.
    fn candidate(&self, forgery: &Forgery, way: Way) -> anyhow::Result<Option<Candidate>> {
        let evidence = match &self.recording.contents().evidence {
            Evidence::Acme(acme) => {
                let mut new = self.invented.enrolment(acme, &self.original)?;
                new.answer = match acme.answer {
                    Answer::DeviceError(_) => Answer::DeviceError(DEVICE_ERROR.to_owned()),
                    Answer::Object(_) => Answer::Object(match &way {
                        Way::AsItWas => Vec::new(),
                        _ => forgery.attestation_object(),
                    }),
                };
                Evidence::Acme(Box::new(new))
            }
            Evidence::DeviceInformation(answer) => {
                let Some(chain) = forgery.chain() else {
                    return Ok(None);
                };
                Evidence::DeviceInformation(DeviceInformationAnswer::new(
                    self.invented.nonces(&answer.nonces)?,
                    chain.to_vec(),
                ))
            }
        };
        Ok(Some(Candidate { evidence, way }))
    }

    /// The recording of a candidate if it is judged as the original was, check by
    /// check; otherwise what is different.
    fn hold(&self, candidate: Candidate) -> anyhow::Result<Result<Anonymised, String>> {
        let (old, at) = (self.recording, self.at);
        let Candidate { evidence, way } = candidate;
        // Note and labels are left out: they may contain anything.
        let mut contents = Contents::new(old.time(), evidence, self.expected()?);
        contents.embedded_root = Some(self.invented.authority.root_der().to_vec());
        let expected = Recording::new(contents)?;
        let claims = expected.judge(&self.verifier, at);
        let checks = expected.checks(&self.verifier, at);
        if let Some(check) = self.first_changed(checks.as_deref()) {
            return Ok(Err(format!(
                "the check {check} means something else for it"
            )));
        }
        if let Some(difference) = expected.differences(&claims).first() {
            return Ok(Err(difference.to_string()));
        }
        if let Some(what) = leak::find(old, &self.original, &expected) {
            bail!("the {what} stands in another place of it too, where it cannot be replaced");
        }
        Ok(Ok(Anonymised {
            meanings: meaning::all(old, &self.original, checks.as_deref(), &way),
            recording: expected,
            way,
        }))
    }

    /// The first check whose outcome is not that of the original.
    fn first_changed(&self, checks: Option<&[(Check, Outcome)]>) -> Option<Check> {
        let before = self.before.as_deref().unwrap_or_default();
        let now = checks.unwrap_or_default();
        let turned = before.iter().zip(now).find(|(one, other)| one != other);
        turned.map(|((check, _), _)| *check)
    }

    /// The claims that the new recording must have: the verdict on the original,
    /// about the invented device.
    fn expected(&self) -> anyhow::Result<Claims> {
        let judged = &self.claims;
        let name = |text: &Option<String>| {
            text.as_deref()
                .map(|text| self.invented.names.of(text))
                .transpose()
        };
        let hash = |bytes: &[u8]| HEXLOWER.encode(&Sha256::digest(bytes));
        let mut claims = Claims::of_verdict(judged.verdict.clone());
        let Some(facts) = &judged.facts else {
            return Ok(claims);
        };
        let mut new = facts.clone();
        new.serial = name(&facts.serial)?;
        new.udid = name(&facts.udid)?;
        new.unknown_extensions = Vec::new();
        new.spki_sha256 = hash(&self.invented.device.spki_der());
        claims.facts = Some(new);
        claims.root_sha256 = Some(hash(self.invented.authority.root_der()));
        Ok(claims)
    }
}

#[cfg(test)]
mod tests;
