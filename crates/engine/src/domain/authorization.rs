use assay_proto::{ChallengeType, Identifier, Timestamp};

use super::{Attribute, EvidenceRecord, Failure};
use crate::{
    ids::{AccountId, AuthorizationId, OrderId},
    ports::{Purpose, Random},
};

/// An authorization (RFC 8555 section 7.1.4) and its challenge. It serves
/// exactly one order and is never reused: a renewal proves its new key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Its name.
    pub id: AuthorizationId,
    /// The account that must fulfil it.
    pub account: AccountId,
    /// The order that it serves.
    pub order: OrderId,
    /// What it is about.
    pub identifier: Identifier,
    /// The attested attribute that admission compares the identifier with.
    pub attribute: Attribute,
    /// When it ends, pending or valid.
    pub expires: Timestamp,
    /// When its holder gave it up (section 7.5.2).
    pub deactivated: Option<Timestamp>,
    /// How to fulfil it.
    pub challenge: Challenge,
}

/// A challenge (RFC 8555 section 7.1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Its type.
    pub kind: ChallengeType,
    /// The chance that the device must get attested.
    pub token: Token,
    /// How far it is.
    pub state: ChallengeState,
}

/// How far a challenge is. It is answered once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChallengeState {
    /// Answered in vain.
    Invalid(Failure),
    /// Not yet answered.
    Pending,
    /// Fulfilled.
    Valid(Validated),
}

/// What an authorization is valid by. There is no evidence without a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validated {
    /// A device's attestation.
    Evidence(EvidenceRecord),
}

impl Validated {
    /// The evidence.
    #[must_use]
    pub fn evidence(&self) -> &EvidenceRecord {
        let Self::Evidence(evidence) = self;
        evidence
    }
}

/// The status of an authorization at some moment (RFC 8555 section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum AuthorizationStatus {
    Deactivated,
    Expired,
    Invalid,
    Pending,
    Valid,
}

/// A challenge's token: 256 bits of chance, on the wire as base64url.
///
/// The device-attest draft: "The "token" value MUST have at least 128 bits of
/// entropy."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(String);

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

impl Authorization {
    /// The status at `now`. Time decides expiry on every read.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> AuthorizationStatus {
        match &self.challenge.state {
            _ if self.deactivated.is_some() => AuthorizationStatus::Deactivated,
            ChallengeState::Invalid(_) => AuthorizationStatus::Invalid,
            _ if now >= self.expires => AuthorizationStatus::Expired,
            ChallengeState::Pending => AuthorizationStatus::Pending,
            ChallengeState::Valid(_) => AuthorizationStatus::Valid,
        }
    }

    /// What it is valid by at `now`; `None` when it is not valid.
    #[must_use]
    pub fn validated(&self, now: Timestamp) -> Option<&Validated> {
        match (self.status(now), &self.challenge.state) {
            (AuthorizationStatus::Valid, ChallengeState::Valid(validated)) => Some(validated),
            _ => None,
        }
    }

    /// The evidence that fulfilled the challenge, whether or not the
    /// authorization has ended since; `None` before, and after a refusal.
    #[must_use]
    pub fn evidence(&self) -> Option<&EvidenceRecord> {
        match &self.challenge.state {
            ChallengeState::Valid(validated) => Some(validated.evidence()),
            ChallengeState::Invalid(_) | ChallengeState::Pending => None,
        }
    }

    /// The authorization with its challenge fulfilled.
    #[must_use]
    pub fn fulfil(self, validated: Validated) -> Self {
        self.with_state(ChallengeState::Valid(validated))
    }

    /// The authorization with its challenge failed.
    #[must_use]
    pub fn fail(self, failure: Failure) -> Self {
        self.with_state(ChallengeState::Invalid(failure))
    }

    /// The authorization, given up by its holder.
    #[must_use]
    pub fn deactivate(self, at: Timestamp) -> Self {
        Self {
            deactivated: Some(at),
            ..self
        }
    }

    fn with_state(self, state: ChallengeState) -> Self {
        Self {
            challenge: Challenge {
                state,
                ..self.challenge
            },
            ..self
        }
    }
}
