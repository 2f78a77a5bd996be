//! IDs of accounts, orders, authorizations, challenges and nodes.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;

use crate::ports::{Purpose, Random};

/// Defines one ID type: 128 random bits, in URLs 22 characters of base64url.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Returns a new random ID.
            #[must_use]
            pub fn draw(random: &dyn Random) -> Self {
                let mut bytes = [0; 16];
                random.fill(Purpose::$name, &mut bytes);
                Self(bytes)
            }

            /// Returns the ID with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Returns the bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Parses the form used in URLs.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE64URL_NOPAD.encode(&self.0))
            }
        }
    };
}

id_type! {
    /// The ID of an account.
    AccountId
}
id_type! {
    /// The ID of an authorization.
    AuthorizationId
}
id_type! {
    /// The ID of a challenge. The first challenge of an authorization has the
    /// same bytes as the authorization's ID, so no index from challenge to
    /// authorization is needed.
    ChallengeId
}
id_type! {
    /// The ID of a node: one process of a server.
    NodeId
}
id_type! {
    /// The ID of an order.
    OrderId
}

impl ChallengeId {
    /// Returns the ID of the first challenge of an authorization.
    #[must_use]
    pub const fn first_of(authorization: AuthorizationId) -> Self {
        Self(authorization.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_text() {
        let id = OrderId::from_bytes([0xff; 16]);
        let text = id.to_string();
        assert_eq!(text, "_____________________w");
        assert_eq!(OrderId::parse(&text), Some(id));
        for other in [
            "",
            "_____________________x",
            "____________________",
            "_____________________w=",
            "///",
        ] {
            assert_eq!(OrderId::parse(other), None, "{other}");
        }
    }
}
