//! Background validation of challenges. An attempt is claimed in the store
//! before it is made, so that only one process makes it, and an attempt
//! interrupted by a crash is retried.

use std::sync::Arc;

use assay_jws::Thumbprint;
use assay_proto::{OrderStatus, Problem, ProblemType, Timestamp};

use super::challenge::{Answerable, Verdict};
use crate::{
    Engine, Error, RequestInfo,
    attempts::Attempts,
    domain::{
        Account, AccountState, Authorization, AuthorizationStatus, Basis, Challenge, Failure, Gate,
        Validating,
    },
    ids::AuthorizationId,
    ports::{Change, DueValidation, ValidationError, ValidationRequest, Validator, Versioned},
};

/// Seconds between attempts. The challenge fails after the last one. A few are
/// enough, by RFC 8555 section 8.2: "Clients SHOULD NOT respond to challenges
/// until they believe that the server's queries will succeed".
const PAUSES: [u64; 4] = [5, 10, 20, 40];

/// An attempt claimed by this process.
struct Attempt {
    authorization: Authorization,
    challenge: Challenge,
    /// The stored state, unless another process took the challenge over.
    validating: Validating,
    validator: Arc<dyn Validator>,
    account_key: Thumbprint,
}

/// The result of an attempt, to be committed under this name.
struct Conclusion {
    name: &'static str,
    verdict: Verdict,
    failure: Option<Failure>,
}

impl Engine {
    /// How many seconds a process owns an attempt.
    pub const VALIDATION_LEASE: u64 = 60;

    /// Whether challenges are validated in the background.
    #[must_use]
    pub fn has_validators(&self) -> bool {
        !self.validators.is_empty()
    }

    /// Returns at most `limit` authorizations with a challenge whose next
    /// attempt is due. Call it about once a second, and
    /// [validate](Self::validate) each of them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn due_validations(&self, limit: usize) -> Result<Vec<AuthorizationId>, Error> {
        let now = self.now();
        let mut due = self.store.validations(limit).await?;
        due.retain(|one: &DueValidation| one.at <= now);
        Ok(due.into_iter().map(|one| one.authorization).collect())
    }

    /// Makes the due attempt for an authorization, unless another process does.
    ///
    /// # Errors
    /// Faults.
    pub async fn validate(&self, id: AuthorizationId) -> Result<(), Error> {
        let Some(attempt) = self.claim_attempt(id).await? else {
            return Ok(());
        };
        let token = attempt.challenge.token().clone();
        let asked = ValidationRequest {
            identifier: attempt.authorization.identifier.clone(),
            key_authorization: format!("{}.{}", token.as_str(), attempt.account_key),
            token,
        };
        let outcome = attempt.validator.validate(asked).await;
        self.conclude(attempt, outcome).await
    }

    /// Claims the due attempt. Returns `None` if there is none or another
    /// process claimed it first.
    async fn claim_attempt(&self, id: AuthorizationId) -> Result<Option<Attempt>, Error> {
        let request = RequestInfo::default();
        let mut attempts = self.attempts(&request);
        while let Some((answerable, before)) = self.due_attempt(id).await? {
            let now = answerable.now;
            // No query is sent for an order that ended.
            let Some(account) = self.waiting_account(&answerable).await? else {
                let over = over(answerable)?;
                match self.record_conclusion(&mut attempts, now, over).await? {
                    true => return Ok(None),
                    false => continue,
                }
            };
            if is_exhausted(&before) {
                let failure = unfinished(&before, now);
                let given_up = Conclusion {
                    name: "validation-invalid",
                    verdict: self.fail(answerable, failure.clone()).await?,
                    failure: Some(failure),
                };
                match self.record_conclusion(&mut attempts, now, given_up).await? {
                    true => return Ok(None),
                    false => continue,
                }
            }
            let Answerable {
                authorization: Versioned { value, version },
                challenge,
                ..
            } = answerable;
            let mut validators = self.validators.iter();
            let validator = validators.find(|one| one.kind() == challenge.kind());
            let validating = Validating {
                attempts: before.attempts.saturating_add(validator.is_some().into()),
                next_attempt: now.plus(Self::VALIDATION_LEASE),
                ..before
            };
            let authorization = value.attempt(challenge.id(), validating.clone())?;
            let change = Change::UpdateAuthorization(authorization.clone(), version);
            let name = match validator {
                Some(_) => "validation-attempt",
                // This process has no validator of the type. Move it behind the
                // other challenges, until another process can validate it or
                // its order ends.
                None => "validation-retry",
            };
            if attempts.commit(name, now, vec![change]).await? {
                return Ok(validator.map(|validator| Attempt {
                    authorization,
                    challenge,
                    validating,
                    validator: Arc::clone(validator),
                    account_key: *account.value.key.thumbprint(),
                }));
            }
        }
        Ok(None)
    }

    /// Returns the challenge whose attempt is due.
    async fn due_attempt(
        &self,
        id: AuthorizationId,
    ) -> Result<Option<(Answerable, Validating)>, Error> {
        let Some(authorization) = self.store.authorization(id).await? else {
            return Ok(None);
        };
        let now = self.now();
        let Some((challenge, validating)) = (authorization.value.in_validation())
            .filter(|(_, validating)| validating.next_attempt <= now)
            .map(|(challenge, validating)| (challenge.clone(), validating.clone()))
        else {
            return Ok(None);
        };
        let answerable = Answerable {
            order: self.as_stored(authorization.value.order).await?,
            authorization,
            challenge,
            now,
        };
        Ok(Some((answerable, validating)))
    }

    /// Returns the account that waits for the validation; `None` if order,
    /// authorization or account ended meanwhile.
    ///
    /// # Errors
    /// [`Error::Clock`] if it ended by a time that is in doubt; faults.
    async fn waiting_account(
        &self,
        answerable: &Answerable,
    ) -> Result<Option<Versioned<Account>>, Error> {
        let (authorization, order) = (&answerable.authorization.value, &answerable.order.value);
        let now = answerable.now;
        let status = authorization.status(now);
        if order.is_expired(now) || status == AuthorizationStatus::Expired {
            self.read_clock().settled()?;
        }
        if order.status(now) != OrderStatus::Pending || status != AuthorizationStatus::Pending {
            return Ok(None);
        }
        let account = self.store.account(authorization.account).await?;
        Ok(account.filter(|account| account.value.state == AccountState::Valid))
    }

    /// Records the result of an attempt, unless another process took the
    /// challenge over meanwhile.
    async fn conclude(
        &self,
        attempt: Attempt,
        outcome: Result<(), ValidationError>,
    ) -> Result<(), Error> {
        let request = RequestInfo::default();
        let mut attempts = self.attempts(&request);
        while let Some(answerable) = self.still_ours(&attempt).await? {
            let now = answerable.now;
            let concluded = self.conclusion(&attempt, answerable, &outcome).await?;
            if (self.record_conclusion(&mut attempts, now, concluded)).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Commits and reports a result; returns `false` on a conflict with another
    /// commit.
    async fn record_conclusion(
        &self,
        attempts: &mut Attempts<'_>,
        now: Timestamp,
        concluded: Conclusion,
    ) -> Result<bool, Error> {
        let Conclusion {
            name,
            mut verdict,
            failure,
        } = concluded;
        let changes = std::mem::take(&mut verdict.changes);
        if !attempts.commit(name, now, changes).await? {
            return Ok(false);
        }
        if let Some(established) = &verdict.established {
            self.provisional.established(established);
        }
        if let Some(failure) = failure {
            let request = RequestInfo::default();
            self.report_challenge_failure(&request, &verdict.authorization, &failure);
        }
        Ok(true)
    }

    /// Returns the result of an attempt.
    async fn conclusion(
        &self,
        attempt: &Attempt,
        answerable: Answerable,
        outcome: &Result<(), ValidationError>,
    ) -> Result<Conclusion, Error> {
        let now = answerable.now;
        let Some(account) = self.waiting_account(&answerable).await? else {
            return over(answerable);
        };
        let error = match outcome {
            Ok(()) => {
                let basis = Basis::Control { at: now };
                return Ok(Conclusion {
                    name: "validation-valid",
                    verdict: self.fulfil(answerable, basis, account).await?,
                    failure: None,
                });
            }
            Err(error) => error,
        };
        if let Some(pause) = pause_after(attempt, error) {
            return Ok(Conclusion {
                name: "validation-retry",
                verdict: try_again(attempt, answerable, error, now.plus(pause))?,
                failure: None,
            });
        }
        let failure = not_validated(error, now);
        Ok(Conclusion {
            name: "validation-invalid",
            verdict: self.fail(answerable, failure.clone()).await?,
            failure: Some(failure),
        })
    }

    /// Returns the challenge of an attempt, unless another process took it
    /// over.
    async fn still_ours(&self, attempt: &Attempt) -> Result<Option<Answerable>, Error> {
        let id = attempt.authorization.id;
        let Some(authorization) = self.store.authorization(id).await? else {
            return Ok(None);
        };
        // By its ID: another challenge of the authorization may be due first.
        let validating = authorization.value.validation_of(attempt.challenge.id());
        if validating != Some(&attempt.validating) {
            return Ok(None);
        }
        Ok(Some(Answerable {
            order: self.as_stored(authorization.value.order).await?,
            authorization,
            challenge: attempt.challenge.clone(),
            now: self.now(),
        }))
    }
}

/// Whether all attempts were claimed, so the last one never ended.
fn is_exhausted(validating: &Validating) -> bool {
    usize::try_from(validating.attempts).is_ok_and(|made| made > PAUSES.len())
}

fn unfinished(validating: &Validating, at: Timestamp) -> Failure {
    let none = || Problem::new(ProblemType::ServerInternal, "the validation timed out");
    Failure {
        problem: validating.error.clone().unwrap_or_else(none),
        gate: Gate::Appraisal,
        reason: "validation-unfinished".to_owned(),
        detail: format!(
            "all {} attempts to validate the challenge timed out",
            validating.attempts
        ),
        object_sha256: None,
        at,
    }
}

/// Returns the seconds until the next attempt; `None` if there is none.
fn pause_after(attempt: &Attempt, error: &ValidationError) -> Option<u64> {
    let made = usize::try_from(attempt.validating.attempts).ok()?;
    let pause = PAUSES.get(made.checked_sub(1)?)?;
    (!error.is_final).then_some(*pause)
}

/// RFC 8555 section 8.2: "The server MUST provide information about its retry
/// state to the client via the "error" field in the challenge and the
/// Retry-After HTTP header field".
fn try_again(
    attempt: &Attempt,
    answerable: Answerable,
    error: &ValidationError,
    next_attempt: Timestamp,
) -> Result<Verdict, Error> {
    let Versioned { value, version } = answerable.authorization;
    let validating = Validating {
        next_attempt,
        error: Some(error.problem.clone()),
        ..attempt.validating.clone()
    };
    let again = value.attempt(attempt.challenge.id(), validating)?;
    Ok(Verdict::of(again, version))
}

fn not_validated(error: &ValidationError, at: Timestamp) -> Failure {
    Failure {
        problem: error.problem.clone(),
        gate: Gate::Appraisal,
        reason: error.reason.to_owned(),
        detail: error.detail.clone(),
        object_sha256: None,
        at,
    }
}

/// No certificate depends on the challenge any more; its order does not change.
fn over(answerable: Answerable) -> Result<Conclusion, Error> {
    let failure = order_over(answerable.now);
    let Versioned { value, version } = answerable.authorization;
    let failed = value.fail(answerable.challenge.id(), failure.clone())?;
    Ok(Conclusion {
        name: "validation-over",
        verdict: Verdict::of(failed, version),
        failure: Some(failure),
    })
}

fn order_over(at: Timestamp) -> Failure {
    Failure {
        problem: Problem::from(&Error::OrderOver),
        gate: Gate::Appraisal,
        reason: "order-over".to_owned(),
        detail: "the order ended before the challenge was validated".to_owned(),
        object_sha256: None,
        at,
    }
}
