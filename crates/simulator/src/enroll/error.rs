//! Why an enrolment failed, and whether the server refused it.

use serde_json::Value;

use crate::{client::ClientError, enroll::Step, http::HttpError, response::ProblemReport};

/// Why an enrolment failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EnrollError {
    /// The simulator failed: a key, a CSR or evidence could not be made.
    #[error("the simulator itself failed: {reason}")]
    Local {
        /// What failed.
        reason: String,
    },
    /// The server could not be reached.
    #[error("{step:?}: {source}")]
    Network {
        /// The step.
        step: Step,
        /// The HTTP error.
        source: HttpError,
    },
    /// The server refused the request, or reported an internal error.
    #[error("{step:?}: {source}")]
    Problem {
        /// The step.
        step: Step,
        /// The problem document: the response itself, or the `error` of a challenge or order. In
        /// the latter case `status` is the document's own, otherwise that of the HTTP response.
        source: Box<ProblemReport>,
    },
    /// The order or authorization was still not final when the timeout expired.
    #[error("{step:?}: {url} was still undecided after {patience} s")]
    Undecided {
        /// The polling step.
        step: Step,
        /// The polled URL.
        url: String,
        /// The timeout, in seconds.
        patience: u64,
    },
    /// The server returned 2xx with an unusable response.
    #[error("{step:?}: {cause}")]
    Unexpected {
        /// The step.
        step: Step,
        /// What is wrong with the response.
        cause: UnexpectedAnswer,
    },
}

/// What is wrong with a 2xx response.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnexpectedAnswer {
    /// A certificate of the chain is not issued by the next one.
    #[error("certificate {index} of the chain is not issued by the one after it")]
    BrokenChain {
        /// Its index; the leaf is 0.
        index: usize,
    },
    /// The certificate is for another key than the device's.
    #[error("the certificate is not for the device's key")]
    ForeignKey,
    /// A member or header is missing or of the wrong type.
    #[error("the response has no {name}")]
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
    /// The chain contains a self-issued certificate. A relying party must already have the root.
    #[error("the chain contains a root certificate")]
    RootInChain,
    /// The response is not a directory, or lacks a required resource.
    #[error("{reason}")]
    Unusable {
        /// What is missing.
        reason: String,
    },
    /// The authorization or order has a final status other than `valid`, and no error explains it.
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

    /// Converts an invalid object (challenge, order) by its `error` member.
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

    /// Whether the server refused this device or its request. All other errors are faults: a later
    /// retry may succeed. `badNonce`, `rateLimited` and every status from 500 are faults too.
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

    /// A short name for statistics: the step, and the problem's type or the kind of fault.
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
