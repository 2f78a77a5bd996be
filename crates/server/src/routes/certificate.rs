use std::sync::Arc;

use assay_engine::{SerialNumber, domain::Account, ports::Versioned};
use axum::{
    extract::State,
    http::{HeaderName, header::CONTENT_TYPE},
};

use crate::{named::Named, refusal::Refusal, signed::Signed, surface::App};

/// A certificate with its chain (RFC 8555 section 7.4.2).
pub(super) async fn read(
    State(app): State<Arc<App>>,
    serial: Named<SerialNumber>,
    request: Signed<Versioned<Account>>,
) -> Result<([(HeaderName, &'static str); 1], String), Refusal> {
    let serial = serial.known()?;
    request.payload.expect_empty()?;
    let chain = app.engine.certificate(&request.context, serial).await?;
    let media_type = [(CONTENT_TYPE, "application/pem-certificate-chain")];
    Ok((media_type, chain.pem))
}
