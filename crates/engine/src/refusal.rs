//! What the operator sees of every refusal: one structured event, `refused`,
//! unless its address has more of them than the log takes.

use std::fmt;

use assay_proto::ProblemType;
use data_encoding::HEXLOWER;

use crate::{
    Context, Engine,
    domain::{Failure, Gate},
    ids::{AccountId, OrderId},
};

/// What a gate refused.
pub(crate) struct Finding<'a, I> {
    pub(crate) gate: Gate,
    /// What the client is told.
    pub(crate) kind: ProblemType,
    pub(crate) account: AccountId,
    pub(crate) order: Option<OrderId>,
    /// The ordered identifier, or all of them.
    pub(crate) identifier: I,
    /// A stable name.
    pub(crate) reason: &'a str,
    /// Exact and for the operator alone.
    pub(crate) detail: &'a dyn fmt::Display,
    pub(crate) object_sha256: Option<&'a [u8; 32]>,
}

impl Engine {
    /// Reports that a gate refused.
    pub(crate) fn report<I: fmt::Debug>(&self, context: &Context, finding: Finding<'_, I>) {
        let Finding { gate, kind, .. } = finding;
        if !self.request_log.found(gate, kind, context.client) {
            return;
        }
        tracing::warn!(
            event = "refused",
            gate = finding.gate.as_str(),
            account = %finding.account,
            order = finding.order.map(tracing::field::display),
            identifier = ?finding.identifier,
            reason = finding.reason,
            detail = %finding.detail,
            evidence_sha256 = finding.object_sha256.map(|hash| HEXLOWER.encode(hash)),
            "refused"
        );
    }

    /// Reports a failed challenge or order.
    pub(crate) fn report_failure(
        &self,
        context: &Context,
        failure: &Failure,
        account: AccountId,
        order: OrderId,
        identifier: impl fmt::Debug,
    ) {
        let finding = Finding {
            gate: failure.gate,
            kind: failure.problem.kind,
            account,
            order: Some(order),
            identifier,
            reason: &failure.reason,
            detail: &failure.detail,
            object_sha256: failure.object_sha256.as_ref(),
        };
        self.report(context, finding);
    }
}
