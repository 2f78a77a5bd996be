use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;

use crate::{truncate_quote, wire::or_null};

/// The payload of newAccount (RFC 8555 section 7.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NewAccount {
    /// Contact URLs of the account holder, not yet validated: see [`Contact`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Vec<String>>,
    /// Whether the client agrees to the terms of service.
    #[serde(deserialize_with = "or_null", skip_serializing_if = "is_false")]
    pub terms_of_service_agreed: bool,
    /// Whether the server must not create an account (section 7.3.1).
    #[serde(deserialize_with = "or_null", skip_serializing_if = "is_false")]
    pub only_return_existing: bool,
}

/// The payload of a POST to an account's URL (RFC 8555 sections 7.3.2, 7.3.6).
/// An empty object changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccountUpdate {
    /// Replaces the contacts; an empty list removes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Vec<String>>,
    /// The new status. `deactivated` deactivates the account; a client may set
    /// no other value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// An account object, as its holder receives it (RFC 8555 section 7.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The status.
    pub status: AccountStatus,
    /// Contact URLs of the account holder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contact: Vec<String>,
    /// Whether the account holder agreed to the terms of service.
    #[serde(default, skip_serializing_if = "is_false")]
    pub terms_of_service_agreed: bool,
    /// URL of the account's orders list. The RFC requires it, but some servers
    /// omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<String>,
}

/// The status of an account (RFC 8555 section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// Deactivated by the account holder.
    Deactivated,
    /// Revoked by the server.
    Revoked,
    /// Usable.
    Valid,
}

/// One page of an account's orders (RFC 8555 section 7.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrdersList {
    /// URLs of the orders.
    pub orders: Vec<String>,
}

/// The payload of the inner JWS of keyChange (RFC 8555 section 7.3.5).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyChange {
    /// URL of the account whose key is to change.
    pub account: String,
    /// The account's current key, a JWK.
    pub old_key: Box<RawValue>,
}

/// A contact that this server accepts: a `mailto:` URL with exactly one address
/// and no header fields (RFC 8555 section 7.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Contact(String);

/// Why a contact is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContactError {
    /// A `mailto:` URL that is not one plain address.
    #[error("the contact {0:?} is not one plain mail address: send \"mailto:\" and one address")]
    Invalid(String),
    /// More contacts than this server stores.
    #[error("more than {} contacts: send fewer", Contact::MAX_COUNT)]
    TooMany,
    /// A URL of another scheme.
    #[error("the contact {0:?} is not a mailto URL, the only scheme supported")]
    Unsupported(String),
}

impl Contact {
    /// The largest number of contacts of one account.
    pub const MAX_COUNT: usize = 8;
    /// The longest contact URL, in bytes: the longest address of RFC 5321 plus
    /// the scheme.
    pub const MAX_LENGTH: usize = 254 + "mailto:".len();

    /// Parses one contact.
    ///
    /// # Errors
    /// See [`ContactError`].
    pub fn parse(url: &str) -> Result<Self, ContactError> {
        let quoted = || truncate_quote(url);
        let Some(address) = url
            .get(..7)
            .filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"))
            .map(|_| &url[7..])
        else {
            return Err(ContactError::Unsupported(quoted()));
        };
        // RFC 8555 section 7.3: "Clients MUST NOT provide a "mailto" URL in
        // the "contact" field that contains "hfields" [RFC6068] or more than
        // one "addr-spec" in the "to" component. If a server encounters a
        // "mailto" contact URL that does not meet these criteria, then it
        // SHOULD reject it as invalid."
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !br#"@,?&()<>[]:;\""#.contains(&byte))
        };
        match address.split_once('@') {
            Some((local, domain))
                if url.len() <= Self::MAX_LENGTH && plain(local) && plain(domain) =>
            {
                Ok(Self(url.to_owned()))
            }
            _ => Err(ContactError::Invalid(quoted())),
        }
    }

    /// Parses the whole `contact` member.
    ///
    /// # Errors
    /// The error of the first bad contact, or [`ContactError::TooMany`].
    pub fn parse_all(urls: &[String]) -> Result<Vec<Self>, ContactError> {
        if urls.len() > Self::MAX_COUNT {
            return Err(ContactError::TooMany);
        }
        urls.iter().map(|url| Self::parse(url)).collect()
    }

    /// The URL, as the client sent it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Contact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Contact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let url = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&url).map_err(D::Error::custom)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfcs_samples() {
        // RFC 8555 section 7.3, the payload and the response.
        let request: NewAccount = serde_json::from_str(
            r#"{
                "termsOfServiceAgreed": true,
                "contact": ["mailto:cert-admin@example.org", "mailto:admin@example.org"]
            }"#,
        )
        .unwrap();
        assert!(request.terms_of_service_agreed);
        assert!(!request.only_return_existing);
        assert_eq!(request.contact.unwrap().len(), 2);
        let json = r#"{
            "status": "valid",
            "contact": ["mailto:cert-admin@example.org", "mailto:admin@example.org"],
            "orders": "https://example.com/acme/acct/evOfKhNU60wg/orders"
        }"#;
        let account: Account = serde_json::from_str(json).unwrap();
        assert_eq!(
            serde_json::to_value(&account).unwrap(),
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
        // Section 7.3.6.
        let update: AccountUpdate = serde_json::from_str(r#"{"status": "deactivated"}"#).unwrap();
        assert_eq!(update.status.as_deref(), Some("deactivated"));
    }

    #[test]
    fn null_is_an_absent_member() {
        let nulls = r#"{"contact": null, "termsOfServiceAgreed": null,
            "onlyReturnExisting": null, "externalAccountBinding": null}"#;
        let request: NewAccount = serde_json::from_str(nulls).unwrap();
        assert_eq!(request, NewAccount::default());
        // An absent member changes nothing; an empty list would remove the
        // contacts.
        let update: AccountUpdate =
            serde_json::from_str(r#"{"contact": null, "status": null}"#).unwrap();
        assert_eq!(update, AccountUpdate::default());
        let update: AccountUpdate = serde_json::from_str(r#"{"contact": []}"#).unwrap();
        assert_eq!(update.contact, Some(Vec::new()));
        for wrong in [
            r#"{"termsOfServiceAgreed": 1}"#,
            r#"{"onlyReturnExisting": "true"}"#,
            r#"{"contact": [null]}"#,
        ] {
            assert!(
                serde_json::from_str::<NewAccount>(wrong).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn scenario_95_contacts() {
        for url in ["mailto:admin@example.org", "MAILTO:a+b@example.org"] {
            assert_eq!(Contact::parse(url).unwrap().as_str(), url);
        }
        for url in [
            "tel:+12025551212",
            "https://example.org",
            "mail",
            "",
            "é@example",
        ] {
            assert_eq!(
                Contact::parse(url),
                Err(ContactError::Unsupported(url.to_owned()))
            );
        }
        for url in [
            "mailto:a@b,c@d",
            "mailto:a@b?subject=x",
            "mailto:a@b?",
            "mailto:",
            "mailto:a",
            "mailto:@b",
            "mailto:a@",
            "mailto:a@b@c",
            "mailto:a b@c",
            "mailto:<a@b>",
            "mailto:\u{e9}@b",
        ] {
            assert_eq!(
                Contact::parse(url),
                Err(ContactError::Invalid(url.to_owned()))
            );
        }
        assert!(matches!(
            Contact::parse(&format!("mailto:a@{}", "b".repeat(260))),
            Err(ContactError::Invalid(_))
        ));
        assert_eq!(
            Contact::parse_all(&vec!["mailto:a@b".to_owned(); 9]),
            Err(ContactError::TooMany)
        );
    }
}
