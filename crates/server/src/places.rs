//! Places of connections: which connection gets one, and which one is refused
//! or closed.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ipnet::IpNet;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    address::{host, is_in, site},
    config::RESERVED_CONNECTIONS,
    crowd::Crowd,
};

/// How many places of the reserve one host may have.
const OF_RESERVE: usize = RESERVED_CONNECTIONS / 4;

/// How long a connection waits for a place before another one must give up its
/// own.
const BETWEEN_EVICTIONS: Duration = Duration::from_millis(100);

/// All places: the ordinary ones, and a reserve in which a connection waits for
/// an ordinary one. Connections in the reserve can ask for the server's health.
pub(crate) struct Places {
    /// Networks that no share limits.
    exempt: Vec<IpNet>,
    /// How many places one host may have, those in the reserve included; 0 is
    /// no limit.
    of_host: usize,
    count: usize,
    crowd: Arc<Crowd>,
    freed: Notify,
    ordinary: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hosts: HashMap<IpAddr, Share>,
    sites: HashMap<IpAddr, Site>,
    refused: NoPlaceCount,
    taken: usize,
}

/// Connections that got no place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoPlaceCount {
    pub(crate) count: u64,
    /// The peer of the last one.
    pub(crate) last: Option<IpAddr>,
}

#[derive(Clone, Copy, Default)]
struct Share {
    ordinary: usize,
    reserve: usize,
}

/// The connections of one site.
#[derive(Default)]
struct Site {
    /// How many of them have an ordinary place.
    ordinary: usize,
    /// How many there are.
    count: usize,
    /// Asks one of them to end.
    give_way: Arc<Notify>,
}

/// The place of one connection.
pub(crate) struct Place {
    places: Arc<Places>,
    /// The host whose share it counts to.
    sharer: Option<IpAddr>,
    seat: Mutex<Seat>,
    /// `None` if this connection never gives up its place.
    give_way: Option<Arc<Notify>>,
}

#[expect(dead_code, reason = "dropping a permit returns it")]
enum Seat {
    Ordinary(OwnedSemaphorePermit),
    Reserve(OwnedSemaphorePermit),
    /// While the permit is returned.
    Gone,
}

impl Places {
    pub(crate) fn new(
        count: usize,
        of_host: usize,
        exempt: Vec<IpNet>,
        crowd: Arc<Crowd>,
    ) -> Arc<Self> {
        Arc::new(Self {
            exempt,
            of_host,
            count,
            crowd,
            freed: Notify::new(),
            ordinary: Arc::new(Semaphore::new(count)),
            reserve: Arc::new(Semaphore::new(RESERVED_CONNECTIONS)),
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether another connection can be accepted.
    pub(crate) fn has_free(&self) -> bool {
        self.ordinary.available_permits() > 0 || self.reserve.available_permits() > 0
    }

    /// Waits until a place was returned since the last call.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Returns the host whose share a connection of `peer` counts to.
    fn sharer(&self, peer: IpAddr) -> Option<IpAddr> {
        (!is_in(&self.exempt, peer)).then(|| host(peer))
    }

    /// Returns whether a host with this share may have another place.
    fn fits(&self, share: Share) -> bool {
        self.of_host == 0 || share.ordinary + share.reserve < self.of_host
    }

    /// Takes a place for a connection of `peer`; `None` if its host has used
    /// its share.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let sharer = self.sharer(peer);
        let mut state = self.lock();
        let share = sharer.and_then(|sharer| state.hosts.get(&sharer).copied());
        let share = share.unwrap_or_default();
        let seat = if sharer.is_some() && !self.fits(share) {
            None
        } else if let Ok(permit) = Arc::clone(&self.ordinary).try_acquire_owned() {
            Some(Seat::Ordinary(permit))
        } else if sharer.is_some() && share.reserve >= OF_RESERVE {
            None
        } else {
            let permit = Arc::clone(&self.reserve).try_acquire_owned();
            permit.ok().map(Seat::Reserve)
        };
        let Some(seat) = seat else {
            state.refused.count += 1;
            state.refused.last = Some(peer);
            return None;
        };
        state.count(sharer, &seat, 1);
        self.update_crowd(&state);
        let give_way = sharer.and_then(|sharer| state.sites.get(&site(sharer)));
        let give_way = give_way.map(|site| Arc::clone(&site.give_way));
        drop(state);
        Some(Place {
            places: Arc::clone(self),
            sharer,
            seat: Mutex::new(seat),
            give_way,
        })
    }

    /// Returns the connections that got no place since the last call.
    pub(crate) fn refused(&self) -> NoPlaceCount {
        std::mem::take(&mut self.lock().refused)
    }

    /// Reports to the crowd whether places are scarce.
    fn update_crowd(&self, state: &State) {
        self.crowd.set_places_scarce(state.taken > self.count / 2);
    }
}

impl State {
    fn count(&mut self, sharer: Option<IpAddr>, seat: &Seat, change: isize) {
        let is_ordinary = matches!(seat, Seat::Ordinary(_));
        if is_ordinary {
            self.taken = self.taken.saturating_add_signed(change);
        }
        let Some(sharer) = sharer else { return };
        let of_site = self.sites.entry(site(sharer)).or_default();
        of_site.count = of_site.count.saturating_add_signed(change);
        if is_ordinary {
            of_site.ordinary = of_site.ordinary.saturating_add_signed(change);
        }
        if of_site.count == 0 {
            self.sites.remove(&site(sharer));
        }
        let share = self.hosts.entry(sharer).or_default();
        let count = match is_ordinary {
            true => &mut share.ordinary,
            false => &mut share.reserve,
        };
        *count = count.saturating_add_signed(change);
        if share.ordinary + share.reserve == 0 {
            self.hosts.remove(&sharer);
        }
    }
}

impl State {
    /// Asks a connection of the site with the most places to end, to make room
    /// for one of `sharer`'s, unless that site has as few. So a site that takes
    /// all places must share them, and no place is held indefinitely.
    fn evict_for(&self, sharer: Option<IpAddr>) {
        let own = sharer.and_then(|sharer| self.sites.get(&site(sharer)));
        let own = own.map_or(0, |own| own.ordinary);
        let heaviest = self.sites.values().max_by_key(|site| site.ordinary);
        if let Some(heaviest) = heaviest.filter(|heaviest| heaviest.ordinary > own + 1) {
            heaviest.give_way.notify_one();
        }
    }
}

impl Place {
    fn seat(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the same place, now counted to `client`, which a proxy named.
    /// `None` if that host has used its share.
    pub(crate) fn of_client(mut self, client: IpAddr) -> Option<Self> {
        let places = Arc::clone(&self.places);
        let sharer = places.sharer(client);
        let seat = std::mem::replace(&mut *self.seat(), Seat::Gone);
        let mut state = places.lock();
        let share = sharer.and_then(|sharer| state.hosts.get(&sharer).copied());
        let share = share.unwrap_or_default();
        let is_reserve = matches!(seat, Seat::Reserve(_));
        let is_full = !places.fits(share) || (is_reserve && share.reserve >= OF_RESERVE);
        if sharer.is_some() && is_full {
            state.refused.count += 1;
            state.refused.last = Some(client);
            drop(state);
            *self.seat() = seat;
            return None;
        }
        state.count(self.sharer, &seat, -1);
        state.count(sharer, &seat, 1);
        let site = sharer.and_then(|sharer| state.sites.get(&site(sharer)));
        self.give_way = site.map(|site| Arc::clone(&site.give_way));
        drop(state);
        self.sharer = sharer;
        *self.seat() = seat;
        Some(self)
    }

    /// Returns whether the connection's peer has no share.
    pub(crate) fn is_exempt(&self) -> bool {
        self.sharer.is_none()
    }

    /// Waits until the connection must end because its site has the most places
    /// and another connection has none.
    pub(crate) async fn gives_way(&self) {
        match &self.give_way {
            Some(give_way) => give_way.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Waits for an ordinary place if this one is of the reserve.
    pub(crate) async fn ordinary(&self) {
        if !matches!(*self.seat(), Seat::Reserve(_)) {
            return;
        }
        let mut acquiring = std::pin::pin!(Arc::clone(&self.places.ordinary).acquire_owned());
        let permit = loop {
            match timeout(BETWEEN_EVICTIONS, acquiring.as_mut()).await {
                Ok(Ok(permit)) => break permit,
                // The semaphore is never closed.
                Ok(Err(_)) => return,
                Err(_) => self.places.lock().evict_for(self.sharer),
            }
        };
        let mut seat = self.seat();
        // Another request of the same connection may have got it meanwhile.
        if matches!(*seat, Seat::Reserve(_)) {
            let mut state = self.places.lock();
            state.count(self.sharer, &seat, -1);
            *seat = Seat::Ordinary(permit);
            state.count(self.sharer, &seat, 1);
            self.places.update_crowd(&state);
            drop(state);
            self.places.freed.notify_one();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let seat = std::mem::replace(&mut *self.seat(), Seat::Gone);
        let mut state = self.places.lock();
        state.count(self.sharer, &seat, -1);
        drop(seat);
        self.places.update_crowd(&state);
        drop(state);
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn places(count: usize, of_host: usize) -> Arc<Places> {
        let exempt = vec!["10.0.0.0/8".parse().unwrap()];
        Places::new(count, of_host, exempt, Crowd::new())
    }

    fn take(places: &Arc<Places>, peer: &str) -> Option<Place> {
        places.take(peer.parse().unwrap())
    }

    #[test]
    fn a_host_has_a_share_and_an_ipv6_network_is_one_host() {
        let places = places(100, 2);
        let mut held = Vec::new();
        for (peer, taken) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8:0:1::1", true),
            ("2001:db8:0:1:ffff::2", true),
            ("2001:db8:0:1::3", false),
            ("2001:db8:0:2::1", true),
            ("10.0.0.1", true),
            ("10.0.0.1", true),
            ("10.0.0.1", true),
        ] {
            let place = take(&places, peer);
            assert_eq!(place.is_some(), taken, "{peer}");
            held.extend(place);
        }
        let refused = NoPlaceCount {
            count: 2,
            last: "2001:db8:0:1::3".parse().ok(),
        };
        assert_eq!(places.refused(), refused);
        assert_eq!(places.refused(), NoPlaceCount::default());
        held.clear();
        assert!(places.lock().hosts.is_empty() && places.lock().sites.is_empty());
        assert!(take(&places, "192.0.2.1").is_some());
    }

    #[test]
    fn a_proxys_place_counts_to_the_client_that_it_names() {
        let places = places(100, 2);
        let of = |client: &str| take(&places, "10.0.0.1")?.of_client(client.parse().unwrap());
        let held = [of("192.0.2.1").unwrap(), of("::ffff:192.0.2.1").unwrap()];
        assert!(of("192.0.2.1").is_none(), "its share is used");
        assert!(
            take(&places, "192.0.2.1").is_none(),
            "also without the proxy"
        );
        assert_eq!(places.refused().count, 2);
        // Another client, and one without a share.
        let other = of("192.0.2.2").unwrap();
        assert!((0..5).all(|_| of("10.0.0.9").is_some()));
        assert_eq!(places.lock().taken, 3);
        assert!(held[0].give_way.is_some());
        drop((held, other));
        let state = places.lock();
        assert!(state.hosts.is_empty() && state.sites.is_empty());
        assert_eq!(state.taken, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_site_with_the_most_places_gives_way_to_one_that_has_fewer() {
        let places = places(4, 0);
        // One of the four belongs to another site, which keeps its place.
        let heavy: Vec<_> = (1..=3)
            .map(|lan| take(&places, &format!("2001:db8:0:{lan}::1")).unwrap())
            .collect();
        let light = take(&places, "192.0.2.1").unwrap();
        let mut held: Vec<_> = heavy.into_iter().map(Some).collect();
        let newcomer = take(&places, "198.51.100.1").unwrap();
        let waiting = newcomer.ordinary();
        let giving_way = async {
            // Any one of those that are asked ends.
            let index = {
                let [first, second, third] = &held[..] else {
                    panic!()
                };
                let ways = [first, second, third].map(|place| place.as_ref().unwrap());
                tokio::select! {
                    () = ways[0].gives_way() => 0,
                    () = ways[1].gives_way() => 1,
                    () = ways[2].gives_way() => 2,
                    () = light.gives_way() => panic!("the site with one connection was asked"),
                }
            };
            held[index].take();
        };
        let limit = Duration::from_secs(1);
        let both = async { tokio::join!(waiting, giving_way) };
        timeout(limit, both).await.unwrap();
        // Both sites have two places: neither gives way to the heavy site or to
        // an equal one.
        let own = take(&places, "2001:db8:0:9::1").unwrap();
        assert!(timeout(limit, own.ordinary()).await.is_err());
        assert!(timeout(limit, light.gives_way()).await.is_err());
    }

    #[test]
    fn without_a_share_a_host_may_have_all_places() {
        let places = places(100, 0);
        let held: Vec<_> = (0..100).map(|_| take(&places, "192.0.2.1")).collect();
        assert!(held.iter().all(Option::is_some));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_connection_waits_in_the_reserve_for_an_ordinary_place() {
        let places = places(1, 0);
        let first = take(&places, "192.0.2.1").unwrap();
        let second = take(&places, "192.0.2.2").unwrap();
        let limit = Duration::from_secs(1);
        assert!(timeout(limit, first.ordinary()).await.is_ok());
        assert!(timeout(limit, second.ordinary()).await.is_err());
        drop(first);
        assert!(timeout(limit, second.ordinary()).await.is_ok());
        assert_eq!(places.reserve.available_permits(), RESERVED_CONNECTIONS);
        assert_eq!(places.lock().taken, 1);
        drop(second);
        assert_eq!(places.lock().taken, 0);
    }

    #[test]
    fn no_host_has_the_whole_reserve() {
        let places = places(1, 0);
        let first = take(&places, "192.0.2.1");
        let held: Vec<_> = (0..RESERVED_CONNECTIONS)
            .filter_map(|_| take(&places, "192.0.2.1"))
            .collect();
        assert_eq!(held.len(), OF_RESERVE);
        assert!(take(&places, "192.0.2.2").is_some());
        assert!(places.has_free());
        let exempt: Vec<_> = (0..RESERVED_CONNECTIONS)
            .filter_map(|_| take(&places, "10.0.0.1"))
            .collect();
        assert_eq!(exempt.len(), RESERVED_CONNECTIONS - OF_RESERVE);
        assert!(!places.has_free());
        drop(first);
        assert!(places.has_free());
    }

    #[test]
    fn it_is_crowded_while_more_than_half_of_the_places_are_taken() {
        let places = places(4, 0);
        let mut held: Vec<_> = (0..2).map(|_| take(&places, "192.0.2.1")).collect();
        assert!(!places.crowd.is_crowded());
        held.push(take(&places, "192.0.2.1"));
        assert!(places.crowd.is_crowded());
        held.pop();
        assert!(!places.crowd.is_crowded());
    }
}
