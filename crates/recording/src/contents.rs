//! What a recording holds.

use assay_attest::{Attribute, SentNonce, limits::MAX_PROPERTY_BYTES};
use assay_proto::{Identifier, WireIdentifier};

use super::{Claims, Fault, Issuance, RecordedProfile, RecordingError, Time};

/// The longest token, in bytes. Those of Assay have 43.
const MAX_TOKEN: usize = 256;

/// The longest `device_error`, in bytes. Assay keeps 200 characters.
const MAX_DEVICE_ERROR: usize = 1024;

/// The longest `note`, in bytes.
const MAX_NOTE: usize = 4096;

/// The most labels, and the longest one, in bytes.
const MAX_LABELS: usize = 32;
const MAX_LABEL: usize = 64;

/// The longest name of a rule or a profile, in bytes.
pub(super) const MAX_NAME: usize = 64;

/// `source` of [`Evidence::Acme`].
pub(super) const ACME: &str = "acme";

/// `source` of [`Evidence::DeviceInformation`].
pub(super) const DEVICE_INFORMATION: &str = "device-information";

/// Everything in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contents {
    /// When it was judged.
    pub time: Time,
    /// What was judged.
    pub evidence: Evidence,
    /// What the judgement was.
    pub claims: Claims,
    /// The root certificate of a laboratory, DER.
    pub embedded_root: Option<Vec<u8>>,
    /// A text for people. Nothing decides by it.
    pub note: Option<String>,
    /// Short texts by which people find recordings. Nothing decides by them.
    pub labels: Vec<String>,
}

/// What was judged, and what it had to fit.
///
/// A new source needs a new number of the format, and every program has to
/// decide what it means: so this enum is exhaustive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The answer to a `device-attest-01` challenge.
    Acme(Box<Acme>),
    /// The answer to an MDM's DeviceInformation query
    /// (`DevicePropertiesAttestation`).
    DeviceInformation(DeviceInformationAnswer),
}

/// The answer to a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acme {
    /// The challenge's token, of the base64url alphabet.
    pub token: String,
    /// The thumbprint of the account's key (RFC 7638, SHA-256), if it is known.
    pub account: Option<[u8; 32]>,
    /// The identifier as it was ordered. It may be of any type and obey no
    /// grammar.
    pub identifier: WireIdentifier,
    /// Why the order was admitted.
    pub admission: Admission,
    /// The profile that the order is for, if it is known.
    pub profile: Option<RecordedProfile>,
    /// What the device sent.
    pub answer: Answer,
    /// The CSR, DER, once one was sent.
    pub csr: Option<Vec<u8>>,
    /// How issuance ended for that CSR; `None` if it never got that far, or if
    /// that is unknown.
    pub issuance: Option<Issuance>,
}

/// How an identifier was admitted, and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admission {
    /// The kind of rule.
    pub rule: Rule,
    /// The name of the rule, if it has one. Nothing decides by it.
    pub rule_name: Option<String>,
    /// The attested attribute that `value` is compared with.
    pub attribute: Attribute,
    /// What the attribute must be.
    pub value: String,
}

/// Which devices were allowed to order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// Every device that proves itself.
    AnyAttested,
    /// Those of a list.
    Listed,
}

/// What a device sent to its challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its own words on why it could not attest, cleaned.
    DeviceError(String),
    /// An attestation object, perhaps an empty one.
    Object(Vec<u8>),
}

/// The answer to a DeviceInformation query.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInformationAnswer {
    /// The nonces that were sent to this device, the oldest first; at least
    /// one.
    pub nonces: Vec<SentNonce>,
    /// The chain, DER, the leaf first.
    pub certificates: Vec<Vec<u8>>,
}

impl Evidence {
    /// The stable name of where it comes from: `acme` or `device-information`.
    #[must_use]
    pub fn source(&self) -> &'static str {
        match self {
            Self::Acme(_) => ACME,
            Self::DeviceInformation(_) => DEVICE_INFORMATION,
        }
    }
}

impl Contents {
    /// Contents without an embedded root, a note or labels.
    #[must_use]
    pub fn new(time: Time, evidence: Evidence, claims: Claims) -> Self {
        Self {
            time,
            evidence,
            claims,
            embedded_root: None,
            note: None,
            labels: Vec::new(),
        }
    }

    /// Checks what the types leave open.
    pub(super) fn check(&self) -> Result<(), RecordingError> {
        match &self.evidence {
            Evidence::Acme(acme) => acme.check(),
            Evidence::DeviceInformation(information) => information.check(),
        }?;
        self.claims.check()?;
        let note = self.note.as_ref().map_or(0, String::len);
        length("note", note, 0, MAX_NOTE, "at most 4096")?;
        if self.labels.len() > MAX_LABELS {
            let fault = Fault::TooMany(MAX_LABELS);
            return Err(RecordingError::field("labels", fault));
        }
        for (index, label) in self.labels.iter().enumerate() {
            let field = format!("labels[{index}]");
            length(&field, label.len(), 1, MAX_LABEL, "1 to 64")?;
        }
        Ok(())
    }
}

impl Admission {
    /// The admission of a device whose `attribute` must be `value`, by a rule
    /// without a name.
    #[must_use]
    pub fn new(rule: Rule, attribute: Attribute, value: impl Into<String>) -> Self {
        Self {
            rule,
            rule_name: None,
            attribute,
            value: value.into(),
        }
    }

    fn check(&self) -> Result<(), RecordingError> {
        let limit = MAX_PROPERTY_BYTES;
        let bytes = self.value.len();
        length("admission.value", bytes, 1, limit, "1 to 256")?;
        let name = self.rule_name.as_ref().map_or(1, String::len);
        length("admission.rule_name", name, 1, MAX_NAME, "1 to 64")
    }
}

impl Acme {
    /// An answer of an unknown account, for which no CSR was sent.
    #[must_use]
    pub fn new(
        token: impl Into<String>,
        identifier: WireIdentifier,
        admission: Admission,
        answer: Answer,
    ) -> Self {
        Self {
            token: token.into(),
            account: None,
            identifier,
            admission,
            profile: None,
            answer,
            csr: None,
            issuance: None,
        }
    }

    fn check(&self) -> Result<(), RecordingError> {
        length("token", self.token.len(), 1, MAX_TOKEN, "1 to 256")?;
        // RFC 8555 section 8.3: "It MUST NOT contain any characters outside the
        // base64url alphabet".
        let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !self.token.bytes().all(alphabet) {
            return Err(RecordingError::field("token", Fault::NotBase64Url));
        }
        let WireIdentifier { kind, value } = &self.identifier;
        let limit = WireIdentifier::MAX_KIND_LENGTH;
        length("identifier.type", kind.len(), 1, limit, "1 to 64")?;
        let limit = Identifier::MAX_LENGTH;
        length("identifier.value", value.len(), 1, limit, "1 to 256")?;
        self.admission.check()?;
        self.profile
            .as_ref()
            .map_or(Ok(()), RecordedProfile::check)?;
        self.issuance.as_ref().map_or(Ok(()), Issuance::check)?;
        match &self.answer {
            Answer::DeviceError(text) => length(
                "device_error",
                text.len(),
                0,
                MAX_DEVICE_ERROR,
                "at most 1024",
            ),
            Answer::Object(_) => Ok(()),
        }
    }
}

impl DeviceInformationAnswer {
    /// The answer to one of these nonces, the oldest first.
    #[must_use]
    pub fn new(nonces: Vec<SentNonce>, certificates: Vec<Vec<u8>>) -> Self {
        Self {
            nonces,
            certificates,
        }
    }

    fn check(&self) -> Result<(), RecordingError> {
        if self.nonces.is_empty() {
            return Err(RecordingError::field("nonces", Fault::NoNonce));
        }
        for (index, nonce) in self.nonces.iter().enumerate() {
            let wrong = |fault| {
                let field = format!("nonces[{index}].sent");
                Err(RecordingError::field(field, fault))
            };
            if Time::from_seconds(nonce.sent()).is_none() {
                return wrong(Fault::NotTime);
            }
            if index > 0 && nonce.sent() < self.nonces[index - 1].sent() {
                return wrong(Fault::OutOfOrder);
            }
        }
        Ok(())
    }
}

pub(super) fn length(
    field: &str,
    length: usize,
    least: usize,
    most: usize,
    allowed: &'static str,
) -> Result<(), RecordingError> {
    if (least..=most).contains(&length) {
        Ok(())
    } else {
        Err(RecordingError::field(field, Fault::Length(allowed)))
    }
}
