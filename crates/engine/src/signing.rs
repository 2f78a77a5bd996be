//! The way to a signature: at once where the key is in memory, on a thread that
//! may block where a module or another machine has it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use assay_ca::{IssuedCert, Issuer, PreparedCert, SignError};

use crate::{Engine, domain::Order, ports::Unfinished};

/// How long a signature may take, its turn included: half of the lease of an
/// order in processing, so that an attempt has reported before the next one
/// begins.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotSigned {
    /// The key or its device failed.
    #[error(transparent)]
    Failed(#[from] SignError),
    /// It takes too long. A signature that is made after all goes nowhere.
    #[error("the CA key did not sign within {} seconds; look at the device or module that holds it", PATIENCE.as_secs())]
    Late,
    /// The system gives no thread to wait on.
    #[error(
        "the system gives no thread to sign on: raise its limit (TasksMax= of the unit, `ulimit -u`)"
    )]
    NoThread,
}

// An attempt has reported before another process may begin the next one.
const _: () = assert!(PATIENCE.as_secs() * 2 <= Order::LEASE);

impl Engine {
    /// Signs a prepared certificate, and uses it up.
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
            // Without threads no engine starts whose signers may block.
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
        // A signer that panicked left nothing.
        Ok(signed.unwrap_or(Err(SignError::Signer))?)
    }
}
