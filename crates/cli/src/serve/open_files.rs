//! The limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Makes room for `connections`, the database and a reserve, where the system
/// allows it.
pub fn raise(connections: usize) {
    let wanted = connections as u64 + 128;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(allowed),
            maximum: limit.maximum,
        },
    );
    if raised.is_err() || allowed < wanted {
        tracing::warn!(
            event = "few_open_files",
            allowed,
            wanted,
            "max_connections is more than the system's limit of open files allows: raise LimitNOFILE, or lower it"
        );
    }
}
