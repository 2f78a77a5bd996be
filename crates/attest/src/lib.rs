//! What device does this evidence prove: Apple Managed Device Attestation, verified.
//!
//! Evidence goes in, an [`AttestedDevice`] or the one [`Refusal`] of it comes out. There is no
//! clock, no network, no file and no state but a small memory of intermediates: the time, the
//! freshness code and the roots are arguments. Nothing is asynchronous, nothing waits. The
//! default features are Rust alone; the feature `aws-lc` adds a faster back-end for signatures,
//! `AwsLc`, which accepts exactly the same ones.
//!
//! Two surfaces bring the same kind of certificate chain:
//!
//! | surface | evidence | freshness code | call |
//! |---|---|---|---|
//! | ACME, `device-attest-01` | CBOR attestation object of format "apple" | SHA-256 of the challenge's token | [`Verifier::verify_object`] |
//! | MDM, DeviceInformation | array `DevicePropertiesAttestation` | a `DeviceAttestationNonce` that was sent to this device | [`Verifier::verify_device_information`] |
//!
//! # An ACME challenge
//!
//! ```
//! use assay_attest::{Attribute, Check, RustCrypto, TrustAnchor, Verifier};
//! # use assay_simulator::{authority::AttestationAuthority, evidence::DeviceProperties};
//! # use rcgen::PublicKeyData;
//! # let now = 1_795_000_000;
//! # let freshness = [7; 32];
//! # let authority = AttestationAuthority::create(now)?;
//! # let key = rcgen::KeyPair::generate()?.subject_public_key_info();
//! # let mac = DeviceProperties::mac("C02XK0AAJHD2", "00008112-000A1B2C3D4E5F60");
//! # let object = authority.attest(&mac, &key, &freshness, now)?.attestation_object();
//! # let laboratory_root = authority.root_der();
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
//! // What is not attested is not good.
//! assert!(device.sip.is_good());
//! let minimum = "15.4".parse()?;
//! assert!(device.os_version.good().is_some_and(|version| version.at_least(&minimum)));
//! assert!(device.laboratory);
//!
//! // The answer to another challenge proves nothing here.
//! let refusal = verifier.verify_object(&object, &[8; 32], now).unwrap_err();
//! assert_eq!(refusal.check, Check::Freshness);
//! assert_eq!(refusal.reason.as_str(), "freshness-mismatch");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A DeviceInformation answer
//!
//! The device returns the attestation that it has until 7 days are over, with the nonce that it
//! was made for. So the caller keeps the nonces that it sent to each device, and when:
//!
//! ```
//! use assay_attest::{Attribute, Freshness, RustCrypto, SentNonce, TrustAnchor, Verifier};
//! # use assay_simulator::{authority::AttestationAuthority, evidence::DeviceProperties};
//! # use rcgen::PublicKeyData;
//! # let now = 1_795_000_000;
//! # let authority = AttestationAuthority::create(now)?;
//! # let key = rcgen::KeyPair::generate()?.subject_public_key_info();
//! # let mac = DeviceProperties::mac("C02XK0AAJHD2", "00008112-000A1B2C3D4E5F60");
//! # let answer = authority.attest(&mac, &key, b"Monday", now)?.chain;
//! # let laboratory_root = authority.root_der();
//!
//! let roots = vec![TrustAnchor::laboratory(laboratory_root, "bench in room 3")?];
//! let verifier = Verifier::new(roots, Box::new(RustCrypto));
//!
//! // `answer` is the array `DevicePropertiesAttestation`: DER, the leaf first.
//! let certificates: Vec<&[u8]> = answer.iter().map(Vec::as_slice).collect();
//! let nonces = [
//!     SentNonce::new(b"Monday", now - 86_400)?,
//!     SentNonce::new(b"Tuesday", now - 60)?,
//! ];
//! let answer = verifier.verify_device_information(&certificates, &nonces, now)?;
//! answer.device.check_identity(Attribute::Serial, "C02XK0AAJHD2")?;
//! assert_eq!(answer.freshness, Freshness::Cached);
//! assert_eq!(answer.nonce_sent, now - 86_400);
//!
//! // After a week it is too old, and the device could have made a new one.
//! let later = now + 6 * 86_400;
//! let refusal = verifier.verify_device_information(&certificates, &nonces, later).unwrap_err();
//! assert_eq!(refusal.reason.as_str(), "freshness-expired");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The order of the checks
//!
//! The first failed [`Check`] gives the reason. The order is fixed, and cheap before costly, so
//! that junk never reaches a signature:
//!
//! 1. `object`: of an attestation object its size, CBOR, `fmt`, `attStmt`, `x5c`; of either
//!    surface the number of certificates;
//! 2. `certificates`: each one's size, then each one's DER, version, serial number, the equality
//!    of its two signature algorithms, the number of its extensions and their repetition;
//! 3. `chain`: there is an intermediate, and no root but at the end;
//! 4. `properties`: the leaf's Apple properties, each in its own type;
//! 5. `key`: the leaf's key;
//! 6. `freshness`: the leaf's freshness code;
//! 7. `validity`: the validity of each certificate;
//! 8. `path`: leaf first, for each certificate: critical extensions and name constraints, what
//!    makes it a leaf or a CA, path length, the issuer's name and key identifier, the signature
//!    algorithm;
//! 9. `anchor`: its name, validity, path length, key identifier;
//! 10. `signatures`: from the anchor down to the leaf.
//!
//! Until the last signature verified, the evidence can only cause refusal: nothing of it is
//! given out but in [`Refusal::detail`], which is the operator's. The work is bounded before it
//! is done: [`limits`] has each bound and why.
//!
//! # Which rules of RFC 5280 are applied
//!
//! DER is DER: padded object identifiers, sets out of order in names, explicit default values,
//! unused bits that are set, and trailing bytes are refused. Zero bits at the end of a keyUsage
//! are let pass: they mean nothing. An identifier of more than 39 bytes, or with an arc of 2^32
//! or above, cannot be read and is refused as malformed; Apple has none.
//!
//! | section | rule | here |
//! |---|---|---|
//! | 4.1.1.2 | the same algorithm inside and out | applied, byte for byte |
//! | 4.1.2.1 | version 3 | applied, and no other: without extensions there is no evidence |
//! | 4.1.2.2 | a serial number is positive and has at most 20 octets | applied, though the section asks users to "gracefully handle" others: no issuer here makes them |
//! | 4.1.2.4 | names are not empty, and of UTF8String or PrintableString | applied to issuers and subjects; IA5String too, which older attributes use |
//! | 4.1.2.5 | validity includes both of its ends; UTCTime through 2049 | applied |
//! | 4.1.2.8 | no unique identifiers | applied |
//! | 4.2 | no extension twice | applied |
//! | 4.2 | no unknown critical extension | applied: in a CA keyUsage, basicConstraints and the key identifiers may be critical; in the leaf also extended key usage and Apple's documented extensions |
//! | 4.2.1.1, .2 | key identifiers | applied where both certificates have one. authorityCertIssuer and -SerialNumber are left out: hints for a search that does not happen |
//! | 4.2.1.3 | keyUsage in a CA | stricter: it must be there, with keyCertSign. In a leaf keyCertSign is refused |
//! | 4.2.1.4, .5, .11, .14; 6.1.3 (d) to (f); 6.1.4 (a), (b), (h) to (j) | policies, their mappings and constraints | left out: no policy is asked for. Critical ones are refused as unknown |
//! | 4.2.1.6, .7 | alternative names | left out: devices are named by Apple's extensions, CAs by their subjects. Critical ones are refused as unknown |
//! | 4.2.1.9; 6.1.4 (k) | a CA says so in basicConstraints | applied. A leaf that says so is refused |
//! | 4.2.1.10; 6.1.3 (b), (c); 6.1.4 (g) | name constraints | stricter: refused wherever they stand, critical or not. To ignore them would widen what a CA may name |
//! | 4.2.1.12 | extended key usage | left out in the leaf: it is read as a statement, and its key is used for nothing here, so that any purpose passes; a critical one must be readable. In a CA a critical one is refused |
//! | 4.2.1.13, 5, 6.3; 6.1.3 (a)(3) | revocation | left out: Apple publishes none for this hierarchy, and leaves live three months |
//! | 6.1.1 (d) | the anchor's name and key are trusted as they are | stricter: it is held to its own validity and path length too |
//! | 6.1.3 (a)(1) | signatures | applied, last |
//! | 6.1.3 (a)(2) | the time lies in every validity | applied |
//! | 6.1.3 (a)(4) | names chain | applied |
//! | 6.1.4 (l), (m) | path lengths | stricter: self-issued CAs count; the exemption serves key roll-over, which a fresh chain has no use for |
//! | 6.1.4 (n) | keyCertSign | applied |
//! | 7.1 | names are compared without case and outer spaces | stricter: as bytes. No issuer here needs folding |
//! | - | building a path | left out: the list is the path. Each certificate was issued by the next; the intermediate may not be missing; no extra certificate but one trailing copy of the anchor |
//! | - | key parameters are inherited (6.1.4 (d) to (f)) | left out: keys are P-256, P-384 (named curves) or, in a CA, RSA of 2048 to 4096 bits |

mod anchor;
mod apple;
mod attested;
mod check;
mod device;
mod examine;
mod faults;
mod identity;
mod inspect;
pub mod limits;
mod object;
mod reason;
mod verifier;
mod version;
mod x509;

#[cfg(feature = "aws-lc")]
pub use crate::x509::signature::AwsLc;
pub use crate::{
    anchor::{AnchorError, TrustAnchor},
    apple::{
        freshness::{Freshness, NonceLength, SentNonce},
        posture::{KernelExtensions, SecureBoot, SystemIntegrityProtection},
        properties::{Property, UnknownExtension},
    },
    attested::Attested,
    check::{Check, Outcome},
    device::{AttestedDevice, DeviceInformation},
    examine::{Examination, Examined, SignedStatement},
    identity::{Attribute, IdentityFault},
    inspect::{UnverifiedCertificate, UnverifiedExtension, UnverifiedObject},
    reason::{Reason, Refusal},
    verifier::Verifier,
    version::{Version, VersionError},
    x509::{
        key::KeyKind,
        signature::{BadSignature, RustCrypto, SignatureAlgorithm, SignatureVerifier},
    },
};

/// The name, beside those of [`Reason`] and [`IdentityFault`], of the refusal
/// of a device that answered its challenge with an error of its own instead of
/// evidence. It never changes.
pub const DEVICE_COULD_NOT_ATTEST: &str = "device-could-not-attest";
