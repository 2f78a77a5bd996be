//! The recording format, version 2, as documented in `docs/recordings.md`.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::Serialize;

use super::{NOW, TOKEN};
use crate::{corpus::THUMBPRINT, evidence::DeviceProperties};

/// The result that a verifier must return for evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// The response to a challenge is accepted.
    Accepted,
    /// The response to a DeviceInformation query is accepted, with this freshness.
    AcceptedAs(&'static str),
    /// Refused for this reason.
    Refused(&'static str),
}

#[derive(Serialize)]
pub(super) struct Recording {
    assay_recording: u64,
    source: &'static str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier: Option<Identifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admission: Option<Admission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attestation_object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonces: Option<Vec<Nonce>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<Vec<String>>,
    #[serde(flatten)]
    claims: Claims,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuance: Option<Issuance>,
}

#[derive(Serialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Admission {
    rule: &'static str,
    attribute: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Nonce {
    nonce: String,
    sent: String,
}

#[derive(Serialize)]
struct Profile {
    name: &'static str,
    settings: Settings,
}

#[derive(Serialize)]
struct Settings {
    subject: &'static str,
    san: [&'static str; 1],
    lifetime: u64,
    csr_names: &'static str,
}

/// The end of an order whose certificate was issued.
#[derive(Serialize)]
struct Issuance {
    end: &'static str,
    certificate: Certificate,
}

#[derive(Serialize)]
struct Certificate {
    subject: String,
    names: [String; 1],
    spki_sha256: String,
    key_usage: [&'static str; 1],
    extended_key_usage: [&'static str; 1],
    lifetime: u64,
}

#[derive(Serialize)]
pub(super) struct Claims {
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<Facts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_sha256: Option<String>,
}

#[derive(Serialize)]
struct Verdict {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    freshness: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Clone, Serialize)]
pub(super) struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    os_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sepos_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    llb_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sip: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secure_boot: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_extensions: Option<&'static str>,
    unknown_extensions: Vec<UnknownExtension>,
    spki_sha256: String,
    key: &'static str,
    not_before: String,
    not_after: String,
}

#[derive(Clone, Serialize)]
struct UnknownExtension {
    oid: String,
    value: String,
}

/// The lifetime of a certificate in the profile of [`Recording::issued`]: 30 days.
const LIFETIME: u64 = 30 * 86_400;

/// A certificate is valid from five minutes before it is issued.
const BACKDATE: u64 = 300;

impl Recording {
    /// The enrolment that led to this recording ended with a certificate, under a profile that
    /// shows the ordered identifier `value` and the SHA-256 of the key.
    pub(super) fn issued(self, value: &str, spki_sha256: &[u8]) -> Self {
        let key = HEXLOWER.encode(spki_sha256);
        Self {
            profile: Some(Profile {
                name: "corpus",
                settings: Settings {
                    subject: "O=Example,CN={spki-sha256}",
                    san: ["permanent-identifier"],
                    lifetime: LIFETIME,
                    csr_names: "ignore",
                },
            }),
            issuance: Some(Issuance {
                end: "issued",
                certificate: Certificate {
                    // RFC 4514 section 2.1: the last attribute is written first.
                    subject: format!("CN={key},O=Example"),
                    names: [format!("permanent-identifier:{value}")],
                    spki_sha256: key,
                    key_usage: ["digitalSignature"],
                    extended_key_usage: ["clientAuth"],
                    lifetime: LIFETIME + BACKDATE,
                },
            }),
            ..self
        }
    }

    /// A response to a challenge.
    pub(super) fn acme(
        attribute: &'static str,
        value: &str,
        object: &[u8],
        csr: Option<&[u8]>,
        claims: Claims,
    ) -> Self {
        Self {
            attestation_object: Some(BASE64URL_NOPAD.encode(object)),
            csr: csr.map(|csr| BASE64URL_NOPAD.encode(csr)),
            ..Self::order(attribute, value, claims)
        }
    }

    /// A device's report that it could not attest.
    pub(super) fn device_error(text: &str) -> Self {
        let claims = Claims::refused("device-could-not-attest");
        Self {
            device_error: Some(text.to_owned()),
            ..Self::order("serial", super::SERIAL, claims)
        }
    }

    fn order(attribute: &'static str, value: &str, claims: Claims) -> Self {
        Self {
            token: Some(TOKEN),
            account: Some(THUMBPRINT),
            identifier: Some(Identifier {
                kind: "permanent-identifier",
                value: value.to_owned(),
            }),
            admission: Some(Admission {
                rule: "listed",
                attribute,
                value: value.to_owned(),
            }),
            ..Self::of("acme", claims)
        }
    }

    /// A response to a DeviceInformation query, with the time at which each nonce was sent.
    pub(super) fn device_information(
        nonces: &[(&[u8], u64)],
        certificates: &[Vec<u8>],
        claims: Claims,
    ) -> Self {
        let nonces = nonces.iter().map(|(nonce, sent)| Nonce {
            nonce: BASE64URL_NOPAD.encode(nonce),
            sent: time(*sent),
        });
        let certificates = certificates.iter().map(|der| BASE64URL_NOPAD.encode(der));
        Self {
            nonces: Some(nonces.collect()),
            certificates: Some(certificates.collect()),
            ..Self::of("device-information", claims)
        }
    }

    fn of(source: &'static str, claims: Claims) -> Self {
        Self {
            assay_recording: 2,
            source,
            time: time(NOW),
            token: None,
            account: None,
            identifier: None,
            admission: None,
            profile: None,
            attestation_object: None,
            device_error: None,
            csr: None,
            nonces: None,
            certificates: None,
            claims,
            issuance: None,
        }
    }
}

impl Claims {
    /// The evidence does not verify.
    pub(super) fn refused(reason: &'static str) -> Self {
        Self {
            verdict: Verdict::of(Judged::Refused(reason)),
            facts: None,
            root_sha256: None,
        }
    }

    /// The evidence verifies under a root.
    pub(super) fn verified(judged: Judged, facts: Facts, root_sha256: &[u8]) -> Self {
        Self {
            verdict: Verdict::of(judged),
            facts: Some(facts),
            root_sha256: Some(HEXLOWER.encode(root_sha256)),
        }
    }
}

impl Verdict {
    fn of(judged: Judged) -> Self {
        let (outcome, freshness, reason) = match judged {
            Judged::Accepted => ("accepted", None, None),
            Judged::AcceptedAs(freshness) => ("accepted", Some(freshness), None),
            Judged::Refused(reason) => ("refused", None, Some(reason)),
        };
        Self {
            outcome,
            freshness,
            reason,
        }
    }
}

impl Facts {
    pub(super) fn new(
        properties: &DeviceProperties,
        unknown: &[(&str, &[u8])],
        key: &'static str,
        spki_sha256: &[u8],
        (not_before, not_after): (u64, u64),
    ) -> Self {
        Self {
            serial: properties.serial.clone(),
            udid: properties.udid.clone(),
            model: properties.model.clone(),
            os_version: properties.os_version.clone(),
            sepos_version: properties.sepos_version.clone(),
            llb_version: properties.llb_version.clone(),
            sip: properties.sip.map(|number| match number {
                0 => "enabled",
                1 => "disabled",
                _ => "unknown",
            }),
            secure_boot: properties.secure_boot.clone(),
            kernel_extensions: properties.kernel_extensions.map(|number| match number {
                0 => "not allowed",
                _ => "allowed",
            }),
            unknown_extensions: unknown
                .iter()
                .map(|(oid, value)| UnknownExtension {
                    oid: (*oid).to_owned(),
                    value: BASE64URL_NOPAD.encode(value),
                })
                .collect(),
            spki_sha256: HEXLOWER.encode(spki_sha256),
            key,
            not_before: time(not_before),
            not_after: time(not_after),
        }
    }
}

/// RFC 3339, UTC.
fn time(seconds: u64) -> String {
    assay_proto::Timestamp(seconds).to_string()
}
