//! What a recording holds.

use assay_attest::{Attribute, SentNonce, limits::MAX_PROPERTY_BYTES};
use assay_proto::{Identifier, WireIdentifier};

use super::{Claims, Fault, RecordingError, Time};

/// The longest token, in bytes. Those of Assay have 43.
const MAX_TOKEN: usize = 256;

/// The longest `device_error`, in bytes. Assay keeps 200 characters.
const MAX_DEVICE_ERROR: usize = 1024;

/// `source` of [`Evidence::Acme`].
pub(super) const ACME: &str = "acme";

/// `source` of [`Evidence::DeviceInformation`].
pub(super) const DEVICE_INFORMATION: &str = "device-information";

/// Everything in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// When it was judged.
    pub time: Time,
    /// What was judged.
    pub evidence: Evidence,
    /// What the judgement was.
    pub claims: Claims,
    /// The root certificate of a laboratory, DER.
    pub embedded_root: Option<Vec<u8>>,
}

/// What was judged, and what it had to fit.
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
pub struct Acme {
    /// The challenge's token, of the base64url alphabet.
    pub token: String,
    /// The thumbprint of the account's key (RFC 7638, SHA-256).
    pub account: [u8; 32],
    /// The identifier as it was ordered. It may be of any type and obey no
    /// grammar.
    pub identifier: WireIdentifier,
    /// Why the order was admitted.
    pub admission: Admission,
    /// What the device sent.
    pub answer: Answer,
    /// The CSR, DER, once one was sent.
    pub csr: Option<Vec<u8>>,
}

/// How an identifier was admitted, and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The rule.
    pub rule: Rule,
    /// The attested attribute that `value` is compared with.
    pub attribute: Attribute,
    /// What the attribute must be.
    pub value: String,
}

/// Which devices were allowed to order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Checks what the types leave open.
    pub(super) fn check(&self) -> Result<(), RecordingError> {
        match &self.evidence {
            Evidence::Acme(acme) => acme.check(),
            Evidence::DeviceInformation(information) => information.check(),
        }?;
        self.claims.check()
    }
}

impl Acme {
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
        let limit = MAX_PROPERTY_BYTES;
        let value = &self.admission.value;
        length("admission.value", value.len(), 1, limit, "1 to 256")?;
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
