//! How issuance ended: whether a certificate was issued, and what is in it.
//!
//! As with a verdict, all of it is text that is compared and never believed.

use serde::{Deserialize, Serialize};

use super::{Fault, RecordingError, contents::length, excerpt};

/// The longest short text, in bytes: a word, a reason, a problem's type.
const MAX_WORD: usize = 256;

/// The longest detail of a problem, in bytes.
const MAX_DETAIL: usize = 4096;

/// The longest subject and the longest name, in bytes.
const MAX_TEXT: usize = 4096;

/// The most entries of a list.
const MAX_ENTRIES: usize = 64;

/// The most seconds: as many as there are from 1970 to the end of 9999.
const MAX_LIFETIME: u64 = 253_402_300_799;

/// `end` of an order whose certificate was issued.
pub(super) const ISSUED: &str = "issued";

/// `end` of an order whose CSR was refused.
pub(super) const REFUSED: &str = "refused";

/// `end` of an order whose CSR was accepted and whose certificate could not be
/// signed: a fault of the server.
pub(super) const FAILED: &str = "failed";

/// How issuance ended for an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Issuance {
    /// `issued`, `refused` (finalize was answered with a problem) or `failed`
    /// (the CSR was accepted, and the certificate could not be signed).
    pub end: String,
    /// Of a refusal or a failure: the reason's stable name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many identifiers the order has, if they are several: the certificate
    /// has the names of all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifiers: Option<u64>,
    /// Of a refusal or a failure: what the client was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<RecordedProblem>,
    /// Of an issued certificate: what is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateFacts>,
}

/// A problem document (RFC 7807) without what identifies anyone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RecordedProblem {
    /// The type, a URN.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text for people. It is not compared: texts may become better.
    pub detail: String,
    /// The types of the subproblems (RFC 8555 section 6.7.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subproblems: Option<Vec<String>>,
}

/// What is in a certificate, without its serial number, its issuer and its
/// signature: those are different each time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CertificateFacts {
    /// The subject (RFC 4514).
    pub subject: String,
    /// The subject alternative names in their order, each as `KIND:VALUE`.
    pub names: Vec<String>,
    /// SHA-256 of the SubjectPublicKeyInfo, hex.
    pub spki_sha256: String,
    /// The bits of the key usage by their names in RFC 5280.
    pub key_usage: Vec<String>,
    /// The extended key usages: names of RFC 5280, or identifiers in dotted
    /// form.
    pub extended_key_usage: Vec<String>,
    /// Seconds from notBefore to notAfter.
    pub lifetime: u64,
}

impl Issuance {
    /// A certificate was issued; `None` if nothing is known of it.
    #[must_use]
    pub fn issued(certificate: Option<CertificateFacts>) -> Self {
        Self {
            certificate,
            ..Self::ended(ISSUED)
        }
    }

    /// The CSR was refused with this problem.
    #[must_use]
    pub fn refused(problem: RecordedProblem) -> Self {
        Self {
            problem: Some(problem),
            ..Self::ended(REFUSED)
        }
    }

    /// The certificate could not be signed.
    #[must_use]
    pub fn failed(problem: RecordedProblem) -> Self {
        Self {
            problem: Some(problem),
            ..Self::ended(FAILED)
        }
    }

    fn ended(end: &str) -> Self {
        Self {
            end: end.to_owned(),
            reason: None,
            identifiers: None,
            problem: None,
            certificate: None,
        }
    }

    /// Whether it says issued.
    #[must_use]
    pub fn is_issued(&self) -> bool {
        self.end == ISSUED
    }

    pub(super) fn check(&self) -> Result<(), RecordingError> {
        word("issuance.end", &self.end)?;
        word(
            "issuance.reason",
            self.reason.as_deref().unwrap_or_default(),
        )?;
        number("issuance.identifiers", self.identifiers.unwrap_or_default())?;
        self.problem
            .as_ref()
            .map_or(Ok(()), RecordedProblem::check)?;
        self.certificate
            .as_ref()
            .map_or(Ok(()), CertificateFacts::check)
    }
}

impl RecordedProblem {
    /// A problem of this type. A detail that is too long is cut.
    #[must_use]
    pub fn new(kind: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            detail: excerpt(detail.into()),
            subproblems: None,
        }
    }

    /// With subproblems of these types, if there are any.
    #[must_use]
    pub fn with_subproblems(mut self, kinds: Vec<String>) -> Self {
        self.subproblems = (!kinds.is_empty()).then_some(kinds);
        self
    }

    fn check(&self) -> Result<(), RecordingError> {
        word("issuance.problem.type", &self.kind)?;
        let bytes = self.detail.len();
        length(
            "issuance.problem.detail",
            bytes,
            0,
            MAX_DETAIL,
            "at most 4096",
        )?;
        let subproblems = self.subproblems.as_deref().unwrap_or_default();
        list(
            "issuance.problem.subproblems",
            subproblems,
            MAX_WORD,
            "at most 256",
        )
    }
}

impl CertificateFacts {
    /// The facts about a certificate with this key (SHA-256 of its
    /// SubjectPublicKeyInfo, hex), without any name or usage.
    #[must_use]
    pub fn new(spki_sha256: impl Into<String>, lifetime: u64) -> Self {
        Self {
            subject: String::new(),
            names: Vec::new(),
            spki_sha256: spki_sha256.into(),
            key_usage: Vec::new(),
            extended_key_usage: Vec::new(),
            lifetime,
        }
    }

    fn check(&self) -> Result<(), RecordingError> {
        let bytes = self.subject.len();
        length(
            "issuance.certificate.subject",
            bytes,
            0,
            MAX_TEXT,
            "at most 4096",
        )?;
        let names = &self.names;
        list(
            "issuance.certificate.names",
            names,
            MAX_TEXT,
            "at most 4096",
        )?;
        word("issuance.certificate.spki_sha256", &self.spki_sha256)?;
        for (field, usages) in [
            ("issuance.certificate.key_usage", &self.key_usage),
            (
                "issuance.certificate.extended_key_usage",
                &self.extended_key_usage,
            ),
        ] {
            list(field, usages, MAX_WORD, "at most 256")?;
        }
        number("issuance.certificate.lifetime", self.lifetime)
    }
}

fn word(field: &str, text: &str) -> Result<(), RecordingError> {
    length(field, text.len(), 0, MAX_WORD, "at most 256")
}

pub(super) fn number(field: &str, number: u64) -> Result<(), RecordingError> {
    if number > MAX_LIFETIME {
        let fault = Fault::TooLarge(MAX_LIFETIME);
        return Err(RecordingError::field(field, fault));
    }
    Ok(())
}

/// Checks the number of the texts and their lengths.
pub(super) fn list(
    field: &str,
    texts: &[String],
    most: usize,
    allowed: &'static str,
) -> Result<(), RecordingError> {
    if texts.len() > MAX_ENTRIES {
        let fault = Fault::TooMany(MAX_ENTRIES);
        return Err(RecordingError::field(field, fault));
    }
    for (index, text) in texts.iter().enumerate() {
        length(&format!("{field}[{index}]"), text.len(), 0, most, allowed)?;
    }
    Ok(())
}
