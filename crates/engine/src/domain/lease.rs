use std::fmt;

use assay_proto::Timestamp;

use crate::ids::NodeId;

/// Background work that only one node does at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Completing orders whose signing was interrupted.
    Recovery,
}

/// A node's claim on background work, until it expires. There is at most one
/// per [`Work`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    work: Work,
    holder: NodeId,
    until: Timestamp,
}

/// Another node holds the lease until this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another node holds the lease until {0}")]
pub struct Held(pub Timestamp);

impl Work {
    /// All of it.
    pub const ALL: [Self; 1] = [Self::Recovery];

    /// Returns the stable name, which is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
        }
    }

    /// Parses a name.
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
    /// The term of a lease in seconds. After a node dies, its background work
    /// pauses for this long.
    pub const TERM: u64 = 60;

    /// Returns a lease on work that never had one.
    #[must_use]
    pub fn first(work: Work, holder: NodeId, now: Timestamp) -> Self {
        Self {
            work,
            holder,
            until: now.plus(Self::TERM),
        }
    }

    /// Rebuilds a stored lease.
    #[must_use]
    pub fn stored(work: Work, holder: NodeId, until: Timestamp) -> Self {
        Self {
            work,
            holder,
            until,
        }
    }

    /// Takes the lease for `node` from `now` on: extends its own, or takes over
    /// an expired one.
    ///
    /// # Errors
    /// [`Held`] while another node's lease runs.
    pub fn take(self, node: NodeId, now: Timestamp) -> Result<Self, Held> {
        if self.holder != node && now < self.until {
            return Err(Held(self.until));
        }
        Ok(Self::first(self.work, node, now))
    }

    /// Ends the lease at `now`.
    #[must_use]
    pub fn end(self, now: Timestamp) -> Self {
        Self {
            until: self.until.min(now),
            ..self
        }
    }

    /// Whether `node` holds it and more than half of its term is left, so that
    /// it need not be renewed yet.
    #[must_use]
    pub fn suffices(&self, node: NodeId, now: Timestamp) -> bool {
        self.holder == node && now.plus(Self::TERM / 2) < self.until
    }

    /// The work.
    #[must_use]
    pub fn work(&self) -> Work {
        self.work
    }

    /// The node that holds it.
    #[must_use]
    pub fn holder(&self) -> NodeId {
        self.holder
    }

    /// When it expires.
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
