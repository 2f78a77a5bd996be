//! All decisions of an ACME certificate authority for attested devices: the
//! state machines of account, order, authorization and challenge; the
//! use-cases; the three gates (admission, appraisal, issuance); and the ports
//! for time, random bytes, the inventory and the store. No HTTP, no database,
//! no files.
//!
//! Start at [`Engine`]: [`Engine::authenticate_account`] is the only source of
//! payloads; [`Engine::new_order`], [`Engine::answer_challenge`] and
//! [`Engine::finalize`] lead to a certificate. [`operator::answer`] answers an
//! operator's requests.

pub mod admission;
pub mod directories;
pub mod domain;
pub mod events;
pub mod health;
pub mod ids;
pub mod issuance;
pub mod names;
pub mod nonce;
pub mod operator;
pub mod ports;
pub mod profile;
pub mod text;
pub mod time;
pub mod urls;

mod appraisal;
mod attempts;
mod authenticate;
mod census;
mod engine;
mod error;
mod issuers;
mod notes;
mod provisional;
mod recent;
mod refusal;
pub mod remedy;
mod signing;
mod space;
mod stale;
mod tally;
mod usecase;

pub use assay_ca::SerialNumber;
pub use assay_jws::{PublicKey, Thumbprint};

pub use authenticate::{
    AccountContext, Context, KeyContext, Payload, RequestId, RequestInfo, Requester,
    Unauthenticated,
};
pub use engine::{Engine, Limits, Setup};
pub use error::{CsrRefusal, Error, IdentifierFault, IdentifierRefusal, IssuanceRefusal};
pub use issuers::{Issuers, RepeatedIssuer};
pub use recent::RecentRefusal;
pub use usecase::{
    Chain, ClockReset, Expiring, OrdersPage, SERVER_CERTIFICATE_LIFETIME, ServerCertificate,
    reset_clock,
};

/// Returns the SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    hash
}
