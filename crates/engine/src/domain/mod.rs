//! The domain: accounts, orders, authorizations with their challenges,
//! certificates. States are private: a transition consumes the value and
//! refuses what RFC 8555 section 7.1.6 does not allow; a store rebuilds a value
//! by its `restore`. Wire types ([`assay_proto`]) and stored records are
//! separate types.

mod account;
mod admitted;
mod authorization;
mod certificate;
mod challenge;
mod evidence;
mod failure;
mod lease;
mod note;
mod order;
mod origin;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use account::{Account, AccountState};
pub use admitted::{AdmissionRule, Admitted};
pub use authorization::{
    Authorization, AuthorizationDetails, AuthorizationState, AuthorizationStatus,
};
pub use certificate::{Certificate, CertificateHolder, Intent, Revocation, Revoker, ServerIntent};
pub use challenge::{Basis, Challenge, ChallengeState, Token, Validating};
pub use evidence::{Attribute, DeviceFacts, EvidenceRecord, KeyKind};
pub use failure::{Failure, Gate};
pub use lease::{Held, Lease, Work};
pub use note::Note;
pub use order::{IllegalTransition, NotReady, Order, OrderDetails, OrderState, Processing};
pub use origin::Origin;
