use assay_proto::admin::Status;

use super::Running;

/// Returns the server's current status.
pub(super) fn status(running: Running<'_>) -> Status {
    let Running {
        engine,
        uptime_seconds,
        version,
    } = running;
    Status {
        readiness: engine.readiness(),
        version: version.to_owned(),
        directory: engine.urls().directory(),
        time: engine.now(),
        uptime_seconds,
        commits: engine.commit_counts(),
    }
}
