use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{OrderStatus, Problem, Timestamp, WireIdentifier};

/// A summary of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The order's ID.
    pub id: String,
    /// The status.
    pub status: OrderStatus,
    /// When the order was created.
    pub created: Timestamp,
    /// The account that created it.
    pub account: String,
    /// What was ordered.
    pub identifiers: Vec<WireIdentifier>,
    /// The stable name of the reason why the order is invalid.
    pub reason: Option<String>,
    /// The certificate's serial number, in hex.
    pub certificate: Option<String>,
    /// The end of the certificate's validity.
    pub not_after: Option<Timestamp>,
    /// When the certificate was revoked.
    pub revoked: Option<Timestamp>,
}

/// Everything recorded about an order: what was requested, proved, refused and
/// issued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// The summary.
    #[serde(flatten)]
    pub order: Summary,
    /// When the order expires.
    pub expires: Timestamp,
    /// What to do about the reason why the order is invalid.
    pub remedy: Option<String>,
    /// Why the order failed.
    pub failure: Option<FailureStory>,
    /// The authorizations, in the order of the order's identifiers.
    pub authorizations: Vec<AuthorizationStory>,
    /// The issued certificate.
    pub issued: Option<CertificateStory>,
    /// Refusals that did not end the order, oldest first.
    pub notes: Vec<NoteStory>,
    /// The directory that the order was created in. Absent if the responding
    /// server's version knows only one directory.
    #[serde(default)]
    pub directory: Option<String>,
    /// The profile under which the certificate is issued.
    #[serde(default)]
    pub profile: Option<String>,
}

/// A refusal that did not end the order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoteStory {
    /// When it was refused.
    pub at: Timestamp,
    /// The reason's stable name.
    pub reason: String,
    /// The exact finding, for the operator.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// Why something failed, in the words for the client and for the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureStory {
    /// When it failed.
    pub at: Timestamp,
    /// The gate that refused.
    pub gate: String,
    /// The reason's stable name.
    pub reason: String,
    /// The exact finding, for the operator.
    pub detail: String,
    /// The problem document that the client received.
    pub client: Problem,
    /// SHA-256 of the attestation object, in hex.
    pub evidence_sha256: Option<String>,
}

/// An authorization of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthorizationStory {
    /// The authorization's ID.
    pub id: String,
    /// The ordered identifier.
    pub identifier: WireIdentifier,
    /// The attested attribute that the identifier is compared with.
    pub compared_with: String,
    /// The status.
    pub status: String,
    /// What the attestation proved.
    pub evidence: Option<EvidenceStory>,
    /// The name of the rule that admitted the identifier. Absent for
    /// authorizations from before it was recorded.
    #[serde(default)]
    pub admitted_by: Option<String>,
}

/// What an attestation proved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceStory {
    /// When it was appraised.
    pub at: Timestamp,
    /// The kind of the attested key.
    pub key: String,
    /// SHA-256 of the attested key's SubjectPublicKeyInfo, in hex.
    pub spki_sha256: String,
    /// SHA-256 of the attestation root, in hex.
    pub root_sha256: String,
    /// SHA-256 of the attestation object, in hex.
    pub evidence_sha256: String,
    /// The attested properties, by name.
    pub facts: BTreeMap<String, String>,
}

/// An issued certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateStory {
    /// The serial number, in hex.
    pub serial: String,
    /// When it was issued.
    pub issued: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// SHA-256 of the attestation root, in hex.
    pub root_sha256: Option<String>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// The RFC 5280 reason code, if one was given.
    pub revocation_reason: Option<u8>,
    /// Whose signature requested the revocation.
    pub revoked_by: Option<String>,
    /// The certificate, PEM.
    pub pem: String,
    /// SHA-256 of the issuing CA's certificate, in hex.
    pub issuer_sha256: String,
}
