//! What the operator sees of every refusal: one structured event, `refused`.

use std::fmt;

use data_encoding::HEXLOWER;

use crate::{
    domain::{Failure, Gate},
    ids::{AccountId, OrderId},
};

/// Reports that a gate refused. `identifier` is the ordered one; `reason` is a
/// stable name; `detail` is exact and for the operator alone.
pub(crate) fn report(
    gate: Gate,
    account: AccountId,
    order: Option<OrderId>,
    identifier: impl fmt::Debug,
    reason: &str,
    detail: impl fmt::Display,
    object_sha256: Option<&[u8; 32]>,
) {
    tracing::warn!(
        event = "refused",
        gate = gate.as_str(),
        %account,
        order = order.map(tracing::field::display),
        ?identifier,
        reason,
        %detail,
        evidence_sha256 = object_sha256.map(|hash| HEXLOWER.encode(hash)),
        "refused"
    );
}

/// Reports a failed challenge or order.
pub(crate) fn report_failure(
    failure: &Failure,
    account: AccountId,
    order: OrderId,
    identifier: impl fmt::Debug,
) {
    report(
        failure.gate,
        account,
        Some(order),
        identifier,
        &failure.reason,
        &failure.detail,
        failure.object_sha256.as_ref(),
    );
}
