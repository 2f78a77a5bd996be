//! Operator requests and their responses, as JSON: the control socket carries
//! them and `--json` prints the responses.
//!
//! Keys and names are contracts: new ones may be added, existing ones never
//! change. IDs of orders, accounts and certificates are strings here; the
//! engine parses them.

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

/// An operator's request.
///
/// ```json
/// {"find": {"text": "C02XK0AAJHD2", "certificate": false}}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Follow the wall clock again, as of this time (seconds since 1970).
    AcceptClock(u64),
    /// Find the order, certificate or device with this ID.
    Find(FindOrders),
    /// List a page of orders.
    Page(ListOrders),
    /// List the most recent newOrder requests that were refused.
    Refusals(ListRefusals),
    /// Report the server's state.
    Status,
}

/// The response to a [`Request`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// The server's time (seconds since 1970), or why it does not follow the
    /// wall clock.
    AcceptClock(Result<u64, String>),
    /// What was found.
    Found(Box<Found>),
    /// One page of orders.
    Page(Page),
    /// Recent refusals.
    Refusals(Refusals),
    /// The server's state.
    Status(Box<Status>),
    /// Why the request failed.
    Failed(String),
}

#[cfg(test)]
mod tests;
