use std::borrow::Cow;

use serde::de::{IgnoredAny, MapAccess};

use super::{EnvelopeError, Signer};
use crate::{
    Algorithm, JsonError, KeyError,
    json::{self, Shape, Value},
    key::Jwk,
};

/// Where an envelope occurs, which decides what its header must contain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The payload of a keyChange request (RFC 8555 section 7.3.5).
    KeyChange,
    /// The body of a request (RFC 8555 section 6.2).
    Request,
}

/// A protected header that is valid for its place (RFC 8555).
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    /// Empty in an inner JWS.
    pub(super) nonce: String,
    pub(super) signer: Signer,
    pub(super) url: String,
}

impl Header {
    pub(super) fn parse(place: Place, json: &[u8]) -> Result<Self, EnvelopeError> {
        let members: Members<'_> = json::parse(json).map_err(EnvelopeError::Protected)?;

        // RFC 7515 section 4.1.11: "If any of the listed extension Header
        // Parameters are not understood and supported by the recipient, then
        // the JWS is invalid." None is supported, and an empty list is invalid.
        if members.crit {
            return Err(EnvelopeError::Critical);
        }
        // RFC 8555 section 6.2: "The JWS Unencoded Payload Option [RFC7797]
        // MUST NOT be used"
        if members.b64 {
            return Err(EnvelopeError::UnencodedPayload);
        }

        // RFC 8555 section 6.2: "This field MUST NOT contain "none" or a
        // Message Authentication Code (MAC) algorithm"
        let algorithm = members.alg.and_then(Value::text);
        let algorithm = Algorithm::from_name(&algorithm.ok_or(EnvelopeError::MissingAlgorithm)?)
            .ok_or(EnvelopeError::BadAlgorithm)?;

        // RFC 8555 section 6.4.1: "The value of the "url" header parameter MUST
        // be a string representing the target URL."
        let url = members.url.ok_or(EnvelopeError::MissingUrl)?;
        let url = not_empty(url).ok_or(EnvelopeError::UrlNotUrl)?;

        let nonce = match (place, members.nonce) {
            (Place::Request, Some(nonce)) => nonce
                .text()
                .filter(|nonce| is_base64url(nonce))
                .ok_or(EnvelopeError::NonceEncoding)?,
            (Place::Request, None) => return Err(EnvelopeError::MissingNonce),
            // RFC 8555 section 7.3.5: "The inner JWS MUST omit the "nonce"
            // header parameter."
            (Place::KeyChange, Some(_)) => return Err(EnvelopeError::NonceInInner),
            (Place::KeyChange, None) => Cow::Borrowed(""),
        };

        let signer = match (members.jwk, members.kid) {
            // RFC 8555 section 6.2: "The "jwk" and "kid" fields are mutually
            // exclusive. Servers MUST reject requests that contain both."
            (Some(_), Some(_)) => return Err(EnvelopeError::JwkAndKid),
            (Some(jwk), None) => {
                let key = match jwk {
                    Value::Object(jwk) => jwk
                        .map_err(KeyError::Json)
                        .and_then(|jwk| jwk.import(Some(algorithm))),
                    _ => Err(KeyError::Json(JsonError::NotAnObject)),
                };
                Signer::Jwk(key.map_err(EnvelopeError::BadKey)?)
            }
            // RFC 8555 section 7.3.5: "The inner JWS MUST have a "jwk" header
            // parameter, containing the public key of the new key pair."
            (None, _) if place == Place::KeyChange => return Err(EnvelopeError::MissingInnerKey),
            (None, Some(kid)) => {
                Signer::Kid(not_empty(kid).ok_or(EnvelopeError::KidNotUrl)?.into_owned())
            }
            (None, None) => return Err(EnvelopeError::MissingSigner),
        };

        Ok(Self {
            algorithm,
            nonce: nonce.into_owned(),
            signer,
            url: url.into_owned(),
        })
    }
}

/// The header parameters that are used, as sent. Others, such as `typ`, are
/// ignored (RFC 7515 section 4.2); URLs of keys and certificates are never
/// fetched.
#[derive(Default)]
struct Members<'a> {
    alg: Option<Value<'a>>,
    b64: bool,
    crit: bool,
    jwk: Option<Value<'a, Jwk<'a>>>,
    kid: Option<Value<'a>>,
    nonce: Option<Value<'a>>,
    url: Option<Value<'a>>,
}

impl<'de> Shape<'de> for Members<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "alg" => self.alg = Some(map.next_value()?),
            "jwk" => self.jwk = Some(map.next_value()?),
            "kid" => self.kid = Some(map.next_value()?),
            "nonce" => self.nonce = Some(map.next_value()?),
            "url" => self.url = Some(map.next_value()?),
            _ => {
                self.b64 |= name == "b64";
                self.crit |= name == "crit";
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

fn not_empty(value: Value<'_>) -> Option<Cow<'_, str>> {
    value.text().filter(|text| !text.is_empty())
}

/// RFC 8555 section 6.5.2: "If the value of a "nonce" header parameter is not
/// valid according to this encoding, then the verifier MUST reject the JWS as
/// malformed." No octets encode to a length of 4n + 1. The sample nonce of
/// section 7.3 has non-zero trailing bits, so these are accepted: a nonce that
/// this server did not issue is refused later.
fn is_base64url(nonce: &str) -> bool {
    !nonce.is_empty()
        && nonce.len() % 4 != 1
        && nonce
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
