//! CSR in, certificate out: parsing and checking certification requests,
//! preparing and signing leaf certificates, and creating the CAs themselves.
//!
//! The crate knows nothing of ACME. It has no clock and no I/O: times are
//! seconds since the Unix epoch, random bytes and keys are arguments. The one
//! exception is [`authority::create`] and [`authority::create_tls`], whose keys and serial numbers come from
//! the cryptographic library's own generator; [`authority::repeatable`] makes
//! a laboratory's CA without any chance.
//!
//! The way of a certificate:
//!
//! 1. [`Csr::parse`] checks the request and its self-signature once.
//! 2. [`Issuer::prepare`] builds the whole `TBSCertificate`. Its bytes are
//!    what the caller makes durable before anything is signed.
//! 3. [`Issuer::sign`], or [`Issuer::signing`] where the signer may block,
//!    consumes the [`PreparedCert`], so that one intent is signed at most once. After a crash, [`Issuer::resume`] takes the
//!    recorded bytes and yields the same prepared certificate again.

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
