//! Evidence in the format of Apple's attestation servers, and tools to build malformed evidence.
//!
//! [`DeviceProperties`] holds the attested properties, [`Evidence`] the resulting chain.
//! [`CertificateTemplate`] and [`Cbor`] build the same structures piece by piece without any
//! checks, so that a test can forge whatever a validator must refuse.

mod cbor;
mod certificate;
pub mod der;
mod platforms;
mod properties;

pub use cbor::Cbor;
pub use certificate::{CertificateTemplate, Extension, algorithm};
pub use properties::{DeviceProperties, PropertyError, oids};

/// A certificate chain as a device sends it: leaf first, then the intermediate, without the root.
/// DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The certificates, leaf first.
    pub chain: Vec<Vec<u8>>,
}

impl Evidence {
    /// The WebAuthn attestation object with the chain, in CBOR: `{"fmt": "apple", "attStmt":
    /// {"x5c": [leaf, intermediate]}}`.
    #[must_use]
    pub fn attestation_object(&self) -> Vec<u8> {
        Cbor::attestation_object("apple", self.statement()).encode()
    }

    /// The attestation statement alone: `{"x5c": [..]}`, for an object with another structure.
    #[must_use]
    pub fn statement(&self) -> Cbor {
        let x5c = self.chain.iter().cloned().map(Cbor::Bytes).collect();
        Cbor::Map(vec![(Cbor::text("x5c"), Cbor::Array(x5c))])
    }
}
