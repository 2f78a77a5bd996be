use std::fmt;

use data_encoding::BASE64URL_NOPAD;

const PREFIX: &str = "order-";
const SUFFIX: &str = ".json";

/// The name of the file in which a server keeps an authorization's recording:
/// `order-ORDER-AUTHORIZATION.json`. It is the same before and after the CSR
/// arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName {
    /// The order's identifier.
    pub order: [u8; 16],
    /// The authorization's identifier.
    pub authorization: [u8; 16],
}

impl FileName {
    /// Reads the name of a file; `None` where a server gives no such name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let ids = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        // Both have the same length, and may contain hyphens.
        let (order, authorization) = ids.split_at_checked(ids.len() / 2)?;
        Some(Self {
            order: id(order)?,
            authorization: id(authorization.strip_prefix('-')?)?,
        })
    }
}

fn id(text: &str) -> Option<[u8; 16]> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .ok()?
        .try_into()
        .ok()
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [order, authorization] =
            [self.order, self.authorization].map(|id| BASE64URL_NOPAD.encode(&id));
        write!(f, "{PREFIX}{order}-{authorization}{SUFFIX}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back() {
        // Hyphens in both identifiers.
        for (order, authorization) in [([0; 16], [7; 16]), ([0xfb; 16], [0xef; 16])] {
            let name = FileName {
                order,
                authorization,
            };
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        let zeros = FileName {
            order: [0; 16],
            authorization: [0; 16],
        };
        assert_eq!(
            zeros.to_string(),
            "order-AAAAAAAAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAAAAAAAA.json"
        );
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "order-.json",
            "order-foreign.json",
            "order-AAAAAAAAAAAAAAAAAAAAAA.json",
            "order-AAAAAAAAAAAAAAAAAAAAAA_AAAAAAAAAAAAAAAAAAAAAA.json",
            "order-AAAAAAAAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAAAAAAAB.json",
            "order-AAAAAAAAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAAAAAAA.json",
            "order-AAAAAAAAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAAAAAAAA.json.tmp",
            "order-AAAAAAAAAAAAAAAAAAAAÄ-AAAAAAAAAAAAAAAAAAAAAA.json",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }
}
