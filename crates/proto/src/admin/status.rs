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
}
