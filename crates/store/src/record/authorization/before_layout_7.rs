//! The record until layout 6: an authorization with its only challenge.

use minicbor::{Decode, Encode};

use super::{
    StoredAuthorization, StoredChallenge, StoredEvidence, StoredFailure, StoredIdentifier,
    StoredState,
};

/// An authorization and its challenge.
#[derive(Decode, Encode)]
pub(crate) struct OldAuthorization {
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
    state: OldState,
}

/// The state of a challenge.
#[derive(Decode, Encode)]
enum OldState {
    #[n(0)]
    Invalid(#[n(0)] StoredFailure),
    #[n(1)]
    Pending,
    #[n(2)]
    Evidence(#[n(0)] StoredEvidence),
}

impl From<OldAuthorization> for StoredAuthorization {
    /// The challenge keeps its URL, since its id is that of its authorization.
    fn from(old: OldAuthorization) -> Self {
        let challenge = StoredChallenge {
            id: old.id,
            kind: old.challenge_type,
            token: old.token,
            state: match old.state {
                OldState::Invalid(failure) => StoredState::Invalid(failure),
                OldState::Pending => StoredState::Pending,
                OldState::Evidence(evidence) => StoredState::Evidence(evidence),
            },
        };
        Self {
            id: old.id,
            account: old.account,
            order: old.order,
            identifier: old.identifier,
            attribute: old.attribute,
            expires: old.expires,
            deactivated: old.deactivated,
            challenges: vec![challenge],
            rule: None,
        }
    }
}
