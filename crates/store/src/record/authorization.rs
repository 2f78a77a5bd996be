use assay_engine::{
    domain::{
        Attribute, Authorization, Challenge, ChallengeState, DeviceFacts, EvidenceRecord, KeyKind,
        Token, Validated,
    },
    ids::{AccountId, AuthorizationId, OrderId},
};
use assay_proto::{ChallengeType, Timestamp};
use minicbor::{Decode, Encode};

use super::{Damage, IndexEntry, KeyCache, Record, StoredIdentifier, failure::StoredFailure};
use crate::keys;

/// An authorization and its challenge.
#[derive(Decode, Encode)]
pub(crate) struct StoredAuthorization {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    account: [u8; 16],
    #[cbor(n(2), with = "minicbor::bytes")]
    order: [u8; 16],
    #[n(3)]
    identifier: StoredIdentifier,
    #[n(4)]
    attribute: u8,
    #[n(5)]
    expires: u64,
    #[n(6)]
    deactivated: Option<u64>,
    #[n(7)]
    challenge_type: u8,
    #[n(8)]
    token: String,
    #[n(9)]
    state: StoredState,
}

/// How far a challenge is.
#[derive(Decode, Encode)]
enum StoredState {
    #[n(0)]
    Invalid(#[n(0)] StoredFailure),
    #[n(1)]
    Pending,
    #[n(2)]
    Evidence(#[n(0)] StoredEvidence),
}

#[derive(Decode, Encode)]
struct StoredEvidence {
    #[cbor(n(0), with = "minicbor::bytes")]
    spki_sha256: [u8; 32],
    #[n(1)]
    key: u8,
    #[cbor(n(2), with = "minicbor::bytes")]
    root_sha256: [u8; 32],
    #[cbor(n(3), with = "minicbor::bytes")]
    object_sha256: [u8; 32],
    #[n(4)]
    at: u64,
    #[n(5)]
    facts: StoredFacts,
}

#[derive(Decode, Encode)]
struct StoredFacts {
    #[n(0)]
    serial: Option<String>,
    #[n(1)]
    udid: Option<String>,
    #[n(2)]
    model: Option<String>,
    #[n(3)]
    os_version: Option<String>,
    #[n(4)]
    sepos_version: Option<String>,
    #[n(5)]
    llb_version: Option<String>,
    #[n(6)]
    sip_enabled: Option<bool>,
    #[n(7)]
    secure_boot: Option<String>,
    #[n(8)]
    kernel_extensions_allowed: Option<bool>,
}

impl From<Authorization> for StoredAuthorization {
    fn from(authorization: Authorization) -> Self {
        let Authorization {
            id,
            account,
            order,
            identifier,
            attribute,
            expires,
            deactivated,
            challenge: Challenge { kind, token, state },
        } = authorization;
        Self {
            id: *id.as_bytes(),
            account: *account.as_bytes(),
            order: *order.as_bytes(),
            identifier: identifier.into(),
            attribute: match attribute {
                Attribute::Serial => 0,
                Attribute::Udid => 1,
            },
            expires: expires.0,
            deactivated: deactivated.map(|at| at.0),
            challenge_type: match kind {
                ChallengeType::DeviceAttest01 => 0,
            },
            token: token.as_str().to_owned(),
            state: match state {
                ChallengeState::Invalid(failure) => StoredState::Invalid(failure.into()),
                ChallengeState::Pending => StoredState::Pending,
                ChallengeState::Valid(Validated::Evidence(evidence)) => {
                    StoredState::Evidence(evidence.into())
                }
            },
        }
    }
}

impl Record for StoredAuthorization {
    type Domain = Authorization;
    const NAME: &'static str = "an authorization";

    fn key(&self) -> Vec<u8> {
        keys::authorization(AuthorizationId::from_bytes(self.id))
    }

    /// The order is found by what its evidence attests, too: by the ordered
    /// name it is anyway.
    fn index(&self) -> Vec<IndexEntry> {
        let StoredState::Evidence(evidence) = &self.state else {
            return Vec::new();
        };
        let ordered = self.identifier.device();
        let order = OrderId::from_bytes(self.order);
        [&evidence.facts.serial, &evidence.facts.udid]
            .into_iter()
            .flatten()
            .filter(|attested| Some(*attested) != ordered.as_ref())
            .map(|attested| {
                let list = keys::orders_of_device(attested);
                IndexEntry::bare(keys::entry(list, evidence.at, order))
            })
            .collect()
    }

    fn restore(self, _: &KeyCache) -> Result<Authorization, Damage> {
        Ok(Authorization {
            id: AuthorizationId::from_bytes(self.id),
            account: AccountId::from_bytes(self.account),
            order: OrderId::from_bytes(self.order),
            identifier: self.identifier.try_into()?,
            attribute: match self.attribute {
                0 => Attribute::Serial,
                1 => Attribute::Udid,
                _ => return Err(Damage::Field("attribute")),
            },
            expires: Timestamp(self.expires),
            deactivated: self.deactivated.map(Timestamp),
            challenge: Challenge {
                kind: match self.challenge_type {
                    0 => ChallengeType::DeviceAttest01,
                    _ => return Err(Damage::Field("challenge type")),
                },
                token: Token::from_stored(self.token),
                state: match self.state {
                    StoredState::Invalid(failure) => ChallengeState::Invalid(failure.try_into()?),
                    StoredState::Pending => ChallengeState::Pending,
                    StoredState::Evidence(evidence) => {
                        ChallengeState::Valid(Validated::Evidence(evidence.try_into()?))
                    }
                },
            },
        })
    }
}

impl From<EvidenceRecord> for StoredEvidence {
    fn from(evidence: EvidenceRecord) -> Self {
        let EvidenceRecord {
            spki_sha256,
            key,
            facts,
            root_sha256,
            object_sha256,
            at,
        } = evidence;
        Self {
            spki_sha256,
            key: match key {
                KeyKind::P256 => 0,
                KeyKind::P384 => 1,
            },
            root_sha256,
            object_sha256,
            at: at.0,
            facts: facts.into(),
        }
    }
}

impl TryFrom<StoredEvidence> for EvidenceRecord {
    type Error = Damage;

    fn try_from(stored: StoredEvidence) -> Result<Self, Damage> {
        Ok(Self {
            spki_sha256: stored.spki_sha256,
            key: match stored.key {
                0 => KeyKind::P256,
                1 => KeyKind::P384,
                _ => return Err(Damage::Field("key kind")),
            },
            facts: stored.facts.into(),
            root_sha256: stored.root_sha256,
            object_sha256: stored.object_sha256,
            at: Timestamp(stored.at),
        })
    }
}

/// Copies all facts from one type to the other; a fact that is added to one
/// alone does not compile.
macro_rules! convert_facts {
    ($from:ident => $to:ident: $($fact:ident),*) => {
        impl From<$from> for $to {
            fn from($from { $($fact),* }: $from) -> Self {
                Self { $($fact),* }
            }
        }
    };
}

convert_facts!(DeviceFacts => StoredFacts: serial, udid, model, os_version, sepos_version,
    llb_version, sip_enabled, secure_boot, kernel_extensions_allowed);
convert_facts!(StoredFacts => DeviceFacts: serial, udid, model, os_version, sepos_version,
    llb_version, sip_enabled, secure_boot, kernel_extensions_allowed);
