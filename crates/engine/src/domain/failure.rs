use assay_proto::{Problem, ProblemType, Timestamp};

use crate::{Error, IssuanceRefusal};

/// Which of the gates on the way to a certificate refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// newOrder: is this identifier one of ours?
    Admission,
    /// The challenge: does the evidence fit the order?
    Appraisal,
    /// finalize: does the CSR fit, and what goes into the certificate?
    Issuance,
}

impl Gate {
    /// Its name, as logs and commands have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Appraisal => "appraisal",
            Self::Issuance => "issuance",
        }
    }
}

/// Why a challenge or an order is invalid: what the client is told and what
/// the operator sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the client is told.
    pub problem: Problem,
    /// Where it was refused.
    pub gate: Gate,
    /// The stable name of the reason, for example `freshness-mismatch`.
    pub reason: String,
    /// The operator's explanation, exact.
    pub detail: String,
    /// SHA-256 of the attestation object, where there was one.
    pub object_sha256: Option<[u8; 32]>,
    /// When.
    pub at: Timestamp,
}

impl Failure {
    /// Issuance refused, once the order was beyond being ready.
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

    /// The order gave way to a newer one; `why` is for the client, `detail` for
    /// the operator.
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

    /// The client deactivated `what` the order stands on: its account, or an
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
