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

/// Why a use-case did not do what it was asked, grouped by who can mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    // The client: its request as such.
    /// The JWS is not one that ACME allows.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The nonce cannot be used.
    #[error(transparent)]
    Nonce(#[from] NonceError),
    /// The payload is not of the shape that this resource takes.
    #[error("the payload does not fit: {0}")]
    Payload(String),
    /// The JWS does not verify.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The JWS names its key in the way that this resource does not take.
    #[error("{0}")]
    Signer(&'static str),
    /// The JWS was made for another URL.
    #[error("the JWS was signed for another URL than the one it was sent to")]
    Url,

    // The client: its account.
    /// `onlyReturnExisting`, or the kid, names no account.
    #[error("no account has this {0}: make one at newAccount")]
    AccountDoesNotExist(&'static str),
    /// The account was deactivated.
    #[error("the account is deactivated")]
    AccountDeactivated,
    /// A contact cannot be used.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// A key change that contradicts itself.
    #[error("the key change is refused: {0}")]
    KeyChange(&'static str),
    /// An account, perhaps this one, has the new key.
    #[error("an account has this key already")]
    KeyInUse(AccountId),
    /// A status that a client may not set.
    #[error(
        "the status {0:?} cannot be set: \"deactivated\" is the only one that a client may send"
    )]
    StatusNotSettable(String),
    /// The terms of service were not agreed to.
    #[error("the terms of service must be agreed to: send termsOfServiceAgreed = true")]
    TermsNotAgreed {
        /// Their URL.
        terms: String,
    },

    // The client: something that is not there, or not its own.
    /// No such resource, or another account's; the two are not told apart.
    #[error("there is no such {0} under this account")]
    NotFound(&'static str),

    // The client: its network.
    /// Too many new accounts or pending orders, most of them from where this
    /// request comes from.
    #[error("too many {what} from this network: try again in {wait} s")]
    Crowded {
        /// Of what there are too many.
        what: &'static str,
        /// After how many seconds one of them gives way.
        wait: u64,
    },

    // The client: its order.
    /// More open orders than one account may have, and none that is pending.
    #[error("too many open orders: finish them, or wait until they expire")]
    TooManyOpenOrders,
    /// An order without, with too many or with repeated identifiers.
    #[error("the identifiers do not fit: {0}")]
    IdentifierList(String),
    /// Identifiers that cannot be ordered here.
    #[error("{} of the identifiers cannot be ordered", .0.len())]
    Identifiers(Vec<IdentifierRefusal>),
    /// A wanted validity outside the limits.
    #[error("the wanted validity does not fit: {0}")]
    Validity(String),
    /// The order cannot be finalized now.
    #[error(transparent)]
    OrderNotReady(#[from] NotReady),
    /// The order of this authorization is over.
    #[error("the order of this authorization is no longer pending: make a new order")]
    OrderOver,
    /// The CSR is refused; the order stays ready.
    #[error(transparent)]
    Csr(#[from] CsrRefusal),
    /// The authorization cannot be deactivated any more.
    #[error("the authorization is final and cannot be deactivated")]
    AuthorizationFinal,

    // The client: its evidence.
    /// The answer to a challenge cannot be read; the challenge stays pending.
    #[error("the attestation object cannot be read: {0}")]
    AttestationEncoding(String),
    /// The evidence was refused; challenge, authorization and order are dead.
    #[error("the evidence was refused: {}", .0.detail)]
    Attestation(Box<Failure>),

    // The client: revocation.
    /// The certificate is revoked already.
    #[error("the certificate is revoked already")]
    AlreadyRevoked,
    /// A reason that a client may not give.
    #[error("revocation reason {0} is not allowed")]
    RevocationReason(i64),
    /// The certificate is not this CA's, or not the requester's to revoke.
    #[error("the certificate is not one that this key may revoke")]
    RevocationUnauthorized,

    // The operator: policy.
    /// The device may not have a certificate any more, or none of this profile.
    #[error("the certificate is refused: {0}")]
    Issuance(IssuanceRefusal),

    // Nobody but us: faults, mended by trying again.
    /// Time would make the decision final, and the wall clock departs from the
    /// server's time.
    #[error(transparent)]
    Clock(#[from] ClockInDoubt),
    /// The operator confirmed a time that cannot be followed. No client causes
    /// it.
    #[error(transparent)]
    ClockRefused(#[from] ClockRefusal),
    /// There is too little room on the disk for new accounts and orders.
    #[error("the server takes no new accounts and orders at present: try again later")]
    NoSpace,
    /// The list of devices could not be asked.
    #[error("the list of devices cannot answer: {0}")]
    Inventory(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Other requests of the same client changed the same thing again and again.
    #[error("too many requests change the same thing at once: send them one after the other")]
    Contention,
    /// A CA's own certificate has ended: nothing can be issued until it is
    /// renewed.
    #[error("{0}")]
    CaEnded(String),
    /// A mistake of ours or a broken installation.
    #[error("internal fault: {0}")]
    Internal(String),
}

/// One identifier that cannot be ordered, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentifierRefusal {
    /// The identifier as it came.
    pub identifier: WireIdentifier,
    /// Why.
    pub fault: IdentifierFault,
}

/// Why an identifier cannot be ordered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierFault {
    /// The assigner is none that the configuration allows.
    #[error("this assigner is not allowed")]
    AssignerNotAllowed,
    /// Nothing here can prove a hardware module of this type.
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
    /// The CSR is for another key than the attested one.
    #[error("the CSR is for another key than the one that was attested: sign it with that key")]
    KeyNotAttested,
    /// The CSR names a device that was not ordered.
    #[error("the CSR names a {0} that the order does not have")]
    NameNotOrdered(&'static str),
    /// The CSR carries names, and the profile refuses them.
    #[error("the CSR carries a {0}, which this profile refuses")]
    NamesRefused(&'static str),
    /// The CSR does not parse or its signature is bad.
    #[error(transparent)]
    Unreadable(#[from] CsrError),
}

/// Why a certificate is refused though CSR and order fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuanceRefusal {
    /// The profile names an attribute that was not attested.
    #[error("the profile puts the {0} into the certificate, but the evidence does not attest it")]
    AttributeNotAttested(&'static str),
    /// Two authorizations hold evidence of different devices.
    #[error("the authorizations of the order hold evidence of different devices")]
    EvidenceDisagrees,
    /// What the profile makes of the attested attributes cannot stand in a
    /// certificate.
    #[error(
        "the profile's {0} would be empty or too long, or hold a character that it may not hold"
    )]
    NameDoesNotFit(&'static str),
    /// Admission does not know the device any more.
    #[error("the device is no longer admitted")]
    NoLongerAdmitted,
    /// The directory does not offer the order's profile any more.
    #[error("the profile that was ordered is no longer offered: make a new order")]
    ProfileNotOffered,
    /// The root that vouched is not trusted any more.
    #[error("the attestation root that vouched for the device is no longer trusted")]
    RootNoLongerTrusted,
    /// The validity that was ordered reaches past what certificates may have
    /// since.
    #[error("the ordered validity reaches past what a certificate may have now: make a new order")]
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

    /// What the client is told; `Display` is for the operator.
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
    /// Whether the fault is this server's: answered with a 5xx, and the client
    /// may try the same again. [`Error::NoSpace`] is none: the log has it once,
    /// not for each request.
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

    /// How many seconds the client should wait before it tries again.
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
    /// A commit that is not tried again.
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
    /// The state was looked at before: this is a fault of ours.
    fn from(transition: IllegalTransition) -> Self {
        Self::Internal(transition.to_string())
    }
}

/// The one bridge from errors to what a client is told. Faults of ours say
/// nothing of their cause: that is for the log.
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
                "the certificate of this CA has ended: its operator must renew it",
            ),
            Error::Internal(_) => Self::new(
                P::ServerInternal,
                "the server had an internal fault; its operator finds the cause in the log",
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
    // Some clients show the top-level detail alone.
    let detail = match subproblems.as_slice() {
        [only] => only.detail.clone(),
        _ => detail,
    };
    Problem {
        subproblems,
        ..Problem::new(kind, detail)
    }
}
