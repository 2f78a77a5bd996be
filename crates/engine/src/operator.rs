//! Operator requests: one file per request, from [`Request`] to [`Response`].
//!
//! The control socket, and any other interface for operators, passes requests
//! to [`answer`] and serializes the result. Without a running server, requests
//! are answered from the store alone as far as possible.

mod accept_clock;
mod find;
mod list;
mod place;
mod refusals;
mod status;
mod story;

use assay_proto::{
    Timestamp,
    admin::{Request, Response},
};

use crate::{
    Engine,
    ports::{Store, StoreError},
};

/// The data that requests are answered from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The server running on the store, if there is one.
    pub running: Option<Running<'a>>,
}

/// A running server.
#[derive(Clone, Copy)]
pub struct Running<'a> {
    /// Its engine.
    pub engine: &'a Engine,
    /// How long it has been serving.
    pub uptime_seconds: u64,
    /// The program's version.
    pub version: &'a str,
}

/// Why a request cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Only a running server can answer.
    #[error("only a running server can answer this request")]
    NeedsServer,
    /// A filter is not an account ID.
    #[error("{0:?} is not an account ID")]
    InvalidAccountId(String),
    /// A cursor is invalid.
    #[error("the cursor is not a position in the list")]
    InvalidCursor,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Answers a request as of `now`.
///
/// # Errors
/// [`RequestError`].
pub async fn answer(
    sources: Sources<'_>,
    request: &Request,
    now: Timestamp,
) -> Result<Response, RequestError> {
    let Sources { store, running } = sources;
    let running = running.ok_or(RequestError::NeedsServer);
    Ok(match request {
        Request::AcceptClock(time) => {
            let accepted = accept_clock::accept(running?.engine, Timestamp(*time)).await;
            Response::AcceptClock(accepted)
        }
        Request::Find(request) => {
            let engine = running.ok().map(|running| running.engine);
            let found = find::find(store, engine, request, now).await?;
            Response::Found(Box::new(found))
        }
        Request::Page(request) => Response::Page(list::list(store, request, now).await?),
        Request::Refusals(request) => Response::Refusals(refusals::list(running?.engine, request)),
        Request::Status => Response::Status(Box::new(status::status(running?))),
    })
}
