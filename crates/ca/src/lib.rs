//! CSR in, certificate out: parses and checks certification requests, prepares
//! and signs leaf certificates, and creates the CAs.
//!
//! This crate does not depend on ACME. It has no clock and does no I/O: times
//! are seconds since the Unix epoch, and random bytes and keys are arguments.
//! The only exceptions are [`authority::create`] and [`authority::create_tls`],
//! which take keys and serial numbers from the CSPRNG of the cryptographic
//! library. [`authority::repeatable`] creates a laboratory CA without any
//! randomness.
//!
//! How a certificate is issued:
//!
//! 1. [`Csr::parse`] checks the request and its self-signature once.
//! 2. [`Issuer::prepare`] builds the whole `TBSCertificate`. The caller stores
//!    its bytes durably before anything is signed.
//! 3. [`Issuer::sign`], or [`Issuer::signing`] if the signer may block,
//!    consumes the [`PreparedCert`], so that an intent is signed at most once.
//!    After a crash, [`Issuer::resume`] restores the same prepared certificate
//!    from the recorded bytes.

pub mod authority;
mod csr;
mod deterministic;
mod hardware_module;
mod issued;
mod issuer;
mod leaf;
mod oid;
mod permanent_identifier;
mod prepared;
mod root;
mod serial;
mod signer;
mod signing;
mod tbs;

pub use csr::{Csr, CsrError, MAX_CSR_LEN, RequestedNames};
pub use deterministic::DeterministicKey;
pub use hardware_module::HardwareModuleName;
pub use issued::{certificate_pem, serial_number_of};
pub use issuer::{Issuer, IssuerError};
pub use leaf::{
    LeafTemplate, LeafUsage, PrepareError, SubjectAltName, SubjectAttribute, is_dns_name,
};
pub use permanent_identifier::PermanentIdentifierName;
pub use prepared::{IssuedCert, PreparedCert};
pub use root::{Root, RootError};
pub use serial::{SerialError, SerialNumber};
pub use signer::{FileSigner, SignError, SignatureAlgorithm, Signer, SignerError};
pub use signing::Signing;
