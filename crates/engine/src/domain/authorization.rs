use std::ops::Deref;

use assay_proto::{Identifier, Timestamp};

use super::{
    Admitted, Basis, Challenge, ChallengeState, EvidenceRecord, Failure, IllegalTransition,
    challenge::Validating,
};
use crate::ids::{AccountId, AuthorizationId, ChallengeId, OrderId};

/// What of an authorization never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationDetails {
    /// Its name.
    pub id: AuthorizationId,
    /// The account that must fulfil it.
    pub account: AccountId,
    /// The order that it serves.
    pub order: OrderId,
    /// What it is about.
    pub identifier: Identifier,
    /// Why the identifier may be ordered, and what must be attested.
    pub admitted: Admitted,
}

/// An authorization (RFC 8555 section 7.1.4) and its challenges: its details,
/// which can be read as its own fields, and its state, which changes by the
/// transitions below alone. It serves exactly one order and is never reused: a
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

/// What of an authorization changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationState {
    /// When it ends, pending or valid.
    pub expires: Timestamp,
    /// When its holder gave it up (RFC 8555 section 7.5.2).
    pub deactivated: Option<Timestamp>,
    /// The ways to fulfil it, in the order in which they are offered: one at
    /// least, and at most one of them is valid or invalid.
    pub challenges: Vec<Challenge>,
}

/// The status of an authorization at some time (RFC 8555 section 7.1.6).
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
    /// A new authorization, pending until `expires`.
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

    /// An authorization as a store kept it: the only way to a state that is not
    /// a transition.
    #[must_use]
    pub fn restore(details: AuthorizationDetails, state: AuthorizationState) -> Self {
        Self { details, state }
    }

    /// What [`Authorization::restore`] makes an authorization of.
    #[must_use]
    pub fn into_parts(self) -> (AuthorizationDetails, AuthorizationState) {
        (self.details, self.state)
    }

    /// When it ends, pending or valid.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.state.expires
    }

    /// When its holder gave it up.
    #[must_use]
    pub fn deactivated(&self) -> Option<Timestamp> {
        self.state.deactivated
    }

    /// The ways to fulfil it, in the order in which they are offered.
    #[must_use]
    pub fn challenges(&self) -> &[Challenge] {
        &self.state.challenges
    }

    /// The challenge of this name.
    #[must_use]
    pub fn challenge(&self, id: ChallengeId) -> Option<&Challenge> {
        self.challenges().iter().find(|one| one.id() == id)
    }

    /// The challenge that is being validated in the background, while the
    /// authorization is pending: of several, the one whose turn is first.
    #[must_use]
    pub fn in_validation(&self) -> Option<(&Challenge, &Validating)> {
        self.validations()
            .min_by_key(|(_, validating)| validating.next_attempt)
    }

    /// How far the validation of the challenge of this name is; `None` unless it
    /// is being validated, while the authorization is pending.
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

    /// The status at `now`. Time decides expiry on every read.
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

    /// What it is valid by at `now`; `None` when it is not valid.
    #[must_use]
    pub fn basis(&self, now: Timestamp) -> Option<&Basis> {
        match (self.status(now), self.outcome()) {
            (AuthorizationStatus::Valid, Some(Ok(basis))) => Some(basis),
            _ => None,
        }
    }

    /// The evidence that fulfilled a challenge, whether or not the
    /// authorization has ended since; `None` before, after a refusal, and where
    /// it was fulfilled without evidence.
    #[must_use]
    pub fn evidence(&self) -> Option<&EvidenceRecord> {
        self.outcome()?.ok()?.evidence()
    }

    /// A pending challenge is being validated.
    ///
    /// # Errors
    /// When the authorization is not pending or the challenge was answered
    /// before.
    pub fn begin(self, id: ChallengeId, validating: Validating) -> Result<Self, IllegalTransition> {
        self.change(id, |challenge| challenge.begin(validating))
    }

    /// A challenge is still being validated, after an attempt.
    ///
    /// # Errors
    /// When the challenge is not being validated.
    pub fn attempt(
        self,
        id: ChallengeId,
        validating: Validating,
    ) -> Result<Self, IllegalTransition> {
        self.change(id, |challenge| challenge.attempt(validating))
    }

    /// A challenge is fulfilled, and the authorization with it.
    ///
    /// # Errors
    /// When the authorization is not pending.
    pub fn fulfil(self, id: ChallengeId, basis: Basis) -> Result<Self, IllegalTransition> {
        self.change(id, |challenge| challenge.fulfil(basis))
    }

    /// A challenge failed, and the authorization with it.
    ///
    /// # Errors
    /// When the authorization is not pending.
    pub fn fail(self, id: ChallengeId, failure: Failure) -> Result<Self, IllegalTransition> {
        self.change(id, |challenge| challenge.fail(failure))
    }

    /// The authorization, given up by its holder.
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

    /// The authorization, ending at `at`: earlier than it was to.
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

    /// What became of it; `None` while no challenge is final.
    fn outcome(&self) -> Option<Result<&Basis, &Failure>> {
        self.challenges()
            .iter()
            .find_map(|challenge| match challenge.state() {
                ChallengeState::Invalid(failure) => Some(Err(failure)),
                ChallengeState::Valid(basis) => Some(Ok(basis)),
                ChallengeState::Pending | ChallengeState::Processing(_) => None,
            })
    }

    /// Whether it is pending, perhaps past its end.
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
