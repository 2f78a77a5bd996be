//! What the engine decides about: accounts, orders, authorizations with their
//! challenge, certificates. States are enums of structs; a transition consumes
//! the old state. Wire types ([`assay_proto`]) and stored records are other
//! types.

mod account;
mod authorization;
mod certificate;
mod evidence;
mod failure;
mod note;
mod order;
mod origin;

pub use account::{Account, AccountState};
pub use authorization::{
    Authorization, AuthorizationStatus, Challenge, ChallengeState, Token, Validated,
};
pub use certificate::{Certificate, CertificateHolder, Intent, Revocation, Revoker, ServerIntent};
pub use evidence::{Attribute, DeviceFacts, EvidenceRecord, KeyKind};
pub use failure::{Failure, Gate};
pub use note::Note;
pub use order::{Invalid, NotReady, Order, OrderState, Pending, Processing, Ready, Valid};
pub use origin::Origin;
