use std::ops::Deref;

use assay_ca::SerialNumber;
use assay_proto::{Identifier, OrderStatus, Problem, ProblemType, Timestamp};

use super::{Failure, Intent, Origin};
use crate::{
    ids::{AccountId, AuthorizationId, OrderId},
    names::{DirectoryName, ProfileName},
};

/// The immutable part of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderDetails {
    /// The order's ID.
    pub id: OrderId,
    /// The account that it belongs to.
    pub account: AccountId,
    /// The directory that it belongs to.
    pub directory: DirectoryName,
    /// The profile of its certificate.
    pub profile: ProfileName,
    /// The identifiers for the certificate, in the client's order.
    pub identifiers: Vec<Identifier>,
    /// One authorization per identifier, in the same order.
    pub authorizations: Vec<AuthorizationId>,
    /// The requested start of the certificate's validity.
    pub not_before: Option<Timestamp>,
    /// The requested end of the certificate's validity.
    pub not_after: Option<Timestamp>,
    /// The creation time.
    pub created: Timestamp,
    /// When it expires, unless it is processing or final by then.
    pub expires: Timestamp,
    /// The network that the order was requested from, if known.
    pub origin: Option<Origin>,
}

/// An order (RFC 8555 section 7.1.3). Its details can be read as its own
/// fields; its state changes only through the transitions below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    details: OrderDetails,
    state: OrderState,
    proven: bool,
}

/// The state of an order (RFC 8555 section 7.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// It failed.
    Invalid(Failure),
    /// Authorizations are pending.
    Pending,
    /// The certificate is being signed.
    Processing(Processing),
    /// All authorizations are valid; the client may send the CSR.
    Ready,
    /// The certificate was issued.
    Valid {
        /// The certificate's serial number.
        certificate: SerialNumber,
    },
}

/// The state of an order whose certificate is being signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processing {
    /// What is being signed.
    pub intent: Intent,
    /// The serial number in the intent.
    pub serial: SerialNumber,
    /// SHA-256 of the SubjectPublicKeyInfo in the intent.
    pub spki_sha256: [u8; 32],
    /// SHA-256 of the root certificate of the evidence.
    pub root_sha256: [u8; 32],
    /// From when on any process may complete or fail the order.
    pub lease_until: Timestamp,
}

/// The order was not ready when finalize was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the order is {}, not ready", .0.as_str())]
pub struct NotReady(pub OrderStatus);

/// A transition that RFC 8555 section 7.1.6 does not have: a bug, since callers
/// check the state first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} that is {from} cannot become {to}")]
pub struct IllegalTransition {
    /// The kind of resource, with its article.
    pub(super) what: &'static str,
    /// The current state.
    pub(super) from: &'static str,
    /// The requested state.
    pub(super) to: &'static str,
}

impl OrderState {
    fn status(&self) -> OrderStatus {
        match self {
            Self::Invalid(_) => OrderStatus::Invalid,
            Self::Pending => OrderStatus::Pending,
            Self::Processing(_) => OrderStatus::Processing,
            Self::Ready => OrderStatus::Ready,
            Self::Valid { .. } => OrderStatus::Valid,
        }
    }
}

impl Order {
    /// How many seconds a finalize may take before another process may end it.
    pub const LEASE: u64 = 60;

    /// Returns a new, pending order.
    #[must_use]
    pub fn new(details: OrderDetails) -> Self {
        Self::restore(details, OrderState::Pending, false)
    }

    /// Rebuilds a stored order: the only way to a state other than a
    /// transition.
    #[must_use]
    pub fn restore(details: OrderDetails, state: OrderState, proven: bool) -> Self {
        Self {
            details,
            state,
            proven,
        }
    }

    /// Returns the arguments of [`Order::restore`].
    #[must_use]
    pub fn into_parts(self) -> (OrderDetails, OrderState, bool) {
        (self.details, self.state, self.proven)
    }

    /// The state without regard to the time; see [`Order::status`].
    #[must_use]
    pub fn state(&self) -> &OrderState {
        &self.state
    }

    /// Whether one of its authorizations was ever valid. Of ended orders
    /// without one, only the latest few per identifier are kept.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// Whether it expired before it was final. Expiry is computed on every
    /// read: nothing waits for a sweeper.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires && matches!(self.state, OrderState::Pending | OrderState::Ready)
    }

    /// Returns the status at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> OrderStatus {
        match self.is_expired(now) {
            true => OrderStatus::Invalid,
            false => self.state.status(),
        }
    }

    /// Whether it waits for its client at `now`: it is pending or ready.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        matches!(self.status(now), OrderStatus::Pending | OrderStatus::Ready)
    }

    /// Returns the error that the client reads, if it is invalid at `now`.
    #[must_use]
    pub fn error(&self, now: Timestamp) -> Option<Problem> {
        match &self.state {
            OrderState::Invalid(failure) => Some(failure.problem.clone()),
            _ if self.is_expired(now) => Some(Problem::new(
                ProblemType::Malformed,
                format!("the order expired at {}: make a new one", self.expires),
            )),
            _ => None,
        }
    }

    /// Checks that it may be finalized at `now`.
    ///
    /// # Errors
    /// [`NotReady`] with the actual status.
    pub fn check_ready(&self, now: Timestamp) -> Result<(), NotReady> {
        match self.status(now) {
            OrderStatus::Ready => Ok(()),
            status => Err(NotReady(status)),
        }
    }

    /// Pending to pending: one authorization became valid, others are still
    /// pending.
    ///
    /// # Errors
    /// When it is not pending.
    pub fn record_valid_authorization(self) -> Result<Self, IllegalTransition> {
        self.proven_on_the_way_to("proven")
    }

    /// Pending to ready: all authorizations are valid.
    ///
    /// # Errors
    /// When it is not pending.
    pub fn authorize(self) -> Result<Self, IllegalTransition> {
        let order = self.proven_on_the_way_to(OrderStatus::Ready.as_str())?;
        Ok(order.with_state(OrderState::Ready))
    }

    /// Ready to processing: the certificate will be signed.
    ///
    /// # Errors
    /// [`NotReady`] with the status at `now`.
    pub fn begin(self, processing: Processing, now: Timestamp) -> Result<Self, NotReady> {
        self.check_ready(now)?;
        Ok(self.with_state(OrderState::Processing(processing)))
    }

    /// Processing to processing: another attempt to sign the same bytes begins.
    /// Only the lease changes.
    ///
    /// # Errors
    /// When it is not processing.
    pub fn resume(self, lease_until: Timestamp) -> Result<Self, IllegalTransition> {
        match self.state {
            OrderState::Processing(processing) => Ok(Self {
                state: OrderState::Processing(Processing {
                    lease_until,
                    ..processing
                }),
                ..self
            }),
            _ => Err(self.illegal(OrderStatus::Processing.as_str())),
        }
    }

    /// Processing to valid: the certificate was signed.
    ///
    /// # Errors
    /// When it is not processing.
    pub fn complete(self) -> Result<Self, IllegalTransition> {
        match &self.state {
            OrderState::Processing(processing) => {
                let certificate = processing.serial.clone();
                Ok(self.with_state(OrderState::Valid { certificate }))
            }
            _ => Err(self.illegal(OrderStatus::Valid.as_str())),
        }
    }

    /// To invalid, from every state that is not final.
    ///
    /// # Errors
    /// When it is valid or invalid.
    pub fn fail(self, failure: Failure) -> Result<Self, IllegalTransition> {
        match self.state {
            OrderState::Pending | OrderState::Processing(_) | OrderState::Ready => {
                Ok(self.with_state(OrderState::Invalid(failure)))
            }
            OrderState::Invalid(_) | OrderState::Valid { .. } => {
                Err(self.illegal(OrderStatus::Invalid.as_str()))
            }
        }
    }

    fn proven_on_the_way_to(self, to: &'static str) -> Result<Self, IllegalTransition> {
        match self.state {
            OrderState::Pending => Ok(Self {
                proven: true,
                ..self
            }),
            _ => Err(self.illegal(to)),
        }
    }

    fn illegal(&self, to: &'static str) -> IllegalTransition {
        IllegalTransition {
            what: "an order",
            from: self.state.status().as_str(),
            to,
        }
    }

    fn with_state(self, state: OrderState) -> Self {
        Self { state, ..self }
    }
}

impl Deref for Order {
    type Target = OrderDetails;

    fn deref(&self) -> &OrderDetails {
        &self.details
    }
}
