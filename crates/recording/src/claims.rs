//! What a recording says of the judgement: text, as it stands there.

use std::fmt;

use assay_attest::{
    AttestedDevice, Freshness, KeyKind, limits::MAX_PROPERTY_BYTES, with_properties,
};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};

use super::{RecordingError, Time, contents::length};

/// The one fact that is a list.
const EXTENSIONS: &str = "facts.unknown_extensions";

/// A verdict and what was found: claimed by a file, or the result of a new
/// judgement. Both are text, so that one changed letter is a difference and
/// not a file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claims {
    /// The verdict.
    pub verdict: Verdict,
    /// What the evidence attests, where it verified (even when it is that of
    /// another device).
    pub facts: Option<Facts>,
    /// The SHA-256 of the root that vouched, hex.
    pub root_sha256: Option<String>,
}

/// A verdict.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Verdict {
    /// `accepted` or `refused`.
    pub outcome: String,
    /// Of accepted device information: `fresh` or `cached`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness: Option<String>,
    /// Of refused evidence: the stable name of the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

macro_rules! facts {
    ($($(#[$doc:meta])* $field:ident: $type:ty, $property:ident, $suffix:literal, $name:literal;)*) => {
        /// What verified evidence attests. A property that is not attested is
        /// absent.
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct Facts {
            $(
                $(#[$doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<String>,
            )*
            /// Apple extensions that are no known property, in the leaf's order.
            pub unknown_extensions: Vec<RecordedExtension>,
            /// SHA-256 of the attested key's SubjectPublicKeyInfo, hex.
            pub spki_sha256: String,
            /// `p256` or `p384`.
            pub key: String,
            /// Start of the leaf's validity, RFC 3339.
            pub not_before: String,
            /// End of the leaf's validity, RFC 3339.
            pub not_after: String,
        }

        impl Facts {
            /// The facts about a key (SHA-256 in hex, and its kind) that is
            /// attested from `not_before` to `not_after`, without any property.
            #[must_use]
            pub fn new(spki_sha256: String, key: &str, not_before: Time, not_after: Time) -> Self {
                Self {
                    $($field: None,)*
                    unknown_extensions: Vec::new(),
                    spki_sha256,
                    key: key.to_owned(),
                    not_before: not_before.to_string(),
                    not_after: not_after.to_string(),
                }
            }

            /// The facts of a device.
            #[must_use]
            pub fn of(device: &AttestedDevice) -> Self {
                let extensions = device.unknown_extensions.iter();
                Self {
                    $($field: device.$field.attested().map(ToString::to_string),)*
                    unknown_extensions: extensions
                        .map(|extension| RecordedExtension {
                            oid: extension.oid.clone(),
                            value: BASE64URL_NOPAD.encode(&extension.value),
                        })
                        .collect(),
                    spki_sha256: HEXLOWER.encode(&device.spki_sha256),
                    key: match device.key {
                        KeyKind::P256 => "p256",
                        KeyKind::P384 => "p384",
                    }
                    .to_owned(),
                    not_before: Time::text(device.not_before),
                    not_after: Time::text(device.not_after),
                }
            }

            /// Every fact with the path of its key, in the order of the file.
            pub(super) fn fields(&self) -> Vec<(&'static str, Option<String>)> {
                let extensions: Vec<_> = (self.unknown_extensions.iter())
                    .map(|one| format!("{}={}", plain(&one.oid), plain(&one.value)))
                    .collect();
                vec![
                    $((concat!("facts.", stringify!($field)), self.$field.clone()),)*
                    (EXTENSIONS, Some(extensions.join(" "))),
                    ("facts.spki_sha256", Some(self.spki_sha256.clone())),
                    ("facts.key", Some(self.key.clone())),
                    ("facts.not_before", Some(self.not_before.clone())),
                    ("facts.not_after", Some(self.not_after.clone())),
                ]
            }
        }
    };
}

with_properties!(facts);

/// An Apple extension that has no other name than its identifier.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RecordedExtension {
    /// The identifier in dotted form.
    pub oid: String,
    /// The value, base64url.
    pub value: String,
}

impl RecordedExtension {
    /// An extension with this identifier and this value in base64url.
    #[must_use]
    pub fn new(oid: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            oid: oid.into(),
            value: value.into(),
        }
    }
}

impl Claims {
    /// A verdict without facts and root.
    #[must_use]
    pub fn of_verdict(verdict: Verdict) -> Self {
        Self {
            verdict,
            facts: None,
            root_sha256: None,
        }
    }

    /// The claims for an attested device and this verdict on it.
    #[must_use]
    pub fn of_device(device: &AttestedDevice, verdict: Verdict) -> Self {
        Self {
            verdict,
            facts: Some(Facts::of(device)),
            root_sha256: Some(HEXLOWER.encode(&device.root_sha256)),
        }
    }

    /// Those of evidence that proves nothing.
    #[must_use]
    pub fn refused(reason: &str) -> Self {
        Self::of_verdict(Verdict::refused(reason))
    }
}

impl Claims {
    /// Any text may stand there, but none that is longer than a true one can
    /// be. Extensions are bounded by the size of the file alone.
    pub(super) fn check(&self) -> Result<(), RecordingError> {
        let verdict = &self.verdict;
        let texts = [
            ("verdict.outcome", Some(verdict.outcome.as_str())),
            ("verdict.freshness", verdict.freshness.as_deref()),
            ("verdict.reason", verdict.reason.as_deref()),
            ("root_sha256", self.root_sha256.as_deref()),
        ];
        let facts = self.facts.as_ref().map(Facts::fields);
        let facts = facts
            .iter()
            .flatten()
            .map(|(field, text)| (*field, text.as_deref()));
        for (field, text) in texts.into_iter().chain(facts) {
            let limited = text.filter(|_| field != EXTENSIONS);
            let bytes = limited.map_or(0, str::len);
            length(field, bytes, 0, MAX_PROPERTY_BYTES, "at most 256")?;
        }
        Ok(())
    }
}

impl Verdict {
    /// Accepted, as the answer to a challenge.
    #[must_use]
    pub fn accepted() -> Self {
        Self {
            outcome: "accepted".to_owned(),
            freshness: None,
            reason: None,
        }
    }

    /// Accepted, as the answer to a DeviceInformation query.
    #[must_use]
    pub fn accepted_as(freshness: Freshness) -> Self {
        Self {
            freshness: Some(freshness.as_str().to_owned()),
            ..Self::accepted()
        }
    }

    /// Refused; `reason` is the stable name, for example `expired`.
    #[must_use]
    pub fn refused(reason: &str) -> Self {
        Self {
            outcome: "refused".to_owned(),
            freshness: None,
            reason: Some(reason.to_owned()),
        }
    }

    /// Whether it says accepted.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.outcome == "accepted"
    }
}

/// In one word or two: `accepted`, `accepted, cached`, `refused: expired`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.outcome)?;
        if let Some(freshness) = &self.freshness {
            write!(f, ", {freshness}")?;
        }
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// Percent-encodes the separators of a list, so that no two lists look the same.
/// Identifiers and base64url contain none of them.
pub(super) fn plain(text: &str) -> String {
    text.replace('%', "%25")
        .replace(' ', "%20")
        .replace('=', "%3D")
}
