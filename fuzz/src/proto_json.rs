//! Any text as each JSON type of ACME. The first byte, a letter, chooses the
//! type; what parses must serialise, and parse again to the same.

use std::fmt::Debug;

use assay_proto::{
    Account, AccountStatus, AccountUpdate, AttestationResponse, Authorization, AuthorizationStatus,
    AuthorizationUpdate, Base64Url, Challenge, ChallengeStatus, ChallengeType, Contact, Directory,
    DirectoryMeta, Finalize, Identifier, KeyChange, NewAccount, NewOrder, Order, OrderStatus,
    OrdersList, Problem, ProblemType, RevokeCert, Subproblem, Timestamp, WireIdentifier,
};
use serde::{Serialize, de::DeserializeOwned};

const TYPES: [fn(&[u8]); 26] = [
    there_and_back::<Account>,             // a
    there_and_back::<AccountStatus>,       // b
    there_and_back::<AccountUpdate>,       // c
    attestation_response,                  // d
    there_and_back::<Authorization>,       // e
    there_and_back::<AuthorizationStatus>, // f
    there_and_back::<AuthorizationUpdate>, // g
    there_and_back::<Base64Url>,           // h
    there_and_back::<Challenge>,           // i
    there_and_back::<ChallengeStatus>,     // j
    there_and_back::<ChallengeType>,       // k
    there_and_back::<Contact>,             // l
    there_and_back::<Directory>,           // m
    there_and_back::<DirectoryMeta>,       // n
    there_and_back::<Finalize>,            // o
    identifier,                            // p
    key_change,                            // q
    there_and_back::<NewAccount>,          // r
    there_and_back::<NewOrder>,            // s
    there_and_back::<Order>,               // t
    there_and_back::<OrderStatus>,         // u
    there_and_back::<OrdersList>,          // v
    there_and_back::<Problem>,             // w
    there_and_back::<ProblemType>,         // x
    there_and_back::<RevokeCert>,          // y
    timestamp,                             // z
];

/// Parses `data` as the type of its first byte.
pub fn run(data: &[u8]) {
    if let [letter, json @ ..] = data {
        TYPES[usize::from(letter.wrapping_sub(b'a')) % TYPES.len()](json);
    }
}

fn there_and_back<T: Debug + DeserializeOwned + PartialEq + Serialize>(json: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(json) {
        come_back(&value);
    }
}

fn come_back<T: Debug + DeserializeOwned + PartialEq + Serialize>(value: &T) {
    let json = serde_json::to_string(value).unwrap();
    let again = serde_json::from_str::<T>(&json);
    assert_eq!(again.as_ref().ok(), Some(value), "by way of {json}");
}

/// The device's own error is any JSON: its floating numbers are rounded, and
/// nothing is decided by them.
fn attestation_response(json: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<AttestationResponse>(json) {
        let written = serde_json::to_vec(&value).unwrap();
        let again: AttestationResponse = serde_json::from_slice(&written).unwrap();
        assert_eq!(again.att_obj, value.att_obj);
        assert_eq!(again.error.is_some(), value.error.is_some());
    }
}

fn identifier(json: &[u8]) {
    let Ok(wire) = serde_json::from_slice::<WireIdentifier>(json) else {
        there_and_back::<Subproblem>(json);
        return;
    };
    come_back(&wire);
    if let Ok(identifier) = Identifier::parse(&wire) {
        assert_eq!(identifier.to_wire(), wire);
        assert!(!identifier.device().contains('/'));
    }
}

/// Is only read, never written.
fn key_change(json: &[u8]) {
    if let Ok(change) = serde_json::from_slice::<KeyChange>(json) {
        let old_key: serde_json::Result<serde::de::IgnoredAny> =
            serde_json::from_str(change.old_key.get());
        assert!(old_key.is_ok(), "{change:?}");
    }
}

/// A moment comes back to the second; and text order is time's order.
fn timestamp(json: &[u8]) {
    if let Ok(moment) = serde_json::from_slice::<Timestamp>(json) {
        come_back(&moment);
        assert!(moment <= Timestamp::MAX);
        if let Some(next) = moment
            .0
            .checked_add(1)
            .filter(|next| *next <= Timestamp::MAX.0)
        {
            assert!(moment.to_string() < Timestamp(next).to_string());
        }
    }
}
