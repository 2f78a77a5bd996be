//! The requests of an operator and their answers, as JSON: what the control
//! socket carries and `--json` prints.
//!
//! Keys and names are contracts: they may grow, never change. Names of orders,
//! accounts and certificates are texts here; the engine parses them.

mod find;
mod list;
mod refusals;
mod status;
mod story;

use serde::{Deserialize, Serialize};

pub use find::{DeviceStory, FindOrders, Found};
pub use list::{Cursor, Direction, ListOrders, OrderFilter, Page, StatusFilter};
pub use refusals::{ListRefusals, Refusal, Refusals};
pub use status::{CommitCount, Status};
pub use story::{
    AuthorizationStory, CertificateStory, EvidenceStory, FailureStory, NoteStory, Story, Summary,
};

/// A request of an operator.
///
/// ```json
/// {"find": {"text": "C02XK0AAJHD2", "certificate": false}}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Follow the wall clock, since it is this time (seconds since 1970).
    AcceptClock(u64),
    /// Find what a text names.
    Find(FindOrders),
    /// List a page of orders.
    Page(ListOrders),
    /// List what newOrder refused lately, the newest.
    Refusals(ListRefusals),
    /// Report how the server is.
    Status,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// The server's time (seconds since 1970), or why the clock is not
    /// followed.
    AcceptClock(Result<u64, String>),
    /// What was found.
    Found(Box<Found>),
    /// The orders.
    Page(Page),
    /// What was refused.
    Refusals(Refusals),
    /// How the server is.
    Status(Box<Status>),
    /// Why the request has no answer.
    Failed(String),
}

#[cfg(test)]
mod tests;
