//! What an operator asks: one file a request, from [`Request`] to [`Response`].
//!
//! The control socket, and whatever else serves operators, passes requests to
//! [`answer`] and writes down what it returns. Without a running server the
//! same requests are answered from the store alone, as far as it knows.

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

/// What requests are answered from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// All that is durable.
    pub store: &'a dyn Store,
    /// The server that runs on the store, where one does.
    pub running: Option<Running<'a>>,
}

/// A running server.
#[derive(Clone, Copy)]
pub struct Running<'a> {
    /// Its engine.
    pub engine: &'a Engine,
    /// For how long it has been serving.
    pub uptime_seconds: u64,
    /// The program's version.
    pub version: &'a str,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Only a running server knows the answer.
    #[error("this asks a running server")]
    NeedsServer,
    /// A filter names what can be no account.
    #[error("{0:?} is no account's name")]
    NoAccount(String),
    /// A cursor names what can be no order.
    #[error("no place in the list")]
    NoPlace,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Answers a request, as things are at `now`.
///
/// # Errors
/// [`Unanswered`].
pub async fn answer(
    sources: Sources<'_>,
    request: &Request,
    now: Timestamp,
) -> Result<Response, Unanswered> {
    let Sources { store, running } = sources;
    let running = running.ok_or(Unanswered::NeedsServer);
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
