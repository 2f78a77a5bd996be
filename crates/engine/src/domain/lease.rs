use std::fmt;

use assay_proto::Timestamp;

use crate::ids::NodeId;

/// Background work that one node at a time does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Finishing the orders whose signing was interrupted.
    Recovery,
}

/// That one node does some background work, until the lease runs out. There is
/// at most one for each [`Work`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    work: Work,
    holder: NodeId,
    until: Timestamp,
}

/// Another node holds the lease until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another node holds the lease until {0}")]
pub struct Held(pub Timestamp);

impl Work {
    /// All of it.
    pub const ALL: [Self; 1] = [Self::Recovery];

    /// Its name, stable: it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.as_str() == name)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Lease {
    /// How long a lease lasts, in seconds: as long as background work waits
    /// where the node that did it died.
    pub const TERM: u64 = 60;

    /// A lease on work that no node ever had one on.
    #[must_use]
    pub fn first(work: Work, holder: NodeId, now: Timestamp) -> Self {
        Self {
            work,
            holder,
            until: now.plus(Self::TERM),
        }
    }

    /// The lease as it was stored.
    #[must_use]
    pub fn stored(work: Work, holder: NodeId, until: Timestamp) -> Self {
        Self {
            work,
            holder,
            until,
        }
    }

    /// The lease of `node` from `now` on: the same one longer, or one that
    /// another node's has run out before.
    ///
    /// # Errors
    /// [`Held`] while another node's runs.
    pub fn take(self, node: NodeId, now: Timestamp) -> Result<Self, Held> {
        if self.holder != node && now < self.until {
            return Err(Held(self.until));
        }
        Ok(Self::first(self.work, node, now))
    }

    /// The lease, over at `now`.
    #[must_use]
    pub fn end(self, now: Timestamp) -> Self {
        Self {
            until: self.until.min(now),
            ..self
        }
    }

    /// Whether `node` holds it and more than half of its time is left: it need
    /// not be taken again yet.
    #[must_use]
    pub fn suffices(&self, node: NodeId, now: Timestamp) -> bool {
        self.holder == node && now.plus(Self::TERM / 2) < self.until
    }

    /// The work.
    #[must_use]
    pub fn work(&self) -> Work {
        self.work
    }

    /// The node.
    #[must_use]
    pub fn holder(&self) -> NodeId {
        self.holder
    }

    /// When it runs out.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000);
    const ONE: NodeId = NodeId::from_bytes([1; 16]);
    const OTHER: NodeId = NodeId::from_bytes([2; 16]);

    #[test]
    fn a_lease_is_one_nodes_until_it_runs_out() {
        let lease = Lease::first(Work::Recovery, ONE, NOW);
        let end = NOW.plus(Lease::TERM);
        assert_eq!(lease.until(), end);
        let last = end.minus(1);
        assert_eq!(lease.clone().take(OTHER, last), Err(Held(end)));
        assert_eq!(
            lease.clone().take(ONE, last).unwrap().until(),
            last.plus(60)
        );
        let taken = lease.take(OTHER, end).unwrap();
        assert_eq!((taken.holder(), taken.until()), (OTHER, end.plus(60)));
        assert_eq!(taken.clone().take(ONE, end), Err(Held(end.plus(60))));
        assert_eq!(taken.end(end).take(ONE, end).unwrap().holder(), ONE);
    }

    #[test]
    fn a_lease_suffices_through_the_first_half_of_its_time() {
        let lease = Lease::first(Work::Recovery, ONE, NOW);
        assert!(lease.suffices(ONE, NOW.plus(29)));
        assert!(!lease.suffices(ONE, NOW.plus(30)));
        assert!(!lease.suffices(OTHER, NOW));
    }

    #[test]
    fn work_keeps_its_name() {
        for work in Work::ALL {
            assert_eq!(Work::parse(work.as_str()), Some(work));
        }
        assert_eq!(Work::parse("sweep"), None);
    }
}
