use assay_engine::domain::{Failure, Gate};
use assay_proto::{Problem, ProblemType, Subproblem, Timestamp};
use minicbor::{Decode, Encode};

use super::{Damage, StoredIdentifier, clip};

/// The maximum length of a stored failure text, in bytes: a few sentences that
/// quote the longest identifier twice. A failure must always fit beside the
/// largest order, because an order that cannot be failed is stuck.
const MAX_TEXT: usize = 1000;

/// Why a challenge or an order is invalid.
#[derive(Decode, Encode)]
pub(super) struct StoredFailure {
    #[n(0)]
    problem: StoredProblem,
    #[n(1)]
    gate: u8,
    #[n(2)]
    reason: String,
    #[n(3)]
    detail: String,
    #[cbor(n(4), with = "minicbor::bytes")]
    object_sha256: Option<[u8; 32]>,
    #[n(5)]
    at: u64,
}

/// A problem document, with types by their names in the ACME namespace.
#[derive(Decode, Encode)]
pub(super) struct StoredProblem {
    #[n(0)]
    kind: String,
    #[n(1)]
    detail: String,
    #[n(2)]
    status: u16,
    #[n(3)]
    instance: Option<String>,
    #[n(4)]
    algorithms: Vec<String>,
    #[n(5)]
    subproblems: Vec<StoredSubproblem>,
}

#[derive(Decode, Encode)]
struct StoredSubproblem {
    #[n(0)]
    kind: String,
    #[n(1)]
    detail: String,
    #[n(2)]
    identifier: Option<StoredIdentifier>,
}

impl From<Failure> for StoredFailure {
    fn from(failure: Failure) -> Self {
        let Failure {
            problem,
            gate,
            reason,
            detail,
            object_sha256,
            at,
        } = failure;
        Self {
            problem: problem.into(),
            gate: match gate {
                Gate::Admission => 0,
                Gate::Appraisal => 1,
                Gate::Issuance => 2,
            },
            reason: clip(reason, MAX_TEXT),
            detail: clip(detail, MAX_TEXT),
            object_sha256,
            at: at.0,
        }
    }
}

impl TryFrom<StoredFailure> for Failure {
    type Error = Damage;

    fn try_from(stored: StoredFailure) -> Result<Self, Damage> {
        Ok(Self {
            problem: stored.problem.try_into()?,
            gate: match stored.gate {
                0 => Gate::Admission,
                1 => Gate::Appraisal,
                2 => Gate::Issuance,
                _ => return Err(Damage::Field("gate")),
            },
            reason: stored.reason,
            detail: stored.detail,
            object_sha256: stored.object_sha256,
            at: Timestamp(stored.at),
        })
    }
}

impl From<Problem> for StoredProblem {
    fn from(problem: Problem) -> Self {
        let Problem {
            kind,
            detail,
            status,
            instance,
            algorithms,
            subproblems,
        } = problem;
        Self {
            kind: kind.name().to_owned(),
            detail: clip(detail, MAX_TEXT),
            status,
            instance,
            algorithms,
            subproblems: subproblems
                .into_iter()
                .map(|subproblem| StoredSubproblem {
                    kind: subproblem.kind.name().to_owned(),
                    detail: clip(subproblem.detail, MAX_TEXT),
                    identifier: subproblem.identifier.map(Into::into),
                })
                .collect(),
        }
    }
}

impl TryFrom<StoredProblem> for Problem {
    type Error = Damage;

    fn try_from(stored: StoredProblem) -> Result<Self, Damage> {
        Ok(Self {
            kind: problem_type(&stored.kind)?,
            detail: stored.detail,
            status: stored.status,
            instance: stored.instance,
            algorithms: stored.algorithms,
            subproblems: stored
                .subproblems
                .into_iter()
                .map(|subproblem| {
                    Ok(Subproblem {
                        kind: problem_type(&subproblem.kind)?,
                        detail: subproblem.detail,
                        identifier: subproblem.identifier.map(Into::into),
                    })
                })
                .collect::<Result<_, Damage>>()?,
        })
    }
}

fn problem_type(name: &str) -> Result<ProblemType, Damage> {
    let mut known = ProblemType::ALL.iter().copied();
    known
        .find(|kind| kind.name() == name)
        .ok_or(Damage::Field("problem type"))
}
