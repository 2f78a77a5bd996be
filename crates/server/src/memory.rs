//! One memory budget for the heads and bodies of unauthenticated requests.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::extract::Request;
use ipnet::IpNet;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{address::host, crowd::Crowd, refusal::Refusal};

/// The budget in bytes: room for 6,000 concurrent requests of devices, each
/// below 20 KiB. Bodies over 16 KiB get at most half of it: `body.rs`.
const TOTAL: usize = 128 << 20;

/// The maximum for one address: four must work together to take everything.
const OF_ADDRESS: usize = TOTAL / 4;

/// How long a request waits for memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// The overhead of a header field besides its name and value (RFC 9113 section
/// 10.5.1).
const OF_HEADER: usize = 32;

/// The budget.
pub(crate) struct Memory {
    crowd: Arc<Crowd>,
    exempt: Vec<IpNet>,
    free: Arc<Semaphore>,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// The memory that one request holds until this is dropped.
pub(crate) struct Held {
    memory: Arc<Memory>,
    /// The host whose share it counts to.
    sharer: Option<IpAddr>,
    bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Memory {
    /// Creates the budget. `exempt` networks have no share: they may take all
    /// of it.
    pub(crate) fn new(exempt: Vec<IpNet>, crowd: Arc<Crowd>) -> Arc<Self> {
        Arc::new(Self {
            crowd,
            exempt,
            free: Arc::new(Semaphore::new(TOTAL)),
            held: Mutex::default(),
        })
    }

    pub(crate) fn crowd(&self) -> &Arc<Crowd> {
        &self.crowd
    }

    /// Creates an empty hold for a request of `client`.
    pub(crate) fn hold(self: &Arc<Self>, client: Option<IpAddr>) -> Held {
        let sharer = client.map(|client| client.to_canonical());
        let is_exempt = |client: &IpAddr| self.exempt.iter().any(|net| net.contains(client));
        Held {
            memory: Arc::clone(self),
            sharer: sharer.filter(|client| !is_exempt(client)).map(host),
            bytes: 0,
            permit: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports to the crowd whether memory is scarce.
    fn update_crowd(&self) {
        self.crowd
            .set_memory_scarce(self.free.available_permits() < TOTAL / 2);
    }
}

impl Held {
    /// Takes `bytes` more as soon as they are free.
    ///
    /// # Errors
    /// The address has used its share, or no memory is free in time.
    pub(crate) async fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let Ok(count) = u32::try_from(bytes) else {
            return Err(Refusal::too_much_memory(PATIENCE));
        };
        if let Some(sharer) = self.sharer {
            let mut held = self.memory.lock();
            let share = held.entry(sharer).or_default();
            if *share + bytes > OF_ADDRESS {
                return Err(Refusal::too_much_memory(PATIENCE));
            }
            *share += bytes;
        }
        // From here on dropping `self` returns it.
        self.bytes += bytes;
        let free = Arc::clone(&self.memory.free);
        let Ok(Ok(permit)) = timeout(PATIENCE, free.acquire_many_owned(count)).await else {
            return Err(Refusal::too_much_memory(PATIENCE));
        };
        match &mut self.permit {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        self.memory.update_crowd();
        Ok(())
    }

    /// Returns all of it.
    pub(crate) fn release(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes == 0 {
            return;
        }
        self.permit = None;
        if let Some(sharer) = self.sharer {
            let mut held = self.memory.lock();
            if let Some(share) = held.get_mut(&sharer) {
                *share = share.saturating_sub(bytes);
                if *share == 0 {
                    held.remove(&sharer);
                }
            }
        }
        self.memory.update_crowd();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

/// Returns the size of a request's head in bytes.
pub(crate) fn head_size(request: &Request) -> usize {
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + OF_HEADER)
        .sum();
    let uri = request.uri();
    let path = uri.path().len() + uri.query().map_or(0, str::len);
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    headers + path + authority + OF_HEADER
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, response::IntoResponse};

    use super::*;

    fn memory() -> Arc<Memory> {
        Memory::new(vec!["10.0.0.0/8".parse().unwrap()], Crowd::new())
    }

    fn client(number: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, number]))
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_a_share_and_all_of_them_the_budget() {
        let memory = memory();
        let mut all = Vec::new();
        for number in 0..4 {
            let mut held = memory.hold(client(number));
            held.grow(OF_ADDRESS).await.unwrap();
            assert!(memory.hold(client(number)).grow(1).await.is_err());
            all.push(held);
        }
        let mut other = memory.hold(client(4));
        let refusal = other.grow(1).await.unwrap_err().into_response();
        assert_eq!(refusal.status(), 503);
        assert_eq!(refusal.headers()["retry-after"], "5");
        drop((other, all.pop()));
        assert!(memory.hold(client(4)).grow(OF_ADDRESS).await.is_ok());
        drop(all);
        assert_eq!(memory.free.available_permits(), TOTAL);
        assert!(memory.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_its_part_and_exempt_networks_have_no_share() {
        let memory = memory();
        let mut held = memory.hold(Some(IpAddr::from([10, 0, 0, 1])));
        held.grow(TOTAL).await.unwrap();
        let mut other = memory.hold(client(0));
        let waiting = tokio::spawn(async move { other.grow(1).await.is_ok() });
        tokio::task::yield_now().await;
        drop(held);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn it_is_crowded_while_more_than_half_is_taken() {
        let memory = memory();
        let mut first = memory.hold(client(0));
        first.grow(OF_ADDRESS).await.unwrap();
        let mut second = memory.hold(client(1));
        second.grow(OF_ADDRESS).await.unwrap();
        assert!(!memory.crowd().is_crowded());
        let mut third = memory.hold(client(2));
        third.grow(1).await.unwrap();
        assert!(memory.crowd().is_crowded());
        drop(second);
        assert!(!memory.crowd().is_crowded());
    }

    #[test]
    fn a_head_counts_with_all_its_parts() {
        let request = Request::get("https://a.b/path?query").header("name", "value");
        let request = request.body(Body::empty()).unwrap();
        assert_eq!(head_size(&request), 3 + 5 + 5 + 32 + 4 + 5 + 32);
    }
}
