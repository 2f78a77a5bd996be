//! Faults of the freshness code. There must be exactly one, of 32 bytes: SHA-256 of the challenge's
//! token.

use sha2::{Digest, Sha256};

use super::{Fault, Way::Leaf};
use crate::evidence::{CertificateTemplate, Extension, der, oids::FRESHNESS};

pub(super) const FAULTS: &[Fault] = &[
    Fault::evidence(
        "freshness-absent",
        &[17],
        "freshness-missing",
        "The leaf has no freshness code.",
        Leaf(|leaf, _| leaf.remove_extension(FRESHNESS)),
    ),
    Fault::evidence(
        "freshness-blank",
        &[17],
        "freshness-missing",
        "The freshness code is empty.",
        Leaf(|leaf, _| leaf.set_extension(FRESHNESS, b"")),
    ),
    Fault::evidence(
        "freshness-of-another-token",
        &[18],
        "freshness-mismatch",
        "The freshness code is that of a token that the server did not issue.",
        Leaf(|leaf, _| leaf.set_extension(FRESHNESS, &other())),
    ),
    Fault::evidence(
        "freshness-last-bit",
        &[18],
        "freshness-mismatch",
        "The freshness code differs in its last bit.",
        Leaf(|leaf, forger| {
            let mut code = forger.freshness.clone();
            if let Some(last) = code.last_mut() {
                *last ^= 1;
            }
            leaf.set_extension(FRESHNESS, &code);
        }),
    ),
    Fault::evidence(
        "freshness-of-the-key-authorization",
        &[19],
        "freshness-mismatch",
        "The freshness code is SHA-256 of the key authorization, not of the token alone.",
        Leaf(|leaf, forger| {
            leaf.set_extension(FRESHNESS, &Sha256::digest(&forger.key_authorization));
        }),
    ),
    Fault::evidence(
        "freshness-31-bytes",
        &[20],
        "freshness-length",
        "The freshness code lacks its last byte.",
        Leaf(|leaf, forger| {
            let code = &forger.freshness;
            leaf.set_extension(FRESHNESS, &code[..code.len().saturating_sub(1)]);
        }),
    ),
    Fault::evidence(
        "freshness-33-bytes",
        &[20],
        "freshness-length",
        "A zero byte follows the freshness code.",
        Leaf(|leaf, forger| {
            leaf.set_extension(FRESHNESS, &[forger.freshness.as_slice(), &[0]].concat());
        }),
    ),
    Fault::evidence(
        "freshness-in-octet-string",
        &[20],
        "freshness-length",
        "The freshness code is wrapped in a DER OCTET STRING.",
        Leaf(|leaf, forger| {
            leaf.set_extension(FRESHNESS, &der::element(0x04, &forger.freshness));
        }),
    ),
    Fault::evidence(
        "freshness-twice-right-first",
        &[21],
        "freshness-repeated",
        "A wrong freshness code follows the right one.",
        Leaf(|leaf, forger| replace(leaf, [&forger.freshness, &other()])),
    ),
    Fault::evidence(
        "freshness-twice-right-last",
        &[21],
        "freshness-repeated",
        "A wrong freshness code precedes the right one.",
        Leaf(|leaf, forger| replace(leaf, [&other(), &forger.freshness])),
    ),
    Fault::evidence(
        "freshness-twice-both-right",
        &[21],
        "freshness-repeated",
        "The right freshness code occurs twice.",
        Leaf(|leaf, forger| replace(leaf, [&forger.freshness; 2])),
    ),
];

fn other() -> [u8; 32] {
    Sha256::digest(b"another token").into()
}

fn replace(leaf: &mut CertificateTemplate, codes: [&[u8]; 2]) {
    leaf.remove_extension(FRESHNESS);
    let codes = codes.map(|code| Extension::new(FRESHNESS, code));
    leaf.extensions.extend(codes);
}
