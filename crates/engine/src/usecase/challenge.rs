use std::borrow::Cow;

use assay_proto::{AttestationResponse, ChallengeType, OrderStatus, Timestamp};

use super::{end::end_order, other_device::OtherDevice};
use crate::{
    AccountContext, Engine, Error,
    appraisal::{self, Answer, Appraisal},
    domain::{
        Account, Authorization, AuthorizationStatus, Basis, Challenge, ChallengeState, Failure,
        Order, Token, Validating,
    },
    events::{Event, Judged},
    ids::{AccountId, ChallengeId},
    ports::{Change, Version, Versioned},
};

/// A challenge that may be answered, with its authorization and order.
pub(super) struct Answerable {
    pub(super) authorization: Versioned<Authorization>,
    pub(super) challenge: Challenge,
    pub(super) order: Versioned<Order>,
    pub(super) now: Timestamp,
}

/// The state of a challenge when an answer arrives.
enum Found {
    /// It may be answered.
    Pending(Box<Answerable>),
    /// It was answered before.
    Answered(Authorization),
}

/// The changes that an answer leads to.
pub(super) struct Verdict {
    pub(super) authorization: Authorization,
    /// The account, if this establishes it.
    pub(super) established: Option<Account>,
    pub(super) changes: Vec<Change>,
}

impl Verdict {
    /// Returns a verdict that changes only the authorization.
    pub(super) fn of(authorization: Authorization, version: Version) -> Self {
        Self {
            changes: vec![Change::UpdateAuthorization(authorization.clone(), version)],
            authorization,
            established: None,
        }
    }
}

impl Engine {
    /// Returns the authorization of a challenge of the account.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Clock`] if it has expired while the clock
    /// is in doubt; faults.
    pub async fn challenge(
        &self,
        context: &AccountContext,
        id: ChallengeId,
    ) -> Result<Versioned<Authorization>, Error> {
        let found = self.store.authorization_of_challenge(id).await?;
        self.check_authorization(context.account(), found, "challenge")
    }

    /// A POST to a challenge: the second gate. Evidence is judged at once, any
    /// other answer in the background. A challenge that was answered before is
    /// returned unchanged.
    ///
    /// A refusal is committed, with authorization and order, before the client
    /// receives it: RFC 8555 section 7.1.6 and the device-attest draft, section
    /// 5.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::AttestationEncoding`],
    /// [`Error::OrderOver`], [`Error::Attestation`]; [`Error::Clock`] if the
    /// evidence is outside its validity while the clock is in doubt; faults.
    pub async fn answer_challenge(
        &self,
        context: &AccountContext,
        id: ChallengeId,
        response: &AttestationResponse,
    ) -> Result<Authorization, Error> {
        let mut answerable = match self.find_challenge(context, id).await? {
            Found::Pending(answerable) => *answerable,
            Found::Answered(authorization) => return Ok(authorization),
        };
        if answerable.challenge.kind() != ChallengeType::DeviceAttest01 {
            return self.begin_validation(context, answerable).await;
        }
        // Judge once, even if the commit is retried.
        let appraisal = self.appraise(&answerable, response)?;
        let other_device = match &appraisal.verdict {
            Ok(evidence) => {
                let Answerable {
                    order,
                    authorization,
                    ..
                } = &answerable;
                self.other_device(&order.value, &authorization.value, evidence)
                    .await
            }
            Err(_) => None,
        };
        let mut attempts = self.attempts(&context.request);
        loop {
            let (now, token) = (answerable.now, answerable.challenge.token().clone());
            let (name, mut verdict) = match &appraisal.verdict {
                Ok(evidence) => {
                    let account = match attempts.conflict() {
                        None => context.by.clone(),
                        Some(_) => self.stored_account(context.account()).await?,
                    };
                    let basis = Basis::Evidence(evidence.clone());
                    let verdict = self.fulfil(answerable, basis, account).await?;
                    ("challenge-valid", verdict)
                }
                Err(failure) => {
                    let verdict = self.fail(answerable, failure.as_ref().clone()).await?;
                    ("challenge-invalid", verdict)
                }
            };
            let order = verdict.authorization.order;
            let note = (other_device.as_ref()).map(|other| Change::AddNote(order, other.note()));
            let mut changes = std::mem::take(&mut verdict.changes);
            changes.extend(note);
            if attempts.commit(name, now, changes).await? {
                self.report_answer(context, &verdict, &appraisal, other_device.as_ref());
                self.report_verdict(context, &verdict.authorization, &token, &appraisal);
                return match appraisal.verdict {
                    Ok(_) => Ok(verdict.authorization),
                    Err(failure) => Err(Error::Attestation(failure)),
                };
            }
            answerable = match self.find_challenge(context, id).await? {
                Found::Pending(answerable) => *answerable,
                // A concurrent request answered it.
                Found::Answered(authorization) => return Ok(authorization),
            };
        }
    }

    /// Finds the challenge that a request answers.
    async fn find_challenge(
        &self,
        context: &AccountContext,
        id: ChallengeId,
    ) -> Result<Found, Error> {
        let authorization = self.challenge(context, id).await?;
        let challenge = authorization.value.challenge(id).cloned();
        let challenge = challenge.ok_or(Error::NotFound("challenge"))?;
        if *challenge.state() != ChallengeState::Pending {
            return Ok(Found::Answered(authorization.value));
        }
        let order = self.order(context, authorization.value.order).await?;
        let now = self.now();
        if authorization.value.status(now) != AuthorizationStatus::Pending
            || order.value.status(now) != OrderStatus::Pending
        {
            return Err(Error::OrderOver);
        }
        Ok(Found::Pending(Box::new(Answerable {
            authorization,
            challenge,
            order,
            now,
        })))
    }

    fn appraise(
        &self,
        answerable: &Answerable,
        response: &AttestationResponse,
    ) -> Result<Appraisal, Error> {
        let clock = self.read_clock();
        let mut judged = appraisal::appraise(
            &self.verifier,
            Answer::read(response)?,
            &answerable.authorization.value,
            answerable.challenge.token(),
            clock.now,
        );
        judged.explain(response, &self.verifier, &self.second_looks, clock.now);
        // The verdict depends on the time, and a refusal is final: the
        // challenge stays pending.
        if judged.refused_by_time() {
            clock.settled()?;
        }
        Ok(judged)
    }

    /// Marks the challenge as answered; it is validated in the background.
    async fn begin_validation(
        &self,
        context: &AccountContext,
        mut answerable: Answerable,
    ) -> Result<Authorization, Error> {
        let id = answerable.challenge.id();
        let mut attempts = self.attempts(&context.request);
        loop {
            let now = answerable.now;
            let Versioned { value, version } = answerable.authorization;
            let validating = Validating {
                since: now,
                attempts: 0,
                next_attempt: now,
                error: None,
            };
            let begun = value.begin(id, validating)?;
            let change = Change::UpdateAuthorization(begun.clone(), version);
            if attempts
                .commit("challenge-processing", now, vec![change])
                .await?
            {
                return Ok(begun);
            }
            answerable = match self.find_challenge(context, id).await? {
                Found::Pending(answerable) => *answerable,
                Found::Answered(authorization) => return Ok(authorization),
            };
        }
    }

    /// Returns the changes for a fulfilled challenge. Its order becomes ready
    /// once all its authorizations are valid.
    pub(super) async fn fulfil(
        &self,
        answerable: Answerable,
        basis: Basis,
        account: Versioned<Account>,
    ) -> Result<Verdict, Error> {
        let Answerable {
            authorization,
            challenge,
            order,
            now,
        } = answerable;
        let mut all_valid = true;
        for other in &order.value.authorizations {
            if *other != authorization.value.id {
                let other = self.authorization_of(order.value.account, *other).await?;
                all_valid &= other.value.status(now) == AuthorizationStatus::Valid;
            }
        }
        let proven = match all_valid {
            true => order.value.authorize()?,
            false => order.value.record_valid_authorization()?,
        };
        let fulfilled = authorization.value.fulfil(challenge.id(), basis)?;
        // Write the order even if it stays pending: otherwise concurrent
        // answers to two of its challenges could both see the other one
        // pending.
        let mut changes = vec![
            Change::UpdateAuthorization(fulfilled.clone(), authorization.version),
            Change::UpdateOrder(proven, order.version),
        ];
        // In the same commit, so that an account with a valid authorization is
        // never displaced as provisional.
        let Versioned { value, version } = account;
        let established = (value.established.is_none()).then(|| value.establish(now));
        let establish = |account: &Account| Change::UpdateAccount(account.clone(), version);
        changes.extend(established.as_ref().map(establish));
        Ok(Verdict {
            authorization: fulfilled,
            established,
            changes,
        })
    }

    /// Returns the changes for a failed challenge: its order ends.
    pub(super) async fn fail(
        &self,
        answerable: Answerable,
        failure: Failure,
    ) -> Result<Verdict, Error> {
        let Versioned { value, version } = answerable.authorization;
        let failed = value.fail(answerable.challenge.id(), failure.clone())?;
        let ended = end_order(&*self.store, answerable.order, failure, &[failed.id]).await?;
        let mut verdict = Verdict::of(failed, version);
        verdict.changes.extend(ended.changes);
        Ok(verdict)
    }

    /// Reads the account's current state.
    pub(super) async fn stored_account(&self, id: AccountId) -> Result<Versioned<Account>, Error> {
        let found = self.store.account(id).await?;
        found.ok_or(Error::AccountDoesNotExist("kid"))
    }

    fn report_answer(
        &self,
        context: &AccountContext,
        verdict: &Verdict,
        appraisal: &Appraisal,
        other_device: Option<&OtherDevice>,
    ) {
        let Verdict {
            authorization,
            established,
            ..
        } = verdict;
        if let Some(established) = established {
            self.provisional.established(established);
        }
        if let Some(other_device) = other_device {
            self.report_other_device(&context.request, authorization, other_device);
        }
        if let Err(failure) = &appraisal.verdict {
            self.report_challenge_failure(&context.request, authorization, failure);
        }
    }

    /// Reports a committed verdict.
    fn report_verdict(
        &self,
        context: &AccountContext,
        authorization: &Authorization,
        token: &Token,
        given: &Appraisal,
    ) {
        let (refused, at) = match &given.verdict {
            Ok(evidence) => (None, evidence.at),
            Err(failure) => (Some(Cow::Borrowed(failure.reason.as_str())), failure.at),
        };
        let judged = Judged {
            order: authorization.order,
            authorization: authorization.id,
            token: Cow::Borrowed(token),
            account_key: *context.by.value.key.thumbprint(),
            identifier: Cow::Borrowed(&authorization.identifier),
            attribute: authorization.admitted.attribute,
            answer: Cow::Borrowed(&given.answer),
            device: given.device.as_ref().map(Cow::Borrowed),
            refused,
            at,
        };
        self.report(&Event::ChallengeJudged(&judged));
    }
}
