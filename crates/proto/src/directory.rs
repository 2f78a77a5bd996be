use serde::{Deserialize, Serialize};

/// The directory object (RFC 8555 section 7.1.1): the URLs of the resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    /// newNonce: get a nonce.
    pub new_nonce: String,
    /// newAccount: create an account.
    pub new_account: String,
    /// newOrder: order a certificate.
    pub new_order: String,
    /// newAuthz: authorize before an order; absent if not offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_authz: Option<String>,
    /// revokeCert: revoke a certificate.
    pub revoke_cert: String,
    /// keyChange: change an account's key.
    pub key_change: String,
    /// Further information for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<DirectoryMeta>,
}

/// The directory's `meta` member (RFC 8555 section 7.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectoryMeta {
    /// URL of the terms of service, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_of_service: Option<String>,
    /// URL of a page about this CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfcs_sample() {
        // RFC 8555 section 7.1.1, without the members of "meta" that Assay does
        // not use.
        let json = r#"{
            "newNonce": "https://example.com/acme/new-nonce",
            "newAccount": "https://example.com/acme/new-account",
            "newOrder": "https://example.com/acme/new-order",
            "newAuthz": "https://example.com/acme/new-authz",
            "revokeCert": "https://example.com/acme/revoke-cert",
            "keyChange": "https://example.com/acme/key-change",
            "meta": {
                "termsOfService": "https://example.com/acme/terms/2017-5-30",
                "website": "https://www.example.com/"
            }
        }"#;
        let directory: Directory = serde_json::from_str(json).unwrap();
        assert_eq!(directory.new_nonce, "https://example.com/acme/new-nonce");
        assert_eq!(
            serde_json::to_value(&directory).unwrap(),
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
    }
}
