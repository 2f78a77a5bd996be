use crate::{
    AccountContext, Engine,
    appraisal::Appraisal,
    domain::{Authorization, Order, Token},
    ports::Judged,
};

impl Engine {
    /// Gives the recorder, where there is one, a verdict that is committed.
    pub(crate) fn record_verdict(
        &self,
        context: &AccountContext,
        authorization: &Authorization,
        token: &Token,
        given: &Appraisal,
    ) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        let (refused, at) = match &given.verdict {
            Ok(evidence) => (None, evidence.at),
            Err(failure) => (Some(failure.reason.clone()), failure.at),
        };
        recorder.judged(Judged {
            order: authorization.order,
            authorization: authorization.id,
            token: token.clone(),
            account_key: *context.by.value.key.thumbprint(),
            identifier: authorization.identifier.clone(),
            attribute: authorization.admitted.attribute,
            answer: given.answer.clone(),
            device: given.device.clone(),
            refused,
            at,
        });
    }

    /// Gives the recorder, where there is one, a CSR for an order that is
    /// ready. One that is too long to be looked at is not kept either.
    pub(crate) fn record_csr(&self, order: &Order, csr: &[u8]) {
        if let Some(recorder) = &self.recorder
            && csr.len() <= assay_ca::MAX_CSR_LEN
        {
            recorder.csr(order.id, &order.authorizations, csr);
        }
    }
}
