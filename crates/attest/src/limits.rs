//! Bounds on all untrusted input, each with its reason.

pub use crate::{
    apple::limits::{MAX_NONCE_AGE, MAX_NONCE_BYTES, MAX_PROPERTY_BYTES},
    x509::limits::{
        MAX_CACHED_INTERMEDIATES, MAX_CERTIFICATE_BYTES, MAX_CHAIN_EXTENSIONS, MAX_EXTENSIONS,
        MAX_NAME_ATTRIBUTES, MAX_SERIAL_BYTES,
    },
};

/// Bytes of an attestation object. Apple's have about 2 KiB; five
/// certificates at their own limit do not fit, and need not.
pub const MAX_OBJECT_BYTES: usize = 64 * 1024;

/// Certificates in `x5c`. Apple sends two; a copy of the root and room for a
/// deeper hierarchy make five.
pub const MAX_CHAIN_CERTIFICATES: usize = 5;

/// Nested CBOR containers and tags. The object needs three: the map, the
/// statement, `x5c`.
pub const MAX_CBOR_DEPTH: usize = 8;

/// Keys of one CBOR map. WebAuthn knows three for the object; the search for
/// repeated ones is quadratic.
pub const MAX_CBOR_KEYS: usize = 32;

/// CBOR items in one map, those within its items too. The object needs about
/// ten; 64 KiB hold as many one-byte items, and passing over all of them would
/// cost more than a good object.
pub const MAX_CBOR_ITEMS: usize = 256;
