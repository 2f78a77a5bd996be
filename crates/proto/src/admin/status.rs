use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Readiness, Timestamp};

/// How a running server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its parts.
    #[serde(flatten)]
    pub readiness: Readiness,
    /// The program's version.
    pub version: String,
    /// The URL that clients begin with.
    pub directory: String,
    /// The server's time.
    pub time: Timestamp,
    /// For how long it has been serving.
    pub uptime_seconds: u64,
    /// How often commits were tried since it started, by their name: a measure
    /// of how much requests get into each other's way.
    #[serde(default)]
    pub commits: BTreeMap<String, CommitCount>,
}

/// How often the commits of one name were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitCount {
    /// How often in all.
    pub attempts: u64,
    /// How often another commit was faster, or a limit was reached.
    pub conflicts: u64,
}
