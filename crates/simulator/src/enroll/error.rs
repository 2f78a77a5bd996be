//! Why an enrolment came to nothing, and whose decision that was.

use serde_json::Value;

use crate::{client::ClientError, enroll::Step, http::HttpError, response::ProblemReport};

/// Why there is no certificate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EnrollError {
    /// Nothing of the server's doing: a key, a CSR or evidence could not be made.
    #[error("the simulator itself failed: {reason}")]
    Local {
        /// What failed.
        reason: String,
    },
    /// The server could not be asked.
    #[error("{step:?}: {source}")]
    Network {
        /// During which step.
        step: Step,
        /// Why not.
        source: HttpError,
    },
    /// The server said no, or that something is wrong with itself.
    #[error("{step:?}: {source}")]
    Problem {
        /// At which step.
        step: Step,
        /// The problem document: the answer itself, or the `error` of a challenge or order.
        /// `status` is that of the HTTP answer, or the document's own in the latter case.
        source: Box<ProblemReport>,
    },
    /// The order or authorization was still undecided when the patience ended.
    #[error("{step:?}: {url} stays undecided longer than {patience} s")]
    Undecided {
        /// While polling which.
        step: Step,
        /// What was polled.
        url: String,
        /// The patience, in seconds.
        patience: u64,
    },
    /// The server answered 2xx with something that is of no use.
    #[error("{step:?}: {cause}")]
    Unexpected {
        /// At which step.
        step: Step,
        /// What is wrong with the answer.
        cause: UnexpectedAnswer,
    },
}

/// What is wrong with an answer of success.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnexpectedAnswer {
    /// A certificate of the chain is not issued by the next one.
    #[error("certificate {index} of the chain is not issued by the one after it")]
    BrokenChain {
        /// Its place, the leaf being 0.
        index: usize,
    },
    /// The certificate is over another key than the device's.
    #[error("the certificate is not for the device's key")]
    ForeignKey,
    /// A member or header is missing or of the wrong type.
    #[error("the answer has no {name}")]
    Missing {
        /// The name, a JSON member or an HTTP header.
        name: &'static str,
    },
    /// The authorization offers no `device-attest-01` challenge.
    #[error("the authorization offers no device-attest-01 challenge")]
    NoChallenge,
    /// The download is not a PEM chain of X.509 certificates.
    #[error("the download is not a chain of certificates in PEM")]
    NotCertificates,
    /// The chain holds a self-issued certificate. The root is for the relying party to have.
    #[error("the chain holds a root")]
    RootInChain,
    /// The directory is none, or lacks what is needed.
    #[error("{reason}")]
    Unusable {
        /// What is missing.
        reason: String,
    },
    /// The authorization or order is in a status that leads nowhere, without an error to say why.
    #[error("the status is {status:?}, and no error says why")]
    WrongStatus {
        /// The status.
        status: String,
    },
}

impl EnrollError {
    pub(crate) fn local(error: impl ToString) -> Self {
        Self::Local {
            reason: error.to_string(),
        }
    }

    pub(crate) fn client(step: Step, error: ClientError) -> Self {
        match error {
            ClientError::Http(source) => Self::Network { step, source },
            ClientError::ContentType { .. } | ClientError::Jose(_) => Self::local(error),
            ClientError::NoDirectory { .. }
            | ClientError::NoNonce { .. }
            | ClientError::NoResource { .. } => Self::Unexpected {
                step,
                cause: UnexpectedAnswer::Unusable {
                    reason: error.to_string(),
                },
            },
        }
    }

    /// From an object (challenge, order) whose `error` tells why it became invalid.
    pub(crate) fn invalid(step: Step, status: &str, error: &Value) -> Self {
        if error.is_object() {
            let http_status = error["status"]
                .as_u64()
                .and_then(|status| status.try_into().ok())
                .unwrap_or_default();
            let source = ProblemReport::from_json(http_status, error, error.to_string());
            return Self::Problem {
                step,
                source: Box::new(source),
            };
        }
        let cause = UnexpectedAnswer::WrongStatus {
            status: status.to_owned(),
        };
        Self::Unexpected { step, cause }
    }

    /// Whether the server decided against this device or its request. The rest are faults:
    /// asking again, later, may well succeed. `badNonce`, `rateLimited` and everything from 500
    /// up are faults too.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Problem { source, .. } => {
                source.status < 500
                    && !["badNonce", "rateLimited", "serverInternal"]
                        .iter()
                        .any(|fault| source.is(fault))
            }
            Self::Local { .. }
            | Self::Network { .. }
            | Self::Undecided { .. }
            | Self::Unexpected { .. } => false,
        }
    }

    /// A short name for counting: the step, and the problem's type or the kind of fault.
    #[must_use]
    pub fn kind(&self) -> String {
        let (step, what) = match self {
            Self::Local { .. } => return "local".to_owned(),
            Self::Network { step, source } => {
                let what = match source {
                    HttpError::Connect { .. } => "no connection",
                    HttpError::Exchange { .. } => "connection broke",
                    HttpError::TimedOut { .. } => "timed out",
                    HttpError::Tls { .. } => "no TLS",
                    HttpError::Trust { .. } => "unusable CA bundle",
                    HttpError::Url { .. } => "unusable URL",
                };
                (step, what.to_owned())
            }
            Self::Problem { step, source } => {
                let acme = source
                    .problem_type
                    .strip_prefix("urn:ietf:params:acme:error:");
                let what = acme.map_or_else(|| format!("HTTP {}", source.status), str::to_owned);
                (step, what)
            }
            Self::Undecided { step, .. } => (step, "undecided".to_owned()),
            Self::Unexpected { step, cause } => (step, cause.to_string()),
        };
        format!("{step:?}: {what}")
    }
}
