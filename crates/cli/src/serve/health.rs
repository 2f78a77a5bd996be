//! The listener of `[health] listen`: it answers from before the database is
//! opened to the end of the process.

use std::{net::SocketAddr, sync::Arc};

use assay_engine::health::{Health, Part};
use assay_server::{ReadReadiness, serve_health};
use tokio::net::TcpListener;

use super::background::Background;
use crate::{
    config::Config,
    stop::{OrStop, Stop},
};

/// The state of a server that begins: not ready, and answered on the address that
/// the configuration names, if it names one.
pub async fn begin(config: &Config, background: &mut Background) -> Result<Arc<Health>, Stop> {
    let health = Arc::new(Health::default());
    health.fail(Part::Store, "the database is being opened");
    if let Some(address) = config.health.listen {
        background.spawn(listen(address, reader(&health)).await?);
    }
    Ok(health)
}

/// Returns the state of all parts when it is asked.
pub fn reader(health: &Arc<Health>) -> ReadReadiness {
    let health = Arc::clone(health);
    Arc::new(move || health.readiness())
}

/// Binds `address`; what is returned answers on it until it is dropped.
async fn listen(
    address: SocketAddr,
    readiness: ReadReadiness,
) -> Result<impl Future<Output = ()> + Send + 'static, Stop> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.or_fault(format_args!("health.listen: cannot listen on {address}"))?;
    let bound = listener
        .local_addr()
        .or_fault("cannot read the bound port")?;
    if !bound.ip().is_loopback() {
        tracing::warn!(
            event = "health_exposed",
            address = %bound,
            "health.listen is no loopback address: who reaches it reads why parts of this server fail"
        );
    }
    tracing::info!(event = "health_listening", address = %bound, "health is answered");
    Ok(async move { match serve_health(listener, readiness).await {} })
}
