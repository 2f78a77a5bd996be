//! The provisional accounts of a store, counted in memory by the networks that
//! they come from.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use assay_proto::Timestamp;
use ipnet::IpNet;

use crate::{
    census::{Bound, Census, Displaced, Member, Refused, Room},
    domain::{Account, Origin},
    ids::AccountId,
    ports::ProvisionalAccount,
};

/// For how many seconds an account has its place: a device orders and attests
/// within them.
const PROTECTED: u64 = 600;

/// All provisional accounts but those of exempt networks. It may count some
/// that the store has no more, never fewer than it has: who deletes one asks the
/// store first.
pub(crate) struct Provisional {
    /// `None` until they were read from the store.
    census: Mutex<Option<Census<AccountId>>>,
    bound: Bound,
    exempt: Vec<IpNet>,
}

/// A place for a new account, taken until its commit is made or refused.
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
                refused: Refused::AboveEqualShare,
            },
            exempt,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Census<AccountId>>> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are counted; `None` until they were read.
    pub(crate) fn count(&self) -> Option<usize> {
        self.lock().as_ref().map(Census::count)
    }

    /// The accounts that the store has, unless they were read before.
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

    /// Takes a place for `account`, or tells after how many seconds there may be
    /// one.
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

    /// `account` is established, by a commit that was made.
    pub(crate) fn established(&self, account: &Account) {
        if let Some(census) = self.lock().as_mut() {
            census.remove(member(account));
        }
    }

    /// Whether accounts from there are neither counted nor displaced. All of a
    /// /64 is exempt with a part of it: no more of an address is kept.
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
    /// The accounts that give way.
    pub(crate) fn displaced(&self) -> &[Displaced<AccountId>] {
        &self.displaced
    }

    /// The commit was made. Returns what gave way.
    pub(crate) fn made(mut self) -> Vec<Displaced<AccountId>> {
        std::mem::take(&mut self.displaced)
    }

    /// The commit was not made.
    pub(crate) fn refused(self) {
        if let (Some(newcomer), Some(census)) = (self.newcomer, self.provisional.lock().as_mut()) {
            census.remove(newcomer);
        }
    }
}

impl Drop for Reservation<'_> {
    /// Whether the commit was made is not known, or it was not: those that
    /// should have given way count again.
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
