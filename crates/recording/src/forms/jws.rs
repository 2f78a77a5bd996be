//! JWS, as ACME clients send them. No signature is verified.

use super::{Content, FormError, Layer, Looked, Search, encoding::base64, json};

/// Bytes of a URL that is kept with evidence.
const MAX_URL_BYTES: usize = 2048;

impl Search {
    /// A JWS with this protected header and payload, both base64url.
    pub(super) fn jws(&mut self, protected: &str, payload: &str) -> Looked {
        let header = decoded(protected);
        let url = header.as_ref().and_then(|header| header.text_of("url"));
        if let Some(url) = url.filter(|url| url.len() <= MAX_URL_BYTES) {
            self.hints.url = Some(url.to_owned());
        }
        let Some(payload) = decoded(payload) else {
            return Err(FormError::NoEvidence {
                form: "a JWS",
                lacks: "its payload is not the base64url of JSON. Give the request that answers the challenge",
            });
        };
        if let Some(csr) = payload.text_of("csr").and_then(base64) {
            self.found(Content::Csr(csr), Vec::new());
            return Ok(true);
        }
        if payload.get("attObj").is_some() {
            return self.within(Layer::Base64, |search| search.challenge_response(&payload));
        }
        Err(FormError::NoEvidence {
            form: "a JWS",
            lacks: if payload.get("error").is_some() {
                "its payload has the device's own error instead of \"attObj\""
            } else {
                "its payload has no \"attObj\". Give the request that answers the challenge"
            },
        })
    }

    /// RFC 7515 section 7.1: header, payload and signature in base64url, with dots
    /// between them.
    pub(super) fn compact_jws(&mut self, text: &str) -> Looked {
        let mut parts = text.split('.');
        let (Some(protected), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Ok(false);
        };
        // `eyJ` is what `{"` begins.
        if !protected.starts_with("eyJ") || decoded(protected).is_none() {
            return Ok(false);
        }
        self.within(Layer::JwsCompact, |search| search.jws(protected, payload))
    }
}

/// JSON in base64url.
pub(super) fn decoded(text: &str) -> Option<json::Json> {
    let bytes = base64(text)?;
    json::parse(std::str::from_utf8(&bytes).ok()?).ok()
}
