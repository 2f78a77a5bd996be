use std::time::Duration;

use assay_engine::{Error, urls::Urls};
use assay_proto::{Problem, ProblemType};
use axum::{
    Json,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, LINK, LOCATION, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};

use crate::{
    clock_refusals, current,
    limits::{Limit, Scope, TooSoon},
    standing::{self, NotEntered},
};

/// The answer to a refused request: a problem document.
#[derive(Debug)]
pub(crate) struct Refusal {
    problem: Box<Problem>,
    retry_after: Option<u64>,
    location: Option<String>,
    /// What happens to the connection and to its next request.
    aftermath: Aftermath,
}

/// What the response to a refusal does beyond the problem document: an
/// extension of the response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aftermath {
    /// Whether the connection is closed.
    pub(crate) closes: bool,
    /// Whether the response has no nonce for another attempt.
    pub(crate) withholds_nonce: bool,
}

impl Refusal {
    /// A request that is refused before the engine sees it.
    pub(crate) fn malformed(status: StatusCode, detail: &str) -> Self {
        let problem = Problem::new(ProblemType::Malformed, detail).with_status(status.as_u16());
        Self::of_client(problem, None)
    }

    /// A client that sends requests too often.
    pub(crate) fn too_fast(limit: Limit, too_soon: &TooSoon) -> Self {
        let (problem, seconds) = rate_limited(limit, too_soon);
        Self::of_client(problem, Some(seconds))
    }

    /// The same error in place of this refusal, which was logged with its own
    /// cause.
    pub(crate) fn instead_too_fast(self, too_soon: &TooSoon) -> Self {
        let (problem, seconds) = rate_limited(Limit::Failed, too_soon);
        Self {
            problem: Box::new(problem),
            retry_after: Some(seconds),
            ..self
        }
    }

    /// Returns the same refusal with this aftermath.
    pub(crate) fn with_aftermath(self, aftermath: Aftermath) -> Self {
        Self { aftermath, ..self }
    }

    /// The error text for the client.
    pub(crate) fn detail(&self) -> &str {
        &self.problem.detail
    }

    /// Returns whether the server is at fault, not the client.
    pub(crate) fn is_fault(&self) -> bool {
        self.problem.status >= 500
    }

    /// A large request beyond the maximum number of them.
    pub(crate) fn too_many_large(wait: Duration) -> Self {
        Self::busy("too many large requests at once: try again later", wait)
    }

    /// A request without memory for it.
    pub(crate) fn too_much_memory(wait: Duration) -> Self {
        Self::busy("too many requests at once: try again later", wait)
    }

    fn busy(detail: &str, wait: Duration) -> Self {
        let problem = Problem::new(ProblemType::ServerInternal, detail)
            .with_status(StatusCode::SERVICE_UNAVAILABLE.as_u16());
        Self::of_client(problem, Some(wait.as_secs()))
    }

    /// A handler that panicked: a bug of the server.
    pub(crate) fn panicked(message: &str) -> Self {
        Error::Internal(format!("a request's handler panicked: {message}")).into()
    }

    /// The refusal of a key change, with the account that already has the key.
    pub(crate) fn of_key_change(error: Error, urls: &Urls) -> Self {
        let location = match &error {
            Error::KeyInUse(holder) => Some(urls.account(*holder)),
            _ => None,
        };
        Self {
            location,
            ..Self::from(error)
        }
    }

    fn of_client(problem: Problem, retry_after: Option<u64>) -> Self {
        current::log_refusal(&problem);
        Self {
            problem: Box::new(problem),
            retry_after,
            location: None,
            aftermath: Aftermath::default(),
        }
    }
}

/// Returns the error for a client that sends requests too often, and after how
/// many seconds it may retry.
fn rate_limited(limit: Limit, too_soon: &TooSoon) -> (Problem, u64) {
    let TooSoon { wait, level } = too_soon;
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let whose = match level {
        Scope::Address => "this address".to_owned(),
        Scope::Network(bits) => format!("the /{bits} network of this address"),
        Scope::All => "all networks, and the network of this address is over its share".to_owned(),
    };
    let detail = format!(
        "too many {} from {whose}: try again in {seconds} s",
        limit.noun()
    );
    (Problem::new(ProblemType::RateLimited, detail), seconds)
}

/// The engine's error bridge makes the text for the client. Only here is the
/// exact text of a fault logged.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let problem = Problem::from(&error);
        let retry_after = error.retry_after();
        // A clock in doubt is logged as a sum, not for each request.
        if let Error::Clock(doubt) = &error {
            clock_refusals::log(doubt);
        }
        if error.is_fault() && !matches!(error, Error::Clock(_)) {
            if current::count_fault(problem.kind) {
                tracing::error!(event = "fault", status = problem.status, %error, "fault");
            }
            Self {
                problem: Box::new(problem),
                retry_after,
                location: None,
                aftermath: Aftermath::default(),
            }
        } else {
            Self::of_client(problem, retry_after)
        }
    }
}

impl From<NotEntered> for Refusal {
    fn from(why: NotEntered) -> Self {
        let detail = match why {
            NotEntered::NoPlace => "too many connections at once: try again later",
            NotEntered::TooManyStreams => {
                "too many requests at once on this connection: send them one after the other"
            }
        };
        Self::busy(detail, standing::WAIT)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // RFC 8555 section 7.3.3: "This response MUST include a Link header
        // field with link relation "terms-of-service" and the latest
        // terms-of-service URL."
        let terms = match (self.problem.kind, &self.problem.instance) {
            (ProblemType::UserActionRequired, Some(terms)) => {
                Some([(LINK, format!("<{terms}>;rel=\"terms-of-service\""))])
            }
            _ => None,
        };
        let mut response = (
            status,
            self.retry_after
                .map(|seconds| [(RETRY_AFTER, seconds.to_string())]),
            self.location.map(|url| [(LOCATION, url)]),
            terms,
            [(CONTENT_TYPE, Problem::MEDIA_TYPE)],
            Json(self.problem),
        )
            .into_response();
        response.extensions_mut().insert(self.aftermath);
        response
    }
}
