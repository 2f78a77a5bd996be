//! Bounded storage for governor's buckets. governor's own keyed stores are not
//! bounded.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use governor::{nanos::Nanos, state::StateStore};

/// Maps each network that was seen recently to the time at which its bucket is
/// full again, since the start of its limiter.
///
/// governor's own keyed stores grow with every key. Their bound
/// (`retain_recent`) walks all of them under the lock and keeps every bucket
/// that is not full, and one sender with a /48 can have millions of those. Here
/// two generations bound the memory: a network that was not seen while a whole
/// generation filled up is forgotten. Its bucket then counts as full, which can
/// only be too generous; the wider networks that hold it are remembered.
///
/// Clones share the same buckets.
#[derive(Clone)]
pub(super) struct Buckets {
    capacity: usize,
    generations: Arc<Mutex<Generations>>,
}

#[derive(Default)]
struct Generations {
    current: HashMap<IpAddr, Nanos>,
    previous: HashMap<IpAddr, Nanos>,
}

impl Buckets {
    /// Creates two generations of `capacity` networks each.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            generations: Arc::default(),
        }
    }

    /// Returns when the bucket of a network is full again, since the start of
    /// the limiter; `None` if it was not seen recently. The read counts as use.
    pub(super) fn full_at(&self, network: IpAddr) -> Option<Nanos> {
        let mut generations = self.lock();
        let full_at = generations.get(network)?;
        generations.put(network, full_at, self.capacity);
        Some(full_at)
    }

    /// The number of remembered networks.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let generations = self.lock();
        generations.current.len() + generations.previous.len()
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&self, network: IpAddr) -> Option<Nanos> {
        let Self { current, previous } = self;
        current
            .get(&network)
            .or_else(|| previous.get(&network))
            .copied()
    }

    fn put(&mut self, network: IpAddr, full_at: Nanos, capacity: usize) {
        self.current.insert(network, full_at);
        if self.current.len() >= capacity {
            self.previous = std::mem::take(&mut self.current);
        }
    }
}

impl StateStore for Buckets {
    type Key = IpAddr;

    fn measure_and_replace<T, F, E>(&self, network: &IpAddr, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut generations = self.lock();
        let (allowed, full_at) = measure(generations.get(*network))?;
        generations.put(*network, full_at, self.capacity);
        Ok(allowed)
    }
}
