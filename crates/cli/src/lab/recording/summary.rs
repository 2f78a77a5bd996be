//! One line about a recording: what the file says. Nothing is judged.

use assay_attest::UnverifiedCertificate;
use assay_recording::{Answer, Evidence, Recording, forms::Content};
use serde_json::{Value, json};

use crate::pieces;

/// What the file says of the device, the evidence and the verdict.
pub struct Summary {
    pub file: String,
    pub version: u64,
    pub time: String,
    pub source: &'static str,
    /// The format of the attestation object, if it can be decoded.
    pub format: Option<&'static str>,
    pub device: Device,
    pub outcome: String,
    pub freshness: Option<String>,
    pub reason: Option<String>,
    pub issuance: Option<String>,
    pub labels: Vec<String>,
}

/// What is known of the device.
pub struct Device {
    /// Whether the file has it as facts. Otherwise refused evidence says it of
    /// itself, and anyone can write that.
    pub is_recorded: bool,
    pub serial: Option<String>,
    pub udid: Option<String>,
    pub model: Option<String>,
    pub os_version: Option<String>,
}

impl Summary {
    pub fn of(file: String, recording: &Recording) -> Self {
        let contents = recording.contents();
        let verdict = &contents.claims.verdict;
        let (content, issuance) = match &contents.evidence {
            Evidence::Acme(acme) => (
                match &acme.answer {
                    Answer::Object(object) => Some(Content::Object(object.clone())),
                    Answer::DeviceError(_) => None,
                },
                acme.issuance.as_ref().map(|issuance| issuance.end.clone()),
            ),
            Evidence::DeviceInformation(answer) => (
                Some(Content::Certificates(answer.certificates.clone())),
                None,
            ),
        };
        let leaf = content.as_ref().and_then(pieces::leaf);
        let is_object = matches!(content, Some(Content::Object(_)));
        Self {
            file,
            version: recording.version(),
            time: contents.time.to_string(),
            source: contents.evidence.source(),
            format: leaf.as_ref().filter(|_| is_object).map(|_| "apple"),
            device: match &contents.claims.facts {
                Some(facts) => Device {
                    is_recorded: true,
                    serial: facts.serial.clone(),
                    udid: facts.udid.clone(),
                    model: facts.model.clone(),
                    os_version: facts.os_version.clone(),
                },
                None => Device::of_leaf(leaf.as_ref()),
            },
            outcome: verdict.outcome.clone(),
            freshness: verdict.freshness.clone(),
            reason: verdict.reason.clone(),
            issuance,
            labels: contents.labels.clone(),
        }
    }

    pub fn json(&self) -> Value {
        json!({
            "file": self.file,
            "version": self.version,
            "time": self.time,
            "source": self.source,
            "format": self.format,
            "serial": self.device.serial,
            "udid": self.device.udid,
            "model": self.device.model,
            "os_version": self.device.os_version,
            "verified": self.device.is_recorded,
            "outcome": self.outcome,
            "freshness": self.freshness,
            "reason": self.reason,
            "issuance": self.issuance,
            "labels": self.labels,
        })
    }
}

impl Device {
    fn of_leaf(leaf: Option<&UnverifiedCertificate>) -> Self {
        let text = |suffix| pieces::claimed_text(leaf?, suffix);
        Self {
            is_recorded: false,
            serial: text("9.1"),
            udid: text("9.2"),
            model: text("9.4"),
            os_version: text("10.1"),
        }
    }

    /// Whether anything is known of it.
    pub fn is_known(&self) -> bool {
        let texts = [&self.serial, &self.udid, &self.model, &self.os_version];
        texts.iter().any(|text| text.is_some())
    }

    /// The cell of a table: marked if it is not verified.
    pub fn cell(&self, text: Option<&String>) -> String {
        match (text, self.is_recorded) {
            (None, _) => "-".to_owned(),
            (Some(text), true) => text.clone(),
            (Some(text), false) => format!("{text}?"),
        }
    }
}
