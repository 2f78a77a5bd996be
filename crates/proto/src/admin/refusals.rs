use serde::{Deserialize, Serialize};

use crate::{Timestamp, WireIdentifier};

/// Which recent refusals to list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRefusals {
    /// Refusals for this device.
    pub device: Option<String>,
    /// The maximum number to return; the newest are returned.
    pub limit: usize,
}

/// Recent refusals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// The newest refusals, oldest first.
    pub refusals: Vec<Refusal>,
    /// How many refusals the server remembers.
    pub total: usize,
}

/// A newOrder request that was refused because of one of its identifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When it was refused.
    pub at: Timestamp,
    /// The identifier as sent, truncated.
    pub identifier: WireIdentifier,
    /// The account that sent the request.
    pub account: String,
    /// The client's address, if known.
    pub client: Option<String>,
    /// The reason's stable name.
    pub reason: String,
    /// The exact finding, for the operator.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
}
