//! Who gives way when there is no more room: members weighed by the networks
//! that they come from, so that a flood costs its sender and no other client.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use assay_proto::Timestamp;

use crate::domain::Origin;

/// How many networks are looked at, heaviest first, before a search ends.
const TRIES: usize = 64;

/// How many members one newcomer displaces at most: more than one, so that a
/// number that rose above its limit falls again.
const MOST_DISPLACED: usize = 4;

/// How long the bits of a network are, on each level: (IPv4, IPv6).
const LEVELS: [(u32, u32); 3] = [(16, 32), (24, 48), (32, 64)];

/// A network by which members are weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// IPv4: the address's first bits and their number.
    V4(u32, u32),
    /// IPv6: the prefix's first 64 bits and their number.
    V6(u64, u32),
    /// All that come from where is not known, on this level.
    Unknown(u8),
}

impl Network {
    /// The networks around `origin`, widest first.
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

/// How many members there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// The limit. Light networks are let in beyond it, up to twice as many
    /// members in all.
    pub(crate) limit: usize,
    /// The age in seconds up to which a member does not give way.
    pub(crate) protected: u64,
    /// Who is refused when no member is old enough to give way.
    pub(crate) refused: Refused,
}

/// Which newcomers are refused when no member is old enough to give way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    /// Those whose networks have more members than an equal share, on every
    /// level.
    AboveEqualShare,
    /// Those from the heaviest of the narrowest networks, weighed in turn.
    Heaviest,
}

/// What becomes of a newcomer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Room<T> {
    /// It is let in, and these give way.
    Made(Vec<Displaced<T>>),
    /// It is refused, and may come again after so many seconds.
    None(u64),
}

/// A member that gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Displaced<T> {
    pub(crate) member: Member<T>,
    /// The heaviest network, which it belongs to: the widest.
    pub(crate) network: Network,
}

/// The members, by network and by age. Every operation takes O(log n).
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

    /// Removes a member, if it is one.
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

    /// Makes room for `newcomer` at `now`, and adds it. Members that give way
    /// are members no more.
    pub(crate) fn make_room(
        &mut self,
        newcomer: Member<T>,
        now: Timestamp,
        bound: Bound,
    ) -> Room<T> {
        let mut displaced = Vec::new();
        let oldest = now.minus(bound.protected);
        while self.count >= bound.limit && displaced.len() < MOST_DISPLACED {
            let Some(one) = self.first_to_give_way(oldest) else {
                break;
            };
            self.remove(one.member);
            displaced.push(one);
        }
        if displaced.is_empty() && self.count >= bound.limit {
            let is_full = self.count >= bound.limit.saturating_mul(2);
            // At twice the limit age protects no longer: else a flood from
            // many networks would keep all others out.
            let young = (is_full && self.stays_within_the_heaviest(newcomer.origin))
                .then(|| self.first_to_give_way(now))
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

    /// The oldest member of the heaviest network, weighed level by level, that
    /// was made at `until` or before. Beside the heaviest of the widest networks
    /// only those above an equal share are looked at.
    fn first_to_give_way(&self, until: Timestamp) -> Option<Displaced<T>> {
        let widest = self.inside.get(&None)?;
        let (most, _) = *widest.last()?;
        let share = self.count / widest.len();
        let above = move |weight| weight == most || weight > share;
        let network = self.heaviest_with_older(widest, until, above)?;
        let mut narrowest = network;
        while let Some(within) = self.inside.get(&Some(narrowest)) {
            // Where all are as heavy, the oldest of all in it gives way.
            let [lightest, heaviest] = [within.first(), within.last()];
            if lightest.map(|(weight, _)| weight) == heaviest.map(|(weight, _)| weight) {
                break;
            }
            match self.heaviest_with_older(within, until, |_| true) {
                Some(heaviest) => narrowest = heaviest,
                // Too many that are younger: the same.
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

    /// The heaviest of these networks that has a member made at `until` or
    /// before; of several as heavy the one with the oldest member.
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

    /// Whether one of the newcomer's networks, weighed level by level, weighs no
    /// more than the heaviest beside it once the newcomer is in: one that has no
    /// member yet never does.
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
            Refused::AboveEqualShare => {
                // Level by level: a customer of a provider is not refused for
                // what others of its customers did.
                let (mut within, mut room) = (None, bound.limit);
                networks.iter().all(|network| {
                    let others = self.inside.get(&within).map_or(0, BTreeSet::len);
                    let own = self.weight(*network);
                    let count = others + usize::from(own == 0);
                    let share = room / count.max(1);
                    (within, room) = (Some(*network), own);
                    // The newcomer counts, and one is never too many.
                    own + 1 > share.max(1)
                })
            }
            Refused::Heaviest => {
                let mut within = None;
                networks.iter().all(|network| {
                    let heaviest = self.heaviest(within).map(|(_, heaviest)| heaviest);
                    within = Some(*network);
                    heaviest == Some(*network)
                })
            }
        }
    }

    /// How many seconds it takes until a member of the heaviest network is old
    /// enough to give way.
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
