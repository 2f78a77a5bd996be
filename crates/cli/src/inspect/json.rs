//! The report, as `--json` prints it: one object on one line.
//!
//! | key | type | what |
//! |---|---|---|
//! | `kind` | text | `attestation-object`, `certificate`, `chain` or `csr` |
//! | `verified` | boolean | whether the file is evidence and passed every check, the freshness code compared with a token or nonce |
//! | `verdict` | object | evidence only: the outcome of the checks |
//! | `format` | text | attestation objects only: `apple` |
//! | `certificates` | array | all but CSRs: the certificates in the order of the file; an attestation leaf is the first |
//! | `request` | object | CSRs only |
//! | `form` | array of texts | the forms around it, the outermost first |
//! | `piece`, `pieces` | numbers | which piece of the input it is, and of how many |
//! | `place` | text | where it is, if the input has places: `entry 3` of a HAR, `line 7` of a text |
//! | `hints` | object | what the form says: `token`, `time`, `serial`, `udid`, `identifier`, `url`, `nonces` (their number) |
//! | `notes` | array | each `note` (kebab case, stable) and `meaning` |
//! | `lacks` | array | each `what`, and the `option` that gives it |
//! | `others` | array | the other pieces: objects like this one, or `piece` and `error` |
//!
//! The `verdict`:
//!
//! | key | type | what |
//! |---|---|---|
//! | `at` | text | RFC 3339: the time of the checks |
//! | `root` | object | only where the signatures lead to a trusted root, though the evidence may be stale or out of its time: `name`, `sha256`, `laboratory` |
//! | `facts` | object | what the checks come to, each fact for itself: `chain`, `freshness`, `dates`, `key`, `properties`; each has an `outcome` as checks have, and where it failed `fault` |
//! | `checks` | array | in their order, each `check` (kebab case, stable), `meaning`, `outcome` (`passed`, `failed`, `not-asked`: no token was given; `not-reached`), and where it failed `fault` |
//!
//! Of `certificates`, each:
//!
//! | key | type | what |
//! |---|---|---|
//! | `sha256` | hex | the fingerprint: SHA-256 of the DER |
//! | `fault` | object | only where the verifier refuses the certificate as one of evidence; without the keys below where nothing of it can be shown |
//! | `version` | number | X.509's, from 1 |
//! | `subject`, `issuer` | text | names as in RFC 4514, control characters escaped |
//! | `serial_number` | hex | |
//! | `not_before`, `not_after` | text | RFC 3339 |
//! | `validity` | text | `valid`, `expired` or `not-yet-valid`, at the time of the checks |
//! | `signature_algorithm` | text | its name, or its identifier where it has none |
//! | `key` | text | the kind of key, for example `EC P-256` |
//! | `spki_sha256` | hex | SHA-256 of the SubjectPublicKeyInfo |
//! | `apple_root` | text or null | `this`: it is Apple's pinned root; `issuer`: it names that root as its issuer |
//! | `extensions` | array | in their order |
//!
//! Of `extensions`, each:
//!
//! | key | type | what |
//! |---|---|---|
//! | `oid` | text | dotted |
//! | `name` | text or null | what it states, where that is known |
//! | `critical` | boolean | |
//! | `repeated` | boolean | whether the certificate has the same extension before this one |
//! | `value` | hex | as it stands in the certificate |
//! | `decoded` | array of texts | the value in words; empty where it is blank or not read |
//! | `encoding` | text | Apple's properties only: how the value is written, for example `INTEGER 0` |
//! | `meaning` | text | Apple's properties only, where it is known: what the value means to a policy |
//! | `fault` | object | only where the value cannot be decoded |
//!
//! A `fault` has the texts `reason` (kebab case, stable) and `detail`.
//!
//! The `request`:
//!
//! | key | type | what |
//! |---|---|---|
//! | `subject` | text | as in RFC 4514 |
//! | `key`, `spki_sha256` | | as above |
//! | `accepted` | boolean | whether the CSR obeys the rules and its self-signature verifies |
//! | `names` | array or null | the names asked for, each `{"type", "value"}`; null unless accepted |
//! | `wants_ca` | boolean or null | whether it asks to be a CA; null unless accepted |
//! | `fault` | text | only unless accepted: why |

use std::io::{self, Write};

use assay_proto::Timestamp;
use serde::Serialize;

use super::origin::Origin;

/// What a file says.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Report {
    pub(super) verified: bool,
    #[serde(flatten)]
    pub(super) content: Content,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<Verdict>,
    /// Where it came from; of a piece that was found in an input.
    #[serde(flatten)]
    pub(super) origin: Option<Origin>,
}

impl Report {
    /// A report of something that is no evidence.
    pub(super) fn unjudged(content: Content) -> Self {
        Self {
            verified: false,
            content,
            verdict: None,
            origin: None,
        }
    }

    /// A report of evidence that was put through the checks.
    pub(super) fn judged(content: Content, verdict: Verdict) -> Self {
        let mut checks = verdict.checks.iter();
        Self {
            verified: checks.all(|check| check.outcome == CheckOutcome::Passed),
            content,
            verdict: Some(verdict),
            origin: None,
        }
    }
}

/// What the checks made of evidence.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Verdict {
    pub(super) at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) root: Option<Root>,
    pub(super) facts: Facts,
    pub(super) checks: Vec<CheckReport>,
}

/// The checks, by what an operator asks.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Facts {
    pub(super) chain: Fact,
    pub(super) freshness: Fact,
    pub(super) dates: Fact,
    pub(super) key: Fact,
    pub(super) properties: Fact,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Fact {
    pub(super) outcome: CheckOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<Fault>,
}

/// The root that the signatures lead to.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Root {
    pub(super) name: String,
    pub(super) sha256: String,
    pub(super) laboratory: bool,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct CheckReport {
    pub(super) check: &'static str,
    pub(super) meaning: &'static str,
    pub(super) outcome: CheckOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CheckOutcome {
    Failed,
    NotAsked,
    NotReached,
    Passed,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Content {
    AttestationObject {
        format: &'static str,
        certificates: Vec<Entry>,
    },
    Certificate {
        certificates: [Entry; 1],
    },
    Chain {
        certificates: Vec<Entry>,
    },
    Csr {
        request: Request,
    },
}

/// A certificate's place.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Entry {
    pub(super) sha256: String,
    #[serde(flatten)]
    pub(super) content: EntryContent,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum EntryContent {
    Certificate(Box<Certificate>),
    Broken { fault: Fault },
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Certificate {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<Fault>,
    pub(super) version: u16,
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) serial_number: String,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) validity: Validity,
    pub(super) signature_algorithm: String,
    pub(super) key: String,
    pub(super) spki_sha256: String,
    pub(super) apple_root: Option<AppleRoot>,
    pub(super) extensions: Vec<Extension>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Validity {
    Expired,
    NotYetValid,
    Valid,
}

/// How a certificate relates to Apple's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AppleRoot {
    Issuer,
    This,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Extension {
    pub(super) oid: String,
    pub(super) name: Option<String>,
    pub(super) critical: bool,
    pub(super) repeated: bool,
    pub(super) value: String,
    pub(super) decoded: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) meaning: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<Fault>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Fault {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Request {
    pub(super) subject: String,
    pub(super) key: String,
    pub(super) spki_sha256: String,
    pub(super) accepted: bool,
    pub(super) names: Option<Vec<Name>>,
    pub(super) wants_ca: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<String>,
}

/// A name of a SAN or of a CSR.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Name {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) value: String,
}

/// Writes the object.
pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", crate::terminal::json(report)?)
}
