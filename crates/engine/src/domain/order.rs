use assay_ca::SerialNumber;
use assay_proto::{Identifier, OrderStatus, Problem, ProblemType, Timestamp};

use super::{Failure, Intent, Origin};
use crate::ids::{AccountId, AuthorizationId, OrderId};

/// An order (RFC 8555 section 7.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its name.
    pub id: OrderId,
    /// Whose it is.
    pub account: AccountId,
    /// What the certificate is to be issued for, in the client's order.
    pub identifiers: Vec<Identifier>,
    /// One authorization an identifier, in the same order.
    pub authorizations: Vec<AuthorizationId>,
    /// The wanted start of the certificate's validity.
    pub not_before: Option<Timestamp>,
    /// The wanted end of the certificate's validity.
    pub not_after: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends, unless it is processing or final by then.
    pub expires: Timestamp,
    /// How far it is.
    pub state: OrderState,
    /// Where the request came from that made it; absent where that is not known.
    pub origin: Option<Origin>,
    /// Whether one of its authorizations was ever valid. Of ended orders
    /// without only the latest few of an identifier are kept.
    pub proven: bool,
}

/// How far an order is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// It came to nothing.
    Invalid(Invalid),
    /// Authorizations are pending.
    Pending(Pending),
    /// The certificate is being signed.
    Processing(Processing),
    /// The CSR may come.
    Ready(Ready),
    /// The certificate is there.
    Valid(Valid),
}

/// The order waits for its authorizations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending;

/// The order waits for its CSR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready;

/// The order's certificate is being signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processing {
    /// What is being signed.
    pub intent: Intent,
    /// The serial number within the intent.
    pub serial: SerialNumber,
    /// SHA-256 of the SubjectPublicKeyInfo within the intent.
    pub spki_sha256: [u8; 32],
    /// SHA-256 of the root that vouched for the device.
    pub root_sha256: [u8; 32],
    /// From when on anybody may finish or fail the order.
    pub lease_until: Timestamp,
}

/// The order's certificate was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valid {
    /// The certificate's serial number.
    pub certificate: SerialNumber,
}

/// The order came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Why.
    pub failure: Failure,
}

/// A finalize came while the order was not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the order is {}, not ready", .0.as_str())]
pub struct NotReady(pub OrderStatus);

impl Pending {
    /// All authorizations are valid.
    #[must_use]
    pub fn authorized(self) -> Ready {
        Ready
    }
}

impl Ready {
    /// The certificate is about to be signed.
    #[must_use]
    pub fn begin(self, processing: Processing) -> Processing {
        processing
    }
}

impl Processing {
    /// The certificate was signed.
    #[must_use]
    pub fn complete(self) -> Valid {
        Valid {
            certificate: self.serial,
        }
    }
}

impl Order {
    /// How long a finalize may take before anybody may end it, in seconds.
    pub const LEASE: u64 = 60;

    /// Whether its time was up at `now` before it came to an end. Time decides
    /// on every read: nothing waits for a sweeper.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires && matches!(self.state, OrderState::Pending(_) | OrderState::Ready(_))
    }

    /// The status at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> OrderStatus {
        match &self.state {
            _ if self.is_expired(now) => OrderStatus::Invalid,
            OrderState::Invalid(_) => OrderStatus::Invalid,
            OrderState::Pending(_) => OrderStatus::Pending,
            OrderState::Processing(_) => OrderStatus::Processing,
            OrderState::Ready(_) => OrderStatus::Ready,
            OrderState::Valid(_) => OrderStatus::Valid,
        }
    }

    /// Why it is invalid at `now`, as the client is told.
    #[must_use]
    pub fn error(&self, now: Timestamp) -> Option<Problem> {
        match &self.state {
            OrderState::Invalid(invalid) => Some(invalid.failure.problem.clone()),
            _ if self.is_expired(now) => Some(Problem::new(
                ProblemType::Malformed,
                format!("the order expired at {}: make a new one", self.expires),
            )),
            _ => None,
        }
    }

    /// The ready state of an order that may be finalized at `now`.
    ///
    /// # Errors
    /// [`NotReady`] with the status that it has instead.
    pub fn ready(&self, now: Timestamp) -> Result<Ready, NotReady> {
        match &self.state {
            OrderState::Ready(ready) if !self.is_expired(now) => Ok(ready.clone()),
            _ => Err(NotReady(self.status(now))),
        }
    }

    /// The same order in another state.
    #[must_use]
    pub fn with_state(self, state: OrderState) -> Self {
        Self { state, ..self }
    }

    /// The order, with an authorization that became valid.
    #[must_use]
    pub fn prove(self) -> Self {
        Self {
            proven: true,
            ..self
        }
    }

    /// The order, come to nothing.
    #[must_use]
    pub fn fail(self, failure: Failure) -> Self {
        self.with_state(OrderState::Invalid(Invalid { failure }))
    }
}
