//! Evidence in the shape that Apple's attestation servers give it, and every
//! way of spoiling that shape.
//!
//! [`DeviceProperties`] says what the authority vouches for, [`Evidence`] is
//! the resulting chain. [`CertificateTemplate`] and [`Cbor`] build the same
//! things piece by piece: nothing they are given is checked, so that a test
//! can forge whatever it wants a validator to refuse.

mod cbor;
mod certificate;
pub mod der;
mod platforms;
mod properties;

pub use cbor::Cbor;
pub use certificate::{CertificateTemplate, Extension, algorithm};
pub use properties::{DeviceProperties, oids};

/// A certificate chain as a device sends it: leaf first, then the
/// intermediate, the root left out. DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The certificates, leaf first.
    pub chain: Vec<Vec<u8>>,
}

impl Evidence {
    /// The WebAuthn attestation object around the chain, in CBOR:
    /// `{"fmt": "apple", "attStmt": {"x5c": [leaf, intermediate]}}`.
    #[must_use]
    pub fn attestation_object(&self) -> Vec<u8> {
        Cbor::attestation_object("apple", self.statement()).encode()
    }

    /// The attestation statement alone: `{"x5c": [..]}`, to be put into an
    /// object of another shape.
    #[must_use]
    pub fn statement(&self) -> Cbor {
        let x5c = self.chain.iter().cloned().map(Cbor::Bytes).collect();
        Cbor::Map(vec![(Cbor::text("x5c"), Cbor::Array(x5c))])
    }
}
