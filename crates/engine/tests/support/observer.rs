//! An observer that records events.

use std::sync::{Mutex, PoisonError};

use assay_engine::{
    events::{Event, Judged, Kind},
    ids::{AuthorizationId, OrderId},
    ports::Observer,
};

/// A recorded event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Csr(OrderId, Vec<AuthorizationId>, Vec<u8>),
    Judged(Box<Judged<'static>>),
    Other(Kind),
}

impl Seen {
    /// The kind of the event.
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
    /// Takes the events recorded so far.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the kinds of the events recorded so far, in order.
    pub fn kinds(&self) -> Vec<Kind> {
        self.take().iter().map(Seen::kind).collect()
    }

    /// As [`take`](Self::take), but only verdicts and CSRs.
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
                ..
            } => Seen::Csr(*order, authorizations.to_vec(), csr.to_vec()),
            other => Seen::Other(other.kind()),
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(seen);
    }
}
