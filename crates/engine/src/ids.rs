//! The names of accounts, orders, authorizations, challenges and nodes.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;

use crate::ports::{Purpose, Random};

/// Makes one identifier type: 128 random bits, 22 characters of base64url
/// in URLs.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new one.
            #[must_use]
            pub fn draw(random: &dyn Random) -> Self {
                let mut bytes = [0; 16];
                random.fill(Purpose::$name, &mut bytes);
                Self(bytes)
            }

            /// The one with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Reads the form that it has in URLs.
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
    /// Names an account.
    AccountId
}
id_type! {
    /// Names an authorization.
    AuthorizationId
}
id_type! {
    /// Names a challenge. The first one of an authorization has the bytes of its
    /// authorization's name: no index has to lead from it to its authorization.
    ChallengeId
}
id_type! {
    /// Names a node: one process of a server.
    NodeId
}
id_type! {
    /// Names an order.
    OrderId
}

impl ChallengeId {
    /// The name of the first challenge of an authorization.
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
