//! Signing: inline if the key is in memory, on a blocking thread if it is in a
//! module or on another machine.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use assay_ca::{IssuedCert, Issuer, PreparedCert, SignError};

use crate::{Engine, domain::Order, ports::Unfinished};

/// Timeout of a signature, including the wait for a thread: half of the lease
/// of an order in processing, so an attempt reports before the next one begins.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Why signing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotSigned {
    /// The key or its device failed.
    #[error(transparent)]
    Failed(#[from] SignError),
    /// Signing timed out. A late signature is discarded.
    #[error("the CA key did not sign within {} seconds; look at the device or module that holds it", PATIENCE.as_secs())]
    Late,
    /// The system refused to start a thread.
    #[error(
        "the system refused a thread for signing: raise its limit (TasksMax= of the unit, `ulimit -u`)"
    )]
    NoThread,
}

// An attempt reports before another process may begin the next one.
const _: () = assert!(PATIENCE.as_secs() * 2 <= Order::LEASE);

impl Engine {
    /// Signs a prepared certificate and consumes it.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub(crate) async fn sign(
        &self,
        issuer: &Issuer,
        prepared: PreparedCert,
    ) -> Result<IssuedCert, NotSigned> {
        let signing = issuer.signing(prepared)?;
        let blocking = match &self.blocking {
            Some(blocking) if signing.may_block() => blocking,
            // An engine whose signers may block does not start without threads.
            _ => return Ok(signing.run()?),
        };
        let result = Arc::new(Mutex::new(None));
        let put = Arc::clone(&result);
        let job = Box::new(move || {
            let signed = signing.run();
            *put.lock().unwrap_or_else(PoisonError::into_inner) = Some(signed);
        });
        blocking
            .run(job, PATIENCE)
            .await
            .map_err(|unfinished| match unfinished {
                Unfinished::Late => NotSigned::Late,
                Unfinished::NoThread => NotSigned::NoThread,
            })?;
        let signed = (result.lock())
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A signer that panicked returned nothing.
        Ok(signed.unwrap_or(Err(SignError::Signer))?)
    }
}
