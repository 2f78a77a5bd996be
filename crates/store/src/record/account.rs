use assay_engine::{
    Thumbprint,
    domain::{Account, AccountState},
    ids::AccountId,
};
use assay_proto::{Contact, Timestamp};
use minicbor::{Decode, Encode};

use super::{Damage, IndexEntry, KeyCache, Record, directory, origin};
use crate::keys;

/// An account.
#[derive(Decode, Encode)]
pub(crate) struct StoredAccount {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    thumbprint: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    spki: Vec<u8>,
    #[n(3)]
    contacts: Vec<String>,
    #[n(4)]
    terms_agreed: Option<u64>,
    #[n(5)]
    created: u64,
    #[n(6)]
    deactivated: Option<u64>,
    /// The time of its first order until layout 4: such an account counts as
    /// established.
    #[n(7)]
    established: Option<u64>,
    /// See [`origin`]. Absent until layout 4.
    #[cbor(n(8), with = "minicbor::bytes")]
    origin: Option<Vec<u8>>,
    /// The directory's name; absent for the default one.
    #[n(9)]
    directory: Option<String>,
}

impl From<Account> for StoredAccount {
    fn from(account: Account) -> Self {
        let Account {
            id,
            directory,
            key,
            contacts,
            terms_agreed,
            created,
            established,
            origin,
            state,
        } = account;
        Self {
            id: *id.as_bytes(),
            thumbprint: key.thumbprint().0,
            spki: key.spki_der().to_vec(),
            contacts: contacts
                .iter()
                .map(|contact| contact.as_str().to_owned())
                .collect(),
            terms_agreed: terms_agreed.map(|at| at.0),
            created: created.0,
            deactivated: match state {
                AccountState::Deactivated { at } => Some(at.0),
                AccountState::Valid => None,
            },
            established: established.map(|at| at.0),
            origin: origin.map(origin::encode),
            directory: directory.in_urls().map(str::to_owned),
        }
    }
}

impl Record for StoredAccount {
    type Domain = Account;
    const NAME: &'static str = "an account";

    fn key(&self) -> Vec<u8> {
        keys::account(AccountId::from_bytes(self.id))
    }

    fn index(&self) -> Vec<IndexEntry> {
        let mut index = vec![IndexEntry {
            key: keys::account_by_key(self.directory.as_deref(), &Thumbprint(self.thumbprint)),
            value: self.id.to_vec(),
            unique: true,
        }];
        if self.established.is_none() {
            index.push(IndexEntry {
                key: keys::provisional_account(self.created, AccountId::from_bytes(self.id)),
                value: self.origin.clone().unwrap_or_default(),
                unique: false,
            });
        }
        index
    }

    fn restore(self, cache: &KeyCache) -> Result<Account, Damage> {
        Ok(Account {
            id: AccountId::from_bytes(self.id),
            directory: directory(self.directory.as_deref())?,
            key: cache.key(Thumbprint(self.thumbprint), &self.spki)?,
            contacts: Contact::parse_all(&self.contacts).map_err(|_| Damage::Field("contacts"))?,
            terms_agreed: self.terms_agreed.map(Timestamp),
            created: Timestamp(self.created),
            established: self.established.map(Timestamp),
            origin: (self.origin.as_deref())
                .map(|bytes| origin::decode(bytes).ok_or(Damage::Field("origin")))
                .transpose()?,
            state: match self.deactivated {
                Some(at) => AccountState::Deactivated { at: Timestamp(at) },
                None => AccountState::Valid,
            },
        })
    }
}
