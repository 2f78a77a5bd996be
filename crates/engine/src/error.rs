use assay_ca::CsrError;
use assay_jws::{Algorithm, EnvelopeError, SignatureError};
use assay_proto::{
    ContactError, IdentifierError, Problem, ProblemType, RevocationReason, Subproblem,
    WireIdentifier,
};

use crate::{
    admission::NotAdmitted,
    domain::{Failure, IllegalTransition, NotReady},
    ids::AccountId,
    nonce::NonceError,
    ports::{CommitError, ConflictOn, NotRedeemed, StoreError},
    time::{ClockInDoubt, ClockRefusal},
};

/// Why a use-case failed, grouped by who can fix it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    // The client: the request itself.
    /// The JWS is not allowed in ACME.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The nonce is not usable.
    #[error(transparent)]
    Nonce(#[from] NonceError),
    /// The payload does not have the shape that this resource expects.
    #[error("the payload is invalid: {0}")]
    Payload(String),
    /// The signature is wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The JWS uses `jwk` where this resource needs `kid`, or the reverse.
    #[error("{0}")]
    Signer(&'static str),
    /// The JWS was signed for another URL.
    #[error("the JWS was signed for a URL other than the one it was sent to")]
    Url,

    // The client: its account.
    /// `onlyReturnExisting` or the `kid` names no account.
    #[error("no account has this {0}: create one with newAccount")]
    AccountDoesNotExist(&'static str),
    /// The account is deactivated.
    #[error("the account is deactivated")]
    AccountDeactivated,
    /// A contact is not usable.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// The key change contradicts itself.
    #[error("the key change is refused: {0}")]
    KeyChange(&'static str),
    /// An account, perhaps this one, already has the new key.
    #[error("an account already has this key")]
    KeyInUse(AccountId),
    /// The client may not set this status.
    #[error(
        "the status {0:?} cannot be set: \"deactivated\" is the only one that a client may send"
    )]
    StatusNotSettable(String),
    /// The terms of service were not agreed to.
    #[error("the terms of service must be agreed to: send termsOfServiceAgreed = true")]
    TermsNotAgreed {
        /// The URL of the terms.
        terms: String,
    },

    // The client: the resource is missing or belongs to another account.
    /// No such resource, or it belongs to another account: the response is the
    /// same for both.
    #[error("this account has no such {0}")]
    NotFound(&'static str),

    // The client: its network.
    /// Too many new accounts or pending orders, most of them from this client's
    /// network.
    #[error("too many {what} from this network: try again in {wait} s")]
    Crowded {
        /// What there are too many of.
        what: &'static str,
        /// After how many seconds one of them can be displaced.
        wait: u64,
    },

    // The client: its order.
    /// The account has the most open orders it may have, and none of them is
    /// pending.
    #[error("too many open orders: finish them, or wait until they expire")]
    TooManyOpenOrders,
    /// The order has no identifiers, too many, or duplicates.
    #[error("the list of identifiers is invalid: {0}")]
    IdentifierList(String),
    /// Some identifiers cannot be ordered here.
    #[error("{} of the identifiers cannot be ordered", .0.len())]
    Identifiers(Vec<IdentifierRefusal>),
    /// The requested validity is outside the limits.
    #[error("the requested validity is not possible: {0}")]
    Validity(String),
    /// The order is not ready to be finalized.
    #[error(transparent)]
    OrderNotReady(#[from] NotReady),
    /// The order of this authorization has ended.
    #[error("the order of this authorization is no longer pending: make a new order")]
    OrderOver,
    /// The CSR is refused; the order stays ready.
    #[error(transparent)]
    Csr(#[from] CsrRefusal),
    /// The authorization is final, so it cannot be deactivated.
    #[error("the authorization is final and cannot be deactivated")]
    AuthorizationFinal,

    // The client: its evidence.
    /// The answer to a challenge does not parse; the challenge stays pending.
    #[error("the attestation object cannot be read: {0}")]
    AttestationEncoding(String),
    /// The evidence is refused; challenge, authorization and order become
    /// invalid.
    #[error("the evidence was refused: {}", .0.detail)]
    Attestation(Box<Failure>),

    // The client: revocation.
    /// The certificate is already revoked.
    #[error("the certificate is already revoked")]
    AlreadyRevoked,
    /// The client may not use this revocation reason.
    #[error("revocation reason {0} is not allowed")]
    RevocationReason(i64),
    /// The certificate is from another CA, or the requester may not revoke it.
    #[error("this key may not revoke the certificate")]
    RevocationUnauthorized,

    // The operator: policy.
    /// The device may no longer have a certificate, or none of this profile.
    #[error("the certificate is refused: {0}")]
    Issuance(IssuanceRefusal),

    // The server: faults. A retry may succeed.
    /// The decision would become final by time while the wall clock departs
    /// from the server's time.
    #[error(transparent)]
    Clock(#[from] ClockInDoubt),
    /// The operator confirmed a time that cannot be followed. No client causes
    /// this.
    #[error(transparent)]
    ClockRefused(#[from] ClockRefusal),
    /// Too little disk space for new accounts and orders.
    #[error("the server accepts no new accounts and orders at present: try again later")]
    NoSpace,
    /// The list of devices could not be queried.
    #[error("the list of devices is not available: {0}")]
    Inventory(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Other requests of the same client kept changing the same value.
    #[error("too many requests change the same resource at once: send them one after the other")]
    Contention,
    /// The CA's own certificate has expired: the CA issues nothing until it is
    /// renewed.
    #[error("{0}")]
    CaEnded(String),
    /// A bug or a broken installation.
    #[error("internal fault: {0}")]
    Internal(String),
}

/// An identifier that cannot be ordered, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentifierRefusal {
    /// The identifier as received.
    pub identifier: WireIdentifier,
    /// The reason.
    pub fault: IdentifierFault,
}

/// Why an identifier cannot be ordered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierFault {
    /// The configuration does not allow the assigner.
    #[error("this assigner is not allowed")]
    AssignerNotAllowed,
    /// No attestation format here proves a hardware module of this type.
    #[error("no attestation that is accepted here proves a hardware module of this type")]
    HardwareTypeNotProvable,
    /// The identifier does not parse.
    #[error(transparent)]
    Malformed(IdentifierError),
    /// Admission does not know the device.
    #[error("{0}")]
    NotAdmitted(Box<NotAdmitted>),
}

/// Why a CSR is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrRefusal {
    /// The CSR is for the account's own key.
    #[error("the CSR is for the account's key (RFC 8555 section 11.1): use the attested key")]
    AccountKey,
    /// The CSR asks for a CA certificate.
    #[error("the CSR asks for a CA certificate")]
    CaRequested,
    /// The CSR is for a key other than the attested one.
    #[error("the CSR is for another key than the one that was attested: sign it with that key")]
    KeyNotAttested,
    /// The CSR names a device that the order does not have.
    #[error("the CSR names a {0} that the order does not have")]
    NameNotOrdered(&'static str),
    /// The CSR contains names, which the profile refuses.
    #[error("the CSR contains a {0}, which this profile refuses")]
    NamesRefused(&'static str),
    /// The CSR does not parse, or its signature is wrong.
    #[error(transparent)]
    Unreadable(#[from] CsrError),
}

/// Why a certificate is refused although CSR and order match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuanceRefusal {
    /// The profile names an attribute that was not attested.
    #[error("the profile puts the {0} into the certificate, but the evidence does not attest it")]
    AttributeNotAttested(&'static str),
    /// The authorizations hold evidence of different devices.
    #[error("the authorizations of the order hold evidence of different devices")]
    EvidenceDisagrees,
    /// A value made from the profile and the attested attributes is not allowed
    /// in a certificate.
    #[error(
        "the profile's {0} would be empty or too long, or contain a character that is not allowed"
    )]
    NameDoesNotFit(&'static str),
    /// The profile gives no name to a certificate of this order.
    #[error(
        "the profile has no subject, and its san has no entry for the type of the ordered identifier: the certificate would have no name"
    )]
    NoName,
    /// The device is no longer admitted.
    #[error("the device is no longer admitted")]
    NoLongerAdmitted,
    /// The directory no longer offers the order's profile.
    #[error("the ordered profile is no longer offered: make a new order")]
    ProfileNotOffered,
    /// The root of the evidence is no longer trusted.
    #[error("the root of the device's attestation is no longer trusted")]
    RootNoLongerTrusted,
    /// The ordered validity exceeds the limits that apply now.
    #[error("the ordered validity exceeds what a certificate may have now: make a new order")]
    ValidityOutOfReach,
}

impl CsrRefusal {
    /// The reason's stable name.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::AccountKey => "csr-account-key",
            Self::CaRequested => "csr-ca-requested",
            Self::KeyNotAttested => "csr-key-not-attested",
            Self::NameNotOrdered(_) => "csr-name-not-ordered",
            Self::NamesRefused(_) => "csr-names-refused",
            Self::Unreadable(_) => "csr-unreadable",
        }
    }
}

impl IssuanceRefusal {
    /// The reason's stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AttributeNotAttested(_) => "attribute-not-attested",
            Self::EvidenceDisagrees => "evidence-disagrees",
            Self::NameDoesNotFit(_) => "name-does-not-fit",
            Self::NoName => "no-name",
            Self::NoLongerAdmitted => "no-longer-admitted",
            Self::ProfileNotOffered => "profile-not-offered",
            Self::RootNoLongerTrusted => "root-no-longer-trusted",
            Self::ValidityOutOfReach => "validity-out-of-reach",
        }
    }
}

impl IdentifierFault {
    /// The reason's stable name.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::AssignerNotAllowed => "assigner-not-allowed",
            Self::HardwareTypeNotProvable => "hardware-type-not-provable",
            Self::Malformed(IdentifierError::Malformed { .. }) => "identifier-malformed",
            Self::Malformed(IdentifierError::UnsupportedType(_)) => "identifier-type-unsupported",
            Self::NotAdmitted(_) => "not-admitted",
        }
    }

    /// The detail for the client; `Display` is for the operator.
    #[must_use]
    pub fn client_detail(&self) -> String {
        match self {
            Self::NotAdmitted(not_admitted) => not_admitted.client_detail(),
            other => other.to_string(),
        }
    }

    pub(crate) fn kind(&self) -> ProblemType {
        match self {
            Self::AssignerNotAllowed | Self::HardwareTypeNotProvable | Self::NotAdmitted(_) => {
                ProblemType::RejectedIdentifier
            }
            Self::Malformed(IdentifierError::Malformed { .. }) => ProblemType::Malformed,
            Self::Malformed(IdentifierError::UnsupportedType(_)) => {
                ProblemType::UnsupportedIdentifier
            }
        }
    }
}

impl Error {
    /// Whether this is a fault of the server: the response is a 5xx, and a
    /// retry may succeed. [`Error::NoSpace`] is not: it is logged once, not per
    /// request.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Clock(_)
                | Self::ClockRefused(_)
                | Self::Inventory(_)
                | Self::Store(_)
                | Self::CaEnded(_)
                | Self::Internal(_)
        )
    }

    /// How many seconds the client should wait before a retry.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Clock(_) | Self::NoSpace => Some(60),
            Self::Crowded { wait, .. } => Some(*wait),
            Self::Contention => Some(1),
            Self::Inventory(_) | Self::Store(_) => Some(10),
            Self::TooManyOpenOrders => Some(600),
            _ => None,
        }
    }
}

impl From<CommitError> for Error {
    /// A commit that is not retried.
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(ConflictOn::OpenOrders) => Self::TooManyOpenOrders,
            CommitError::Conflict(ConflictOn::AccountKey | ConflictOn::Value) => Self::Contention,
            CommitError::Store(fault) => Self::Store(fault),
        }
    }
}

impl From<NotRedeemed> for Error {
    fn from(error: NotRedeemed) -> Self {
        match error {
            NotRedeemed::Nonce(error) => Self::Nonce(error),
            NotRedeemed::Store(fault) => Self::Store(fault),
        }
    }
}

impl From<IllegalTransition> for Error {
    /// The state was checked before, so this is a bug.
    fn from(transition: IllegalTransition) -> Self {
        Self::Internal(transition.to_string())
    }
}

/// The one mapping from errors to problem documents. Faults of the server do
/// not reveal their cause, which is only logged.
impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        use ProblemType as P;
        let detail = error.to_string();
        match error {
            Error::Envelope(EnvelopeError::BadAlgorithm) => Self {
                // RFC 8555 section 6.2: "The problem document returned with
                // the error MUST include an "algorithms" field with an array
                // of supported "alg" values."
                algorithms: Algorithm::ALL
                    .iter()
                    .map(|algorithm| algorithm.as_str().to_owned())
                    .collect(),
                ..Self::new(P::BadSignatureAlgorithm, detail)
            },
            Error::Envelope(EnvelopeError::BadKey(_)) => Self::new(P::BadPublicKey, detail),
            // RFC 8555 section 6.5: a nonce that is unacceptable "(or not
            // present)" is answered with badNonce.
            Error::Nonce(_) | Error::Envelope(EnvelopeError::MissingNonce) => {
                Self::new(P::BadNonce, detail)
            }
            Error::Envelope(_)
            | Error::Payload(_)
            | Error::Signer(_)
            | Error::KeyChange(_)
            | Error::StatusNotSettable(_)
            | Error::IdentifierList(_)
            | Error::Validity(_)
            | Error::OrderOver
            | Error::AuthorizationFinal
            | Error::AttestationEncoding(_) => Self::new(P::Malformed, detail),
            Error::Signature(_)
            | Error::Url
            | Error::NotFound(_)
            | Error::RevocationUnauthorized
            | Error::Issuance(_) => Self::new(P::Unauthorized, detail),
            Error::AccountDoesNotExist(_) => Self::new(P::AccountDoesNotExist, detail),
            // RFC 8555 section 7.3.6: "If a server receives a POST or
            // POST-as-GET from a deactivated account, it MUST return an error
            // response with status code 401 (Unauthorized) and type
            // "urn:ietf:params:acme:error:unauthorized"."
            Error::AccountDeactivated => Self::new(P::Unauthorized, detail).with_status(401),
            Error::Contact(ContactError::Unsupported(_)) => {
                Self::new(P::UnsupportedContact, detail)
            }
            Error::Contact(ContactError::Invalid(_) | ContactError::TooMany) => {
                Self::new(P::InvalidContact, detail)
            }
            // RFC 8555 section 7.3.5: "the server SHOULD use status code 409
            // (Conflict)".
            Error::KeyInUse(_) => Self::new(P::Malformed, detail).with_status(409),
            Error::TermsNotAgreed { terms } => Self {
                instance: Some(terms.clone()),
                ..Self::new(P::UserActionRequired, detail)
            },
            Error::Contention | Error::Crowded { .. } | Error::TooManyOpenOrders => {
                Self::new(P::RateLimited, detail)
            }
            Error::Identifiers(refusals) => identifiers(refusals, detail),
            Error::OrderNotReady(_) => Self::new(P::OrderNotReady, detail),
            Error::Csr(_) => Self::new(P::BadCsr, detail),
            Error::Attestation(failure) => failure.problem.clone(),
            Error::AlreadyRevoked => Self::new(P::AlreadyRevoked, detail),
            Error::RevocationReason(code) => Self::new(
                P::BadRevocationReason,
                format!(
                    "revocation reason {code} is not allowed: use one of {}",
                    RevocationReason::ALL
                        .map(|reason| reason.code().to_string())
                        .join(", ")
                ),
            ),
            Error::NoSpace => Self::new(P::ServerInternal, detail).with_status(503),
            Error::Clock(_) | Error::ClockRefused(_) | Error::Inventory(_) | Error::Store(_) => {
                Self::new(
                    P::ServerInternal,
                    "the server cannot do this at present: try again later",
                )
                .with_status(503)
            }
            Error::CaEnded(_) => Self::new(
                P::ServerInternal,
                "the certificate of this CA has expired: its operator must renew it",
            ),
            Error::Internal(_) => Self::new(
                P::ServerInternal,
                "internal server fault; the operator finds the cause in the log",
            ),
        }
    }
}

fn identifiers(refusals: &[IdentifierRefusal], detail: String) -> Problem {
    let subproblems: Vec<Subproblem> = refusals
        .iter()
        .map(|refusal| {
            let detail = refusal.fault.client_detail();
            Subproblem::with(refusal.fault.kind(), detail, &refusal.identifier)
        })
        .collect();
    let kind = match subproblems.as_slice() {
        [first, rest @ ..] if rest.iter().all(|other| other.kind == first.kind) => first.kind,
        _ => ProblemType::Compound,
    };
    // Some clients show only the top-level detail.
    let detail = match subproblems.as_slice() {
        [only] => only.detail.clone(),
        _ => detail,
    };
    Problem {
        subproblems,
        ..Problem::new(kind, detail)
    }
}
