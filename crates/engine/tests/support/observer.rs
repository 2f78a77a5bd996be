//! An observer that remembers what it saw.

use std::sync::{Mutex, PoisonError};

use assay_engine::{
    events::{Event, Judged, Kind},
    ids::{AuthorizationId, OrderId},
    ports::Observer,
};

/// What an observer saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Csr(OrderId, Vec<AuthorizationId>, Vec<u8>),
    Judged(Box<Judged<'static>>),
    Other(Kind),
}

impl Seen {
    /// Which event it was.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Csr(..) => Kind::CsrReceived,
            Self::Judged(_) => Kind::ChallengeJudged,
            Self::Other(kind) => *kind,
        }
    }
}

#[derive(Default)]
pub struct TestObserver(Mutex<Vec<Seen>>);

impl TestObserver {
    /// What it saw until now; it begins anew.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The events that it saw until now, in their order; it begins anew.
    pub fn kinds(&self) -> Vec<Kind> {
        self.take().iter().map(Seen::kind).collect()
    }

    /// As [`take`](Self::take): verdicts and CSRs only.
    pub fn take_recorded(&self) -> Vec<Seen> {
        let mut seen = self.take();
        seen.retain(|seen| !matches!(seen, Seen::Other(_)));
        seen
    }
}

impl Observer for TestObserver {
    fn observe(&self, event: &Event<'_>) {
        let seen = match event {
            Event::ChallengeJudged(judged) => Seen::Judged(Box::new(judged.to_static())),
            Event::CsrReceived {
                order,
                authorizations,
                csr,
            } => Seen::Csr(*order, authorizations.to_vec(), csr.to_vec()),
            other => Seen::Other(other.kind()),
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(seen);
    }
}
