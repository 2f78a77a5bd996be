use serde::{Deserialize, Serialize};

use crate::{Timestamp, WireIdentifier};

/// Which recent refusals are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRefusals {
    /// Those for this device.
    pub device: Option<String>,
    /// At most so many, the newest.
    pub limit: usize,
}

/// Recent refusals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// The newest, oldest first.
    pub refusals: Vec<Refusal>,
    /// How many there are.
    pub total: usize,
}

/// A refused newOrder, for one of its identifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When it was refused.
    pub at: Timestamp,
    /// The identifier as it came, cut.
    pub identifier: WireIdentifier,
    /// The account whose request it was.
    pub account: String,
    /// The address that it came from, where that is known.
    pub client: Option<String>,
    /// The stable name of the reason.
    pub reason: String,
    /// The exact finding.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
}
