//! Who signed these bytes: strict JWS envelopes, JWKs and thumbprints for ACME.
//!
//! A request body becomes an [`Envelope`], which names its signer and its URL
//! but does not give out its payload. Only [`Envelope::verify`] does, as a
//! [`Verified`], so no caller can act on bytes that nobody signed.
//!
//! The grammar is narrower than what JOSE libraries accept: RFC 8555 section
//! 6.2 rules out most of RFC 7515, and whatever is left with two readings
//! (duplicate members, a second encoding of the same key) is refused here.
//!
//! Everything is synchronous and pure: no clock, no randomness, no I/O. The
//! caller caps the size of a body; the work done here grows linearly with it.

mod algorithm;
mod envelope;
mod json;
mod key;
mod thumbprint;

pub use algorithm::Algorithm;
pub use envelope::{Envelope, EnvelopeError, SignatureError, Signer, Verified};
pub use json::JsonError;
pub use key::{KeyError, PublicKey};
pub use thumbprint::Thumbprint;
