//! Events as a type: everything that the engine reports to anyone but the
//! client. [`Observer`](crate::ports::Observer)s turn them into log lines or
//! recordings.
//!
//! An event is reported once, after the commit that made it true (if there is
//! one), by `Engine::report`, the only path to observers. It borrows its data,
//! so an event that no observer uses costs nothing.

mod kind;

use std::{borrow::Cow, fmt, io, net::IpAddr};

use assay_attest::AttestedDevice;
use assay_ca::SerialNumber;
use assay_jws::Thumbprint;
use assay_proto::{Identifier, Problem, ProblemType, RevocationReason, Timestamp};

pub use self::kind::{Kind, Severity};
pub use crate::census::Network;
use crate::{
    Engine, RequestInfo,
    domain::{Attribute, DeviceFacts, EvidenceRecord, Failure, Gate, Revoker, Token},
    ids::{AccountId, AuthorizationId, OrderId},
    ports::{Answer, StoreError},
    profile::Profile,
    time::ClockReading,
};

/// Something that happened. An event caused by a request names the request;
/// otherwise, as in recovery, it has the default request.
#[expect(missing_docs, reason = "fields are what their names and types say")]
pub enum Event<'a> {
    /// The contacts of an account were replaced. Only their number is reported:
    /// addresses are personal data.
    AccountChanged {
        request: &'a RequestInfo,
        account: AccountId,
        contacts_before: usize,
        contacts: usize,
        at: Timestamp,
    },
    /// newAccount created an account.
    AccountCreated {
        request: &'a RequestInfo,
        account: AccountId,
        thumbprint: &'a Thumbprint,
        at: Timestamp,
    },
    /// An account was deactivated by its holder; this many open orders ended
    /// with it.
    AccountDeactivated {
        request: &'a RequestInfo,
        account: AccountId,
        orders_ended: usize,
        at: Timestamp,
    },
    /// keyChange replaced an account's key (RFC 8555 section 7.3.5).
    AccountKeyChanged {
        request: &'a RequestInfo,
        account: AccountId,
        old: &'a Thumbprint,
        new: &'a Thumbprint,
        at: Timestamp,
    },
    /// An authorization was deactivated (RFC 8555 section 7.5.2); its order may
    /// have ended with it.
    AuthorizationDeactivated {
        request: &'a RequestInfo,
        account: AccountId,
        authorization: AuthorizationId,
        order: OrderId,
        order_ended: bool,
        at: Timestamp,
    },
    /// An answer to a challenge was judged, and the verdict committed.
    ChallengeJudged(&'a Judged<'a>),
    /// The wall clock departed from the server's time.
    ClockDeparted { reading: &'a ClockReading },
    /// The server's time advanced to the wall clock, by this many seconds.
    ClockFollowed {
        reading: &'a ClockReading,
        seconds: u64,
    },
    /// The wall clock is back within the tolerance.
    ClockReturned { reading: &'a ClockReading },
    /// A CSR (DER, unparsed, of any length) was sent for a ready order, whose
    /// answers were judged before. It may be refused, and another one may
    /// follow.
    CsrReceived {
        order: OrderId,
        authorizations: &'a [AuthorizationId],
        csr: &'a [u8],
        /// The name of the order's profile.
        profile: &'a str,
        /// The profile, unless the directory offers it no longer.
        settings: Option<&'a Profile>,
    },
    /// Earlier orders of a device could not be read to compare them with its
    /// evidence.
    EarlierOrdersUnread {
        order: OrderId,
        error: &'a StoreError,
    },
    /// There is room for new accounts and orders again.
    FreeSpaceBack { free: u64 },
    /// There is no room for new accounts and orders.
    FreeSpaceLow { free: u64, threshold: u64 },
    /// The free space cannot be read.
    FreeSpaceUnknown { error: &'a io::Error },
    /// An order failed because its certificate could not be signed.
    IssuanceFailed {
        account: AccountId,
        order: OrderId,
        authorizations: &'a [AuthorizationId],
        failure: &'a Failure,
    },
    /// The certificate of an order is not signed yet: the order stays in
    /// processing, and signing is retried.
    IssuancePostponed {
        account: AccountId,
        order: OrderId,
        reason: &'static str,
        detail: &'a str,
    },
    /// A certificate was issued to a device.
    Issued {
        account: AccountId,
        order: OrderId,
        authorizations: &'a [AuthorizationId],
        serial: &'a SerialNumber,
        /// The certificate, DER.
        certificate: &'a [u8],
        /// The CSR, DER, if the request that brought it also completed it.
        csr: Option<&'a [u8]>,
        /// The evidence, if the profile requires any.
        evidence: Option<&'a EvidenceRecord>,
        /// The issuer's name.
        issuer: &'a str,
        not_after: Timestamp,
        at: Timestamp,
    },
    /// Pending orders were displaced by newer ones for the same identifiers, or
    /// newer ones were refused: the sum over a second.
    OrdersDisplaced(DisplacedCounts),
    /// The signature of an authenticated request lacked leading zero bytes.
    PaddedSignature { request: &'a RequestInfo },
    /// Accounts without a valid authorization were displaced by newer ones, or
    /// newer ones were refused: the sum over a second.
    ProvisionalAccountsDropped(DisplacedCounts),
    /// A gate refused.
    Refused(Refused<'a>),
    /// A certificate was revoked.
    Revoked {
        request: &'a RequestInfo,
        /// The account and order of the certificate; `None` for the server's
        /// own.
        ordered: Option<(AccountId, OrderId)>,
        serial: &'a SerialNumber,
        reason: Option<RevocationReason>,
        by: Revoker,
        at: Timestamp,
    },
    /// The intent of an unfinished TLS certificate was dropped.
    ServerIntentDropped {
        serial: &'a SerialNumber,
        at: Timestamp,
    },
    /// Good evidence contradicts the list or earlier evidence.
    UdidDiffers(UdidDiffers<'a>),
}

/// A refusal by a gate.
#[expect(missing_docs, reason = "fields are what their names and types say")]
pub struct Refused<'a> {
    pub request: &'a RequestInfo,
    pub gate: Gate,
    /// The problem type in the response.
    pub kind: ProblemType,
    pub account: AccountId,
    pub order: Option<OrderId>,
    /// The ordered identifier, or several, separated by commas.
    pub identifier: &'a str,
    /// The stable name of the reason.
    pub reason: &'a str,
    /// The exact cause, only for the operator.
    pub detail: &'a dyn fmt::Display,
    /// SHA-256 of the attestation object.
    pub object_sha256: Option<&'a [u8; 32]>,
    /// At the issuance gate: what was refused, and how.
    pub issuance: Option<RefusedIssuance<'a>>,
}

/// A refusal of the issuance gate. `csr` is `None` if the CSR had been accepted
/// before, and its order was refused when signing was resumed.
#[expect(missing_docs, reason = "fields are what their names and types say")]
pub struct RefusedIssuance<'a> {
    pub authorizations: &'a [AuthorizationId],
    pub csr: Option<&'a [u8]>,
    pub problem: &'a Problem,
}

/// An answer to a challenge, all inputs of the check, and the verdict. It
/// borrows; observers that keep it call [`to_static`](Self::to_static).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged<'a> {
    /// The order.
    pub order: OrderId,
    /// The authorization that the challenge belongs to.
    pub authorization: AuthorizationId,
    /// The challenge's token.
    pub token: Cow<'a, Token>,
    /// The thumbprint of the account's key.
    pub account_key: Thumbprint,
    /// The ordered identifier.
    pub identifier: Cow<'a, Identifier>,
    /// The attested attribute that must be [`Identifier::device`].
    pub attribute: Attribute,
    /// The device's answer.
    pub answer: Cow<'a, Answer>,
    /// The device that the evidence proves, if it verified; it may differ from
    /// the ordered one.
    pub device: Option<Cow<'a, AttestedDevice>>,
    /// The stable name of the reason, if the answer was refused.
    pub refused: Option<Cow<'a, str>>,
    /// When the answer was judged.
    pub at: Timestamp,
}

/// Good evidence, and what it contradicts.
#[expect(missing_docs, reason = "fields are what their names and types say")]
pub struct UdidDiffers<'a> {
    pub request: &'a RequestInfo,
    pub account: AccountId,
    pub order: OrderId,
    pub identifier: &'a Identifier,
    pub evidence: &'a DeviceFacts,
    /// The attribute in the list, and its value there.
    pub listed: Option<(Attribute, &'a str)>,
    /// An earlier order of another device, and its UDID.
    pub earlier: Option<(OrderId, &'a str)>,
}

/// How many were displaced and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisplacedCounts {
    /// How many were displaced.
    pub count: u64,
    /// How many newer ones were refused.
    pub refused: u64,
    /// The heaviest network, as last seen.
    pub network: Option<Network>,
}

impl Event<'_> {
    /// Returns the kind of the event.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::AccountChanged { .. } => Kind::AccountChanged,
            Self::AccountCreated { .. } => Kind::AccountCreated,
            Self::AccountDeactivated { .. } => Kind::AccountDeactivated,
            Self::AccountKeyChanged { .. } => Kind::AccountKeyChanged,
            Self::AuthorizationDeactivated { .. } => Kind::AuthorizationDeactivated,
            Self::ChallengeJudged(_) => Kind::ChallengeJudged,
            Self::ClockDeparted { .. } => Kind::ClockDeparted,
            Self::ClockFollowed { .. } => Kind::ClockFollowed,
            Self::ClockReturned { .. } => Kind::ClockReturned,
            Self::CsrReceived { .. } => Kind::CsrReceived,
            Self::EarlierOrdersUnread { .. } => Kind::EarlierOrdersUnread,
            Self::FreeSpaceBack { .. } => Kind::FreeSpaceBack,
            Self::FreeSpaceLow { .. } => Kind::FreeSpaceLow,
            Self::FreeSpaceUnknown { .. } => Kind::FreeSpaceUnknown,
            Self::IssuanceFailed { .. } => Kind::IssuanceFailed,
            Self::IssuancePostponed { .. } => Kind::IssuancePostponed,
            Self::Issued { .. } => Kind::Issued,
            Self::OrdersDisplaced(_) => Kind::OrdersDisplaced,
            Self::PaddedSignature { .. } => Kind::PaddedSignature,
            Self::ProvisionalAccountsDropped(_) => Kind::ProvisionalAccountsDropped,
            Self::Refused(_) => Kind::Refused,
            Self::Revoked { .. } => Kind::Revoked,
            Self::ServerIntentDropped { .. } => Kind::ServerIntentDropped,
            Self::UdidDiffers(_) => Kind::UdidDiffers,
        }
    }

    /// Returns the stable name of the event.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// Returns the request that caused the event.
    #[must_use]
    pub fn request(&self) -> Option<&RequestInfo> {
        match self {
            Self::AccountChanged { request, .. }
            | Self::AccountCreated { request, .. }
            | Self::AccountDeactivated { request, .. }
            | Self::AccountKeyChanged { request, .. }
            | Self::AuthorizationDeactivated { request, .. }
            | Self::PaddedSignature { request }
            | Self::Refused(Refused { request, .. })
            | Self::Revoked { request, .. }
            | Self::UdidDiffers(UdidDiffers { request, .. }) => Some(request),
            _ => None,
        }
    }

    /// Returns the address of the client that caused the event.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        self.request()?.client
    }
}

impl Judged<'_> {
    /// Returns an owned copy.
    #[must_use]
    pub fn to_static(&self) -> Judged<'static> {
        Judged {
            order: self.order,
            authorization: self.authorization,
            token: Cow::Owned(self.token.clone().into_owned()),
            account_key: self.account_key,
            identifier: Cow::Owned(self.identifier.clone().into_owned()),
            attribute: self.attribute,
            answer: Cow::Owned(self.answer.clone().into_owned()),
            device: self
                .device
                .clone()
                .map(|device| Cow::Owned(device.into_owned())),
            refused: self
                .refused
                .clone()
                .map(|reason| Cow::Owned(reason.into_owned())),
            at: self.at,
        }
    }
}

impl Engine {
    /// Reports an event to all observers. No other function does.
    pub(crate) fn report(&self, event: &Event<'_>) {
        for observer in &self.observers {
            observer.observe(event);
        }
    }
}
