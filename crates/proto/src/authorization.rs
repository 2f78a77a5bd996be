use serde::{Deserialize, Serialize};

use crate::{Problem, Timestamp, WireIdentifier};

/// The challenge type of draft-ietf-acme-device-attest.
pub const DEVICE_ATTEST_01: &str = "device-attest-01";

/// An authorization (RFC 8555 section 7.1.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// The identifier that it authorizes.
    pub identifier: WireIdentifier,
    /// The status.
    pub status: AuthorizationStatus,
    /// When the server will consider it invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The challenges that can fulfil it; once it is final, only the one that
    /// was tried.
    pub challenges: Vec<Challenge>,
}

/// The status of an authorization (RFC 8555 section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationStatus {
    /// Deactivated by the client.
    Deactivated,
    /// Expired.
    Expired,
    /// A challenge failed.
    Invalid,
    /// Waiting for a response to a challenge.
    Pending,
    /// Revoked by the server.
    Revoked,
    /// A challenge was fulfilled.
    Valid,
}

/// The payload of a POST to an authorization's URL (RFC 8555 section 7.5.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationUpdate {
    /// The new status: `deactivated` is the only value that a client may send.
    pub status: String,
}

/// A challenge (RFC 8555 sections 7.1.5 and 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The challenge type.
    #[serde(rename = "type")]
    pub kind: ChallengeType,
    /// The URL to post the response to.
    pub url: String,
    /// The status.
    pub status: ChallengeStatus,
    /// base64url of at least 128 random bits. In the attestation format `apple`
    /// the device proves freshness with the SHA-256 of this text.
    pub token: String,
    /// When the server validated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validated: Option<Timestamp>,
    /// Why the challenge is invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// Each challenge type, and its name on the wire.
macro_rules! challenge_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// The challenge types that Assay knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ChallengeType {
            $(
                #[doc = concat!("`", $name, "`.")]
                $(#[$doc])*
                #[serde(rename = $name)]
                $variant,
            )*
        }

        impl ChallengeType {
            /// All challenge types.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }
    };
}

challenge_types! {
    DeviceAttest01 = "device-attest-01";
    /// A challenge that is validated in the background. No server offers it;
    /// only tests give the engine a validator for it.
    Test01 = "test-01";
}

/// The status of a challenge (RFC 8555 section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChallengeStatus {
    /// The response did not fulfil it.
    Invalid,
    /// Waiting for a response.
    Pending,
    /// Being validated.
    Processing,
    /// Fulfilled.
    Valid,
}

/// A device's response to `device-attest-01` (device-attest draft, section 5).
///
/// The draft: "Servers MUST ignore unrecognized fields in the challenge
/// response."
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttestationResponse {
    /// The WebAuthn attestation object, base64url; not yet decoded.
    #[serde(rename = "attObj", skip_serializing_if = "Option::is_none")]
    pub att_obj: Option<String>,
    /// What Apple's client sends when it could not attest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drafts_sample_of_a_challenge() {
        let json = r#"{
            "type": "device-attest-01",
            "url": "https://example.com/acme/chall/Rg5dV14Gh1Q",
            "status": "pending",
            "token": "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
        }"#;
        let challenge: Challenge = serde_json::from_str(json).unwrap();
        assert_eq!(challenge.kind, ChallengeType::DeviceAttest01);
        assert_eq!(
            serde_json::to_value(&challenge).unwrap(),
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
        assert_eq!(
            serde_json::to_value(ChallengeType::DeviceAttest01).unwrap(),
            DEVICE_ATTEST_01
        );
    }

    #[test]
    fn scenario_7_unknown_fields_of_an_answer_are_ignored() {
        let answer: AttestationResponse =
            serde_json::from_str(r#"{"attObj": "oWNm", "clientData": [1], "x": null}"#).unwrap();
        assert_eq!(answer.att_obj.as_deref(), Some("oWNm"));
        assert_eq!(answer.error, None);
    }

    #[test]
    fn an_authorization_both_ways() {
        // In the shape of RFC 8555 section 7.1.4.
        let json = r#"{
            "identifier": { "type": "permanent-identifier", "value": "C02TEST" },
            "status": "valid",
            "expires": "2015-03-01T14:09:07Z",
            "challenges": [{
                "type": "device-attest-01",
                "url": "https://example.com/acme/chall/prV_B7yEyA4",
                "status": "valid",
                "token": "DGyRejmCefe7v4NfDGDKfA",
                "validated": "2014-12-01T12:05:58Z"
            }]
        }"#;
        let authorization: Authorization = serde_json::from_str(json).unwrap();
        assert_eq!(authorization.status, AuthorizationStatus::Valid);
        assert_eq!(
            serde_json::to_value(&authorization).unwrap(),
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
    }
}
