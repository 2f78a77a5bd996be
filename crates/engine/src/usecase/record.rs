use crate::{
    Engine,
    appraisal::Appraisal,
    domain::{Authorization, Order},
    ports::Judged,
};

impl Engine {
    /// Tells the recorder, where there is one, of a verdict that is committed.
    pub(crate) async fn record_verdict(&self, authorization: &Authorization, given: &Appraisal) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        let account = match self.store.account(authorization.account).await {
            Ok(Some(account)) => account.value,
            // The verdict stands; the store will say more at the next commit.
            Ok(None) | Err(_) => {
                tracing::warn!(
                    event = "not_recorded",
                    authorization = %authorization.id,
                    "a verdict was not recorded: its account cannot be read"
                );
                return;
            }
        };
        let (refused, at) = match &given.verdict {
            Ok(evidence) => (None, evidence.at),
            Err(failure) => (Some(failure.reason.clone()), failure.at),
        };
        recorder.judged(Judged {
            order: authorization.order,
            authorization: authorization.id,
            token: authorization.challenge.token.clone(),
            account_key: *account.key.thumbprint(),
            identifier: authorization.identifier.clone(),
            attribute: authorization.attribute,
            answer: given.answer.clone(),
            device: given.device.clone(),
            refused,
            at,
        });
    }

    /// Tells the recorder, where there is one, of a CSR for an order that is
    /// ready. One that is too long to be looked at is not kept either.
    pub(crate) fn record_csr(&self, order: &Order, csr: &[u8]) {
        if let Some(recorder) = &self.recorder
            && csr.len() <= assay_ca::MAX_CSR_LEN
        {
            recorder.csr(order.id, &order.authorizations, csr);
        }
    }
}
