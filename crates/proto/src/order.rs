use serde::{Deserialize, Serialize};

use crate::{Base64Url, Problem, Timestamp, WireIdentifier, wire::objects};

/// The payload of newOrder (RFC 8555 section 7.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewOrder {
    /// The identifiers to issue the certificate for.
    #[serde(deserialize_with = "objects")]
    pub identifiers: Vec<WireIdentifier>,
    /// The requested start of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The requested end of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

/// An order (RFC 8555 section 7.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The status.
    pub status: OrderStatus,
    /// When the server will consider it invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The identifiers to issue the certificate for.
    pub identifiers: Vec<WireIdentifier>,
    /// The requested start of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The requested end of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// Why the order is invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// URLs of the authorizations.
    pub authorizations: Vec<String>,
    /// The URL to post the CSR to.
    pub finalize: String,
    /// URL of the certificate, once it is issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// The status of an order (RFC 8555 section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// The order failed or expired.
    Invalid,
    /// Authorizations are still pending.
    Pending,
    /// The certificate is being issued.
    Processing,
    /// All authorizations are valid; the order waits for the CSR.
    Ready,
    /// The certificate was issued.
    Valid,
}

impl OrderStatus {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::Valid => "valid",
        }
    }
}

/// The payload of finalize (RFC 8555 section 7.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finalize {
    /// A PKCS #10 CSR in DER.
    pub csr: Base64Url,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfcs_samples() {
        // RFC 8555 section 7.4, the payload.
        let request: NewOrder = serde_json::from_str(
            r#"{
                "identifiers": [
                    { "type": "dns", "value": "www.example.org" },
                    { "type": "dns", "value": "example.org" }
                ],
                "notBefore": "2016-01-01T00:04:00+04:00",
                "notAfter": "2016-01-08T00:04:00+04:00"
            }"#,
        )
        .unwrap();
        assert_eq!(request.identifiers[0].value, "www.example.org");
        assert_eq!(
            request.not_before.unwrap().to_string(),
            "2015-12-31T20:04:00Z"
        );
        // Section 7.1.3.
        let json = r#"{
            "status": "valid",
            "expires": "2016-01-20T14:09:07Z",
            "identifiers": [
                { "type": "dns", "value": "www.example.org" },
                { "type": "dns", "value": "example.org" }
            ],
            "notBefore": "2016-01-01T00:00:00Z",
            "notAfter": "2016-01-08T00:00:00Z",
            "authorizations": [
                "https://example.com/acme/authz/PAniVnsZcis",
                "https://example.com/acme/authz/r4HqLzrSrpI"
            ],
            "finalize": "https://example.com/acme/order/TOlocE8rfgo/finalize",
            "certificate": "https://example.com/acme/cert/jWCdfHVGY2M"
        }"#;
        let order: Order = serde_json::from_str(json).unwrap();
        assert_eq!(order.status, OrderStatus::Valid);
        assert_eq!(
            serde_json::to_value(&order).unwrap(),
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
    }

    #[test]
    fn null_is_an_absent_member() {
        let order = r#"{"identifiers": [{"type": "a", "value": "b"}], "notBefore": null,
            "notAfter": null}"#;
        let order: NewOrder = serde_json::from_str(order).unwrap();
        assert_eq!((order.not_before, order.not_after), (None, None));
        // Required members may be neither null nor absent.
        for wrong in [
            r#"{"identifiers": null}"#,
            r#"{"identifiers": [{"type": null, "value": "b"}]}"#,
        ] {
            assert!(serde_json::from_str::<NewOrder>(wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Finalize>(r#"{"csr": null}"#).is_err());
    }

    #[test]
    fn a_padded_csr_is_refused() {
        assert!(serde_json::from_str::<Finalize>(r#"{"csr": "AQID"}"#).is_ok());
        let error = serde_json::from_str::<Finalize>(r#"{"csr": "AQ=="}"#).unwrap_err();
        assert!(error.to_string().contains("padding"), "{error}");
    }
}
