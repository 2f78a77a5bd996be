//! Shapes of evidence that verify.

use super::{
    ForgeError, Forger, Forgery, Way,
    Way::{Chain, Intermediate, Leaf, Object},
};
use crate::evidence::{Cbor, Extension};

/// Valid evidence of an unusual shape.
#[derive(Clone, Copy, Debug)]
pub struct Good {
    name: &'static str,
    meaning: &'static str,
    way: Way,
}

const USUAL: Good = good(
    "none",
    "Evidence in the shape of Apple's authority.",
    Chain(|forger| forger.good_chain()),
);

const GOODS: &[Good] = &[
    USUAL,
    good(
        "copy-of-the-root",
        "The root is at the end of the chain, where it is ignored.",
        Chain(|forger| {
            let mut chain = forger.good_chain()?;
            chain.push(forger.authority.root_der().to_vec());
            Ok(chain)
        }),
    ),
    good(
        "deeper-chain",
        "There is one more CA, and the path lengths allow it.",
        Chain(|forger| forger.deeper_chain(Some(1))),
    ),
    good(
        "statement-first-and-unknown-keys",
        "The statement comes before the format, among unknown keys.",
        Object(|forger| {
            let Cbor::Map(mut statement) = forger.statement()? else {
                return Ok(Vec::new());
            };
            statement.insert(0, (Cbor::text("receipt"), Cbor::Bytes(vec![1, 2, 3])));
            let entries = vec![
                // 0xf6 is null.
                (Cbor::Unsigned(7), Cbor::Raw(vec![0xf6])),
                (Cbor::text("attStmt"), Cbor::Map(statement)),
                (Cbor::text("authData"), Cbor::Bytes(vec![0; 37])),
                (Cbor::text("fmt"), Cbor::text("apple")),
            ];
            Ok(Cbor::Map(entries).encode())
        }),
    ),
    good(
        "extended-key-usage",
        "The leaf has a critical extendedKeyUsage.",
        Leaf(|leaf, _| {
            let value = b"\x30\x0c\x06\x0a\x2a\x86\x48\x86\xf7\x63\x64\x04\x18\x01";
            leaf.extensions
                .push(Extension::new("2.5.29.37", value).critical());
        }),
    ),
    good(
        "unknown-extensions-that-are-not-critical",
        "The intermediate has unknown extensions that are not critical.",
        Intermediate(|sub| {
            sub.extensions.push(Extension::new("1.2.3", b"x"));
            sub.extensions.push(Extension::new("2.5.29.37", b"x"));
        }),
    ),
    good(
        "undocumented-apple-extensions",
        "The leaf has undocumented Apple extensions.",
        Leaf(|leaf, _| {
            let arc = "1.2.840.113635.100.8";
            leaf.extensions
                .push(Extension::new(&format!("{arc}.9.3"), b"\x01\xff"));
            leaf.extensions
                .push(Extension::new(&format!("{arc}.13.4"), b""));
        }),
    ),
];

const fn good(name: &'static str, meaning: &'static str, way: Way) -> Good {
    Good { name, meaning, way }
}

impl Good {
    /// All shapes.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        GOODS.iter()
    }

    /// The usual shape, called `none` because nothing is wrong or unusual.
    #[must_use]
    pub fn usual() -> &'static Self {
        &USUAL
    }

    /// The shape with this name; `none` is the usual one.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::all().find(|good| good.name == name)
    }

    /// The name, in kebab case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What is special about it, in one sentence.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        self.meaning
    }

    /// Makes the evidence.
    ///
    /// # Errors
    /// A key cannot sign.
    pub fn forge(&self, forger: &Forger<'_>) -> Result<Forgery, ForgeError> {
        self.way.forge(self.name, forger)
    }
}
