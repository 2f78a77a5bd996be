use assay_proto::Timestamp;

use crate::Engine;

/// Makes `engine` follow the wall clock; returns its new time, or the error.
pub(super) async fn accept(engine: &Engine, confirmed: Timestamp) -> Result<u64, String> {
    let accepted = engine.accept_clock(confirmed).await;
    accepted.map(|now| now.0).map_err(|error| error.to_string())
}
