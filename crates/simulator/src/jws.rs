//! Signed requests, correct or deliberately wrong.

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};

use crate::jose::{AccountKey, JoseError};

/// A flattened JWS before it is signed (RFC 8555 section 6.2).
///
/// [`AcmeClient::send`](crate::AcmeClient::send) supplies `alg`, `nonce`, `url` and `kid` or `jwk`.
/// Values that are set here take precedence and are signed too. So each request is correct except
/// where a test makes it wrong.
///
/// ```
/// # use assay_simulator::Jws;
/// let wrong = Jws::post_as_get("https://ca.example/order/1")
///     .with("url", "https://ca.example/order/2")
///     .without("nonce");
/// ```
#[derive(Clone, Debug)]
pub struct Jws {
    url: String,
    payload: Vec<u8>,
    names_key: bool,
    protected: BTreeMap<String, Option<Value>>,
    signature: Option<Vec<u8>>,
    envelope: Map<String, Value>,
}

impl Jws {
    /// A request with a JSON payload.
    #[must_use]
    pub fn new(url: &str, payload: &Value) -> Self {
        Self::with_payload(url, payload.to_string().into_bytes())
    }

    /// A request with an empty payload (RFC 8555 section 6.3).
    #[must_use]
    pub fn post_as_get(url: &str) -> Self {
        Self::with_payload(url, Vec::new())
    }

    /// A request with any payload, JSON or not.
    #[must_use]
    pub fn with_payload(url: &str, payload: Vec<u8>) -> Self {
        Self {
            url: url.to_owned(),
            payload,
            names_key: false,
            protected: BTreeMap::new(),
            signature: None,
            envelope: Map::new(),
        }
    }

    /// Identifies the key by `jwk`, even if the account has a `kid`.
    #[must_use]
    pub fn with_jwk(self) -> Self {
        Self {
            names_key: true,
            ..self
        }
    }

    /// Sets a member of the protected header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.protected.insert(name.to_owned(), Some(value.into()));
        self
    }

    /// Removes a member from the protected header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.protected.insert(name.to_owned(), None);
        self
    }

    /// Replaces the signature with these bytes.
    #[must_use]
    pub fn with_signature(self, signature: Vec<u8>) -> Self {
        Self {
            signature: Some(signature),
            ..self
        }
    }

    /// Sets a member of the envelope, such as `header` or `signatures`, beside `protected`,
    /// `payload` and `signature` or instead of one of them.
    #[must_use]
    pub fn with_envelope_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.envelope.insert(name.to_owned(), value.into());
        self
    }

    /// The URL of the request.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the test sets the nonce itself.
    pub(crate) fn decides_nonce(&self) -> bool {
        self.protected.contains_key("nonce")
    }

    /// Signs. Without a `kid` the key is identified by `jwk`; without a nonce the header has none,
    /// as in the inner JWS of a key change (RFC 8555 section 7.3.5).
    ///
    /// # Errors
    ///
    /// [`JoseError`] if the key cannot sign.
    pub fn sign(
        &self,
        key: &AccountKey,
        kid: Option<&str>,
        nonce: Option<&str>,
    ) -> Result<Value, JoseError> {
        let mut jws = self.clone();
        let mut supply = |name: &str, value: Value| {
            jws.protected.entry(name.to_owned()).or_insert(Some(value));
        };
        supply("alg", json!(key.algorithm().name()));
        match kid.filter(|_| !self.names_key) {
            Some(kid) => supply("kid", json!(kid)),
            None => supply("jwk", key.jwk()),
        }
        if let Some(nonce) = nonce {
            supply("nonce", json!(nonce));
        }
        jws.serialize(|message| key.sign(message))
    }

    /// Encodes the envelope. `sign` makes the signature over the JWS signing input (RFC 7515
    /// section 5.1).
    pub(crate) fn serialize(
        mut self,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, JoseError>,
    ) -> Result<Value, JoseError> {
        self.protected
            .entry("url".to_owned())
            .or_insert(Some(json!(self.url)));
        let protected: Map<_, _> = self
            .protected
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let protected = BASE64URL_NOPAD.encode(Value::Object(protected).to_string().as_bytes());
        let payload = BASE64URL_NOPAD.encode(&self.payload);
        let signature = match self.signature {
            Some(given) => given,
            None => sign(format!("{protected}.{payload}").as_bytes())?,
        };
        let mut envelope = Map::new();
        envelope.insert("protected".to_owned(), protected.into());
        envelope.insert("payload".to_owned(), payload.into());
        envelope.insert(
            "signature".to_owned(),
            BASE64URL_NOPAD.encode(&signature).into(),
        );
        envelope.extend(self.envelope);
        Ok(Value::Object(envelope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Algorithm;

    const URL: &str = "https://ca.example/order/1";

    fn protected(envelope: &Value) -> Value {
        let text = envelope["protected"].as_str().unwrap();
        serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()).unwrap()
    }

    fn key() -> AccountKey {
        AccountKey::generate(Algorithm::Es256).unwrap()
    }

    #[test]
    fn a_plain_request_names_algorithm_account_nonce_and_url_and_nothing_else() {
        let envelope = Jws::post_as_get(URL)
            .sign(&key(), Some("https://ca.example/acct/1"), Some("n"))
            .unwrap();
        assert_eq!(
            protected(&envelope),
            json!({"alg": "ES256", "kid": "https://ca.example/acct/1", "nonce": "n", "url": URL})
        );
        assert_eq!(envelope["payload"], "");
        assert_eq!(envelope.as_object().unwrap().len(), 3);
    }

    #[test]
    fn the_key_is_named_by_jwk_without_an_account_and_on_request() {
        let key = key();
        let named = json!({"alg": "ES256", "jwk": key.jwk(), "url": URL});
        let without_account = Jws::post_as_get(URL).sign(&key, None, None).unwrap();
        assert_eq!(protected(&without_account), named);
        let on_request = Jws::post_as_get(URL)
            .with_jwk()
            .sign(&key, Some("https://ca.example/acct/1"), None)
            .unwrap();
        assert_eq!(protected(&on_request), named);
    }

    #[test]
    fn what_the_test_sets_or_takes_away_wins() {
        let envelope = Jws::new(URL, &json!({"a": 1}))
            .with("alg", "none")
            .with("jwk", json!({}))
            .with("crit", json!(["b64"]))
            .without("url")
            .without("nonce")
            .with_envelope_member("header", json!({"nonce": "n"}))
            .with_signature(b"garbage".to_vec())
            .sign(&key(), Some("k"), Some("n"))
            .unwrap();
        assert_eq!(
            protected(&envelope),
            json!({"alg": "none", "crit": ["b64"], "jwk": {}, "kid": "k"})
        );
        assert_eq!(envelope["header"], json!({"nonce": "n"}));
        assert_eq!(
            envelope["signature"],
            json!(BASE64URL_NOPAD.encode(b"garbage"))
        );
        assert_eq!(
            envelope["payload"],
            json!(BASE64URL_NOPAD.encode(br#"{"a":1}"#))
        );
    }
}
