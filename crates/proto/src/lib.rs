//! The wire types of ACME: every JSON shape of [RFC 8555] that Assay uses, the
//! identifiers of [draft-ietf-acme-device-attest] with their grammar, problem
//! documents, the server's readiness report, and the admin API ([`admin`]).
//!
//! This crate does no I/O and makes no decisions. A value of a parsed type
//! ([`Identifier`], [`Contact`], [`Timestamp`], [`Base64Url`]) always obeys its
//! grammar; the other types are plain shapes for `serde`.
//!
//! [RFC 8555]: https://www.rfc-editor.org/rfc/rfc8555
//! [draft-ietf-acme-device-attest]: https://datatracker.ietf.org/doc/draft-ietf-acme-device-attest/

pub mod admin;

mod account;
mod authorization;
mod base64url;
mod directory;
mod health;
mod identifier;
mod order;
mod problem;
mod revocation;
mod timestamp;
mod wire;

pub use account::{
    Account, AccountStatus, AccountUpdate, Contact, ContactError, KeyChange, NewAccount, OrdersList,
};
pub use authorization::{
    AttestationResponse, Authorization, AuthorizationStatus, AuthorizationUpdate, Challenge,
    ChallengeStatus, ChallengeType, DEVICE_ATTEST_01,
};
pub use base64url::{Base64Url, Base64UrlError};
pub use directory::{Directory, DirectoryMeta};
pub use health::{PartState, Readiness};
pub use identifier::{
    DottedOid, HardwareModule, Identifier, IdentifierError, IdentifierType, PermanentIdentifier,
    WireIdentifier,
};
pub use order::{Finalize, NewOrder, Order, OrderStatus};
pub use problem::{Problem, ProblemType, Subproblem};
pub use revocation::{RevocationReason, RevokeCert};
pub use timestamp::{Timestamp, TimestampError};
pub use wire::{Object, truncate_quote};
