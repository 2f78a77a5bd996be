use assay_engine::{
    domain::{
        AdmissionRule, Admitted, Attribute, Authorization, AuthorizationDetails,
        AuthorizationState, Basis, Challenge, ChallengeState, DeviceFacts, EvidenceRecord, KeyKind,
        Token, Validating,
    },
    ids::{AccountId, AuthorizationId, ChallengeId, OrderId},
    ports::OrderList,
};
use assay_proto::{ChallengeType, Timestamp};
use minicbor::{Decode, Encode};

use super::{
    Damage, IndexEntry, KeyCache, Record, StoredIdentifier,
    failure::{StoredFailure, StoredProblem},
};
use crate::keys;

pub(super) mod before_layout_7;

/// An authorization and its challenges.
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
    challenges: Vec<StoredChallenge>,
    /// The rule that admitted it. Absent until layout 7.
    #[n(8)]
    rule: Option<String>,
}

#[derive(Decode, Encode)]
struct StoredChallenge {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 16],
    #[n(1)]
    kind: u8,
    #[n(2)]
    token: String,
    #[n(3)]
    state: StoredState,
}

/// The state of a challenge.
#[derive(Decode, Encode)]
enum StoredState {
    #[n(0)]
    Invalid(#[n(0)] StoredFailure),
    #[n(1)]
    Pending,
    #[n(2)]
    Evidence(#[n(0)] StoredEvidence),
    #[n(3)]
    Processing(#[n(0)] StoredValidating),
    #[n(4)]
    Control(#[n(0)] u64),
}

#[derive(Decode, Encode)]
struct StoredValidating {
    #[n(0)]
    since: u64,
    #[n(1)]
    attempts: u32,
    #[n(2)]
    next_attempt: u64,
    #[n(3)]
    error: Option<StoredProblem>,
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

/// Defines [`StoredFacts`]. One row per fact: its number in the record, its name in
/// [`DeviceFacts`], its type. A number is never reused for another fact; a record
/// without the number reads as not attested. A fact that exists in only one of the
/// two types does not compile.
macro_rules! stored_facts {
    ($($number:tt: $fact:ident, $type:ty;)*) => {
        #[derive(Decode, Encode)]
        struct StoredFacts {
            $(
                #[n($number)]
                $fact: Option<$type>,
            )*
        }

        impl From<DeviceFacts> for StoredFacts {
            fn from(DeviceFacts { $($fact),* }: DeviceFacts) -> Self {
                Self { $($fact),* }
            }
        }

        impl From<StoredFacts> for DeviceFacts {
            fn from(StoredFacts { $($fact),* }: StoredFacts) -> Self {
                Self { $($fact),* }
            }
        }
    };
}

stored_facts! {
    0: serial, String;
    1: udid, String;
    2: model, String;
    3: os_version, String;
    4: sepos_version, String;
    5: llb_version, String;
    6: sip_enabled, bool;
    7: secure_boot, String;
    8: kernel_extensions_allowed, bool;
}

impl From<Authorization> for StoredAuthorization {
    fn from(authorization: Authorization) -> Self {
        let (details, state) = authorization.into_parts();
        let AuthorizationDetails {
            id,
            account,
            order,
            identifier,
            admitted: Admitted { attribute, rule },
        } = details;
        let AuthorizationState {
            expires,
            deactivated,
            challenges,
        } = state;
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
            challenges: challenges.into_iter().map(Into::into).collect(),
            rule: rule.map(|rule| rule.as_str().to_owned()),
        }
    }
}

impl StoredAuthorization {
    /// Returns when the next attempt at a validation is due:
    /// [`Authorization::in_validation`].
    fn next_attempt(&self) -> Option<u64> {
        let mut next = None;
        for challenge in &self.challenges {
            match &challenge.state {
                StoredState::Processing(validating) => {
                    let at = validating.next_attempt;
                    next = Some(next.map_or(at, |first: u64| first.min(at)));
                }
                StoredState::Pending => {}
                StoredState::Control(_) | StoredState::Evidence(_) | StoredState::Invalid(_) => {
                    return None;
                }
            }
        }
        next.filter(|_| self.deactivated.is_none())
    }

    /// Returns the index entries by the names that the evidence attests. The
    /// order has an entry by the ordered name in any case.
    fn attested(&self) -> impl Iterator<Item = IndexEntry> {
        let ordered = self.identifier.device();
        let order = OrderId::from_bytes(self.order);
        let evidence = self.challenges.iter().filter_map(|one| match &one.state {
            StoredState::Evidence(evidence) => Some(evidence),
            _ => None,
        });
        evidence.flat_map(move |evidence| {
            let attested = [&evidence.facts.serial, &evidence.facts.udid];
            let others: Vec<_> = attested
                .into_iter()
                .flatten()
                .filter(|attested| Some(*attested) != ordered.as_ref())
                .map(|attested| {
                    let list = keys::orders(OrderList::OfDevice(attested));
                    IndexEntry::bare(keys::entry(list, evidence.at, order))
                })
                .collect();
            others
        })
    }
}

impl Record for StoredAuthorization {
    type Domain = Authorization;
    const NAME: &'static str = "an authorization";

    fn key(&self) -> Vec<u8> {
        keys::authorization(AuthorizationId::from_bytes(self.id))
    }

    fn index(&self) -> Vec<IndexEntry> {
        let id = AuthorizationId::from_bytes(self.id);
        let mut entries: Vec<IndexEntry> = self.attested().collect();
        entries
            .extend((self.next_attempt()).map(|next| IndexEntry::bare(keys::validation(next, id))));
        // The first challenge is found by its authorization's id.
        let others = self.challenges.iter().filter(|one| one.id != self.id);
        entries.extend(others.map(|one| IndexEntry {
            key: keys::challenge(ChallengeId::from_bytes(one.id)),
            value: self.id.to_vec(),
            unique: false,
        }));
        entries
    }

    fn restore(self, _: &KeyCache) -> Result<Authorization, Damage> {
        let details = AuthorizationDetails {
            id: AuthorizationId::from_bytes(self.id),
            account: AccountId::from_bytes(self.account),
            order: OrderId::from_bytes(self.order),
            identifier: self.identifier.try_into()?,
            admitted: Admitted {
                attribute: match self.attribute {
                    0 => Attribute::Serial,
                    1 => Attribute::Udid,
                    _ => return Err(Damage::Field("attribute")),
                },
                rule: (self.rule.as_deref())
                    .map(|rule| AdmissionRule::parse(rule).ok_or(Damage::Field("rule")))
                    .transpose()?,
            },
        };
        if self.challenges.is_empty() {
            return Err(Damage::Field("challenges"));
        }
        let state = AuthorizationState {
            expires: Timestamp(self.expires),
            deactivated: self.deactivated.map(Timestamp),
            challenges: (self.challenges.into_iter())
                .map(TryInto::try_into)
                .collect::<Result<_, Damage>>()?,
        };
        Ok(Authorization::restore(details, state))
    }
}

/// Returns the number of a challenge type in records. Numbers are never used
/// again.
const fn number_of(kind: ChallengeType) -> u8 {
    match kind {
        ChallengeType::DeviceAttest01 => 0,
        ChallengeType::Test01 => 1,
    }
}

impl From<Challenge> for StoredChallenge {
    fn from(challenge: Challenge) -> Self {
        let (id, kind, token, state) = challenge.into_parts();
        Self {
            id: *id.as_bytes(),
            kind: number_of(kind),
            token: token.as_str().to_owned(),
            state: match state {
                ChallengeState::Invalid(failure) => StoredState::Invalid(failure.into()),
                ChallengeState::Pending => StoredState::Pending,
                ChallengeState::Processing(validating) => {
                    StoredState::Processing(validating.into())
                }
                ChallengeState::Valid(Basis::Control { at }) => StoredState::Control(at.0),
                ChallengeState::Valid(Basis::Evidence(evidence)) => {
                    StoredState::Evidence(evidence.into())
                }
            },
        }
    }
}

impl TryFrom<StoredChallenge> for Challenge {
    type Error = Damage;

    fn try_from(stored: StoredChallenge) -> Result<Self, Damage> {
        let kind = (ChallengeType::ALL.iter().copied())
            .find(|kind| number_of(*kind) == stored.kind)
            .ok_or(Damage::Field("challenge type"))?;
        let state = match stored.state {
            StoredState::Invalid(failure) => ChallengeState::Invalid(failure.try_into()?),
            StoredState::Pending => ChallengeState::Pending,
            StoredState::Processing(validating) => {
                ChallengeState::Processing(validating.try_into()?)
            }
            StoredState::Control(at) => ChallengeState::Valid(Basis::Control { at: Timestamp(at) }),
            StoredState::Evidence(evidence) => {
                ChallengeState::Valid(Basis::Evidence(evidence.try_into()?))
            }
        };
        let id = ChallengeId::from_bytes(stored.id);
        Ok(Self::restore(
            id,
            kind,
            Token::from_stored(stored.token),
            state,
        ))
    }
}

impl From<Validating> for StoredValidating {
    fn from(validating: Validating) -> Self {
        let Validating {
            since,
            attempts,
            next_attempt,
            error,
        } = validating;
        Self {
            since: since.0,
            attempts,
            next_attempt: next_attempt.0,
            error: error.map(Into::into),
        }
    }
}

impl TryFrom<StoredValidating> for Validating {
    type Error = Damage;

    fn try_from(stored: StoredValidating) -> Result<Self, Damage> {
        Ok(Self {
            since: Timestamp(stored.since),
            attempts: stored.attempts,
            next_attempt: Timestamp(stored.next_attempt),
            error: stored.error.map(TryInto::try_into).transpose()?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_challenge_type_comes_back() {
        for kind in ChallengeType::ALL {
            let id = ChallengeId::from_bytes([1; 16]);
            let token = Token::from_stored("t".to_owned());
            let challenge = Challenge::new(id, *kind, token);
            let stored = StoredChallenge::from(challenge.clone());
            assert!(Challenge::try_from(stored) == Ok(challenge), "{kind:?}");
        }
        let unknown = StoredChallenge {
            id: [1; 16],
            kind: u8::MAX,
            token: "t".to_owned(),
            state: StoredState::Pending,
        };
        let refused = Challenge::try_from(unknown).err();
        assert!(refused == Some(Damage::Field("challenge type")));
    }
}
