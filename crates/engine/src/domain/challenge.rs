use assay_proto::{ChallengeType, Problem, Timestamp};

use super::{EvidenceRecord, Failure, IllegalTransition};
use crate::{
    ids::ChallengeId,
    ports::{Purpose, Random},
};

/// A challenge (RFC 8555 section 7.1.5) of an authorization. It can be answered
/// once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    id: ChallengeId,
    kind: ChallengeType,
    token: Token,
    state: ChallengeState,
}

/// The state of a challenge (RFC 8555 section 7.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChallengeState {
    /// Answered and refused.
    Invalid(Failure),
    /// Not yet answered.
    Pending,
    /// Answered, in background validation.
    Processing(Validating),
    /// Fulfilled.
    Valid(Basis),
}

/// The state of a background validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validating {
    /// When the client answered.
    pub since: Timestamp,
    /// How many attempts have begun.
    pub attempts: u32,
    /// When the next attempt is due. During an attempt: from when on another
    /// process may retry it.
    pub next_attempt: Timestamp,
    /// The error of the last attempt.
    pub error: Option<Problem>,
}

/// The basis of a valid authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every basis is evidence: a box would be one more allocation for each"
)]
pub enum Basis {
    /// A validator found control over the identifier. This proves no key.
    Control {
        /// When control was shown.
        at: Timestamp,
    },
    /// An attestation of a device and of a key.
    Evidence(EvidenceRecord),
}

/// The token of a challenge: 256 random bits, sent as base64url.
///
/// The device-attest draft: "The "token" value MUST have at least 128 bits of
/// entropy."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(String);

impl Challenge {
    /// Returns a new, pending challenge.
    #[must_use]
    pub fn new(id: ChallengeId, kind: ChallengeType, token: Token) -> Self {
        Self::restore(id, kind, token, ChallengeState::Pending)
    }

    /// Rebuilds a stored challenge: the only way to a state other than a
    /// transition.
    #[must_use]
    pub fn restore(
        id: ChallengeId,
        kind: ChallengeType,
        token: Token,
        state: ChallengeState,
    ) -> Self {
        Self {
            id,
            kind,
            token,
            state,
        }
    }

    /// Returns the arguments of [`Challenge::restore`].
    #[must_use]
    pub fn into_parts(self) -> (ChallengeId, ChallengeType, Token, ChallengeState) {
        (self.id, self.kind, self.token, self.state)
    }

    /// The challenge's ID.
    #[must_use]
    pub fn id(&self) -> ChallengeId {
        self.id
    }

    /// The challenge's type.
    #[must_use]
    pub fn kind(&self) -> ChallengeType {
        self.kind
    }

    /// The random token that the response must be bound to.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The challenge's state.
    #[must_use]
    pub fn state(&self) -> &ChallengeState {
        &self.state
    }

    pub(super) fn begin(self, validating: Validating) -> Result<Self, IllegalTransition> {
        match self.state {
            ChallengeState::Pending => Ok(self.with_state(ChallengeState::Processing(validating))),
            _ => Err(self.illegal("processing")),
        }
    }

    pub(super) fn attempt(self, validating: Validating) -> Result<Self, IllegalTransition> {
        match self.state {
            ChallengeState::Processing(_) => {
                Ok(self.with_state(ChallengeState::Processing(validating)))
            }
            _ => Err(self.illegal("processing")),
        }
    }

    pub(super) fn fulfil(self, basis: Basis) -> Result<Self, IllegalTransition> {
        match self.state {
            ChallengeState::Pending | ChallengeState::Processing(_) => {
                Ok(self.with_state(ChallengeState::Valid(basis)))
            }
            _ => Err(self.illegal("valid")),
        }
    }

    pub(super) fn fail(self, failure: Failure) -> Result<Self, IllegalTransition> {
        match self.state {
            ChallengeState::Pending | ChallengeState::Processing(_) => {
                Ok(self.with_state(ChallengeState::Invalid(failure)))
            }
            _ => Err(self.illegal("invalid")),
        }
    }

    fn illegal(&self, to: &'static str) -> IllegalTransition {
        IllegalTransition {
            what: "a challenge",
            from: match self.state {
                ChallengeState::Invalid(_) => "invalid",
                ChallengeState::Pending => "pending",
                ChallengeState::Processing(_) => "processing",
                ChallengeState::Valid(_) => "valid",
            },
            to,
        }
    }

    fn with_state(self, state: ChallengeState) -> Self {
        Self { state, ..self }
    }
}

impl Basis {
    /// Returns the evidence, if there is any.
    #[must_use]
    pub fn evidence(&self) -> Option<&EvidenceRecord> {
        match self {
            Self::Control { .. } => None,
            Self::Evidence(evidence) => Some(evidence),
        }
    }

    /// When the challenge was validated.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Control { at } => *at,
            Self::Evidence(evidence) => evidence.at,
        }
    }
}

impl Token {
    /// Returns a new random token.
    #[must_use]
    pub fn draw(random: &dyn Random) -> Self {
        let mut bytes = [0; 32];
        random.fill(Purpose::Token, &mut bytes);
        Self(data_encoding::BASE64URL_NOPAD.encode(&bytes))
    }

    /// Returns a token from its stored text.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text that is sent to the client.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the freshness code that an Apple attestation must contain: the
    /// SHA-256 of only the token's ASCII, not of the key authorization.
    #[must_use]
    pub fn apple_freshness(&self) -> [u8; 32] {
        crate::sha256(self.0.as_bytes())
    }
}
