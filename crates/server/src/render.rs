//! From what the engine decides about to what goes over the wire.

use assay_engine::{
    domain::{
        Account, AccountState, Authorization, AuthorizationStatus, ChallengeState, Order,
        OrderState,
    },
    urls::Urls,
};
use assay_proto::{self as proto, Timestamp};

/// An account (RFC 8555 section 7.1.2).
pub(crate) fn account(urls: &Urls, account: &Account) -> proto::Account {
    proto::Account {
        status: match account.state {
            AccountState::Deactivated { .. } => proto::AccountStatus::Deactivated,
            AccountState::Valid => proto::AccountStatus::Valid,
        },
        contact: account
            .contacts
            .iter()
            .map(|contact| contact.as_str().to_owned())
            .collect(),
        terms_of_service_agreed: account.terms_agreed.is_some(),
        orders: Some(urls.orders(account.id)),
    }
}

/// An order as it is at `now` (RFC 8555 section 7.1.3).
pub(crate) fn order(urls: &Urls, order: &Order, now: Timestamp) -> proto::Order {
    proto::Order {
        status: order.status(now),
        expires: Some(order.expires),
        identifiers: order
            .identifiers
            .iter()
            .map(proto::Identifier::to_wire)
            .collect(),
        not_before: order.not_before,
        not_after: order.not_after,
        error: order.error(now),
        authorizations: order
            .authorizations
            .iter()
            .map(|id| urls.authorization(*id))
            .collect(),
        finalize: urls.finalize(order.id),
        certificate: match &order.state {
            OrderState::Valid(valid) => Some(urls.certificate(&valid.certificate)),
            _ => None,
        },
    }
}

/// An authorization as it is at `now` (RFC 8555 section 7.1.4). It has one
/// challenge, so that this is the one that was tried, too.
pub(crate) fn authorization(
    urls: &Urls,
    authorization: &Authorization,
    now: Timestamp,
) -> proto::Authorization {
    proto::Authorization {
        identifier: authorization.identifier.to_wire(),
        status: match authorization.status(now) {
            AuthorizationStatus::Deactivated => proto::AuthorizationStatus::Deactivated,
            AuthorizationStatus::Expired => proto::AuthorizationStatus::Expired,
            AuthorizationStatus::Invalid => proto::AuthorizationStatus::Invalid,
            AuthorizationStatus::Pending => proto::AuthorizationStatus::Pending,
            AuthorizationStatus::Valid => proto::AuthorizationStatus::Valid,
        },
        expires: Some(authorization.expires),
        challenges: vec![challenge(urls, authorization)],
    }
}

/// The challenge of an authorization (RFC 8555 section 7.1.5).
pub(crate) fn challenge(urls: &Urls, authorization: &Authorization) -> proto::Challenge {
    let challenge = &authorization.challenge;
    let (status, validated, error) = match &challenge.state {
        ChallengeState::Invalid(failure) => (
            proto::ChallengeStatus::Invalid,
            None,
            Some(failure.problem.clone()),
        ),
        ChallengeState::Pending => (proto::ChallengeStatus::Pending, None, None),
        ChallengeState::Valid(validated) => (
            proto::ChallengeStatus::Valid,
            Some(validated.evidence().at),
            None,
        ),
    };
    proto::Challenge {
        kind: challenge.kind,
        url: urls.challenge(authorization.id),
        status,
        token: challenge.token.as_str().to_owned(),
        validated,
        error,
    }
}
