//! Strict JWS envelopes, JWKs and thumbprints for ACME: verifies who signed a
//! request.
//!
//! A request body is parsed into an [`Envelope`], which names its signer and
//! its URL but keeps its payload private. Only [`Envelope::verify`] returns the
//! payload, in a [`Verified`], so no caller can act on unauthenticated bytes.
//!
//! The grammar is narrower than what JOSE libraries accept. RFC 8555 section
//! 6.2 rules out most of RFC 7515, and this crate refuses whatever remains
//! ambiguous (duplicate members, a second encoding of the same key).
//!
//! Everything is synchronous and pure: no clock, no randomness, no I/O. The
//! caller limits the size of a body; the work here grows linearly with it.

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
