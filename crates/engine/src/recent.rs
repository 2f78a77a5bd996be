//! Recent refusals by newOrder. A refused newOrder leaves nothing in the store,
//! so they are kept in memory: bounded, and lost at a restart.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use assay_proto::{Identifier, Timestamp, WireIdentifier, truncate_quote};

use crate::{AccountContext, Engine, census::Network, domain::Origin, ids::AccountId};

/// The most devices remembered.
const DEVICES: usize = 4096;
/// The most refusals remembered for each device.
const OF_DEVICE: usize = 4;
/// The longest explanation, in bytes: a few megabytes in total.
const MAX_DETAIL: usize = 400;

/// A refused newOrder, for one of its identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentRefusal {
    /// The time of the refusal.
    pub at: Timestamp,
    /// The identifier as received, truncated.
    pub identifier: WireIdentifier,
    /// The account that sent the request; its signature was verified.
    pub account: AccountId,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The stable name of the reason.
    pub reason: String,
    /// The operator's explanation.
    pub detail: String,
}

/// The remembered refusals.
#[derive(Default)]
pub(crate) struct RecentRefusals(Mutex<State>);

#[derive(Default)]
struct State {
    devices: HashMap<String, Device>,
    /// How many devices were first refused to each network, on every level.
    networks: HashMap<Network, usize>,
    /// The number of refusals so far.
    sequence: u64,
}

struct Device {
    /// The latest of its refusals, by [`State::sequence`].
    latest: u64,
    /// The networks of the first refused client, widest first. Another client
    /// that knows the device's name does not change them.
    networks: [Network; 3],
    refusals: VecDeque<RecentRefusal>,
}

impl RecentRefusals {
    /// Locks the state. No code panics halfway through a change while it holds
    /// the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a refusal. If there are too many devices, the oldest of the
    /// heaviest network is evicted, weighed as accounts are: a client that
    /// invents names evicts its own.
    fn add(&self, refusal: RecentRefusal) {
        let name = device(&refusal.identifier);
        let networks = Network::around(refusal.client.map(Origin::of));
        let mut state = self.lock();
        state.sequence += 1;
        let latest = state.sequence;
        let (mut refusals, networks) = match state.remove(&name) {
            Some(device) => (device.refusals, device.networks),
            None => (VecDeque::new(), networks),
        };
        refusals.push_back(refusal);
        if refusals.len() > OF_DEVICE {
            refusals.pop_front();
        }
        if state.devices.len() >= DEVICES {
            state.make_room();
        }
        for network in networks {
            *state.networks.entry(network).or_default() += 1;
        }
        let device = Device {
            latest,
            networks,
            refusals,
        };
        state.devices.insert(name, device);
    }

    /// Returns the refusals for the device `name`, or for all devices, oldest
    /// first.
    fn list(&self, name: Option<&str>) -> Vec<RecentRefusal> {
        let state = self.lock();
        let mut devices: Vec<&Device> = match name {
            Some(name) => state.devices.get(name).into_iter().collect(),
            None => state.devices.values().collect(),
        };
        devices.sort_unstable_by_key(|device| device.latest);
        let refusals = devices.into_iter().flat_map(|device| &device.refusals);
        let mut refusals: Vec<RecentRefusal> = refusals.cloned().collect();
        refusals.sort_by_key(|refusal| refusal.at);
        refusals
    }
}

impl State {
    fn remove(&mut self, name: &str) -> Option<Device> {
        let device = self.devices.remove(name)?;
        for network in device.networks {
            if let Some(count) = self.networks.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    self.networks.remove(&network);
                }
            }
        }
        Some(device)
    }

    fn make_room(&mut self) {
        let mut left: Vec<(&String, &Device)> = self.devices.iter().collect();
        for level in 0..3 {
            let networks = left.iter().map(|(_, device)| device.networks[level]);
            let heaviest = networks.max_by_key(|one| (self.networks.get(one), *one));
            left.retain(|(_, device)| Some(device.networks[level]) == heaviest);
        }
        let oldest = left.into_iter().min_by_key(|(_, device)| device.latest);
        if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
            self.remove(&oldest);
        }
    }
}

/// Returns the name that a refused identifier is stored under: its device's.
fn device(identifier: &WireIdentifier) -> String {
    match Identifier::parse(identifier) {
        Ok(parsed) => parsed.device().to_owned(),
        Err(_) => identifier.value.clone(),
    }
}

impl Engine {
    /// Returns recent refusals by newOrder for the device `name`, or for all
    /// devices, oldest first. The last four for each of 4,096 devices are
    /// remembered, since the process started.
    #[must_use]
    pub fn recent_refusals(&self, name: Option<&str>) -> Vec<RecentRefusal> {
        self.recent_refusals.list(name)
    }

    /// Remembers the refusal of an order for `identifier`.
    pub(crate) fn remember_refusal(
        &self,
        context: &AccountContext,
        identifier: &WireIdentifier,
        reason: &str,
        detail: &str,
    ) {
        let mut end = detail.len().min(MAX_DETAIL);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        self.recent_refusals.add(RecentRefusal {
            at: self.now(),
            identifier: WireIdentifier {
                kind: truncate_quote(&identifier.kind),
                value: truncate_quote(&identifier.value),
            },
            account: context.account(),
            client: context.request.client,
            reason: reason.to_owned(),
            detail: detail[..end].to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, client: &str, at: u64) -> RecentRefusal {
        RecentRefusal {
            at: Timestamp(at),
            identifier: WireIdentifier {
                kind: "permanent-identifier".to_owned(),
                value: name.to_owned(),
            },
            account: AccountId::from_bytes([1; 16]),
            client: Some(client.parse().unwrap()),
            reason: "not-admitted".to_owned(),
            detail: String::new(),
        }
    }

    fn times(refusals: &RecentRefusals, name: Option<&str>) -> Vec<u64> {
        let listed = refusals.list(name).into_iter();
        listed.map(|refusal| refusal.at.0).collect()
    }

    #[test]
    fn the_last_four_of_a_device_are_remembered() {
        let refusals = RecentRefusals::default();
        for at in 1..=6 {
            refusals.add(refusal("ONE", "192.0.2.1", at));
        }
        refusals.add(refusal("TWO/1.2.3", "192.0.2.1", 7));
        assert_eq!(times(&refusals, Some("ONE")), [3, 4, 5, 6]);
        assert_eq!(times(&refusals, Some("TWO")), [7]);
        assert!(times(&refusals, Some("THREE")).is_empty());
        assert_eq!(times(&refusals, None), [3, 4, 5, 6, 7]);
    }

    #[test]
    fn invented_names_of_one_network_push_out_no_other_networks() {
        let refusals = RecentRefusals::default();
        refusals.add(refusal("GENUINE", "198.51.100.1", 1));
        for n in 0..3 * DEVICES {
            refusals.add(refusal(&format!("INVENTED{n}"), "192.0.2.1", 2));
        }
        assert_eq!(refusals.lock().devices.len(), DEVICES);
        let counted: usize = refusals.lock().networks.values().sum();
        assert_eq!(counted, 3 * DEVICES);
        assert_eq!(times(&refusals, Some("GENUINE")), [1]);
        assert!(times(&refusals, Some("INVENTED0")).is_empty());
        let last = format!("INVENTED{}", 3 * DEVICES - 1);
        assert_eq!(times(&refusals, Some(&last)), [2]);
    }

    #[test]
    fn many_networks_of_one_provider_push_out_no_other_providers() {
        let refusals = RecentRefusals::default();
        for n in 0..3 {
            refusals.add(refusal(&format!("GENUINE{n}"), "198.51.100.1", 1));
        }
        for n in 0..2 * DEVICES {
            let client = format!("2001:db8:1:{n:x}::1");
            refusals.add(refusal(&format!("INVENTED{n}"), &client, 2));
            // A client that knows a device's name does not take its entry over.
            refusals.add(refusal("GENUINE0", &client, 3));
        }
        assert_eq!(refusals.lock().devices.len(), DEVICES);
        assert_eq!(times(&refusals, Some("GENUINE0")), [3; 4]);
        for name in ["GENUINE1", "GENUINE2"] {
            assert_eq!(times(&refusals, Some(name)), [1], "{name}");
        }
    }
}
