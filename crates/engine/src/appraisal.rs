//! Second gate, at the challenge: does the evidence match the order?

use assay_attest::{
    AttestedDevice, DEVICE_COULD_NOT_ATTEST, IdentityFault, KeyKind as AttestedKeyKind, Reason,
    Refusal, UnverifiedObject, Verifier,
};
use assay_proto::{AttestationResponse, Base64Url, Problem, ProblemType, Subproblem, Timestamp};

use crate::{
    domain::{
        Attribute, Authorization, DeviceFacts, EvidenceRecord, Failure, Gate, KeyKind, Token,
    },
    error::Error,
    sha256,
    stale::{self, SecondLooks},
    text::is_unsafe_to_print,
};

/// The longest text of a device's own error that is kept, in characters.
const MAX_DEVICE_ERROR: usize = 200;

/// The same limit for an error beside evidence, which leaves room for the
/// finding about the evidence.
const MAX_ERROR_BESIDE: usize = 60;

/// The operator's explanation of an answer without an object. Apple's client
/// sends one when its profile does not ask for an attestation.
const NO_ATTESTATION: &str = "the device sent no attestation: Attest is false or not supported. \
     Usual causes, in the ACME payload of the profile: Attest is missing or false, HardwareBound \
     is false, KeyType is RSA; or the device cannot attest: a Mac without Apple silicon (T2 or \
     older), or a system that is too old";

/// The operator's explanation of an object without certificates and without an
/// error.
const NO_CERTIFICATES: &str = "the device sent an attestation without certificates: Apple's \
     attestation servers gave it none. Let it order again later";

/// A device's answer to its challenge, parsed but not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An attestation object; it may be empty.
    Object(Vec<u8>),
    /// The device reports that it could not attest, in its own text, without
    /// control characters and truncated.
    Error(String),
}

/// An answer and its verdict.
pub(crate) struct Appraisal {
    pub(crate) answer: Answer,
    /// The device that the evidence proves; it may differ from the ordered one.
    pub(crate) device: Option<AttestedDevice>,
    /// The record of good evidence, or the failure for the client and for the
    /// operator.
    pub(crate) verdict: Result<EvidenceRecord, Box<Failure>>,
}

/// Why evidence was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    /// The device could not attest.
    DeviceError(String),
    /// The evidence does not prove the ordered identifier.
    Identity {
        fault: IdentityFault,
        attribute: Attribute,
        attested: Option<String>,
        /// Whether the ordered name is attested, but as the other attribute.
        is_swapped: bool,
    },
    /// The evidence does not verify.
    Unverified(Refusal),
}

impl Appraisal {
    /// Adds to a refusal what helps the operator: whether stale evidence is
    /// genuine, and the device's own error. The client sees neither.
    pub(crate) fn explain(
        &mut self,
        response: &AttestationResponse,
        verifier: &Verifier,
        looks: &SecondLooks,
        now: Timestamp,
    ) {
        let (Answer::Object(object), Err(failure)) = (&self.answer, &mut self.verdict) else {
            return;
        };
        if failure.reason == Reason::FreshnessMismatch.as_str() {
            failure.detail = if looks.take(now) {
                stale::describe(&verifier.examine_object(object, None, now.0))
            } else {
                format!("{}; {}", failure.detail, stale::NOT_EXAMINED)
            };
        }
        if let Some(error) = &response.error {
            let error: String = clean(error).chars().take(MAX_ERROR_BESIDE).collect();
            failure.detail += &format!("; the device sent an error beside it: {error}");
        }
    }

    /// Whether the verdict depends on the time at which the answer was judged.
    pub(crate) fn refused_by_time(&self) -> bool {
        let by_time = [Reason::Expired, Reason::NotYetValid].map(Reason::as_str);
        matches!(&self.verdict, Err(failure) if by_time.contains(&failure.reason.as_str()))
    }
}

impl Answer {
    /// Parses the payload of a challenge's POST.
    ///
    /// # Errors
    /// When the attestation object is not base64url. The challenge stays
    /// pending, so the client may send it again.
    ///
    /// Apple's client sends `error` and an `attObj` with an empty `x5c` when
    /// Apple's servers failed: then the error counts. Beside certificates it
    /// does not. The draft, section 5: "Servers MUST ignore unrecognized fields
    /// in the challenge response", and an error field changes nothing about
    /// evidence that passes every check.
    pub(crate) fn read(response: &AttestationResponse) -> Result<Self, Error> {
        let object = match &response.att_obj {
            Some(object) => Base64Url::decode(object)
                .map(|Base64Url(bytes)| bytes)
                .map_err(|error| Error::AttestationEncoding(error.to_string()))?,
            None => Vec::new(),
        };
        Ok(match &response.error {
            Some(error) if holds_no_certificate(&object) => Self::Error(clean(error)),
            _ => Self::Object(object),
        })
    }
}

/// Judges `answer` to a challenge of `authorization` with this `token`. The
/// evidence must be genuine and fresh, and attest the ordered identifier.
/// Finalize checks that the attested key is the CSR's.
pub(crate) fn appraise(
    verifier: &Verifier,
    answer: Answer,
    authorization: &Authorization,
    token: &Token,
    now: Timestamp,
) -> Appraisal {
    let (device, verdict) = judge(verifier, &answer, authorization, token, now);
    Appraisal {
        answer,
        device,
        verdict,
    }
}

fn judge(
    verifier: &Verifier,
    answer: &Answer,
    authorization: &Authorization,
    token: &Token,
    now: Timestamp,
) -> (Option<AttestedDevice>, Result<EvidenceRecord, Box<Failure>>) {
    let object = match answer {
        Answer::Object(object) => object,
        Answer::Error(text) => {
            let cause = Cause::DeviceError(text.clone());
            let failure = cause.into_failure(authorization, None, now);
            return (None, Err(Box::new(failure)));
        }
    };
    let object_sha256 = sha256(object);
    let failure =
        |cause: Cause| Box::new(cause.into_failure(authorization, Some(object_sha256), now));
    let freshness = token.apple_freshness();
    let device = match verifier.verify_object(object, &freshness, now.0) {
        Ok(device) => device,
        Err(refusal) => return (None, Err(failure(Cause::Unverified(refusal)))),
    };
    let verdict = check_identity(&device, authorization)
        .map(|()| record(&device, object_sha256, now))
        .map_err(failure);
    (Some(device), verdict)
}

/// Compares the identifier with the one attribute that admission named.
fn check_identity(device: &AttestedDevice, authorization: &Authorization) -> Result<(), Cause> {
    let (attribute, ordered) = (
        authorization.admitted.attribute,
        authorization.identifier.device(),
    );
    device
        .check_identity(attribute, ordered)
        .map_err(|fault| Cause::Identity {
            fault,
            attribute,
            attested: device.attribute(attribute).map(str::to_owned),
            is_swapped: device.attribute(other(attribute)) == Some(ordered),
        })
}

fn other(attribute: Attribute) -> Attribute {
    match attribute {
        Attribute::Serial => Attribute::Udid,
        Attribute::Udid => Attribute::Serial,
    }
}

fn record(device: &AttestedDevice, object_sha256: [u8; 32], at: Timestamp) -> EvidenceRecord {
    EvidenceRecord {
        spki_sha256: device.spki_sha256,
        key: match device.key {
            AttestedKeyKind::P256 => KeyKind::P256,
            AttestedKeyKind::P384 => KeyKind::P384,
        },
        facts: DeviceFacts::of(device),
        root_sha256: device.root_sha256,
        object_sha256,
        at,
    }
}

impl Cause {
    fn into_failure(
        self,
        authorization: &Authorization,
        object_sha256: Option<[u8; 32]>,
        at: Timestamp,
    ) -> Failure {
        let ordered = authorization.identifier.to_wire();
        // The draft, section 5: "The Server MUST provide the reason for
        // rejecting the challenge in the "detail" field [...] unless the
        // disclosure of the reason to the Client presents a privacy concern":
        // another device's identity is one, so no attested value is echoed.
        let (reason, client, detail) = match &self {
            Self::DeviceError(text) => (
                DEVICE_COULD_NOT_ATTEST.to_owned(),
                "the device could not attest".to_owned(),
                format!("the device answered with an error instead of evidence: {text}"),
            ),
            Self::Identity {
                fault,
                attribute,
                attested,
                is_swapped,
            } => (
                fault.as_str().to_owned(),
                match fault {
                    IdentityFault::Mismatch => {
                        "the attestation is of another device than the one that was ordered for"
                            .to_owned()
                    }
                    IdentityFault::NotAttested(_) => fault.to_string(),
                },
                {
                    let found = match attested {
                        Some(attested) => format!(
                            "the order is for {:?}, the evidence attests the {} {attested:?}",
                            ordered.value,
                            attribute.as_str()
                        ),
                        None => format!(
                            "the evidence is genuine but does not attest the {}, which {:?} must match",
                            attribute.as_str(),
                            ordered.value
                        ),
                    };
                    // The cause comes first: log lines are truncated.
                    if *is_swapped {
                        format!(
                            "the ordered name is attested as the {}: the list's columns are swapped (or bind or the hardware type is wrong); {found}",
                            other(*attribute).as_str()
                        )
                    } else {
                        found
                    }
                },
            ),
            Self::Unverified(refusal) => (
                refusal.reason.as_str().to_owned(),
                match refusal.reason {
                    // The format's name comes from the client: quote and
                    // truncate it.
                    Reason::FormatNotSupported => {
                        format!("{}; {}", refusal.reason.client_detail(), refusal.detail)
                    }
                    reason => reason.client_detail().to_owned(),
                },
                match refusal.reason {
                    Reason::ObjectEmpty => NO_ATTESTATION.to_owned(),
                    Reason::ChainEmpty => NO_CERTIFICATES.to_owned(),
                    _ => refusal.detail.clone(),
                },
            ),
        };
        let subproblems = match &self {
            Self::Identity {
                fault: IdentityFault::Mismatch,
                ..
            } => vec![Subproblem::with(
                ProblemType::RejectedIdentifier,
                "the attestation does not prove this identifier",
                &ordered,
            )],
            _ => Vec::new(),
        };
        Failure {
            problem: Problem {
                subproblems,
                ..Problem::new(ProblemType::BadAttestationStatement, client)
            },
            gate: Gate::Appraisal,
            reason,
            detail,
            object_sha256,
            at,
        }
    }
}

/// Whether an attestation object contains nothing to judge.
fn holds_no_certificate(object: &[u8]) -> bool {
    use Reason as R;

    UnverifiedObject::decode(object).is_err_and(|refusal| {
        matches!(
            refusal.reason,
            R::ObjectEmpty
                | R::FormatMissing
                | R::StatementMissing
                | R::ChainMissing
                | R::ChainEmpty
        )
    })
}

/// Makes a device's own error text safe to log: truncated, without control
/// characters.
fn clean(error: &serde_json::Value) -> String {
    let text = match error {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars()
        .map(|c| if is_unsafe_to_print(c) { '\u{fffd}' } else { c })
        .take(MAX_DEVICE_ERROR)
        .collect()
}

#[cfg(test)]
mod tests;
