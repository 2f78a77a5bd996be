use std::ops::Deref;

use assay_proto::{Identifier, Timestamp};

use super::{
    Admitted, Basis, Challenge, ChallengeState, EvidenceRecord, Failure, IllegalTransition,
    challenge::Validating,
};
use crate::ids::{AccountId, AuthorizationId, ChallengeId, OrderId};

/// The immutable part of an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationDetails {
    /// The authorization's ID.
    pub id: AuthorizationId,
    /// The account that must fulfil it.
    pub account: AccountId,
    /// The order that it belongs to.
    pub order: OrderId,
    /// The identifier to prove.
    pub identifier: Identifier,
    /// Why the identifier may be ordered, and what must be attested.
    pub admitted: Admitted,
}

/// An authorization (RFC 8555 section 7.1.4) and its challenges. Its details
/// can be read as its own fields; its state changes only through the
/// transitions below. It belongs to exactly one order and is never reused: a
/// renewal proves its new key itself.
///
/// RFC 8555 section 7.1.6: "If one of the challenges listed in the
/// authorization transitions to the "valid" state, then the authorization also
/// changes to the "valid" state. If the client attempts to fulfill a challenge
/// and fails, or if there is an error while the authorization is still pending,
/// then the authorization transitions to the "invalid" state."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    details: AuthorizationDetails,
    state: AuthorizationState,
}

/// The mutable part of an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationState {
    /// When it expires, pending or valid.
    pub expires: Timestamp,
    /// When its holder deactivated it (RFC 8555 section 7.5.2).
    pub deactivated: Option<Timestamp>,
    /// The challenges in the order in which they are offered: at least one, and
    /// at most one of them is valid or invalid.
    pub challenges: Vec<Challenge>,
}

/// The status of an authorization at a given time (RFC 8555 section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum AuthorizationStatus {
    Deactivated,
    Expired,
    Invalid,
    Pending,
    Valid,
}

impl Authorization {
    /// Returns a new authorization, pending until `expires`.
    #[must_use]
    pub fn new(
        details: AuthorizationDetails,
        expires: Timestamp,
        challenges: Vec<Challenge>,
    ) -> Self {
        let state = AuthorizationState {
            expires,
            deactivated: None,
            challenges,
        };
        Self::restore(details, state)
    }

    /// Rebuilds a stored authorization: the only way to a state other than a
    /// transition.
    #[must_use]
    pub fn restore(details: AuthorizationDetails, state: AuthorizationState) -> Self {
        Self { details, state }
    }

    /// Returns the arguments of [`Authorization::restore`].
    #[must_use]
    pub fn into_parts(self) -> (AuthorizationDetails, AuthorizationState) {
        (self.details, self.state)
    }

    /// When it expires, pending or valid.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.state.expires
    }

    /// When its holder deactivated it.
    #[must_use]
    pub fn deactivated(&self) -> Option<Timestamp> {
        self.state.deactivated
    }

    /// The challenges, in the order in which they are offered.
    #[must_use]
    pub fn challenges(&self) -> &[Challenge] {
        &self.state.challenges
    }

    /// Returns the challenge with this ID.
    #[must_use]
    pub fn challenge(&self, id: ChallengeId) -> Option<&Challenge> {
        self.challenges().iter().find(|one| one.id() == id)
    }

    /// Returns the challenge in background validation, while the authorization
    /// is pending; of several, the one due first.
    #[must_use]
    pub fn in_validation(&self) -> Option<(&Challenge, &Validating)> {
        self.validations()
            .min_by_key(|(_, validating)| validating.next_attempt)
    }

    /// Returns the validation state of the challenge with this ID; `None`
    /// unless it is in validation and the authorization pending.
    #[must_use]
    pub fn validation_of(&self, id: ChallengeId) -> Option<&Validating> {
        let mut validations = self.validations();
        let found = validations.find(|(challenge, _)| challenge.id() == id);
        found.map(|(_, validating)| validating)
    }

    fn validations(&self) -> impl Iterator<Item = (&Challenge, &Validating)> {
        let challenges = self.challenges().iter();
        let in_validation = challenges.filter_map(|one| match one.state() {
            ChallengeState::Processing(validating) => Some((one, validating)),
            _ => None,
        });
        in_validation.filter(|_| self.is_undecided())
    }

    /// Returns the status at `now`. Expiry is computed on every read.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> AuthorizationStatus {
        if self.state.deactivated.is_some() {
            return AuthorizationStatus::Deactivated;
        }
        match self.outcome() {
            Some(Err(_)) => AuthorizationStatus::Invalid,
            _ if now >= self.state.expires => AuthorizationStatus::Expired,
            Some(Ok(_)) => AuthorizationStatus::Valid,
            None => AuthorizationStatus::Pending,
        }
    }

    /// Returns the basis of its validity at `now`; `None` if it is not valid.
    #[must_use]
    pub fn basis(&self, now: Timestamp) -> Option<&Basis> {
        match (self.status(now), self.outcome()) {
            (AuthorizationStatus::Valid, Some(Ok(basis))) => Some(basis),
            _ => None,
        }
    }

    /// Returns the evidence that fulfilled a challenge, even if the
    /// authorization has ended since; `None` before, after a refusal, and if it
    /// was fulfilled without evidence.
    #[must_use]
    pub fn evidence(&self) -> Option<&EvidenceRecord> {
        self.outcome()?.ok()?.evidence()
    }

    /// Puts a pending challenge into validation.
    ///
    /// # Errors
    /// When the authorization is not pending or the challenge was already
    /// answered.
    pub fn begin(self, id: ChallengeId, validating: Validating) -> Result<Self, IllegalTransition> {
        self.change(id, |challenge| challenge.begin(validating))
    }

    /// Records another attempt to validate a challenge.
    ///
    /// # Errors
    /// When the challenge is not in validation.
    pub fn attempt(
        self,
        id: ChallengeId,
        validating: Validating,
    ) -> Result<Self, IllegalTransition> {
        self.change(id, |challenge| challenge.attempt(validating))
    }

    /// Fulfils a challenge, and thereby the authorization.
    ///
    /// # Errors
    /// When the authorization is not pending.
    pub fn fulfil(self, id: ChallengeId, basis: Basis) -> Result<Self, IllegalTransition> {
        self.change(id, |challenge| challenge.fulfil(basis))
    }

    /// Fails a challenge, and thereby the authorization.
    ///
    /// # Errors
    /// When the authorization is not pending.
    pub fn fail(self, id: ChallengeId, failure: Failure) -> Result<Self, IllegalTransition> {
        self.change(id, |challenge| challenge.fail(failure))
    }

    /// Deactivates the authorization.
    ///
    /// # Errors
    /// When it is neither pending nor valid.
    pub fn deactivate(self, at: Timestamp) -> Result<Self, IllegalTransition> {
        match self.status(at) {
            AuthorizationStatus::Pending | AuthorizationStatus::Valid => Ok(Self {
                state: AuthorizationState {
                    deactivated: Some(at),
                    ..self.state
                },
                ..self
            }),
            _ => Err(self.illegal("deactivated")),
        }
    }

    /// Makes the authorization expire at `at`, if that is earlier.
    #[must_use]
    pub fn end_at(self, at: Timestamp) -> Self {
        Self {
            state: AuthorizationState {
                expires: self.state.expires.min(at),
                ..self.state
            },
            ..self
        }
    }

    /// Returns its result; `None` while no challenge is final.
    fn outcome(&self) -> Option<Result<&Basis, &Failure>> {
        self.challenges()
            .iter()
            .find_map(|challenge| match challenge.state() {
                ChallengeState::Invalid(failure) => Some(Err(failure)),
                ChallengeState::Valid(basis) => Some(Ok(basis)),
                ChallengeState::Pending | ChallengeState::Processing(_) => None,
            })
    }

    /// Whether it is pending, even if it has expired.
    fn is_undecided(&self) -> bool {
        self.state.deactivated.is_none() && self.outcome().is_none()
    }

    fn change(
        mut self,
        id: ChallengeId,
        transition: impl FnOnce(Challenge) -> Result<Challenge, IllegalTransition>,
    ) -> Result<Self, IllegalTransition> {
        let index = self.challenges().iter().position(|one| one.id() == id);
        let Some(index) = index.filter(|_| self.is_undecided()) else {
            return Err(self.illegal("answered"));
        };
        let challenge = self.state.challenges.remove(index);
        self.state.challenges.insert(index, transition(challenge)?);
        Ok(self)
    }

    fn illegal(&self, to: &'static str) -> IllegalTransition {
        IllegalTransition {
            what: "an authorization",
            from: match (self.state.deactivated, self.outcome()) {
                (Some(_), _) => "deactivated",
                (None, Some(Ok(_))) => "valid",
                (None, Some(Err(_))) => "invalid",
                (None, None) => "pending",
            },
            to,
        }
    }
}

impl Deref for Authorization {
    type Target = AuthorizationDetails;

    fn deref(&self) -> &AuthorizationDetails {
        &self.details
    }
}
