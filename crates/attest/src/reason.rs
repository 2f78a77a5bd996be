//! Why evidence is refused.

use std::fmt;

use crate::check::{Check, Outcome};

/// One refusal: the check that failed, the cause, and what exactly was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// The check that failed: all earlier ones passed.
    pub check: Check,
    /// The cause.
    pub reason: Reason,
    /// The exact finding, for the operator. It may quote the evidence, which
    /// may be another device's or forged: it does not belong in a reply.
    pub detail: String,
}

impl Refusal {
    /// What became of every check, in order.
    pub fn checks(&self) -> impl Iterator<Item = (Check, Outcome)> + use<> {
        Check::outcomes(Some(self))
    }
}

/// What is wrong with a part of the evidence. Only the check in whose course
/// it was found makes it a [`Refusal`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl Finding {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }

    /// The same finding, its detail beginning with the place.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.detail = format!("{place}: {}", self.detail);
        self
    }

    /// The refusal by a check.
    pub(crate) fn during(self, check: Check) -> Refusal {
        Refusal {
            check,
            reason: self.reason,
            detail: self.detail,
        }
    }
}

/// One table: variant, stable name, sentence for the client.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $sentence:literal;)*) => {
        /// Why evidence is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $(
                #[doc = concat!("`", $name, "`: ", $sentence, ".")]
                $(#[$doc])*
                $variant,
            )*
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The reason's name, in kebab case. It never changes: logs,
            /// metrics and file names rely on it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// A sentence that names the failed check and nothing of the
            /// evidence: fit for a problem document.
            #[must_use]
            pub const fn client_detail(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)*
                }
            }
        }
    };
}

reasons! {
    // The object.
    ObjectEmpty, "object-empty",
        "the attestation object is empty: the device could not attest";
    ObjectTooLarge, "object-too-large",
        "the attestation object has more than 64 KiB";
    ObjectNotCbor, "object-not-cbor",
        "the attestation object is not well-formed CBOR";
    ObjectNotMap, "object-not-map",
        "the attestation object is not a CBOR map";
    IndefiniteLength, "indefinite-length",
        "the attestation object holds a CBOR item of indefinite length";
    TooDeep, "too-deep",
        "the attestation object is nested too deep";
    TooManyKeys, "too-many-keys",
        "a map of the attestation object has too many keys";
    TooManyItems, "too-many-items",
        "a map of the attestation object has too many items in it";
    DuplicateKey, "duplicate-key",
        "a map of the attestation object has the same key twice";
    TrailingBytes, "trailing-bytes",
        "bytes follow the attestation object";
    FormatMissing, "format-missing",
        "the attestation object has no \"fmt\": the device could not attest";
    FormatMalformed, "format-malformed",
        "the attestation object's \"fmt\" is not a text string";
    FormatNotSupported, "format-not-supported",
        "the attestation format (\"fmt\") is not supported: only \"apple\" is";
    StatementMissing, "statement-missing",
        "the attestation object has no \"attStmt\"";
    StatementMalformed, "statement-malformed",
        "the attestation object's \"attStmt\" is not a map";
    // The chain as a list.
    ChainMissing, "chain-missing",
        "the attestation statement has no \"x5c\"";
    ChainMalformed, "chain-malformed",
        "the attestation statement's \"x5c\" is not an array of byte strings";
    ChainEmpty, "chain-empty",
        "the attestation has no certificates (\"x5c\" is empty): the device could not attest";
    ChainTooLong, "chain-too-long",
        "the attestation has more than five certificates in its chain (\"x5c\")";
    IncompleteChain, "incomplete-chain",
        "the attestation chain lacks its intermediate certificate";
    MisplacedRoot, "misplaced-root",
        "the attestation chain holds its root before its end";
    // Each certificate.
    CertificateTooLarge, "certificate-too-large",
        "a certificate of the attestation chain has more than 16 KiB";
    CertificateMalformed, "certificate-malformed",
        "a certificate of the attestation chain is not well-formed DER";
    CertificateVersion, "certificate-version",
        "a certificate of the attestation chain is not of X.509 version 3";
    CertificateSerialNumber, "certificate-serial-number",
        "a certificate of the attestation chain has a bad serial number";
    SignatureAlgorithmMismatch, "signature-algorithm-mismatch",
        "a certificate of the attestation chain names two signature algorithms";
    SignatureAlgorithmNotSupported, "signature-algorithm-not-supported",
        "a certificate of the attestation chain is signed with an algorithm that is not supported";
    TooManyExtensions, "too-many-extensions",
        "a certificate of the attestation chain has too many extensions";
    TooManyAttributes, "too-many-attributes",
        "a name in a certificate of the attestation chain has too many attributes";
    DuplicateExtension, "duplicate-extension",
        "a certificate of the attestation chain has the same extension twice";
    ExtensionMalformed, "extension-malformed",
        "a certificate of the attestation chain has an extension that cannot be decoded";
    // What the leaf says.
    KeyNotSupported, "key-not-supported",
        "a certificate of the attestation chain has a key of a kind that is not supported";
    WebauthnAnonymous, "webauthn-anonymous",
        "the attestation is of WebAuthn's anonymous format, not of Managed Device Attestation";
    PropertyRepeated, "property-repeated",
        "the attestation states a device property twice";
    PropertyMalformed, "property-malformed",
        "the attestation states a device property that cannot be decoded";
    FreshnessMissing, "freshness-missing",
        "the attestation has no freshness code";
    FreshnessRepeated, "freshness-repeated",
        "the attestation has two freshness codes";
    FreshnessLength, "freshness-length",
        "the attestation's freshness code does not have 32 bytes";
    FreshnessMismatch, "freshness-mismatch",
        "the attestation's freshness code is not the one that was asked for";
    FreshnessExpired, "freshness-expired",
        "the attestation answers a nonce that was sent 7 days ago or longer";
    // The path.
    NotYetValid, "not-yet-valid",
        "a certificate of the attestation chain is not valid yet";
    Expired, "expired",
        "a certificate of the attestation chain has expired";
    IssuerMismatch, "issuer-mismatch",
        "a certificate of the attestation chain was not issued by the next one";
    UnknownAnchor, "unknown-anchor",
        "the attestation chain ends at no root that is trusted here";
    KeyIdentifierMismatch, "key-identifier-mismatch",
        "a certificate of the attestation chain names another issuer key";
    LeafIsCa, "leaf-is-ca",
        "the attestation's leaf certificate is that of a CA";
    NotACa, "not-a-ca",
        "an issuer in the attestation chain is not a CA";
    PathLengthExceeded, "path-length-exceeded",
        "the attestation chain is longer than a CA in it allows";
    KeyUsage, "key-usage",
        "an issuer in the attestation chain may not sign certificates";
    NameConstraints, "name-constraints",
        "a certificate of the attestation chain has name constraints, which are not supported";
    UnknownCriticalExtension, "unknown-critical-extension",
        "a certificate of the attestation chain has a critical extension that is not supported";
    BadSignature, "bad-signature",
        "a signature in the attestation chain does not verify";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn names_are_kebab_case_of_the_variant_and_unique() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            let mut kebab = String::new();
            for letter in format!("{reason:?}").chars() {
                if letter.is_uppercase() && !kebab.is_empty() {
                    kebab.push('-');
                }
                kebab.push(letter.to_ascii_lowercase());
            }
            assert_eq!(reason.as_str(), kebab, "{reason:?}");
            assert!(!Reason::ALL[..index].contains(reason));
        }
    }

    #[test]
    fn client_sentences_are_single_sentences() {
        for reason in Reason::ALL {
            let sentence = reason.client_detail();
            assert!(
                !sentence.ends_with('.') && !sentence.contains('\n'),
                "{reason}"
            );
        }
    }
}
