//! The URLs of all resources. They come from the configured base, never from a
//! request's Host header.

use assay_ca::SerialNumber;
use assay_proto::Timestamp;

use crate::{
    ids::{AccountId, AuthorizationId, ChallengeId, OrderId},
    ports::OrderCursor,
};

/// Makes URLs under one base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    base: String,
}

impl Urls {
    /// URLs under `base`, an origin such as `https://ca.example.org:8443`,
    /// without a slash at its end.
    #[must_use]
    pub fn new(base: impl Into<String>) -> Self {
        Self { base: base.into() }
    }

    /// The URL that a request for `path_and_query` must be signed for.
    #[must_use]
    pub fn of_request(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.base)
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("{}/acme/directory", self.base)
    }

    /// newNonce.
    #[must_use]
    pub fn new_nonce(&self) -> String {
        format!("{}/acme/new-nonce", self.base)
    }

    /// newAccount.
    #[must_use]
    pub fn new_account(&self) -> String {
        format!("{}/acme/new-account", self.base)
    }

    /// newOrder.
    #[must_use]
    pub fn new_order(&self) -> String {
        format!("{}/acme/new-order", self.base)
    }

    /// revokeCert.
    #[must_use]
    pub fn revoke_cert(&self) -> String {
        format!("{}/acme/revoke-cert", self.base)
    }

    /// keyChange.
    #[must_use]
    pub fn key_change(&self) -> String {
        format!("{}/acme/key-change", self.base)
    }

    /// An account.
    #[must_use]
    pub fn account(&self, id: AccountId) -> String {
        format!("{}/acme/account/{id}", self.base)
    }

    /// The account that `url` is of.
    #[must_use]
    pub fn account_id(&self, url: &str) -> Option<AccountId> {
        let id = url
            .strip_prefix(&self.base)?
            .strip_prefix("/acme/account/")?;
        AccountId::parse(id)
    }

    /// An account's list of orders.
    #[must_use]
    pub fn orders(&self, id: AccountId) -> String {
        format!("{}/acme/account/{id}/orders", self.base)
    }

    /// The part of an account's list of orders behind `after`.
    #[must_use]
    pub fn orders_after(&self, id: AccountId, after: OrderCursor) -> String {
        format!("{}?after={}", self.orders(id), cursor_text(after))
    }

    /// An order.
    #[must_use]
    pub fn order(&self, id: OrderId) -> String {
        format!("{}/acme/order/{id}", self.base)
    }

    /// Where an order is finalized.
    #[must_use]
    pub fn finalize(&self, id: OrderId) -> String {
        format!("{}/acme/order/{id}/finalize", self.base)
    }

    /// An authorization.
    #[must_use]
    pub fn authorization(&self, id: AuthorizationId) -> String {
        format!("{}/acme/authorization/{id}", self.base)
    }

    /// A challenge.
    #[must_use]
    pub fn challenge(&self, id: ChallengeId) -> String {
        format!("{}/acme/challenge/{id}", self.base)
    }

    /// A certificate.
    #[must_use]
    pub fn certificate(&self, serial: &SerialNumber) -> String {
        format!("{}/acme/certificate/{serial}", self.base)
    }
}

/// A cursor as it stands in a URL.
fn cursor_text(cursor: OrderCursor) -> String {
    format!("{}.{}", cursor.created.0, cursor.id)
}

/// Reads what [`Urls::orders_after`] wrote behind `after=`.
#[must_use]
pub fn parse_cursor(text: &str) -> Option<OrderCursor> {
    let (created, id) = text.split_once('.')?;
    let cursor = OrderCursor {
        created: Timestamp(created.parse().ok()?),
        id: OrderId::parse(id)?,
    };
    // Of the many ways to write a number, the one that is given out.
    (cursor_text(cursor) == text).then_some(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accounts_url_is_recognized_whole_or_not_at_all() {
        let urls = Urls::new("https://ca.example.org:8443");
        let id = AccountId::from_bytes([7; 16]);
        let url = urls.account(id);
        assert_eq!(urls.account_id(&url), Some(id));
        for other in [
            url.replace("https", "http"),
            url.replace("8443", "8444"),
            format!("{url}/"),
            format!("{url}?x"),
            url.replace("account", "order"),
            String::new(),
        ] {
            assert_eq!(urls.account_id(&other), None, "{other}");
        }
    }

    #[test]
    fn a_cursor_comes_back() {
        let cursor = OrderCursor {
            created: Timestamp(1_800_000_000),
            id: OrderId::from_bytes([9; 16]),
        };
        assert_eq!(parse_cursor(&cursor_text(cursor)), Some(cursor));
        assert_eq!(parse_cursor("x"), None);
        assert_eq!(parse_cursor("1.x"), None);
        for other in ["+1800000000", "01800000000"] {
            let text = cursor_text(cursor).replace("1800000000", other);
            assert_eq!(parse_cursor(&text), None, "{text}");
        }
    }
}
