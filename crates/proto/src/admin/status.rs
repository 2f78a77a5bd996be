use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Readiness, Timestamp};

/// The state of a running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether it is ready, and the state of each part.
    #[serde(flatten)]
    pub readiness: Readiness,
    /// The program's version.
    pub version: String,
    /// The directory URL, where clients start.
    pub directory: String,
    /// The server's time.
    pub time: Timestamp,
    /// How long the server has been running.
    pub uptime_seconds: u64,
    /// Counts of commit attempts since the start, by transaction name. They
    /// measure how often concurrent requests conflict.
    #[serde(default)]
    pub commits: BTreeMap<String, CommitCount>,
}

/// How often the commits of one transaction were attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitCount {
    /// The number of attempts.
    pub attempts: u64,
    /// The number of attempts that failed because another commit came first or
    /// a limit was reached.
    pub conflicts: u64,
}
