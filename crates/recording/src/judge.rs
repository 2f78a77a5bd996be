//! Judging again, and telling what is different.

use std::fmt;

use assay_attest::{
    AttestedDevice, Check, DEVICE_COULD_NOT_ATTEST, DeviceInformation, Outcome, Refusal, Verifier,
};
use sha2::{Digest, Sha256};

use super::{Acme, Answer, Claims, DeviceInformationAnswer, Evidence, Recording, Verdict, excerpt};

/// One claim that a new judgement does not bear out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path of the key, for example `verdict.reason` or `facts.model`.
    pub field: &'static str,
    /// What the recording says; `None` where it says nothing. Of more than 1,024
    /// characters the first ones, the number of bytes and their SHA-256.
    pub recorded: Option<String>,
    /// What was found now, in the same way.
    pub replayed: Option<String>,
}

/// The texts may be a stranger's: they are quoted, so that none of them can
/// disturb a terminal.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: recorded ", self.field)?;
        quoted(self.recorded.as_deref(), f)?;
        f.write_str(", replayed ")?;
        quoted(self.replayed.as_deref(), f)
    }
}

fn quoted(text: Option<&str>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match text {
        Some(text) => write!(f, "{text:?}"),
        None => f.write_str("nothing"),
    }
}

impl Recording {
    /// Judges the evidence as if it came now, at `now` (seconds since the Unix
    /// epoch), under the verifier's roots. The recording's claims and the root
    /// that it contains are ignored.
    #[must_use]
    pub fn judge(&self, verifier: &Verifier, now: u64) -> Claims {
        match &self.contents().evidence {
            Evidence::Acme(acme) => judge_acme(acme, verifier, now),
            Evidence::DeviceInformation(answer) => judge_information(answer, verifier, now),
        }
    }

    /// The outcome of each check of the evidence, in order, judged at `now`;
    /// `None` if the device sent an error instead of evidence.
    #[must_use]
    pub fn checks(&self, verifier: &Verifier, now: u64) -> Option<Vec<(Check, Outcome)>> {
        let refusal = match &self.contents().evidence {
            Evidence::Acme(acme) => verify_acme(acme, verifier, now)?.err(),
            Evidence::DeviceInformation(answer) => verify_information(answer, verifier, now).err(),
        };
        Some(Check::outcomes(refusal.as_ref()).collect())
    }

    /// Every claim of the recording that a judgement does not bear out, in the
    /// order of the file's keys; none where all of it is the same.
    #[must_use]
    pub fn differences(&self, judged: &Claims) -> Vec<Difference> {
        let claimed = &self.contents().claims;
        let mut differences = Vec::new();
        let mut compare = |field, recorded: Option<&str>, replayed: Option<&str>| {
            if recorded != replayed {
                differences.push(Difference {
                    field,
                    recorded: recorded.map(|text| excerpt(text.to_owned())),
                    replayed: replayed.map(|text| excerpt(text.to_owned())),
                });
            }
        };
        let (said, is) = (&claimed.verdict, &judged.verdict);
        compare("verdict.outcome", Some(&said.outcome), Some(&is.outcome));
        compare(
            "verdict.freshness",
            said.freshness.as_deref(),
            is.freshness.as_deref(),
        );
        compare(
            "verdict.reason",
            said.reason.as_deref(),
            is.reason.as_deref(),
        );
        match (&claimed.facts, &judged.facts) {
            (Some(said), Some(are)) => {
                for ((field, said), (_, is)) in said.fields().iter().zip(are.fields()) {
                    compare(field, said.as_deref(), is.as_deref());
                }
            }
            (said, are) => compare(
                "facts",
                said.as_ref().map(|_| "some"),
                are.as_ref().map(|_| "some"),
            ),
        }
        compare(
            "root_sha256",
            claimed.root_sha256.as_deref(),
            judged.root_sha256.as_deref(),
        );
        differences
    }
}

/// As a server judges the answer to a challenge: genuine, fresh, and of the
/// device that was ordered for.
fn judge_acme(acme: &Acme, verifier: &Verifier, now: u64) -> Claims {
    let device = match verify_acme(acme, verifier, now) {
        None => return Claims::refused(DEVICE_COULD_NOT_ATTEST),
        Some(Err(refusal)) => return Claims::refused(refusal.reason.as_str()),
        Some(Ok(device)) => device,
    };
    let admission = &acme.admission;
    let verdict = match device.check_identity(admission.attribute, &admission.value) {
        Ok(()) => Verdict::accepted(),
        Err(fault) => Verdict::refused(fault.as_str()),
    };
    Claims::of_device(&device, verdict)
}

/// As an MDM judges a DeviceInformation answer: genuine, and for one of the
/// nonces that were sent. Which device it should be, the recording does not
/// say.
fn judge_information(answer: &DeviceInformationAnswer, verifier: &Verifier, now: u64) -> Claims {
    match verify_information(answer, verifier, now) {
        Ok(information) => {
            let verdict = Verdict::accepted_as(information.freshness);
            Claims::of_device(&information.device, verdict)
        }
        Err(refusal) => Claims::refused(refusal.reason.as_str()),
    }
}

/// `None` where there is no evidence.
fn verify_acme(
    acme: &Acme,
    verifier: &Verifier,
    now: u64,
) -> Option<Result<AttestedDevice, Refusal>> {
    let Answer::Object(object) = &acme.answer else {
        return None;
    };
    let freshness = Sha256::digest(&acme.token).into();
    Some(verifier.verify_object(object, &freshness, now))
}

fn verify_information(
    answer: &DeviceInformationAnswer,
    verifier: &Verifier,
    now: u64,
) -> Result<DeviceInformation, Refusal> {
    let chain: Vec<&[u8]> = answer.certificates.iter().map(Vec::as_slice).collect();
    verifier.verify_device_information(&chain, &answer.nonces, now)
}
