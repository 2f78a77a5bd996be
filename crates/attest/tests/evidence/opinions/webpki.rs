//! rustls-webpki, as for a client's certificate.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

use super::{Committed, Difference, compare};

/// Bad ones that webpki accepts, who is right, and why. Sections are those of
/// RFC 5280 where nothing else is said.
const ACCEPTS: &[Difference] = &[
    (
        "certificate-malformed.freshness-under-padded-identifier",
        "We: an identifier has one encoding (X.690 section 8.19.2), and this is a second one of Apple's; webpki does not read them.",
    ),
    (
        "certificate-malformed.name-constraints-under-padded-identifier",
        "We: an identifier has one encoding (X.690 section 8.19.2); to webpki it is an extension that it does not know.",
    ),
    (
        "certificate-malformed.serial-under-padded-identifier",
        "We: an identifier has one encoding (X.690 section 8.19.2), and this is a second one of Apple's; webpki does not read them.",
    ),
    (
        "certificate-malformed.subject-not-in-order",
        "We: DER orders the members of a set (X.690 section 11.6); webpki never reads a name.",
    ),
    (
        "certificate-malformed.subject-not-utf8",
        "We: a name holds strings of its types; webpki never reads one.",
    ),
    (
        "certificate-serial-number",
        "We: RFC 5280 section 4.1.2.2 wants positive numbers of at most 20 bytes, in DER; webpki takes serial numbers as they come.",
    ),
    (
        "certificate-too-large",
        "Both: it is our bound on what a stranger may send, no rule of certificates.",
    ),
    (
        "duplicate-key",
        "Both: webpki is given the chain; that the object around it has two readings it cannot know.",
    ),
    (
        "extension-malformed.explicit-ca-false",
        "We: DER leaves default values out (X.690 section 11.5); webpki allows what many CAs have written.",
    ),
    (
        "extension-malformed.key-usage-with-unused-bits",
        "We: DER sets unused bits to zero (X.690 section 11.2.1); webpki ignores keyUsage.",
    ),
    (
        "extension-malformed.path-length-without-ca",
        "We: section 4.2.1.9 forbids pathLenConstraint without cA; webpki ignores it in a leaf.",
    ),
    (
        "format-malformed",
        "Both: the object's format is no part of the chain.",
    ),
    (
        "format-not-supported",
        "Both: the object's format is no part of the chain.",
    ),
    (
        "freshness-length",
        "Both: webpki knows nothing of freshness codes.",
    ),
    (
        "freshness-mismatch",
        "Both: webpki knows nothing of freshness codes.",
    ),
    (
        "freshness-missing.freshness-absent",
        "Both: webpki knows nothing of freshness codes.",
    ),
    (
        "freshness-missing.freshness-blank",
        "Both: webpki knows nothing of freshness codes.",
    ),
    (
        "freshness-repeated",
        "We: section 4.2 forbids a second extension of a kind; webpki looks for one only among those that it knows.",
    ),
    (
        "incomplete-chain.leaf-under-the-root",
        "Both: the path is good, but attestation leaves come from an intermediate.",
    ),
    (
        "issuer-mismatch.another-root-sent-along",
        "Both: webpki searches for a path among what it is given and leaves the rest aside; for us x5c is the path.",
    ),
    (
        "issuer-mismatch.intermediate-twice",
        "Both: webpki searches for a path among what it is given and leaves the rest aside; for us x5c is the path.",
    ),
    (
        "key-identifier-mismatch.intermediate-key-identifier",
        "Both: section 6 compares no key identifiers, they are hints for a search; to us a wrong one is a forger's trace.",
    ),
    (
        "key-identifier-mismatch.leaf-key-identifier",
        "Both: section 6 compares no key identifiers, they are hints for a search; to us a wrong one is a forger's trace.",
    ),
    (
        "key-not-supported",
        "Both: webpki does not look at the leaf's key until a signature by it is verified; we hand that key to the code that issues for it.",
    ),
    (
        "key-usage",
        "We: section 6.1.4 (n) wants keyCertSign verified where a CA has a keyUsage; webpki ignores that extension.",
    ),
    (
        "leaf-is-ca.leaf-with-cert-sign",
        "We: who may sign certificates is no device; webpki ignores keyUsage.",
    ),
    (
        "misplaced-root",
        "Both: webpki searches for a path among what it is given and leaves the rest aside; for us x5c is the path.",
    ),
    (
        "name-constraints",
        "Both: webpki applies them, and these are empty; we refuse what we do not apply.",
    ),
    ("object-not-cbor", "Both: the fault lies behind the chain."),
    (
        "object-too-large",
        "Both: it is our bound on what a stranger may send, no rule of certificates.",
    ),
    (
        "property-malformed",
        "Both: webpki does not read Apple's properties.",
    ),
    (
        "property-repeated",
        "We: section 4.2 forbids a second extension of a kind; webpki looks for one only among those that it knows.",
    ),
    ("too-deep", "Both: the fault lies behind the chain."),
    (
        "too-many-attributes",
        "Both: it is our bound on what a stranger may send, no rule of certificates.",
    ),
    (
        "too-many-extensions",
        "Both: it is our bound on what a stranger may send, no rule of certificates.",
    ),
    ("too-many-items", "Both: the fault lies behind the chain."),
    ("trailing-bytes", "Both: the fault lies behind the chain."),
    (
        "webauthn-anonymous",
        "Both: webpki knows nothing of attestation formats.",
    ),
];

/// Good ones that it refuses.
const REFUSES: &[Difference] = &[
    (
        "extended-key-usage",
        "Both: webpki was asked for a client's certificate, and this leaf is for another purpose; we use its key for nothing.",
    ),
    (
        "unknown-extensions-that-are-not-critical",
        "Both: the intermediate's key purposes are not DER; webpki processes them, we do not, and they are not critical.",
    ),
];

fn verify(committed: &Committed, chain: &[&[u8]]) -> Result<(), Error> {
    let root = CertificateDer::from(committed.root.as_slice());
    let leaf = CertificateDer::from(chain[0]);
    let others: Vec<_> = chain[1..]
        .iter()
        .copied()
        .map(CertificateDer::from)
        .collect();
    EndEntityCert::try_from(&leaf)?
        .verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &[anchor_from_trusted_cert(&root)?],
            &others,
            UnixTime::since_unix_epoch(Duration::from_secs(committed.now)),
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map(drop)
}

#[test]
fn webpki_agrees_or_the_table_says_why_not() {
    compare(
        |committed, chain| verify(committed, chain).map_err(|error| format!("{error:?}")),
        ACCEPTS,
        REFUSES,
    );
}
