//! Where governor keeps its buckets: bounded, unlike its own keyed stores.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use governor::{nanos::Nanos, state::StateStore};

/// One bucket for each network that was seen lately: the time at which it is full
/// again, since the start of its limiter.
///
/// governor's own keyed stores grow with every key, and what bounds them
/// (`retain_recent`) walks all of them under their lock and keeps every bucket
/// that is not full again, which one sender with a /48 can have millions of. Here
/// two generations bound the memory: a network that was not seen while a whole
/// generation filled up is forgotten. Its bucket is full then, which can only be
/// too generous; the wider networks that it is part of are remembered.
///
/// Clones are handles of the same buckets.
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
    /// Room for `capacity` networks in each of two generations.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            generations: Arc::default(),
        }
    }

    /// When the bucket of a network is full again, since the start of the
    /// limiter; `None` for one that was not seen lately. This counts as seeing it.
    pub(super) fn full_at(&self, network: IpAddr) -> Option<Nanos> {
        let mut generations = self.lock();
        let full_at = generations.get(network)?;
        generations.put(network, full_at, self.capacity);
        Some(full_at)
    }

    /// How many networks are remembered.
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
