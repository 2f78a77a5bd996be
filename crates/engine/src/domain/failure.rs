use assay_proto::{Problem, ProblemType, Timestamp};

use crate::{Error, IssuanceRefusal};

/// The gates on the way to a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// newOrder: may this identifier be ordered?
    Admission,
    /// The challenge: does the evidence match the order?
    Appraisal,
    /// finalize: does the CSR match, and what goes into the certificate?
    Issuance,
}

impl Gate {
    /// Returns the name used in logs and commands.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Appraisal => "appraisal",
            Self::Issuance => "issuance",
        }
    }
}

/// Why a challenge or an order is invalid, for the client and for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The problem document for the client.
    pub problem: Problem,
    /// The gate that refused.
    pub gate: Gate,
    /// The stable name of the reason, for example `freshness-mismatch`.
    pub reason: String,
    /// The exact explanation for the operator.
    pub detail: String,
    /// SHA-256 of the attestation object, if there was one.
    pub object_sha256: Option<[u8; 32]>,
    /// The time of the failure.
    pub at: Timestamp,
}

impl Failure {
    /// A refusal by issuance after the order left the state ready.
    pub(crate) fn refused(refusal: IssuanceRefusal, at: Timestamp) -> Self {
        Self {
            problem: Problem::from(&Error::Issuance(refusal)),
            gate: Gate::Issuance,
            reason: refusal.as_str().to_owned(),
            detail: refusal.to_string(),
            object_sha256: None,
            at,
        }
    }

    /// The order was displaced by a newer one; `why` is for the client,
    /// `detail` for the operator.
    pub(crate) fn displaced(why: &str, detail: String, at: Timestamp) -> Self {
        Self {
            problem: Problem::new(
                ProblemType::RateLimited,
                format!("the order gave way to a newer one: {why}"),
            ),
            gate: Gate::Admission,
            reason: "displaced".to_owned(),
            detail,
            object_sha256: None,
            at,
        }
    }

    /// The client deactivated `what` the order depends on: its account, or an
    /// authorization.
    pub(crate) fn deactivated(what: &str, detail: String, at: Timestamp) -> Self {
        Self {
            problem: Problem::new(
                ProblemType::Unauthorized,
                format!("the {what} was deactivated by its client"),
            ),
            gate: Gate::Issuance,
            reason: format!("{what}-deactivated"),
            detail,
            object_sha256: None,
            at,
        }
    }
}
