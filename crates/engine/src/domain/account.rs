use assay_jws::PublicKey;
use assay_proto::{Contact, Timestamp};

use super::Origin;
use crate::{ids::AccountId, names::DirectoryName};

/// An account (RFC 8555 section 7.1.2).
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name.
    pub id: AccountId,
    /// The directory in which it was made, and is good.
    pub directory: DirectoryName,
    /// The key that signs its requests; no two accounts of a directory have the
    /// same.
    pub key: PublicKey,
    /// How to reach its holder.
    pub contacts: Vec<Contact>,
    /// When its holder agreed to the terms of service, where that was asked.
    pub terms_agreed: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// When one of its authorizations became valid for the first time. Until
    /// then it is provisional: anybody can make one, and only so many are kept.
    /// In records of layout 4 it is the time of the first order.
    pub established: Option<Timestamp>,
    /// Where the request came from that made it; absent where that is not known.
    pub origin: Option<Origin>,
    /// Whether it can still be used.
    pub state: AccountState,
}

/// Whether an account can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// Ended by its holder (RFC 8555 section 7.3.6); for good.
    Deactivated {
        /// When.
        at: Timestamp,
    },
    /// Usable.
    Valid,
}

impl Account {
    /// The account, ended by its holder.
    #[must_use]
    pub fn deactivate(self, at: Timestamp) -> Self {
        Self {
            state: AccountState::Deactivated { at },
            ..self
        }
    }

    /// The account, with an authorization that became valid.
    #[must_use]
    pub fn establish(self, at: Timestamp) -> Self {
        Self {
            established: self.established.or(Some(at)),
            ..self
        }
    }

    /// The account under another key.
    #[must_use]
    pub fn with_key(self, key: PublicKey) -> Self {
        Self { key, ..self }
    }
}
