use assay_jws::PublicKey;
use assay_proto::{Contact, Timestamp};

use super::Origin;
use crate::{ids::AccountId, names::DirectoryName};

/// An account (RFC 8555 section 7.1.2).
#[derive(Clone, Debug)]
pub struct Account {
    /// The account's ID.
    pub id: AccountId,
    /// The directory that it belongs to.
    pub directory: DirectoryName,
    /// The key that signs its requests, unique in its directory.
    pub key: PublicKey,
    /// How to contact the holder.
    pub contacts: Vec<Contact>,
    /// When the holder agreed to the terms of service, if that was required.
    pub terms_agreed: Option<Timestamp>,
    /// The creation time.
    pub created: Timestamp,
    /// When one of its authorizations first became valid. Until then the
    /// account is provisional: any client can create one, and only a limited
    /// number is kept. In records of layout 4 it is the time of the first
    /// order.
    pub established: Option<Timestamp>,
    /// The network that newAccount was requested from, if known.
    pub origin: Option<Origin>,
    /// Whether it is usable.
    pub state: AccountState,
}

/// Whether an account is usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// Deactivated by its holder (RFC 8555 section 7.3.6); permanent.
    Deactivated {
        /// The time of the deactivation.
        at: Timestamp,
    },
    /// Usable.
    Valid,
}

impl Account {
    /// Deactivates the account.
    #[must_use]
    pub fn deactivate(self, at: Timestamp) -> Self {
        Self {
            state: AccountState::Deactivated { at },
            ..self
        }
    }

    /// Marks the account as established by a valid authorization.
    #[must_use]
    pub fn establish(self, at: Timestamp) -> Self {
        Self {
            established: self.established.or(Some(at)),
            ..self
        }
    }

    /// Replaces the account's key.
    #[must_use]
    pub fn with_key(self, key: PublicKey) -> Self {
        Self { key, ..self }
    }
}
