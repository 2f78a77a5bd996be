//! What device does this evidence prove: Apple Managed Device Attestation, verified.
//!
//! Evidence goes in, an [`AttestedDevice`] or the one [`Reason`] against it comes out. There
//! is no clock, no network and no state but a small memory of intermediates: the time, the
//! freshness code and the roots are arguments.
//!
//! ```
//! use assay_attest::{Attribute, RustCrypto, TrustAnchor, Verifier};
//! # use assay_simulator::{authority::AttestationAuthority, evidence::DeviceProperties};
//! # use rcgen::PublicKeyData;
//! # let now = 1_795_000_000;
//! # let freshness = [7; 32];
//! # let authority = AttestationAuthority::create(now)?;
//! # let key = rcgen::KeyPair::generate()?.subject_public_key_info();
//! # let mac = DeviceProperties::mac("C02XK0AAJHD2", "00008112-000A1B2C3D4E5F60");
//! # let object = authority.attest(&mac, &key, &freshness, now)?.attestation_object();
//! # let laboratory_root = authority.root_der();
//! # let minimum = "15.4".parse::<assay_attest::Version>()?;
//!
//! let roots = vec![
//!     TrustAnchor::apple(),
//!     TrustAnchor::laboratory(laboratory_root, "bench in room 3")?,
//! ];
//! let verifier = Verifier::new(roots, Box::new(RustCrypto));
//!
//! // `freshness` is the SHA-256 of the token of the challenge that `object` answers.
//! let device = verifier.verify_object(&object, &freshness, now)?;
//! device.check_identity(Attribute::Serial, "C02XK0AAJHD2")?;
//! assert!(device.sip.is_good());
//! assert!(device.os_version.good().is_some_and(|version| version.at_least(&minimum)));
//! assert!(device.laboratory);
//!
//! // The answer to another challenge proves nothing here.
//! let refusal = verifier.verify_object(&object, &[8; 32], now).unwrap_err();
//! assert_eq!(refusal.reason.as_str(), "freshness-mismatch");
//! assert_eq!(refusal.check.as_str(), "freshness");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The order of the checks
//!
//! The first failed check gives the reason. The order is fixed, and cheap before costly, so
//! that junk never reaches a signature:
//!
//! 1. the object: its size, CBOR, `fmt`, `attStmt`, `x5c` and the number of certificates;
//! 2. each certificate's size, then each one's DER, version, serial number, the equality of
//!    its two signature algorithms, the number of its extensions and their repetition;
//! 3. there is an intermediate;
//! 4. the leaf's Apple properties, each in its own type; its key; its freshness code;
//! 5. the validity of each certificate;
//! 6. leaf first, for each certificate: critical extensions and name constraints, what makes
//!    it a leaf or a CA, path length, the issuer's name and key identifier, the signature
//!    algorithm;
//! 7. the anchor: its name, validity, path length, key identifier;
//! 8. the signatures, from the anchor down to the leaf.
//!
//! Until the last signature verified, the evidence can only cause refusal: nothing of it is
//! given out but in [`Refusal::detail`], which is the operator's.
//!
//! # Which rules of RFC 5280 are applied
//!
//! Applied: section 4.1 (version 3 only, positive serial numbers of at most 20 bytes, the
//! same algorithm inside and out, names of the string types of 4.1.2.4, no unique
//! identifiers); 4.2 (no extension twice, no unknown critical one); 6.1.3 (a)(1), (2), (4):
//! signature, validity, name chaining; 6.1.4 (k) to (n): basicConstraints, path length,
//! keyCertSign; and key identifiers, where both certificates have one. DER is DER: explicit
//! default values, unused bits and trailing bytes are refused.
//!
//! Stricter: `x5c` is the path (each certificate was issued by the next; no search, no extra
//! certificate but a trailing copy of the anchor); the intermediate may not be missing;
//! keyUsage must be present in a CA; self-issued CAs count for path lengths; names are
//! compared as bytes (no folding, 7.1); name constraints are refused wherever they stand;
//! the anchor is held to its own validity and path length.
//!
//! Left out, with reasons: revocation (Apple publishes none for this hierarchy, and leaves
//! live three months); certificate policies, their mappings and constraints (no policy is
//! asked for; critical ones are refused as unknown); extended key usage of the leaf (it is
//! read as a statement, and its key is used for nothing here: any value passes, critical or
//! not; in a CA a critical one is refused); authorityCertIssuer and -SerialNumber (hints for
//! the search that does not happen).

mod anchor;
mod apple;
mod attested;
mod cache;
mod certificate;
mod check;
mod device;
mod extension;
mod freshness;
mod identity;
mod inspect;
mod key;
pub mod limits;
mod object;
mod path;
mod posture;
mod reason;
mod signature;
mod verifier;
mod version;

#[cfg(feature = "aws-lc")]
pub use crate::signature::AwsLc;
pub use crate::{
    anchor::{AnchorError, TrustAnchor},
    apple::UnknownExtension,
    attested::Attested,
    check::{Check, Outcome},
    device::{AttestedDevice, DeviceInformation},
    freshness::{Freshness, NonceLength, SentNonce},
    identity::{Attribute, IdentityFault},
    inspect::{UnverifiedCertificate, UnverifiedExtension, UnverifiedObject},
    key::KeyKind,
    posture::{KernelExtensions, SecureBoot, SystemIntegrityProtection},
    reason::{Reason, Refusal},
    signature::{BadSignature, RustCrypto, SignatureAlgorithm, SignatureVerifier},
    verifier::Verifier,
    version::{Version, VersionError},
};
