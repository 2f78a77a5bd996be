//! Judging again, and telling what is different.

use std::fmt;

use assay_attest::{
    AttestedDevice, Attribute, Check, DEVICE_COULD_NOT_ATTEST, DeviceInformation, IdentityFault,
    Outcome, Property, Refusal, Verifier,
};
use sha2::{Digest, Sha256};

use super::{
    Acme, Admission, Answer, Claims, DeviceInformationAnswer, Evidence, Facts, Recording, Verdict,
    excerpt,
};

/// A new judgement of a recording: what a recording claims, and why the evidence
/// was refused, which no recording claims.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judgement {
    /// The verdict, the facts and the root.
    pub claims: Claims,
    /// Why the evidence was refused; `None` if it was accepted.
    pub finding: Option<Finding>,
}

/// Why evidence was refused: the check that failed, and what exactly it found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The check's name: that of a [`Check`], `identity` (of the admitted
    /// device) or `device-error` (the device sent evidence).
    pub check: &'static str,
    /// What holds once the check passed, in one sentence.
    pub sentence: &'static str,
    /// The stable name of the reason, as in [`Verdict::reason`].
    pub reason: &'static str,
    /// What was found. It may quote the evidence, which may be forged.
    pub detail: String,
}

/// One claim that a new judgement does not bear out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The path of the key, for example `verdict.reason` or `facts.model`.
    pub field: &'static str,
    /// What the recording says; `None` where it says nothing. Of more than 1,024
    /// characters the first ones, the number of bytes and their SHA-256.
    pub recorded: Option<String>,
    /// What was found now, in the same way.
    pub replayed: Option<String>,
}

/// The texts may be an untrusted client's: they are quoted, so that none of them can
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
        self.judge_with_finding(verifier, now).claims
    }

    /// The same judgement as [`judge`](Self::judge), with the finding behind a
    /// refusal.
    #[must_use]
    pub fn judge_with_finding(&self, verifier: &Verifier, now: u64) -> Judgement {
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
        let mut differences = of_verdicts(&claimed.verdict, &judged.verdict);
        let mut compare = |field, recorded: Option<&str>, replayed: Option<&str>| {
            differences.extend(Difference::between(field, recorded, replayed));
        };
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

impl Facts {
    /// Each fact that is attested: its key under `facts`, and its text. Unknown
    /// extensions are one text, of which a long one is cut.
    #[must_use]
    pub fn texts(&self) -> Vec<(&'static str, String)> {
        let fields = self.fields().into_iter();
        fields
            .filter_map(|(field, text)| {
                let text = text.filter(|text| !text.is_empty())?;
                let key = field.strip_prefix("facts.").unwrap_or(field);
                Some((key, excerpt(text)))
            })
            .collect()
    }
}

impl Judgement {
    fn refused(refusal: Refusal) -> Self {
        Self {
            claims: Claims::refused(refusal.reason.as_str()),
            finding: Some(Finding {
                check: refusal.check.as_str(),
                sentence: refusal.check.sentence(),
                reason: refusal.reason.as_str(),
                detail: refusal.detail,
            }),
        }
    }

    fn device_error(text: &str) -> Self {
        Self {
            claims: Claims::refused(DEVICE_COULD_NOT_ATTEST),
            finding: Some(Finding {
                check: "device-error",
                sentence: "the device sent evidence, not an error of its own",
                reason: DEVICE_COULD_NOT_ATTEST,
                detail: format!("instead of evidence the device sent the error {text:?}"),
            }),
        }
    }
}

impl Difference {
    /// `None` if both are the same.
    pub(super) fn between(
        field: &'static str,
        recorded: Option<&str>,
        replayed: Option<&str>,
    ) -> Option<Self> {
        (recorded != replayed).then(|| Self {
            field,
            recorded: recorded.map(|text| excerpt(text.to_owned())),
            replayed: replayed.map(|text| excerpt(text.to_owned())),
        })
    }
}

/// The differences between a recorded verdict and a new one.
pub(super) fn of_verdicts(said: &Verdict, is: &Verdict) -> Vec<Difference> {
    [
        Difference::between("verdict.outcome", Some(&said.outcome), Some(&is.outcome)),
        Difference::between(
            "verdict.freshness",
            said.freshness.as_deref(),
            is.freshness.as_deref(),
        ),
        Difference::between(
            "verdict.reason",
            said.reason.as_deref(),
            is.reason.as_deref(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// As a server judges the answer to a challenge: genuine, fresh, and of the
/// device that was ordered for.
fn judge_acme(acme: &Acme, verifier: &Verifier, now: u64) -> Judgement {
    let object = match &acme.answer {
        Answer::DeviceError(text) => return Judgement::device_error(text),
        Answer::Object(object) => object,
    };
    let device = match verify_object(acme, object, verifier, now) {
        Err(refusal) => return Judgement::refused(refusal),
        Ok(device) => device,
    };
    let admission = &acme.admission;
    let fault = device
        .check_identity(admission.attribute, &admission.value)
        .err();
    let verdict = match fault {
        None => Verdict::accepted(),
        Some(fault) => Verdict::refused(fault.as_str()),
    };
    Judgement {
        claims: Claims::of_device(&device, verdict),
        finding: fault.map(|fault| identity(fault, &device, admission)),
    }
}

fn identity(fault: IdentityFault, device: &AttestedDevice, admission: &Admission) -> Finding {
    let (property, name) = match admission.attribute {
        Attribute::Serial => (Property::Serial, "serial number"),
        Attribute::Udid => (Property::Udid, "UDID"),
    };
    let expected = &admission.value;
    Finding {
        check: "identity",
        sentence: "the evidence is of the device that was admitted",
        reason: fault.as_str(),
        detail: match device.text(property) {
            Some(attested) => {
                format!("the attested {name} is {attested:?}, the admitted one is {expected:?}")
            }
            None => format!("no {name} is attested, the admitted one is {expected:?}"),
        },
    }
}

/// As an MDM judges a DeviceInformation answer: genuine, and for one of the
/// nonces that were sent. Which device it should be, the recording does not
/// say.
fn judge_information(answer: &DeviceInformationAnswer, verifier: &Verifier, now: u64) -> Judgement {
    match verify_information(answer, verifier, now) {
        Ok(information) => {
            let verdict = Verdict::accepted_as(information.freshness);
            Judgement {
                claims: Claims::of_device(&information.device, verdict),
                finding: None,
            }
        }
        Err(refusal) => Judgement::refused(refusal),
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
    Some(verify_object(acme, object, verifier, now))
}

fn verify_object(
    acme: &Acme,
    object: &[u8],
    verifier: &Verifier,
    now: u64,
) -> Result<AttestedDevice, Refusal> {
    let freshness = Sha256::digest(&acme.token).into();
    verifier.verify_object(object, &freshness, now)
}

fn verify_information(
    answer: &DeviceInformationAnswer,
    verifier: &Verifier,
    now: u64,
) -> Result<DeviceInformation, Refusal> {
    let chain: Vec<&[u8]> = answer.certificates.iter().map(Vec::as_slice).collect();
    verifier.verify_device_information(&chain, &answer.nonces, now)
}
