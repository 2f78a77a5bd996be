//! Sample values for this crate's tests.

use assay_ca::SerialNumber;
use assay_proto::{ChallengeType, Identifier, Problem, ProblemType, Timestamp, WireIdentifier};

use super::{
    AdmissionRule, Admitted, Attribute, Authorization, AuthorizationDetails, Basis, Challenge,
    DeviceFacts, EvidenceRecord, Failure, Gate, Intent, KeyKind, Order, OrderDetails, Processing,
    Token, Validating,
};
use crate::{
    ids::{AccountId, AuthorizationId, ChallengeId, OrderId},
    names::{DirectoryName, ProfileName},
};

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);
/// When sample orders and authorizations expire.
pub(crate) const EXPIRES: Timestamp = Timestamp(1_800_003_600);

pub(crate) fn identifier(kind: &str, value: &str) -> Identifier {
    Identifier::parse(&WireIdentifier {
        kind: kind.to_owned(),
        value: value.to_owned(),
    })
    .unwrap()
}

/// A pending order for these identifiers.
pub(crate) fn order(identifiers: &[Identifier]) -> Order {
    let authorizations = (0..identifiers.len()).map(|n| authorization_id(n.try_into().unwrap()));
    Order::new(OrderDetails {
        id: OrderId::from_bytes([1; 16]),
        account: AccountId::from_bytes([2; 16]),
        directory: DirectoryName::DEFAULT,
        profile: ProfileName::DEFAULT,
        identifiers: identifiers.to_vec(),
        authorizations: authorizations.collect(),
        not_before: None,
        not_after: None,
        created: NOW,
        expires: EXPIRES,
        origin: None,
    })
}

fn authorization_id(n: u8) -> AuthorizationId {
    AuthorizationId::from_bytes([n; 16])
}

/// The ID of challenge `n` of the sample authorization.
pub(crate) fn challenge_id(n: u8) -> ChallengeId {
    ChallengeId::from_bytes([0x10 | n; 16])
}

/// An authorization with this many challenges, all pending.
pub(crate) fn authorization(challenges: u8) -> Authorization {
    let details = AuthorizationDetails {
        id: authorization_id(0),
        account: AccountId::from_bytes([2; 16]),
        order: OrderId::from_bytes([1; 16]),
        identifier: identifier("permanent-identifier", "C02A"),
        admitted: Admitted {
            attribute: Attribute::Serial,
            rule: Some(AdmissionRule::Listed),
        },
    };
    let challenges = (0..challenges).map(|n| {
        let kind = match n {
            0 => ChallengeType::DeviceAttest01,
            _ => ChallengeType::Test01,
        };
        Challenge::new(challenge_id(n), kind, Token::from_stored(format!("t{n}")))
    });
    Authorization::new(details, EXPIRES, challenges.collect())
}

/// A valid authorization with this basis.
pub(crate) fn valid_by(basis: Basis) -> Authorization {
    authorization(1).fulfil(challenge_id(0), basis).unwrap()
}

/// Evidence for the key with this SHA-256.
pub(crate) fn evidence(spki_sha256: [u8; 32]) -> EvidenceRecord {
    EvidenceRecord {
        spki_sha256,
        key: KeyKind::P256,
        facts: DeviceFacts::default(),
        root_sha256: [3; 32],
        object_sha256: [4; 32],
        at: NOW,
    }
}

pub(crate) fn failure() -> Failure {
    Failure {
        problem: Problem::new(ProblemType::BadAttestationStatement, "no"),
        gate: Gate::Appraisal,
        reason: "object-empty".to_owned(),
        detail: "a test".to_owned(),
        object_sha256: None,
        at: NOW,
    }
}

pub(crate) fn validating(next_attempt: Timestamp) -> Validating {
    Validating {
        since: NOW,
        attempts: 1,
        next_attempt,
        error: None,
    }
}

pub(crate) fn processing() -> Processing {
    Processing {
        intent: Intent {
            issuer: [5; 32],
            tbs: vec![0x30],
        },
        serial: SerialNumber::from_random([6; 16]),
        spki_sha256: [7; 32],
        root_sha256: [8; 32],
        lease_until: NOW.plus(Order::LEASE),
    }
}
