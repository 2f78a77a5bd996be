//! The table of all routes, and the URLs built from it. Links in responses, the
//! server's router, its log and the parsing of account URLs use this one table.
//! URLs begin with the configured base URL; the Host header of a request is
//! ignored.

use std::fmt::Display;

use assay_ca::SerialNumber;
use assay_proto::Timestamp;

use crate::{
    ids::{AccountId, AuthorizationId, ChallengeId, OrderId},
    names::DirectoryName,
    ports::OrderCursor,
};

/// The prefix of all ACME paths.
const ROOT: &str = "/acme";

/// Each route, and its path below the directory's: the part before the
/// resource's ID, the placeholder of the ID, and the part after it.
macro_rules! routes {
    ($($(#[$doc:meta])* $route:ident = $before:literal $name:literal $after:literal;)*) => {
        /// A route below a directory.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Route {
            $($(#[$doc])* $route,)*
        }

        impl Route {
            /// All routes.
            pub const ALL: &[Self] = &[$(Self::$route),*];

            const fn parts(self) -> Parts {
                match self {
                    $(Self::$route => Parts { before: $before, name: $name, after: $after },)*
                }
            }
        }
    };
}

routes! {
    /// The directory (RFC 8555 section 7.1.1).
    Directory = "directory" "" "";
    /// The limits, for clients that are refused; not part of ACME.
    Limits = "limits" "" "";
    /// newNonce.
    NewNonce = "new-nonce" "" "";
    /// newAccount.
    NewAccount = "new-account" "" "";
    /// An account.
    Account = "account/" "{id}" "";
    /// An account's list of orders.
    Orders = "account/" "{id}" "/orders";
    /// newOrder.
    NewOrder = "new-order" "" "";
    /// An order.
    Order = "order/" "{id}" "";
    /// Where an order is finalized.
    Finalize = "order/" "{id}" "/finalize";
    /// An authorization.
    Authorization = "authorization/" "{id}" "";
    /// A challenge.
    Challenge = "challenge/" "{id}" "";
    /// A certificate.
    Certificate = "certificate/" "{serial}" "";
    /// revokeCert.
    RevokeCert = "revoke-cert" "" "";
    /// keyChange.
    KeyChange = "key-change" "" "";
}

/// The parts of a route's path below its directory's.
struct Parts {
    before: &'static str,
    /// The placeholder of the resource's ID for routers and logs; empty if the
    /// route has only one resource.
    name: &'static str,
    after: &'static str,
}

impl Route {
    /// Returns the route of `tail`, a path below a directory's. Any single
    /// segment matches an ID.
    #[must_use]
    pub fn of(tail: &str) -> Option<Self> {
        let fits = |route: &&Self| match route.parts().name {
            "" => tail == route.parts().before,
            _ => route.name_in(tail).is_some(),
        };
        Self::ALL.iter().find(fits).copied()
    }

    /// Returns the resource's ID in `tail`, if the path is this route's.
    fn name_in(self, tail: &str) -> Option<&str> {
        let Parts { before, after, .. } = self.parts();
        let name = tail.strip_prefix(before)?.strip_suffix(after)?;
        (!name.is_empty() && !name.contains('/')).then_some(name)
    }

    /// Returns the first segment of its path below the directory's. No
    /// directory may have that name.
    #[must_use]
    pub fn first_segment(self) -> &'static str {
        let before = self.parts().before;
        before.split_once('/').map_or(before, |(first, _)| first)
    }
}

/// Returns the part of `path` below the prefix of the default directory. Paths
/// of named directories also begin with that prefix.
pub(crate) fn below_root(path: &str) -> Option<&str> {
    path.strip_prefix(ROOT)?.strip_prefix('/')
}

/// Builds the URLs of one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    /// The origin, without a trailing slash.
    base: String,
    /// The origin and the prefix of all paths of the directory.
    root: String,
}

impl Urls {
    /// The URLs of the default directory under `base`, an origin such as
    /// `https://ca.example.org:8443`, without a trailing slash.
    #[must_use]
    pub fn new(base: impl Into<String>) -> Self {
        Self::of_directory(base, &DirectoryName::DEFAULT)
    }

    /// The URLs of any directory under `base`.
    #[must_use]
    pub fn of_directory(base: impl Into<String>, name: &DirectoryName) -> Self {
        let base = base.into();
        let root = match name.in_urls() {
            Some(name) => format!("{base}{ROOT}/{name}"),
            None => format!("{base}{ROOT}"),
        };
        Self { base, root }
    }

    /// Returns the URL that a request for `path_and_query` must be signed for.
    #[must_use]
    pub fn of_request(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.base)
    }

    /// Returns the path of a route with a placeholder for the resource's ID, as
    /// used by routers and logs: `/acme/order/{id}`.
    #[must_use]
    pub fn pattern(&self, route: Route) -> String {
        let url = self.named(route, route.parts().name);
        url.strip_prefix(&self.base).unwrap_or(&url).to_owned()
    }

    /// Returns the URL of a route without an ID.
    #[must_use]
    pub fn of(&self, route: Route) -> String {
        self.named(route, "")
    }

    fn named(&self, route: Route, name: impl Display) -> String {
        let Parts { before, after, .. } = route.parts();
        format!("{}/{before}{name}{after}", self.root)
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> String {
        self.of(Route::Directory)
    }

    /// An account.
    #[must_use]
    pub fn account(&self, id: AccountId) -> String {
        self.named(Route::Account, id)
    }

    /// Parses the account's ID from `url`.
    #[must_use]
    pub fn account_id(&self, url: &str) -> Option<AccountId> {
        let tail = url.strip_prefix(&self.root)?.strip_prefix('/')?;
        AccountId::parse(Route::Account.name_in(tail)?)
    }

    /// An account's list of orders.
    #[must_use]
    pub fn orders(&self, id: AccountId) -> String {
        self.named(Route::Orders, id)
    }

    /// The part of an account's list of orders after `after`.
    #[must_use]
    pub fn orders_after(&self, id: AccountId, after: OrderCursor) -> String {
        format!("{}?after={}", self.orders(id), cursor_text(after))
    }

    /// An order.
    #[must_use]
    pub fn order(&self, id: OrderId) -> String {
        self.named(Route::Order, id)
    }

    /// Where an order is finalized.
    #[must_use]
    pub fn finalize(&self, id: OrderId) -> String {
        self.named(Route::Finalize, id)
    }

    /// An authorization.
    #[must_use]
    pub fn authorization(&self, id: AuthorizationId) -> String {
        self.named(Route::Authorization, id)
    }

    /// A challenge.
    #[must_use]
    pub fn challenge(&self, id: ChallengeId) -> String {
        self.named(Route::Challenge, id)
    }

    /// A certificate.
    #[must_use]
    pub fn certificate(&self, serial: &SerialNumber) -> String {
        self.named(Route::Certificate, serial)
    }
}

/// Formats a cursor for a URL.
fn cursor_text(cursor: OrderCursor) -> String {
    format!("{}.{}", cursor.created.0, cursor.id)
}

/// Parses what [`Urls::orders_after`] wrote after `after=`.
#[must_use]
pub fn parse_cursor(text: &str) -> Option<OrderCursor> {
    let (created, id) = text.split_once('.')?;
    let cursor = OrderCursor {
        created: Timestamp(created.parse().ok()?),
        id: OrderId::parse(id)?,
    };
    // Accept only the canonical form of the numbers.
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
    fn every_path_leads_to_its_own_route() {
        let names = [
            DirectoryName::DEFAULT,
            DirectoryName::parse("wifi").unwrap(),
        ];
        for (name, root) in names.iter().zip(["/acme/", "/acme/wifi/"]) {
            let urls = Urls::of_directory("https://ca.example.org", name);
            for route in Route::ALL {
                let pattern = urls.pattern(*route);
                let tail = pattern.strip_prefix(root).unwrap();
                assert_eq!(Route::of(tail), Some(*route), "{pattern}");
                assert_eq!(tail.split('/').next(), Some(route.first_segment()));
            }
        }
        for tail in [
            "",
            "order",
            "order/",
            "order/a/b",
            "order/a/finalize/",
            "order//finalize",
            "directory/",
            "directoryx",
        ] {
            assert_eq!(Route::of(tail), None, "{tail}");
        }
        assert_eq!(Route::of("order/AbC/finalize"), Some(Route::Finalize));
        assert_eq!(Route::of("account/AbC/orders"), Some(Route::Orders));
    }

    /// Clients and operators keep these paths in bookmarks, profiles and
    /// scripts.
    #[test]
    fn the_paths_of_the_default_directory_stay() {
        let urls = Urls::new("https://ca.example.org");
        let patterns: Vec<_> = Route::ALL.iter().map(|one| urls.pattern(*one)).collect();
        assert_eq!(
            patterns,
            [
                "/acme/directory",
                "/acme/limits",
                "/acme/new-nonce",
                "/acme/new-account",
                "/acme/account/{id}",
                "/acme/account/{id}/orders",
                "/acme/new-order",
                "/acme/order/{id}",
                "/acme/order/{id}/finalize",
                "/acme/authorization/{id}",
                "/acme/challenge/{id}",
                "/acme/certificate/{serial}",
                "/acme/revoke-cert",
                "/acme/key-change",
            ]
        );
        let order = OrderId::from_bytes([7; 16]);
        assert_eq!(
            urls.finalize(order),
            format!("https://ca.example.org/acme/order/{order}/finalize")
        );
    }

    #[test]
    fn an_account_is_found_below_its_own_directory_alone() {
        let base = "https://ca.example.org";
        let wifi = Urls::of_directory(base, &DirectoryName::parse("wifi").unwrap());
        let (default, id) = (Urls::new(base), AccountId::from_bytes([7; 16]));
        assert_eq!(wifi.account_id(&wifi.account(id)), Some(id));
        assert_eq!(wifi.account_id(&default.account(id)), None);
        assert_eq!(default.account_id(&wifi.account(id)), None);
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
