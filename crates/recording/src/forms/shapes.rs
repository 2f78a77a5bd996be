//! What a JSON document is.

use assay_attest::limits::MAX_PROPERTY_BYTES;
use assay_proto::{Timestamp, WireIdentifier};

use super::{
    Certainty, FormError, Layer, Looked, MAX_CERTIFICATES, Note, Search,
    certificates::is_certificate,
    encoding::{base64, hex, wrapped_base64},
    json::Json,
};
use crate::Time;

impl Search {
    /// A document or a part of one. `document` is its text, where it is whole.
    pub(super) fn json(&mut self, value: &Json, document: &[u8]) -> Looked {
        if value.get("assay_recording").is_some() {
            return self.recording(document);
        }
        self.value(value, self.layers.is_empty())
    }

    /// `top`: whether the input as a whole is this value; then a shape without
    /// evidence is an error, otherwise the search goes on.
    fn value(&mut self, value: &Json, top: bool) -> Looked {
        match value {
            Json::Array(values) => self.array(values),
            Json::Object(members) => match self.shape(value) {
                Some(looked) => looked,
                None => {
                    self.look_beside(value);
                    let found = self.members(members);
                    if top && !found {
                        self.keep(FormError::NoEvidence {
                            form: "JSON",
                            lacks: "no text \"attObj\", \"x5c\" or \"payload\" in it, and no other text that is evidence",
                        });
                    }
                    Ok(found)
                }
            },
            Json::Other => Ok(false),
            // White space alone is wrapped text; with other text around it, it is
            // a log's line.
            Json::Text(text) => {
                let found = self.look(text.as_bytes(), Certainty::Guessed)?;
                if !found && text.len() > super::encoding::MIN_GUESS && self.layers.len() < 4 {
                    let before = self.pieces.len();
                    self.within(Layer::Text, |search| search.lines_of(text));
                    return Ok(self.pieces.len() > before);
                }
                Ok(found)
            }
        }
    }

    /// The shapes that have a name.
    fn shape(&mut self, value: &Json) -> Option<Looked> {
        if let Some(entries) = value.get("log").and_then(|log| log.get("entries")) {
            let entries = entries.array()?;
            return Some(self.within(Layer::Har, |search| search.har(entries)));
        }
        if let Some(payload) = value.text_of("payload")
            && (value.get("protected").is_some() || value.get("signatures").is_some())
        {
            let protected = value.text_of("protected").or_else(|| {
                let first = value.array_of("signatures").first()?;
                first.text_of("protected")
            });
            let protected = protected.unwrap_or_default();
            return Some(self.within(Layer::Jws, |search| search.jws(protected, payload)));
        }
        if value.get("attObj").is_some() {
            return Some(self.challenge_response(value));
        }
        if let Some(x5c) = value.get("x5c") {
            return Some(self.within(Layer::X5c, |search| search.named_list(x5c, "\"x5c\"")));
        }
        if let Some(list) = value.get("DevicePropertiesAttestation") {
            self.look_beside(value);
            let looked = self.within(Layer::DeviceInformation, |search| {
                search.named_list(list, "\"DevicePropertiesAttestation\"")
            });
            return Some(looked);
        }
        let object = hex(value.text_of("attestation_object_hex")?)?;
        Some(self.within(Layer::Enrolment, |search| {
            search.look_beside(value);
            search.named_object(object, Layer::Hex);
            Ok(true)
        }))
    }

    /// draft-ietf-acme-device-attest-09 section 5: "attObj (required, string):
    /// base64url-encoded attestation object".
    pub(super) fn challenge_response(&mut self, value: &Json) -> Looked {
        let broken = |fault: &str| FormError::Broken {
            form: "a challenge response",
            fault: fault.to_owned(),
        };
        let text = value
            .text_of("attObj")
            .ok_or_else(|| broken("its \"attObj\" is not a text"))?;
        let Some(bytes) = base64(text) else {
            return Err(broken(
                "its \"attObj\" is not base64url: it may have been cut",
            ));
        };
        self.within(Layer::ChallengeResponse, |search| {
            search.named_object(bytes, Layer::Base64);
            if value.get("error").is_some()
                && let Some(piece) = search.pieces.last_mut()
            {
                piece.notes.push(Note::DeviceError);
            }
        });
        Ok(true)
    }

    fn array(&mut self, values: &[Json]) -> Looked {
        // A list of certificates, or a list of anything.
        let list: Option<Vec<Vec<u8>>> = values
            .iter()
            .take(MAX_CERTIFICATES + 1)
            .map(|value| wrapped_base64(value.text()?).filter(|der| is_certificate(der)))
            .collect();
        if let Some(list) = list
            && !list.is_empty()
        {
            return self.within(Layer::CertificateList, |search| {
                search.certificates(list).map(|()| true)
            });
        }
        let mut found = false;
        for value in values {
            let hints = self.hints.clone();
            let looked = self.value(value, false);
            found |= self.kept(looked);
            self.hints = hints;
        }
        Ok(found)
    }

    fn members(&mut self, members: &[(String, Json)]) -> bool {
        self.within(Layer::Json, |search| {
            let mut found = false;
            for (_, value) in members {
                let hints = search.hints.clone();
                let looked = search.value(value, false);
                found |= search.kept(looked);
                search.hints = hints;
            }
            found
        })
    }

    /// Certificates under a key that says so: each is shown, whatever it is.
    fn named_list(&mut self, list: &Json, name: &'static str) -> Looked {
        let broken = |fault: String| FormError::Broken {
            form: "a list of certificates",
            fault,
        };
        let Some(values) = list.array().filter(|values| !values.is_empty()) else {
            return Err(broken(format!("{name} is not an array with certificates")));
        };
        let mut certificates = Vec::new();
        for (index, value) in values.iter().enumerate().take(MAX_CERTIFICATES + 1) {
            let der = value.text().and_then(wrapped_base64);
            certificates.push(der.ok_or_else(|| broken(format!("{name}[{index}] is not base64")))?);
        }
        self.certificates(certificates).map(|()| true)
    }

    /// What stands beside evidence in logs and answers under names that are usual.
    fn look_beside(&mut self, value: &Json) {
        let text = |names: &[&str]| {
            let mut texts = names.iter().filter_map(|name| value.text_of(name));
            texts.find(|text| is_short(text)).map(str::to_owned)
        };
        let hints = &mut self.hints;
        let token = text(&["token"]).filter(|token| is_token(token));
        hints.token = token.or(hints.token.take());
        hints.serial = text(&["serial", "SerialNumber", "serial_number"]).or(hints.serial.take());
        hints.udid = text(&["udid", "UDID"]).or(hints.udid.take());
        let time = text(&["time", "timestamp", "@timestamp", "ts"]);
        hints.time = time.as_deref().and_then(time_of).or(hints.time);
        hints.identifier = identifier_of(value.get("identifier")).or(hints.identifier.take());
    }
}

/// RFC 8555 section 8.3: "It MUST NOT contain any characters outside the
/// base64url alphabet"; tokens of other things are shorter, or have dots.
pub(super) fn is_token(text: &str) -> bool {
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (16..=256).contains(&text.len()) && text.bytes().all(alphabet)
}

/// A time in any form of RFC 3339.
pub(super) fn time_of(text: &str) -> Option<Time> {
    Time::from_seconds(Timestamp::parse(text).ok()?.0)
}

/// An identifier of ACME, of a length that can be ordered.
pub(super) fn identifier_of(value: Option<&Json>) -> Option<WireIdentifier> {
    let value = value?;
    let identifier = WireIdentifier {
        kind: value.text_of("type")?.to_owned(),
        value: value.text_of("value")?.to_owned(),
    };
    (is_short(&identifier.kind) && is_short(&identifier.value)).then_some(identifier)
}

/// Hints are kept with each piece of evidence, so none of them may be large.
pub(super) fn is_short(text: &str) -> bool {
    (1..=MAX_PROPERTY_BYTES).contains(&text.len())
}
