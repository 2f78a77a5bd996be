mod error;
mod header;
#[cfg(test)]
mod tests;
mod verify;

use std::{borrow::Cow, fmt};

use data_encoding::BASE64URL_NOPAD;
use serde::de::{IgnoredAny, MapAccess};

use crate::{
    Algorithm, PublicKey,
    json::{self, Shape, Value},
};

pub use error::{EnvelopeError, SignatureError};
use header::{Header, Place};
pub use verify::Verified;

/// Who claims to have signed an envelope (RFC 8555 section 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The `jwk` header parameter: newAccount, revocation by certificate key,
    /// and the inner JWS of a key rollover.
    Jwk(PublicKey),
    /// The `kid` header parameter: an account URL, not yet known to exist.
    Kid(String),
}

/// A JWS in the flattened JSON serialization (RFC 7515 section 7.2.2), parsed
/// but not verified. Its payload is accessible only after
/// [`verify`](Self::verify).
pub struct Envelope {
    algorithm: Algorithm,
    nonce: String,
    payload: Vec<u8>,
    signature: Vec<u8>,
    signer: Signer,
    /// RFC 7515 section 5.1: `protected`, a full stop, `payload`, as sent.
    signing_input: String,
    url: String,
}

impl Envelope {
    /// Parses the body of an ACME request (RFC 8555 section 6.2).
    ///
    /// The caller must check that the URL is that of the request, the nonce is
    /// fresh and the `kid` is an account.
    ///
    /// # Errors
    /// [`EnvelopeError::BadAlgorithm`] and [`EnvelopeError::BadKey`] have ACME
    /// problem types of their own; every other error is `malformed`.
    pub fn parse(body: &[u8]) -> Result<Self, EnvelopeError> {
        Self::parse_at(Place::Request, body)
    }

    /// Parses the inner JWS of a key rollover (RFC 8555 section 7.3.5), which
    /// carries a `jwk` and no nonce: [`nonce`](Self::nonce) is empty.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_inner(body: &[u8]) -> Result<Self, EnvelopeError> {
        Self::parse_at(Place::KeyChange, body)
    }

    fn parse_at(place: Place, body: &[u8]) -> Result<Self, EnvelopeError> {
        let members: Members<'_> = json::parse(body).map_err(EnvelopeError::Body)?;
        if let Some(refusal) = members.refusal {
            return Err(refusal);
        }
        let protected = text(members.protected, EnvelopeError::MissingProtected)?;
        // RFC 8555 section 6.2: "The JWS Payload MUST NOT be detached"
        let payload_text = text(members.payload, EnvelopeError::MissingPayload)?;
        let signature = text(members.signature, EnvelopeError::MissingSignature)?;

        let header_json = decode(&protected).ok_or(EnvelopeError::ProtectedEncoding)?;
        let payload = decode(&payload_text).ok_or(EnvelopeError::PayloadEncoding)?;
        let signature = decode(&signature).ok_or(EnvelopeError::SignatureEncoding)?;
        let header = Header::parse(place, &header_json)?;

        Ok(Self {
            algorithm: header.algorithm,
            nonce: header.nonce,
            payload,
            signature,
            signer: header.signer,
            signing_input: [&*protected, ".", &*payload_text].concat(),
            url: header.url,
        })
    }

    /// The `url` header parameter, never empty. The caller compares it with the
    /// URL of the request (RFC 8555 section 6.4).
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The `nonce` header parameter; empty for an inner JWS, which has none.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The `alg` header parameter. With a `jwk` it is that key's algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Who claims to have signed.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }
}

/// Omits the payload: it is not authenticated and may identify a device.
impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("algorithm", &self.algorithm)
            .field("signer", &self.signer)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The members of the JWS object, as sent.
#[derive(Default)]
struct Members<'a> {
    payload: Option<Value<'a>>,
    protected: Option<Value<'a>>,
    /// The error for the first member that ACME forbids.
    refusal: Option<EnvelopeError>,
    signature: Option<Value<'a>>,
}

impl<'de> Shape<'de> for Members<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let refusal = match name {
            "payload" => {
                self.payload = Some(map.next_value()?);
                return Ok(());
            }
            "protected" => {
                self.protected = Some(map.next_value()?);
                return Ok(());
            }
            "signature" => {
                self.signature = Some(map.next_value()?);
                return Ok(());
            }
            // RFC 8555 section 6.2: "The JWS Unprotected Header [RFC7515] MUST
            // NOT be used"
            "header" => EnvelopeError::UnprotectedHeader,
            // RFC 8555 section 6.2: "The JWS MUST NOT have multiple signatures"
            "signatures" => EnvelopeError::MultipleSignatures,
            // RFC 7515 section 7.2.1: "Additional members can be present in
            // the JSON objects defined above; if not understood by
            // implementations encountering them, they MUST be ignored."
            _ => return map.next_value::<IgnoredAny>().map(drop),
        };
        self.refusal.get_or_insert(refusal);
        map.next_value::<IgnoredAny>().map(drop)
    }
}

fn text(member: Option<Value<'_>>, missing: EnvelopeError) -> Result<Cow<'_, str>, EnvelopeError> {
    member
        .ok_or(missing)?
        .text()
        .ok_or(EnvelopeError::MemberNotString)
}

/// RFC 8555 section 6.1: "Encoded values that include trailing '=' characters
/// MUST be rejected as improperly encoded." Non-zero trailing bits and
/// whitespace are refused too, so that one value has one encoding.
fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}
