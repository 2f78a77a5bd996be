use assay_proto::{AttestationResponse, OrderStatus, Timestamp};

use crate::{
    Context, Engine, Error,
    appraisal::{self, Answer},
    domain::{
        Authorization, AuthorizationStatus, ChallengeState, EvidenceRecord, Failure, Order,
        OrderState, Validated,
    },
    engine::ATTEMPTS,
    ids::{AccountId, AuthorizationId},
    ports::{Change, CommitError, Versioned},
    usecase::other_device::OtherDevice,
};

impl Engine {
    /// A POST to a challenge: the second gate. The evidence is judged here and
    /// now; a challenge that was answered before is returned as it is.
    ///
    /// A refusal is committed, with authorization and order, before it is
    /// told: RFC 8555 section 7.1.6 and the device-attest draft, section 5.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::AttestationEncoding`],
    /// [`Error::OrderOver`], [`Error::Attestation`], [`Error::Clock`] where the
    /// evidence is out of its time and the clock is in doubt, faults.
    pub async fn answer_challenge(
        &self,
        context: &Context,
        account: AccountId,
        id: AuthorizationId,
        response: &AttestationResponse,
    ) -> Result<Authorization, Error> {
        let mut authorization = self.authorization(account, id).await?;
        let mut appraisal = None;
        let mut other_device = None;
        for _ in 0..ATTEMPTS {
            let clock = self.read_clock();
            let now = clock.now;
            if authorization.value.challenge.state != ChallengeState::Pending {
                return Ok(authorization.value);
            }
            let order = self.order(account, authorization.value.order).await?;
            if authorization.value.status(now) != AuthorizationStatus::Pending
                || order.value.status(now) != OrderStatus::Pending
            {
                return Err(Error::OrderOver);
            }
            // Judged once, however often others overtake the commit.
            let appraisal = match &appraisal {
                Some(appraisal) => appraisal,
                None => {
                    let mut judged = appraisal::appraise(
                        &self.verifier,
                        Answer::read(response)?,
                        &authorization.value,
                        now,
                    );
                    judged.explain(response, &self.verifier, &self.second_looks, now);
                    // Another time might judge otherwise, and a refusal is final:
                    // the challenge stays pending.
                    if judged.refused_by_time() {
                        clock.settled()?;
                    }
                    appraisal.insert(judged)
                }
            };
            let committed = match &appraisal.verdict {
                Ok(evidence) => {
                    if other_device.is_none() {
                        other_device = self.other_device(&authorization.value, evidence).await;
                    }
                    let other_device = other_device.as_ref();
                    self.fulfil(
                        context,
                        &authorization,
                        order,
                        (evidence, other_device),
                        now,
                    )
                    .await?
                }
                Err(failure) => {
                    self.fail(context, &authorization, order, failure, now)
                        .await?
                }
            };
            match committed {
                Some(changed) => {
                    self.record_verdict(&changed, appraisal).await;
                    return match &appraisal.verdict {
                        Ok(_) => Ok(changed),
                        Err(failure) => Err(Error::Attestation(failure.clone())),
                    };
                }
                None => authorization = self.authorization(account, id).await?,
            }
        }
        Err(Error::Contention)
    }

    /// `None` when others were faster.
    async fn fulfil(
        &self,
        context: &Context,
        authorization: &Versioned<Authorization>,
        order: Versioned<Order>,
        (evidence, other_device): (&EvidenceRecord, Option<&OtherDevice>),
        now: Timestamp,
    ) -> Result<Option<Authorization>, Error> {
        let mut all_valid = true;
        for other in &order.value.authorizations {
            if *other != authorization.value.id {
                let other = self.authorization(order.value.account, *other).await?;
                all_valid &= other.value.status(now) == AuthorizationStatus::Valid;
            }
        }
        let state = match order.value.state.clone() {
            OrderState::Pending(pending) if all_valid => OrderState::Ready(pending.authorized()),
            unchanged => unchanged,
        };
        let fulfilled = authorization
            .value
            .clone()
            .fulfil(Validated::Evidence(evidence.clone()));
        let account = (self.store.account(order.value.account).await?)
            .ok_or(Error::AccountDoesNotExist("kid"))?;
        // The order is written even when it stays pending: two answers at once
        // to two of its challenges must not both see the other one pending.
        let mut changes = vec![
            Change::UpdateAuthorization(fulfilled.clone(), authorization.version),
            Change::UpdateOrder(order.value.prove().with_state(state), order.version),
        ];
        changes.extend(other_device.map(|other| Change::AddNote(fulfilled.order, other.note())));
        // In the same commit, so that no account with a valid authorization is
        // dropped as a provisional one.
        let established =
            (account.value.established.is_none()).then(|| account.value.clone().establish(now));
        if let Some(established) = established.clone() {
            changes.push(Change::UpdateAccount(established, account.version));
        }
        match self.commit(context, "challenge-valid", now, changes).await {
            Ok(_) => {
                if let Some(established) = established {
                    self.provisional.established(&established);
                }
                if let Some(other_device) = other_device {
                    self.report_other_device(context, &fulfilled, other_device);
                }
                Ok(Some(fulfilled))
            }
            Err(CommitError::Conflict(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// `None` when others were faster.
    async fn fail(
        &self,
        context: &Context,
        authorization: &Versioned<Authorization>,
        order: Versioned<Order>,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<Option<Authorization>, Error> {
        let failed = authorization.value.clone().fail(failure.clone());
        let order_id = order.value.id;
        let changes = vec![
            Change::UpdateAuthorization(failed.clone(), authorization.version),
            Change::UpdateOrder(order.value.fail(failure.clone()), order.version),
        ];
        match self
            .commit(context, "challenge-invalid", now, changes)
            .await
        {
            Ok(_) => {
                self.report_failure(
                    context,
                    failure,
                    failed.account,
                    order_id,
                    &failed.identifier.to_wire().value,
                );
                Ok(Some(failed))
            }
            Err(CommitError::Conflict(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
