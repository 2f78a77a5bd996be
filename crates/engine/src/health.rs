//! Health: one state for each part of the server.
//!
//! Parts that can fail without failing a request report here. A caller
//! (`/readyz`, `assay status`) gets the state of all parts in one
//! [`Readiness`].

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use assay_proto::{PartState, Readiness};

/// A part of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The wall clock agrees with the server's time.
    Clock,
    /// The list of devices in force is the one in its file.
    Devices,
    /// The disk has room for new accounts and orders.
    FreeSpace,
    /// Recordings are written.
    Recordings,
    /// The issuing CA can sign.
    Signer,
    /// The database takes commits.
    Store,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 6] = [
        Self::Clock,
        Self::Devices,
        Self::FreeSpace,
        Self::Recordings,
        Self::Signer,
        Self::Store,
    ];

    /// Returns the stable name, a key of [`Readiness::parts`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Devices => "devices",
            Self::FreeSpace => "free_space",
            Self::Recordings => "recordings",
            Self::Signer => "signer",
            Self::Store => "store",
        }
    }
}

/// The failing parts and their reasons. A part is healthy until it reports a
/// failure.
#[derive(Debug, Default)]
pub struct Health {
    failures: Mutex<BTreeMap<Part, Failure>>,
}

/// The reason of a failure, and whether it stops enrolment.
#[derive(Clone, Debug)]
struct Failure {
    reason: String,
    stops_enrolment: bool,
}

impl Health {
    /// Reports that `part` fails and no device can enrol; `reason` is for the
    /// operator.
    pub fn fail(&self, part: Part, reason: impl Into<String>) {
        self.set(part, reason.into(), true);
    }

    /// Reports that `part` fails but enrolment continues: with the last good
    /// list of devices, without recordings, or, while the clock is in doubt,
    /// without expiring anything.
    pub fn degrade(&self, part: Part, reason: impl Into<String>) {
        self.set(part, reason.into(), false);
    }

    /// Reports that `part` works again.
    pub fn recover(&self, part: Part) {
        self.failures().remove(&part);
    }

    /// Returns the state of all parts.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let failures = self.failures();
        let parts = Part::ALL.map(|part| {
            let state = if failures.contains_key(&part) {
                PartState::Failing
            } else {
                PartState::Ok
            };
            (part.as_str().to_owned(), state)
        });
        Readiness {
            ready: !failures.values().any(|failure| failure.stops_enrolment),
            parts: parts.into(),
            reasons: failures
                .iter()
                .map(|(part, failure)| (part.as_str().to_owned(), failure.reason.clone()))
                .collect(),
        }
    }

    fn set(&self, part: Part, reason: String, stops_enrolment: bool) {
        let failure = Failure {
            reason,
            stops_enrolment,
        };
        self.failures().insert(part, failure);
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<Part, Failure>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_fails_shows_and_only_a_stop_of_enrolment_is_not_ready() {
        for part in Part::ALL {
            let health = Health::default();
            let name = part.as_str();
            for stops in [true, false] {
                assert!(health.readiness().ready);
                if stops {
                    health.fail(part, "it broke");
                } else {
                    health.degrade(part, "it broke");
                }
                let readiness = health.readiness();
                assert_eq!(readiness.ready, !stops, "{name}");
                assert_eq!(readiness.parts[name], PartState::Failing);
                assert_eq!(readiness.reasons[name], "it broke");
                let failing = |state: &&PartState| **state == PartState::Failing;
                assert_eq!(readiness.parts.values().filter(failing).count(), 1);
                assert_eq!(readiness.parts.len(), Part::ALL.len());
                health.recover(part);
                assert!(health.readiness().reasons.is_empty(), "{name}");
            }
        }
    }
}
