use assay_proto::Timestamp;

use crate::Engine;

/// Has `engine` follow the wall clock: its time, or why it does not.
pub(super) async fn accept(engine: &Engine, confirmed: Timestamp) -> Result<u64, String> {
    let accepted = engine.accept_clock(confirmed).await;
    accepted.map(|now| now.0).map_err(|error| error.to_string())
}
