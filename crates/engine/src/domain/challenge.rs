use assay_proto::{ChallengeType, Problem, Timestamp};

use super::{EvidenceRecord, Failure, IllegalTransition};
use crate::{
    ids::ChallengeId,
    ports::{Purpose, Random},
};

/// A challenge (RFC 8555 section 7.1.5), one of its authorization's. It is
/// answered once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    id: ChallengeId,
    kind: ChallengeType,
    token: Token,
    state: ChallengeState,
}

/// How far a challenge is (RFC 8555 section 7.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChallengeState {
    /// Answered, without success.
    Invalid(Failure),
    /// Not yet answered.
    Pending,
    /// Answered, and being validated in the background.
    Processing(Validating),
    /// Fulfilled.
    Valid(Basis),
}

/// A validation in the background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validating {
    /// When the client answered.
    pub since: Timestamp,
    /// How many attempts began.
    pub attempts: u32,
    /// When the next attempt is due: where one is under way, from when on
    /// another process may begin it anew.
    pub next_attempt: Timestamp,
    /// What went wrong in the last attempt.
    pub error: Option<Problem>,
}

/// What an authorization is valid by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every basis is evidence: a box would be one more allocation for each"
)]
pub enum Basis {
    /// Control over the identifier was shown to a validator. It proves no key.
    Control {
        /// When.
        at: Timestamp,
    },
    /// A device's attestation, of the device and of a key.
    Evidence(EvidenceRecord),
}

/// A challenge's token: 256 random bits, on the wire as base64url.
///
/// The device-attest draft: "The "token" value MUST have at least 128 bits of
/// entropy."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(String);

impl Challenge {
    /// A new challenge, which is pending.
    #[must_use]
    pub fn new(id: ChallengeId, kind: ChallengeType, token: Token) -> Self {
        Self::restore(id, kind, token, ChallengeState::Pending)
    }

    /// A challenge as a store kept it: the only way to a state that is not a
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

    /// What [`Challenge::restore`] makes a challenge of.
    #[must_use]
    pub fn into_parts(self) -> (ChallengeId, ChallengeType, Token, ChallengeState) {
        (self.id, self.kind, self.token, self.state)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> ChallengeId {
        self.id
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> ChallengeType {
        self.kind
    }

    /// The random token that the response must be bound to.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// How far it is.
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
    /// The evidence, where there is one.
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
    /// A new token.
    #[must_use]
    pub fn draw(random: &dyn Random) -> Self {
        let mut bytes = [0; 32];
        random.fill(Purpose::Token, &mut bytes);
        Self(data_encoding::BASE64URL_NOPAD.encode(&bytes))
    }

    /// The token as it was stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Its text, as it goes to the client.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What an Apple attestation must carry as its freshness code: the SHA-256
    /// of the token's ASCII alone, not of the key authorization.
    #[must_use]
    pub fn apple_freshness(&self) -> [u8; 32] {
        crate::sha256(self.0.as_bytes())
    }
}
