use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{OrderStatus, Problem, Timestamp, WireIdentifier};

/// An order in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Its name.
    pub id: String,
    /// Its status.
    pub status: OrderStatus,
    /// When it was made.
    pub created: Timestamp,
    /// The account that made it.
    pub account: String,
    /// What was ordered.
    pub identifiers: Vec<WireIdentifier>,
    /// Why it is invalid: the stable name of the reason.
    pub reason: Option<String>,
    /// The certificate's serial number, hex.
    pub certificate: Option<String>,
    /// The end of the certificate's validity.
    pub not_after: Option<Timestamp>,
    /// When the certificate was revoked.
    pub revoked: Option<Timestamp>,
}

/// All that is known of an order: what was asked, proved, refused and issued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// The order in short.
    #[serde(flatten)]
    pub order: Summary,
    /// When it expires.
    pub expires: Timestamp,
    /// What to do about the reason for which it is invalid.
    pub remedy: Option<String>,
    /// Why it failed.
    pub failure: Option<FailureStory>,
    /// Its authorizations, in the order of its identifiers.
    pub authorizations: Vec<AuthorizationStory>,
    /// What was issued.
    pub issued: Option<CertificateStory>,
    /// What was refused and did not end the order, oldest first.
    pub notes: Vec<NoteStory>,
    /// The directory in which it was made; absent where the answering server is
    /// of a version with one directory.
    #[serde(default)]
    pub directory: Option<String>,
    /// The profile that its certificate is issued by.
    #[serde(default)]
    pub profile: Option<String>,
}

/// Something that was refused and did not end the order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoteStory {
    /// When it was refused.
    pub at: Timestamp,
    /// The stable name of the reason.
    pub reason: String,
    /// The exact finding.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// Why something failed: for the client and for the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureStory {
    /// When it failed.
    pub at: Timestamp,
    /// The gate that refused.
    pub gate: String,
    /// The stable name of the reason.
    pub reason: String,
    /// The exact finding.
    pub detail: String,
    /// What the client was told.
    pub client: Problem,
    /// SHA-256 of the attestation object, hex.
    pub evidence_sha256: Option<String>,
}

/// An authorization of the order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthorizationStory {
    /// Its name.
    pub id: String,
    /// The ordered identifier.
    pub identifier: WireIdentifier,
    /// The attested attribute that the identifier is compared with.
    pub compared_with: String,
    /// Its status.
    pub status: String,
    /// What was proved.
    pub evidence: Option<EvidenceStory>,
    /// The rule that admitted the identifier; absent for one that was admitted
    /// before that was kept.
    #[serde(default)]
    pub admitted_by: Option<String>,
}

/// What was proved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceStory {
    /// When it was appraised.
    pub at: Timestamp,
    /// The kind of the attested key.
    pub key: String,
    /// SHA-256 of the attested key's SubjectPublicKeyInfo, hex.
    pub spki_sha256: String,
    /// SHA-256 of the attestation root, hex.
    pub root_sha256: String,
    /// SHA-256 of the attestation object, hex.
    pub evidence_sha256: String,
    /// The attested properties that were stated, by name.
    pub facts: BTreeMap<String, String>,
}

/// What was issued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateStory {
    /// The serial number, hex.
    pub serial: String,
    /// When it was issued.
    pub issued: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// SHA-256 of the attestation root, hex.
    pub root_sha256: Option<String>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// The code of RFC 5280, where one was given.
    pub revocation_reason: Option<u8>,
    /// Whose signature asked for the revocation.
    pub revoked_by: Option<String>,
    /// The certificate.
    pub pem: String,
    /// SHA-256 of the certificate of the CA that issued it, hex.
    pub issuer_sha256: String,
}
