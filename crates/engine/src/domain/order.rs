use std::ops::Deref;

use assay_ca::SerialNumber;
use assay_proto::{Identifier, OrderStatus, Problem, ProblemType, Timestamp};

use super::{Failure, Intent, Origin};
use crate::{
    ids::{AccountId, AuthorizationId, OrderId},
    names::{DirectoryName, ProfileName},
};

/// What of an order never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderDetails {
    /// Its name.
    pub id: OrderId,
    /// Whose it is.
    pub account: AccountId,
    /// The directory in which it was made.
    pub directory: DirectoryName,
    /// The profile that its certificate is to be of.
    pub profile: ProfileName,
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
    /// The network that the order was requested from; absent where that is not
    /// known.
    pub origin: Option<Origin>,
}

/// An order (RFC 8555 section 7.1.3): its details, which can be read as its own
/// fields, and its state, which changes by the transitions below alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    details: OrderDetails,
    state: OrderState,
    proven: bool,
}

/// How far an order is (RFC 8555 section 7.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// It failed.
    Invalid(Failure),
    /// Authorizations are pending.
    Pending,
    /// The certificate is being signed.
    Processing(Processing),
    /// The CSR may be sent.
    Ready,
    /// The certificate was issued.
    Valid {
        /// The certificate's serial number.
        certificate: SerialNumber,
    },
}

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
    /// From when on any process may finish or fail the order.
    pub lease_until: Timestamp,
}

/// A finalize came while the order was not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the order is {}, not ready", .0.as_str())]
pub struct NotReady(pub OrderStatus);

/// A transition that RFC 8555 section 7.1.6 does not have: the caller did not
/// look at the state first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} that is {from} cannot become {to}")]
pub struct IllegalTransition {
    /// The kind of resource, with its article.
    pub(super) what: &'static str,
    /// The state that it is in.
    pub(super) from: &'static str,
    /// The state that it was to be in.
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
    /// How long a finalize may take before another process may end it, in
    /// seconds.
    pub const LEASE: u64 = 60;

    /// A new order, which is pending.
    #[must_use]
    pub fn new(details: OrderDetails) -> Self {
        Self::restore(details, OrderState::Pending, false)
    }

    /// An order as a store kept it: the only way to a state that is not a
    /// transition.
    #[must_use]
    pub fn restore(details: OrderDetails, state: OrderState, proven: bool) -> Self {
        Self {
            details,
            state,
            proven,
        }
    }

    /// What [`Order::restore`] makes an order of.
    #[must_use]
    pub fn into_parts(self) -> (OrderDetails, OrderState, bool) {
        (self.details, self.state, self.proven)
    }

    /// How far it is. Time is not looked at: see [`Order::status`].
    #[must_use]
    pub fn state(&self) -> &OrderState {
        &self.state
    }

    /// Whether one of its authorizations was ever valid. Of ended orders
    /// without only the latest few of an identifier are kept.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// Whether its time was up at `now` before it reached an end. Time decides
    /// on every read: nothing waits for a sweeper.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires && matches!(self.state, OrderState::Pending | OrderState::Ready)
    }

    /// The status at `now`.
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

    /// Why it is invalid at `now`, as the client reads it.
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

    /// Whether it may be finalized at `now`.
    ///
    /// # Errors
    /// [`NotReady`] with the status that it has instead.
    pub fn check_ready(&self, now: Timestamp) -> Result<(), NotReady> {
        match self.status(now) {
            OrderStatus::Ready => Ok(()),
            status => Err(NotReady(status)),
        }
    }

    /// Pending, with a first valid authorization: others are pending still.
    ///
    /// # Errors
    /// When it is not pending.
    pub fn prove(self) -> Result<Self, IllegalTransition> {
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

    /// Ready to processing: the certificate is about to be signed.
    ///
    /// # Errors
    /// [`NotReady`] with the status at `now`.
    pub fn begin(self, processing: Processing, now: Timestamp) -> Result<Self, NotReady> {
        self.check_ready(now)?;
        Ok(self.with_state(OrderState::Processing(processing)))
    }

    /// Processing to processing: another attempt at signing the same bytes
    /// begins. Only its lease is new.
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
