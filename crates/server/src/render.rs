//! Renders the engine's types as wire types.

use assay_engine::{
    domain::{
        Account, AccountState, Authorization, AuthorizationStatus, Challenge, ChallengeState,
        Order, OrderState,
    },
    urls::Urls,
};
use assay_proto::{self as proto, Timestamp};

/// Renders an account (RFC 8555 section 7.1.2).
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

/// Renders an order as of `now` (RFC 8555 section 7.1.3).
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
        certificate: match order.state() {
            OrderState::Valid { certificate } => Some(urls.certificate(certificate)),
            _ => None,
        },
    }
}

/// Renders an authorization as of `now` (RFC 8555 section 7.1.4): "For pending
/// authorizations, the challenges that the client can fulfill [...] For valid
/// authorizations, the challenge that was validated. For invalid
/// authorizations, the challenge that was attempted and failed."
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
        expires: Some(authorization.expires()),
        challenges: offered(authorization)
            .map(|one| challenge(urls, one))
            .collect(),
    }
}

/// Returns the challenge that decided the authorization, or all of them before
/// that.
fn offered(authorization: &Authorization) -> impl Iterator<Item = &Challenge> {
    let is_final = |one: &Challenge| {
        matches!(
            one.state(),
            ChallengeState::Invalid(_) | ChallengeState::Valid(_)
        )
    };
    let challenges = authorization.challenges();
    let is_decided = challenges.iter().any(is_final);
    (challenges.iter()).filter(move |one| !is_decided || is_final(one))
}

/// Renders a challenge (RFC 8555 section 7.1.5).
pub(crate) fn challenge(urls: &Urls, challenge: &Challenge) -> proto::Challenge {
    let (status, validated, error) = match challenge.state() {
        ChallengeState::Invalid(failure) => (
            proto::ChallengeStatus::Invalid,
            None,
            Some(failure.problem.clone()),
        ),
        ChallengeState::Pending => (proto::ChallengeStatus::Pending, None, None),
        ChallengeState::Processing(validating) => (
            proto::ChallengeStatus::Processing,
            None,
            validating.error.clone(),
        ),
        ChallengeState::Valid(basis) => (proto::ChallengeStatus::Valid, Some(basis.at()), None),
    };
    proto::Challenge {
        kind: challenge.kind(),
        url: urls.challenge(challenge.id()),
        status,
        token: challenge.token().as_str().to_owned(),
        validated,
        error,
    }
}
