//! The store's provisional accounts, counted in memory by network.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use assay_proto::Timestamp;
use ipnet::IpNet;

use crate::{
    census::{Bound, Census, Displaced, Member, RefusalRule, Room},
    domain::{Account, Origin},
    ids::AccountId,
    ports::ProvisionalAccount,
};

/// For how many seconds a new account cannot be displaced: enough for a device
/// to order and attest.
const PROTECTED: u64 = 600;

/// All provisional accounts except those of exempt networks. It may count
/// accounts that are no longer in the store, but never misses one: before
/// deleting an account, the caller checks the store.
pub(crate) struct Provisional {
    /// `None` until they are read from the store.
    census: Mutex<Option<Census<AccountId>>>,
    bound: Bound,
    exempt: Vec<IpNet>,
}

/// A place reserved for a new account until its commit succeeds or fails.
pub(crate) struct Reservation<'a> {
    provisional: &'a Provisional,
    /// `None` for an account that is not counted.
    newcomer: Option<Member<AccountId>>,
    displaced: Vec<Displaced<AccountId>>,
}

impl Provisional {
    pub(crate) fn new(limit: usize, exempt: Vec<IpNet>) -> Self {
        Self {
            census: Mutex::new(None),
            bound: Bound {
                limit,
                protected: PROTECTED,
                refused: RefusalRule::AboveEqualShare,
            },
            exempt,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Census<AccountId>>> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the count; `None` until they are read.
    pub(crate) fn count(&self) -> Option<usize> {
        self.lock().as_ref().map(Census::count)
    }

    /// Loads the accounts from the store, unless that was done before.
    pub(crate) fn loaded(&self, accounts: Vec<ProvisionalAccount>) {
        let members = (accounts.into_iter())
            .filter(|account| !self.is_exempt(account.origin))
            .map(|account| Member {
                id: account.cursor.id,
                created: account.cursor.created,
                origin: account.origin,
            });
        let census = members.collect();
        self.lock().get_or_insert(census);
    }

    /// Reserves a place for `account`, or returns after how many seconds to
    /// retry.
    pub(crate) fn reserve(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<Reservation<'_>, u64> {
        let newcomer = (!self.is_exempt(account.origin)).then(|| member(account));
        let mut displaced = Vec::new();
        if let (Some(newcomer), Some(census)) = (newcomer, self.lock().as_mut()) {
            match census.make_room(newcomer, now, self.bound) {
                Room::Made(others) => displaced = others,
                Room::None(wait) => return Err(wait),
            }
        }
        Ok(Reservation {
            provisional: self,
            newcomer,
            displaced,
        })
    }

    /// Notes that a commit established `account`.
    pub(crate) fn established(&self, account: &Account) {
        if let Some(census) = self.lock().as_mut() {
            census.remove(member(account));
        }
    }

    /// Whether accounts from `origin` are neither counted nor displaced. An
    /// exempt network inside a /64 exempts all of it, since origins only record
    /// the /64.
    fn is_exempt(&self, origin: Option<Origin>) -> bool {
        origin.map(Origin::address).is_some_and(|address| {
            self.exempt.iter().any(|network| {
                network.contains(&address)
                    || match (network, address) {
                        (IpNet::V6(network), IpAddr::V6(_)) => {
                            Origin::of(IpAddr::V6(network.network())).address() == address
                        }
                        _ => false,
                    }
            })
        })
    }
}

impl Reservation<'_> {
    /// Returns the accounts to displace.
    pub(crate) fn displaced(&self) -> &[Displaced<AccountId>] {
        &self.displaced
    }

    /// Keeps the place after a successful commit. Returns the displaced
    /// accounts.
    pub(crate) fn made(mut self) -> Vec<Displaced<AccountId>> {
        std::mem::take(&mut self.displaced)
    }

    /// Gives the place up after a failed commit.
    pub(crate) fn refused(self) {
        if let (Some(newcomer), Some(census)) = (self.newcomer, self.provisional.lock().as_mut()) {
            census.remove(newcomer);
        }
    }
}

impl Drop for Reservation<'_> {
    /// The commit failed or its result is unknown: count the accounts to
    /// displace again.
    fn drop(&mut self) {
        if let Some(census) = self.provisional.lock().as_mut() {
            for one in &self.displaced {
                census.insert(one.member);
            }
        }
    }
}

fn member(account: &Account) -> Member<AccountId> {
    Member {
        id: account.id,
        created: account.created,
        origin: account.origin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exempt_network_is_exempt_to_its_64s() {
        let exempt = ["10.0.0.0/8", "2001:db8::/32", "fd00:1:2:3::7/128"];
        let exempt = exempt.map(|network| network.parse().unwrap()).into();
        let provisional = Provisional::new(1, exempt);
        for (address, is_exempt) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.1.2.3", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("fd00:1:2:3::9", true),
            ("fd00:1:2:4::7", false),
        ] {
            let origin = Origin::of(address.parse().unwrap());
            assert_eq!(provisional.is_exempt(Some(origin)), is_exempt, "{address}");
        }
        assert!(!provisional.is_exempt(None));
    }
}
