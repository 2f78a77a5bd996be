//! Which member is displaced when there is no room: members are weighed by
//! their networks, so a flood displaces its own members and not other clients'.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use assay_proto::Timestamp;

use crate::domain::Origin;

/// How many networks a search visits at most, heaviest first.
const TRIES: usize = 64;

/// How many members one new member displaces at most. More than one, so that a
/// count above its limit falls again.
const MOST_DISPLACED: usize = 4;

/// Prefix lengths in bits on each level: (IPv4, IPv6).
const LEVELS: [(u32, u32); 3] = [(16, 32), (24, 48), (32, 64)];

/// A network by which members are weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// IPv4: the address's first bits and their number.
    V4(u32, u32),
    /// IPv6: the prefix's first 64 bits and their number.
    V6(u64, u32),
    /// All members of unknown origin, on this level.
    Unknown(u8),
}

impl Network {
    /// Returns the networks around `origin`, widest first.
    pub(crate) fn around(origin: Option<Origin>) -> [Self; LEVELS.len()] {
        let mut level = 0;
        LEVELS.map(|(v4, v6)| {
            level += 1;
            match origin.map(Origin::address) {
                Some(IpAddr::V4(address)) => {
                    let rest = 32 - v4;
                    Self::V4(address.to_bits() >> rest << rest, v4)
                }
                Some(IpAddr::V6(address)) => {
                    let (prefix, rest) = ((address.to_bits() >> 64) as u64, 64 - v6);
                    Self::V6(prefix >> rest << rest, v6)
                }
                None => Self::Unknown(level),
            }
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(bits, len) => write!(f, "{}/{len}", Ipv4Addr::from_bits(bits)),
            Self::V6(bits, len) => {
                write!(f, "{}/{len}", Ipv6Addr::from_bits(u128::from(bits) << 64))
            }
            Self::Unknown(_) => f.write_str("unknown"),
        }
    }
}

/// A member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member<T> {
    pub(crate) id: T,
    pub(crate) created: Timestamp,
    pub(crate) origin: Option<Origin>,
}

/// The limits on members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// The limit. Members from light networks are admitted beyond it, up to
    /// twice as many in total.
    pub(crate) limit: usize,
    /// The age in seconds up to which a member cannot be displaced.
    pub(crate) protected: u64,
    /// Which new members are refused when no member is old enough to be
    /// displaced.
    pub(crate) refused: RefusalRule,
}

/// Which new members are refused when no member is old enough to be displaced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RefusalRule {
    /// Those whose networks have more members than an equal share, on every
    /// level.
    AboveEqualShare,
    /// Those from the heaviest network on every level.
    Heaviest,
}

/// The decision on a new member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Room<T> {
    /// It is admitted; these members are displaced.
    Made(Vec<Displaced<T>>),
    /// It is refused; the client may retry after this many seconds.
    None(u64),
}

/// A displaced member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Displaced<T> {
    pub(crate) member: Member<T>,
    /// The widest of its networks, the heaviest of all.
    pub(crate) network: Network,
}

/// All members, by network and age. Every operation takes O(log n).
#[derive(Debug)]
pub(crate) struct Census<T> {
    /// The members of each network of each level, oldest first.
    members: HashMap<Network, BTreeSet<(Timestamp, T, Option<Origin>)>>,
    /// The widest networks, and those within each network, by weight.
    inside: HashMap<Option<Network>, BTreeSet<(usize, Network)>>,
    count: usize,
}

impl<T> Default for Census<T> {
    fn default() -> Self {
        Self {
            members: HashMap::new(),
            inside: HashMap::new(),
            count: 0,
        }
    }
}

impl<T: Copy + Ord> FromIterator<Member<T>> for Census<T> {
    fn from_iter<I: IntoIterator<Item = Member<T>>>(members: I) -> Self {
        let mut census = Self::default();
        for member in members {
            census.insert(member);
        }
        census
    }
}

impl<T: Copy + Ord> Census<T> {
    /// How many members there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Adds a member.
    pub(crate) fn insert(&mut self, member: Member<T>) {
        self.change(member, true);
    }

    /// Removes a member if it exists.
    pub(crate) fn remove(&mut self, member: Member<T>) {
        self.change(member, false);
    }

    fn change(&mut self, member: Member<T>, adds: bool) {
        let key = (member.created, member.id, member.origin);
        let mut parent = None;
        for network in Network::around(member.origin) {
            let members = self.members.entry(network).or_default();
            let before = members.len();
            let changed = match adds {
                true => members.insert(key),
                false => members.remove(&key),
            };
            let after = members.len();
            if after == 0 {
                self.members.remove(&network);
            }
            if !changed {
                return;
            }
            let weights = self.inside.entry(parent).or_default();
            weights.remove(&(before, network));
            if after > 0 {
                weights.insert((after, network));
            } else if weights.is_empty() {
                self.inside.remove(&parent);
            }
            parent = Some(network);
        }
        match adds {
            true => self.count += 1,
            false => self.count -= 1,
        }
    }

    /// Makes room for `newcomer` at `now` and adds it. Removes the displaced
    /// members.
    pub(crate) fn make_room(
        &mut self,
        newcomer: Member<T>,
        now: Timestamp,
        bound: Bound,
    ) -> Room<T> {
        let mut displaced = Vec::new();
        let oldest = now.minus(bound.protected);
        while self.count >= bound.limit && displaced.len() < MOST_DISPLACED {
            let Some(one) = self.first_to_displace(oldest) else {
                break;
            };
            self.remove(one.member);
            displaced.push(one);
        }
        if displaced.is_empty() && self.count >= bound.limit {
            let is_full = self.count >= bound.limit.saturating_mul(2);
            // At twice the limit, age no longer protects: otherwise a flood
            // from many networks would lock out all others.
            let young = (is_full && self.stays_within_the_heaviest(newcomer.origin))
                .then(|| self.first_to_displace(now))
                .flatten();
            match young {
                Some(one) => {
                    self.remove(one.member);
                    displaced.push(one);
                }
                None if is_full || self.is_refused(newcomer.origin, bound) => {
                    return Room::None(self.wait(now, bound));
                }
                None => {}
            }
        }
        self.insert(newcomer);
        Room::Made(displaced)
    }

    /// Returns the oldest member of the heaviest network, weighed level by
    /// level, that was created at `until` or before. Of the widest networks it
    /// considers the heaviest, and those above an equal share.
    fn first_to_displace(&self, until: Timestamp) -> Option<Displaced<T>> {
        let widest = self.inside.get(&None)?;
        let (most, _) = *widest.last()?;
        let share = self.count / widest.len();
        let above = move |weight| weight == most || weight > share;
        let network = self.heaviest_with_older(widest, until, above)?;
        let mut narrowest = network;
        while let Some(within) = self.inside.get(&Some(narrowest)) {
            // If all networks weigh the same, displace the oldest of all
            // members.
            let [lightest, heaviest] = [within.first(), within.last()];
            if lightest.map(|(weight, _)| weight) == heaviest.map(|(weight, _)| weight) {
                break;
            }
            match self.heaviest_with_older(within, until, |_| true) {
                Some(heaviest) => narrowest = heaviest,
                // Too many networks with only younger members: the same.
                None => break,
            }
        }
        let (created, id, origin) = *self.members.get(&narrowest)?.first()?;
        Some(Displaced {
            member: Member {
                id,
                created,
                origin,
            },
            network,
        })
    }

    /// Returns the heaviest of these networks that has a member created at
    /// `until` or before; among equals the one with the oldest member.
    fn heaviest_with_older(
        &self,
        networks: &BTreeSet<(usize, Network)>,
        until: Timestamp,
        above: impl Fn(usize) -> bool,
    ) -> Option<Network> {
        let mut eligible = (networks.iter().rev().take(TRIES))
            .take_while(|(weight, _)| above(*weight))
            .filter_map(|(weight, network)| {
                let oldest = self.oldest(*network)?;
                (oldest <= until).then_some((*weight, oldest, *network))
            })
            .peekable();
        let (most, ..) = *eligible.peek()?;
        eligible
            .take_while(|(weight, ..)| *weight == most)
            .min_by_key(|(_, oldest, _)| *oldest)
            .map(|(.., network)| network)
    }

    fn oldest(&self, network: Network) -> Option<Timestamp> {
        let (created, ..) = self.members.get(&network)?.first()?;
        Some(*created)
    }

    fn weight(&self, network: Network) -> usize {
        self.members.get(&network).map_or(0, BTreeSet::len)
    }

    fn heaviest(&self, within: Option<Network>) -> Option<(usize, Network)> {
        self.inside.get(&within)?.last().copied()
    }

    /// Whether, on some level, the new member's network would weigh no more
    /// than the heaviest other network. A network without members yet always
    /// passes.
    fn stays_within_the_heaviest(&self, origin: Option<Origin>) -> bool {
        let mut within = None;
        Network::around(origin).iter().any(|network| {
            let most = self.heaviest(within).map_or(0, |(weight, _)| weight);
            within = Some(*network);
            self.weight(*network) < most
        })
    }

    fn is_refused(&self, origin: Option<Origin>, bound: Bound) -> bool {
        let networks = Network::around(origin);
        match bound.refused {
            RefusalRule::AboveEqualShare => {
                // Check level by level: a customer of a provider is not refused
                // for other customers' requests.
                let (mut within, mut room) = (None, bound.limit);
                networks.iter().all(|network| {
                    let others = self.inside.get(&within).map_or(0, BTreeSet::len);
                    let own = self.weight(*network);
                    let count = others + usize::from(own == 0);
                    let share = room / count.max(1);
                    (within, room) = (Some(*network), own);
                    // Count the new member too; a single member is never too
                    // many.
                    own + 1 > share.max(1)
                })
            }
            RefusalRule::Heaviest => {
                let mut within = None;
                networks.iter().all(|network| {
                    let heaviest = self.heaviest(within).map(|(_, heaviest)| heaviest);
                    within = Some(*network);
                    heaviest == Some(*network)
                })
            }
        }
    }

    /// How many seconds until a member of the heaviest network is old enough to
    /// be displaced.
    fn wait(&self, now: Timestamp, bound: Bound) -> u64 {
        let heaviest = self.heaviest(None);
        let oldest = heaviest.and_then(|(_, network)| self.oldest(network));
        let oldest = oldest.unwrap_or(now);
        let end = oldest.plus(bound.protected);
        end.0.saturating_sub(now.0).clamp(1, bound.protected.max(1))
    }
}

#[cfg(test)]
mod tests;
