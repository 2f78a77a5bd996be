//! Reporting of refusals: one event each,
//! [`Refused`](crate::events::Event::Refused).

use assay_proto::{ProblemType, WireIdentifier};

use crate::{
    AccountContext, Engine, Error, RequestInfo,
    domain::{Authorization, Failure, Gate, Order},
    events::{Event, Refused, RefusedIssuance},
    ids::{AccountId, OrderId},
};

/// Joins several identifiers into one text, in the form that the request's span
/// uses.
pub(crate) fn joined(values: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut all = String::new();
    for value in values {
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(value.as_ref());
    }
    all
}

/// The most identifiers named for a request that a limit refused.
const MOST_NAMED: usize = 5;

/// Why no order is created although its identifiers may be ordered: there are
/// too many orders, or the server cannot take more at present.
pub(crate) struct LimitReached {
    /// The stable name of the reason.
    reason: &'static str,
    detail: String,
    /// Whether each refusal is an event. Faults of the server are reported
    /// once, elsewhere.
    is_event: bool,
}

impl LimitReached {
    /// Returns the limit behind an error of newOrder, if there is one.
    pub(crate) fn of(error: &Error) -> Option<Self> {
        let (reason, is_event) = match error {
            Error::Contention => ("contention", true),
            Error::Crowded { .. } => ("identifier-crowded", true),
            Error::Inventory(_) => ("list-unavailable", false),
            Error::NoSpace => ("no-space", false),
            Error::TooManyOpenOrders => ("too-many-open-orders", true),
            _ => return None,
        };
        Some(Self {
            reason,
            detail: error.to_string(),
            is_event,
        })
    }
}

impl Engine {
    /// Reports a newOrder that the server refused because the client's address
    /// exceeded its rate limit; the signature was verified. `detail` names the
    /// limit.
    pub fn order_rate_limited(
        &self,
        context: &AccountContext,
        identifiers: &[WireIdentifier],
        detail: String,
    ) {
        let limit = LimitReached {
            reason: "rate-limited",
            detail,
            is_event: true,
        };
        self.report_limit(context, identifiers, &limit);
    }

    /// Reports that a limit refused an order, and remembers the refusal for
    /// each identifier.
    pub(crate) fn report_limit(
        &self,
        context: &AccountContext,
        identifiers: &[WireIdentifier],
        limit: &LimitReached,
    ) {
        let named = &identifiers[..identifiers.len().min(MOST_NAMED)];
        if limit.is_event {
            let names = joined(named.iter().map(|one| one.value.as_str()));
            self.report(&Event::Refused(Refused {
                request: &context.request,
                gate: Gate::Admission,
                kind: ProblemType::RateLimited,
                account: context.account(),
                order: None,
                identifier: &names,
                reason: limit.reason,
                detail: &limit.detail,
                object_sha256: None,
                issuance: None,
            }));
        }
        for identifier in named {
            self.remember_refusal(context, identifier, limit.reason, &limit.detail);
        }
    }

    /// Reports a failed challenge.
    pub(crate) fn report_challenge_failure(
        &self,
        request: &RequestInfo,
        authorization: &Authorization,
        failure: &Failure,
    ) {
        let identifier = authorization.identifier.to_wire().value;
        let order = (authorization.account, authorization.order);
        self.report_failure(request, failure, order, &identifier);
    }

    /// Reports an order that was refused after its CSR had been accepted.
    pub(crate) fn report_failed_order(
        &self,
        request: &RequestInfo,
        failure: &Failure,
        order: &Order,
        identifier: &str,
    ) {
        let issuance = RefusedIssuance {
            authorizations: &order.authorizations,
            csr: None,
            problem: &failure.problem,
        };
        let ids = (order.account, order.id);
        self.report(&Event::Refused(Refused {
            issuance: Some(issuance),
            ..refused(request, failure, ids, identifier)
        }));
    }

    /// Reports a failed order, or a failed challenge of an order.
    pub(crate) fn report_failure(
        &self,
        request: &RequestInfo,
        failure: &Failure,
        order: (AccountId, OrderId),
        identifier: &str,
    ) {
        self.report(&Event::Refused(refused(
            request, failure, order, identifier,
        )));
    }
}

fn refused<'a>(
    request: &'a RequestInfo,
    failure: &'a Failure,
    (account, order): (AccountId, OrderId),
    identifier: &'a str,
) -> Refused<'a> {
    Refused {
        request,
        gate: failure.gate,
        kind: failure.problem.kind,
        account,
        order: Some(order),
        identifier,
        reason: &failure.reason,
        detail: &failure.detail,
        object_sha256: failure.object_sha256.as_ref(),
        issuance: None,
    }
}
