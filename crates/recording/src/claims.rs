//! What a recording says of the judgement: text, as it stands there.

use std::fmt;

use assay_attest::{AttestedDevice, Freshness, KeyKind, limits::MAX_PROPERTY_BYTES};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};

use super::{RecordingError, Time, contents::length};

/// The one fact that is a list.
const EXTENSIONS: &str = "facts.unknown_extensions";

/// A verdict and what was found: claimed by a file, or the result of a new
/// judgement. Both are text, so that one changed letter is a difference and
/// not a file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What verified evidence attests. A property that is not attested is absent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the properties are those of AttestedDevice")]
pub struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sepos_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llb_version: Option<String>,
    /// `enabled`, `disabled` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<String>,
    /// `allowed` or `not allowed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_extensions: Option<String>,
    pub unknown_extensions: Vec<RecordedExtension>,
    /// Hex.
    pub spki_sha256: String,
    /// `p256` or `p384`.
    pub key: String,
    /// The leaf's validity, RFC 3339.
    pub not_before: String,
    pub not_after: String,
}

/// An Apple extension that has no other name than its identifier.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedExtension {
    /// The identifier in dotted form.
    pub oid: String,
    /// The value, base64url.
    pub value: String,
}

impl Claims {
    /// Those of a device that was accepted, or refused with this reason.
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
        Self {
            verdict: Verdict::refused(reason),
            facts: None,
            root_sha256: None,
        }
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

impl Facts {
    /// The facts of a device.
    #[must_use]
    pub fn of(device: &AttestedDevice) -> Self {
        let extensions = device.unknown_extensions.iter();
        Self {
            serial: device.serial.attested().cloned(),
            udid: device.udid.attested().cloned(),
            model: device.model.attested().cloned(),
            os_version: device.os_version.attested().map(ToString::to_string),
            sepos_version: device.sepos_version.attested().map(ToString::to_string),
            llb_version: device.llb_version.attested().map(ToString::to_string),
            sip: device.sip.attested().map(ToString::to_string),
            secure_boot: device.secure_boot.attested().map(ToString::to_string),
            kernel_extensions: device.kernel_extensions.attested().map(ToString::to_string),
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

    /// Every fact with the name of its key.
    pub(super) fn fields(&self) -> [(&'static str, Option<String>); 14] {
        let extensions: Vec<_> = (self.unknown_extensions.iter())
            .map(|extension| format!("{}={}", plain(&extension.oid), plain(&extension.value)))
            .collect();
        [
            ("facts.serial", self.serial.clone()),
            ("facts.udid", self.udid.clone()),
            ("facts.model", self.model.clone()),
            ("facts.os_version", self.os_version.clone()),
            ("facts.sepos_version", self.sepos_version.clone()),
            ("facts.llb_version", self.llb_version.clone()),
            ("facts.sip", self.sip.clone()),
            ("facts.secure_boot", self.secure_boot.clone()),
            ("facts.kernel_extensions", self.kernel_extensions.clone()),
            (EXTENSIONS, Some(extensions.join(" "))),
            ("facts.spki_sha256", Some(self.spki_sha256.clone())),
            ("facts.key", Some(self.key.clone())),
            ("facts.not_before", Some(self.not_before.clone())),
            ("facts.not_after", Some(self.not_after.clone())),
        ]
    }
}

/// A claimed text without what stands between texts of a list, so that no two
/// lists look the same. Identifiers and base64url have nothing of it.
fn plain(text: &str) -> String {
    text.replace('%', "%25")
        .replace(' ', "%20")
        .replace('=', "%3D")
}
