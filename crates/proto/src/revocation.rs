use serde::{Deserialize, Serialize};

use crate::Base64Url;

/// The payload of revokeCert (RFC 8555 section 7.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeCert {
    /// The certificate in DER.
    pub certificate: Base64Url,
    /// A `CRLReason` code (RFC 5280 section 5.3.1), not yet validated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<i64>,
}

/// The revocation reasons that a client may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of RFC 5280 section 5.3.1")]
pub enum RevocationReason {
    AffiliationChanged,
    CessationOfOperation,
    KeyCompromise,
    PrivilegeWithdrawn,
    Superseded,
    Unspecified,
}

impl RevocationReason {
    /// All accepted reasons, in the order of their codes.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// The reason with this code. A client may not use the CA's own reasons (2,
    /// 10), those that require a delta CRL or a hold (6, 8) or unassigned codes
    /// (7).
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|reason| i64::from(reason.code()) == code)
    }

    /// The code of the `CRLReason` (RFC 5280).
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenario_114_reasons() {
        let accepted: Vec<i64> = (-1..=20)
            .filter(|code| RevocationReason::from_code(*code).is_some())
            .collect();
        assert_eq!(accepted, [0, 1, 3, 4, 5, 9]);
    }

    #[test]
    fn the_rfcs_sample() {
        // RFC 8555 section 7.6, with a truncated certificate.
        let request: RevokeCert =
            serde_json::from_str(r#"{ "certificate": "MIIEDTCCAvWg", "reason": 4 }"#).unwrap();
        assert_eq!(request.reason, Some(4));
        assert_eq!(request.certificate.0[..2], [0x30, 0x82]);
        let request: RevokeCert =
            serde_json::from_str(r#"{ "certificate": "MIIEDTCCAvWg", "reason": null }"#).unwrap();
        assert_eq!(request.reason, None);
    }
}
