//! Challenges that are validated in the background. An attempt is claimed in the
//! store before it is made, so that no two processes make it at once, and one
//! that a crash interrupts is made again.

use std::sync::Arc;

use assay_proto::{OrderStatus, Timestamp};

use super::challenge::{Answerable, Verdict};
use crate::{
    Engine, Error, Request,
    domain::{Authorization, Basis, Challenge, Failure, Gate, Validating},
    ids::AuthorizationId,
    ports::{AskedToValidate, Change, DueValidation, NotValidated, Validator, Versioned},
};

/// The seconds between an attempt and the next one. After the last the challenge
/// fails. RFC 8555 section 8.2: "Clients SHOULD NOT respond to challenges until
/// they believe that the server's queries will succeed", so that a few are
/// enough.
const PAUSES: [u64; 4] = [5, 10, 20, 40];

/// An attempt that this process has claimed.
struct Attempt {
    authorization: Authorization,
    challenge: Challenge,
    /// As the store has it, unless another process took the challenge over.
    validating: Validating,
    validator: Arc<dyn Validator>,
}

/// What is to be recorded of an attempt, under this name.
struct Conclusion {
    name: &'static str,
    verdict: Verdict,
    failure: Option<Failure>,
}

impl Engine {
    /// For how many seconds an attempt to validate is its process's own.
    pub const VALIDATION_LEASE: u64 = 60;

    /// Whether challenges are validated in the background.
    #[must_use]
    pub fn has_validators(&self) -> bool {
        !self.validators.is_empty()
    }

    /// The authorizations with a challenge whose next attempt is due, at most
    /// `limit`. A caller must ask about once a second, and has each of them
    /// [validated](Self::validate).
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn due_validations(&self, limit: usize) -> Result<Vec<AuthorizationId>, Error> {
        let now = self.now();
        let mut due = self.store.validations(limit).await?;
        due.retain(|one: &DueValidation| one.at <= now);
        Ok(due.into_iter().map(|one| one.authorization).collect())
    }

    /// Makes the attempt that is due for an authorization, unless another
    /// process does.
    ///
    /// # Errors
    /// Faults.
    pub async fn validate(&self, id: AuthorizationId) -> Result<(), Error> {
        let Some(attempt) = self.claim_attempt(id).await? else {
            return Ok(());
        };
        let account = self.stored_account(attempt.authorization.account).await?;
        let thumbprint = account.value.key.thumbprint();
        let token = attempt.challenge.token().clone();
        let asked = AskedToValidate {
            identifier: attempt.authorization.identifier.clone(),
            key_authorization: format!("{}.{thumbprint}", token.as_str()),
            token,
        };
        let outcome = attempt.validator.validate(asked).await;
        self.conclude(attempt, outcome).await
    }

    /// Claims the attempt that is due. `None` when there is none, or another
    /// process was faster.
    async fn claim_attempt(&self, id: AuthorizationId) -> Result<Option<Attempt>, Error> {
        let request = Request::default();
        let mut attempts = self.attempts(&request);
        loop {
            let now = self.now();
            let Some(Versioned { value, version }) = self.store.authorization(id).await? else {
                return Ok(None);
            };
            let due = value
                .in_validation()
                .filter(|(_, validating)| validating.next_attempt <= now)
                .map(|(challenge, validating)| (challenge.clone(), validating.clone()));
            let Some((challenge, before)) = due else {
                return Ok(None);
            };
            let mut validators = self.validators.iter();
            let Some(validator) = validators.find(|one| one.kind() == challenge.kind()) else {
                return Ok(None);
            };
            let validating = Validating {
                attempts: before.attempts.saturating_add(1),
                next_attempt: now.plus(Self::VALIDATION_LEASE),
                ..before
            };
            let authorization = value.attempt(challenge.id(), validating.clone())?;
            let change = Change::UpdateAuthorization(authorization.clone(), version);
            if attempts
                .commit("validation-attempt", now, vec![change])
                .await?
            {
                return Ok(Some(Attempt {
                    authorization,
                    challenge,
                    validating,
                    validator: Arc::clone(validator),
                }));
            }
        }
    }

    /// Records what an attempt came to, unless another process took the
    /// challenge over meanwhile.
    async fn conclude(
        &self,
        attempt: Attempt,
        outcome: Result<(), NotValidated>,
    ) -> Result<(), Error> {
        let request = Request::default();
        let mut attempts = self.attempts(&request);
        while let Some(answerable) = self.still_ours(&attempt).await? {
            let now = answerable.now;
            let concluded = self.conclusion(&attempt, answerable, &outcome).await?;
            let Conclusion {
                name,
                mut verdict,
                failure,
            } = concluded;
            let changes = std::mem::take(&mut verdict.changes);
            if attempts.commit(name, now, changes).await? {
                if let Some(established) = &verdict.established {
                    self.provisional.established(established);
                }
                if let Some(failure) = failure {
                    self.report_challenge_failure(&request, &verdict.authorization, &failure);
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// What an attempt comes to.
    async fn conclusion(
        &self,
        attempt: &Attempt,
        answerable: Answerable,
        outcome: &Result<(), NotValidated>,
    ) -> Result<Conclusion, Error> {
        let now = answerable.now;
        if answerable.order.value.status(now) != OrderStatus::Pending {
            // Nothing stands on it any more, and the order stays as it is.
            let failure = order_over(now);
            let Versioned { value, version } = answerable.authorization;
            let failed = value.fail(attempt.challenge.id(), failure.clone())?;
            return Ok(Conclusion {
                name: "validation-over",
                verdict: Verdict::of(failed, version),
                failure: Some(failure),
            });
        }
        let fault = match outcome {
            Ok(()) => {
                let account = self.stored_account(answerable.authorization.value.account);
                let basis = Basis::Control { at: now };
                return Ok(Conclusion {
                    name: "validation-valid",
                    verdict: self.fulfil(answerable, basis, account.await?).await?,
                    failure: None,
                });
            }
            Err(fault) => fault,
        };
        if let Some(pause) = pause_after(attempt, fault) {
            return Ok(Conclusion {
                name: "validation-retry",
                verdict: try_again(attempt, answerable, fault, now.plus(pause))?,
                failure: None,
            });
        }
        let failure = not_validated(fault, now);
        Ok(Conclusion {
            name: "validation-invalid",
            verdict: self.fail(answerable, failure.clone()).await?,
            failure: Some(failure),
        })
    }

    /// The challenge of an attempt, unless another process took it over.
    async fn still_ours(&self, attempt: &Attempt) -> Result<Option<Answerable>, Error> {
        let id = attempt.authorization.id;
        let Some(authorization) = self.store.authorization(id).await? else {
            return Ok(None);
        };
        let challenge = match authorization.value.in_validation() {
            Some((challenge, validating)) if *validating == attempt.validating => challenge.clone(),
            _ => return Ok(None),
        };
        Ok(Some(Answerable {
            order: self.as_stored(authorization.value.order).await?,
            authorization,
            challenge,
            now: self.now(),
        }))
    }
}

/// The seconds until the next attempt; `None` where there is none.
fn pause_after(attempt: &Attempt, fault: &NotValidated) -> Option<u64> {
    let made = usize::try_from(attempt.validating.attempts).ok()?;
    let pause = PAUSES.get(made.checked_sub(1)?)?;
    (!fault.is_final).then_some(*pause)
}

/// RFC 8555 section 8.2: "The server MUST provide information about its retry
/// state to the client via the "error" field in the challenge and the
/// Retry-After HTTP header field".
fn try_again(
    attempt: &Attempt,
    answerable: Answerable,
    fault: &NotValidated,
    next_attempt: Timestamp,
) -> Result<Verdict, Error> {
    let Versioned { value, version } = answerable.authorization;
    let validating = Validating {
        next_attempt,
        error: Some(fault.problem.clone()),
        ..attempt.validating.clone()
    };
    let again = value.attempt(attempt.challenge.id(), validating)?;
    Ok(Verdict::of(again, version))
}

fn not_validated(fault: &NotValidated, at: Timestamp) -> Failure {
    Failure {
        problem: fault.problem.clone(),
        gate: Gate::Appraisal,
        reason: fault.reason.to_owned(),
        detail: fault.detail.clone(),
        object_sha256: None,
        at,
    }
}

fn order_over(at: Timestamp) -> Failure {
    Failure {
        problem: assay_proto::Problem::from(&Error::OrderOver),
        gate: Gate::Appraisal,
        reason: "order-over".to_owned(),
        detail: "the order ended before the challenge was validated".to_owned(),
        object_sha256: None,
        at,
    }
}
