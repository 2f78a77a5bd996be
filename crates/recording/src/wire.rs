//! The file's keys, in their order.

use assay_attest::{Attribute, SentNonce};
use assay_proto::WireIdentifier;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Acme, Admission, Answer, Claims, Contents, DeviceInformationAnswer, Evidence, Facts, Fault,
    Issuance, OLDEST_VERSION, RecordedProfile, RecordingError, Rule, Time, VERSION, Verdict,
    contents::{ACME, DEVICE_INFORMATION},
    excerpt,
};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    assay_recording: u64,
    source: String,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier: Option<StrictIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admission: Option<WireAdmission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<RecordedProfile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attestation_object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonces: Option<Vec<WireNonce>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<Vec<String>>,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<Facts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuance: Option<Issuance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedded_root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<String>>,
}

/// [`WireIdentifier`], which ignores unknown keys as ACME asks; a recording has
/// none.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StrictIdentifier {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct WireAdmission {
    rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_name: Option<String>,
    attribute: String,
    value: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct WireNonce {
    nonce: String,
    sent: String,
}

impl Wire {
    /// Reads the keys. The version comes first: another one may have others.
    pub(super) fn parse(file: &[u8]) -> Result<Self, RecordingError> {
        let value: Value = serde_json::from_slice(file).map_err(json)?;
        if !value.is_object() {
            return Err(RecordingError::Json("not a JSON object".to_owned()));
        }
        match value.get("assay_recording").and_then(Value::as_u64) {
            Some(version) if !(OLDEST_VERSION..=VERSION).contains(&version) => {
                return Err(RecordingError::Version(version));
            }
            _ => {}
        }
        let wire: Self = serde_json::from_slice(file).map_err(json)?;
        // serde takes null for an absent key, and a list for an object.
        if serde_json::to_value(&wire).map_err(json)? != value {
            return Err(RecordingError::Json(
                "somewhere a value is null, or an array where an object is required".to_owned(),
            ));
        }
        wire.check_version()?;
        Ok(wire)
    }

    /// The version of the format that the file is of.
    pub(super) fn version(&self) -> u64 {
        self.assay_recording
    }

    /// Version 1 has fewer keys, and one more that it must have.
    fn check_version(&self) -> Result<(), RecordingError> {
        let version = self.assay_recording;
        if version >= VERSION {
            return Ok(());
        }
        let rule_name = self.admission.as_ref().map(|one| one.rule_name.is_some());
        for (field, present) in [
            ("admission.rule_name", rule_name == Some(true)),
            ("profile", self.profile.is_some()),
            ("issuance", self.issuance.is_some()),
            ("note", self.note.is_some()),
            ("labels", self.labels.is_some()),
        ] {
            if present {
                return Err(RecordingError::Newer { field, version });
            }
        }
        if self.source == ACME {
            needed(ACME, "account", &self.account)?;
        }
        Ok(())
    }

    pub(super) fn into_contents(self) -> Result<Contents, RecordingError> {
        let time = time("time", &self.time)?;
        let embedded_root = (self.embedded_root.as_deref())
            .map(|root| bytes("embedded_root", root))
            .transpose()?;
        Ok(Contents {
            time,
            evidence: match self.source.as_str() {
                ACME => self.acme()?,
                DEVICE_INFORMATION => self.device_information()?,
                _ => {
                    let known = "\"acme\" or \"device-information\"";
                    return Err(RecordingError::field("source", Fault::Word(known)));
                }
            },
            claims: Claims {
                verdict: self.verdict,
                facts: self.facts,
                root_sha256: self.root_sha256,
            },
            embedded_root,
            note: self.note,
            labels: self.labels.unwrap_or_default(),
        })
    }

    fn acme(&self) -> Result<Evidence, RecordingError> {
        misplaced(ACME, "nonces", &self.nonces)?;
        misplaced(ACME, "certificates", &self.certificates)?;
        let admission = needed(ACME, "admission", &self.admission)?;
        let identifier = needed(ACME, "identifier", &self.identifier)?;
        let account = (self.account.as_deref()).map(|account| {
            let thirty_two = bytes("account", account)?.try_into();
            thirty_two.map_err(|_| RecordingError::field("account", Fault::Length("32")))
        });
        Ok(Evidence::Acme(Box::new(Acme {
            token: needed(ACME, "token", &self.token)?.clone(),
            account: account.transpose()?,
            identifier: WireIdentifier {
                kind: identifier.kind.clone(),
                value: identifier.value.clone(),
            },
            admission: admission.read()?,
            profile: self.profile.clone(),
            answer: match (&self.attestation_object, &self.device_error) {
                (Some(object), None) => Answer::Object(bytes("attestation_object", object)?),
                (None, Some(text)) => Answer::DeviceError(text.clone()),
                _ => return Err(RecordingError::OneAnswer),
            },
            csr: (self.csr.as_deref())
                .map(|csr| bytes("csr", csr))
                .transpose()?,
            issuance: self.issuance.clone(),
        })))
    }

    fn device_information(&self) -> Result<Evidence, RecordingError> {
        misplaced(DEVICE_INFORMATION, "token", &self.token)?;
        misplaced(DEVICE_INFORMATION, "account", &self.account)?;
        misplaced(DEVICE_INFORMATION, "identifier", &self.identifier)?;
        misplaced(DEVICE_INFORMATION, "admission", &self.admission)?;
        misplaced(DEVICE_INFORMATION, "profile", &self.profile)?;
        let object = &self.attestation_object;
        misplaced(DEVICE_INFORMATION, "attestation_object", object)?;
        misplaced(DEVICE_INFORMATION, "device_error", &self.device_error)?;
        misplaced(DEVICE_INFORMATION, "csr", &self.csr)?;
        misplaced(DEVICE_INFORMATION, "issuance", &self.issuance)?;
        let nonces = needed(DEVICE_INFORMATION, "nonces", &self.nonces)?.iter();
        let certificates = needed(DEVICE_INFORMATION, "certificates", &self.certificates)?.iter();
        Ok(Evidence::DeviceInformation(DeviceInformationAnswer {
            nonces: nonces
                .enumerate()
                .map(|(index, nonce)| nonce.read(index))
                .collect::<Result<_, _>>()?,
            certificates: certificates
                .enumerate()
                .map(|(index, der)| bytes(&format!("certificates[{index}]"), der))
                .collect::<Result<_, _>>()?,
        }))
    }

    pub(super) fn of(version: u64, contents: &Contents) -> Self {
        let Claims {
            verdict,
            facts,
            root_sha256,
        } = contents.claims.clone();
        let empty = Self {
            assay_recording: version,
            source: String::new(),
            time: contents.time.to_string(),
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
            verdict,
            facts,
            root_sha256,
            issuance: None,
            embedded_root: contents.embedded_root.as_deref().map(text),
            note: contents.note.clone(),
            labels: (!contents.labels.is_empty()).then(|| contents.labels.clone()),
        };
        match &contents.evidence {
            Evidence::Acme(acme) => empty.with_acme(acme),
            Evidence::DeviceInformation(information) => Self {
                source: DEVICE_INFORMATION.to_owned(),
                nonces: Some(information.nonces.iter().map(WireNonce::of).collect()),
                certificates: Some(information.certificates.iter().map(text).collect()),
                ..empty
            },
        }
    }

    fn with_acme(self, acme: &Acme) -> Self {
        let (attestation_object, device_error) = match &acme.answer {
            Answer::DeviceError(words) => (None, Some(words.clone())),
            Answer::Object(object) => (Some(text(object)), None),
        };
        Self {
            source: ACME.to_owned(),
            token: Some(acme.token.clone()),
            account: acme.account.as_ref().map(text),
            identifier: Some(StrictIdentifier {
                kind: acme.identifier.kind.clone(),
                value: acme.identifier.value.clone(),
            }),
            admission: Some(WireAdmission::of(&acme.admission)),
            profile: acme.profile.clone(),
            attestation_object,
            device_error,
            csr: acme.csr.as_deref().map(text),
            issuance: acme.issuance.clone(),
            ..self
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "texts, numbers and lists of them are always JSON"
    )]
    pub(super) fn to_json(&self) -> String {
        let mut file = serde_json::to_string_pretty(self).expect("a recording is JSON");
        file.push('\n');
        file
    }
}

impl WireAdmission {
    fn read(&self) -> Result<Admission, RecordingError> {
        let wrong = |field: &str, known| Err(RecordingError::field(field, Fault::Word(known)));
        Ok(Admission {
            rule: match self.rule.as_str() {
                "any-attested" => Rule::AnyAttested,
                "listed" => Rule::Listed,
                _ => return wrong("admission.rule", "\"listed\" or \"any-attested\""),
            },
            rule_name: self.rule_name.clone(),
            attribute: match self.attribute.as_str() {
                "serial" => Attribute::Serial,
                "udid" => Attribute::Udid,
                _ => return wrong("admission.attribute", "\"serial\" or \"udid\""),
            },
            value: self.value.clone(),
        })
    }

    fn of(admission: &Admission) -> Self {
        Self {
            rule: match admission.rule {
                Rule::AnyAttested => "any-attested",
                Rule::Listed => "listed",
            }
            .to_owned(),
            rule_name: admission.rule_name.clone(),
            attribute: admission.attribute.as_str().to_owned(),
            value: admission.value.clone(),
        }
    }
}

impl WireNonce {
    fn read(&self, index: usize) -> Result<SentNonce, RecordingError> {
        let field = format!("nonces[{index}].nonce");
        let nonce = bytes(&field, &self.nonce)?;
        let sent = time(&format!("nonces[{index}].sent"), &self.sent)?;
        SentNonce::new(&nonce, sent.seconds())
            .map_err(|_| RecordingError::field(field, Fault::Length("1 to 32")))
    }

    fn of(nonce: &SentNonce) -> Self {
        Self {
            nonce: text(nonce.nonce()),
            sent: Time::text(nonce.sent()),
        }
    }
}

/// The error may quote untrusted text, however long that is.
fn json(error: serde_json::Error) -> RecordingError {
    RecordingError::Json(excerpt(error.to_string()))
}

fn needed<'a, T>(
    source_name: &'static str,
    field: &'static str,
    value: &'a Option<T>,
) -> Result<&'a T, RecordingError> {
    value
        .as_ref()
        .ok_or(RecordingError::Missing { field, source_name })
}

fn misplaced<T>(
    source_name: &'static str,
    field: &'static str,
    value: &Option<T>,
) -> Result<(), RecordingError> {
    match value {
        Some(_) => Err(RecordingError::Misplaced { field, source_name }),
        None => Ok(()),
    }
}

fn time(field: &str, text: &str) -> Result<Time, RecordingError> {
    Time::parse(text).ok_or_else(|| RecordingError::field(field, Fault::NotTime))
}

/// One byte string has one encoding: no padding, no trailing bits.
fn bytes(field: &str, text: &str) -> Result<Vec<u8>, RecordingError> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| RecordingError::field(field, Fault::NotBase64Url))
}

fn text(bytes: &(impl AsRef<[u8]> + ?Sized)) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}
