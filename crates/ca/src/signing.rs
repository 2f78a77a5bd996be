use std::{fmt, sync::Arc};

use der::{
    Decode, Encode,
    asn1::{AnyRef, BitStringRef},
};

use crate::{IssuedCert, PreparedCert, SignError, Signer, issuer::algorithm, tbs::Certificate};

/// A pending signature, independent of its CA, so that a signer that blocks can
/// run on its own thread. It runs at most once.
#[must_use]
pub struct Signing {
    signer: Arc<dyn Signer>,
    prepared: PreparedCert,
}

impl Signing {
    pub(crate) fn new(signer: Arc<dyn Signer>, prepared: PreparedCert) -> Self {
        Self { signer, prepared }
    }

    /// Whether [`run`](Self::run) may block for longer than a computation, and
    /// so must not run on the threads of an async runtime.
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.signer.may_block()
    }

    /// Signs.
    ///
    /// # Errors
    /// [`SignError`]. The prepared certificate is consumed;
    /// [`Issuer::resume`](crate::Issuer::resume) restores it from its recorded
    /// bytes.
    pub fn run(self) -> Result<IssuedCert, SignError> {
        let prepared = self.prepared;
        let signature = self.signer.sign(&prepared.tbs_der)?;
        let encoding = |_| SignError::Encoding;
        let der = Certificate {
            tbs_certificate: AnyRef::from_der(&prepared.tbs_der).map_err(encoding)?,
            signature_algorithm: algorithm(self.signer.as_ref()),
            signature: BitStringRef::from_bytes(&signature).map_err(encoding)?,
        }
        .to_der()
        .map_err(encoding)?;
        Ok(IssuedCert {
            der,
            serial: prepared.serial,
            not_before: prepared.not_before,
            not_after: prepared.not_after,
        })
    }
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing")
            .field("prepared", &self.prepared)
            .finish_non_exhaustive()
    }
}
