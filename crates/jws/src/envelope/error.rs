use crate::{JsonError, KeyError};

/// Why a request body is not an acceptable envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// `alg` is none, a MAC or otherwise unsupported: `badSignatureAlgorithm`.
    #[error(
        "the \"alg\" of the protected header is not supported; use ES256, ES384, ES512, EdDSA or RS256"
    )]
    BadAlgorithm,
    /// The `jwk` is refused: `badPublicKey`.
    #[error("the \"jwk\" of the protected header is refused: {0}")]
    BadKey(KeyError),
    /// The body is not exactly one well-formed JSON object.
    #[error("JWS object: {0}")]
    Body(JsonError),
    /// The header has `crit` (RFC 7515 section 4.1.11).
    #[error("the protected header has \"crit\", but no critical extension is supported")]
    Critical,
    /// The header has `jwk` and `kid`.
    #[error(
        "the protected header has both \"jwk\" and \"kid\"; send exactly one (RFC 8555 section 6.2)"
    )]
    JwkAndKid,
    /// `protected`, `payload` or `signature` is not a string.
    #[error("\"protected\", \"payload\" and \"signature\" must be strings")]
    MemberNotString,
    /// The header has no `alg`, or it is not a string.
    #[error("the protected header lacks a string \"alg\"")]
    MissingAlgorithm,
    /// An inner JWS has no `jwk`.
    #[error(
        "the inner JWS of a key change must have \"jwk\" and no \"kid\" (RFC 8555 section 7.3.5)"
    )]
    MissingInnerKey,
    /// The header has no `nonce`.
    #[error("the protected header lacks \"nonce\"; get one from newNonce (RFC 8555 section 6.5)")]
    MissingNonce,
    /// The object has no `payload`.
    #[error(
        "the JWS object lacks \"payload\"; a POST-as-GET has an empty string (RFC 8555 section 6.3)"
    )]
    MissingPayload,
    /// The object has no `protected`.
    #[error("the JWS object lacks \"protected\"")]
    MissingProtected,
    /// The object has no `signature`.
    #[error("the JWS object lacks \"signature\"")]
    MissingSignature,
    /// The header has neither `jwk` nor `kid`.
    #[error(
        "the protected header has neither \"jwk\" nor \"kid\"; send exactly one (RFC 8555 section 6.2)"
    )]
    MissingSigner,
    /// The header has no `url`.
    #[error("the protected header lacks \"url\" (RFC 8555 section 6.4)")]
    MissingUrl,
    /// The object is in the general serialization.
    #[error(
        "the JWS object has \"signatures\"; use the flattened JSON serialization (RFC 8555 section 6.2)"
    )]
    MultipleSignatures,
    /// `nonce` is not a base64url string.
    #[error("the \"nonce\" of the protected header is not base64url (RFC 8555 section 6.5.2)")]
    NonceEncoding,
    /// An inner JWS has a `nonce`.
    #[error("the inner JWS of a key change must omit \"nonce\" (RFC 8555 section 7.3.5)")]
    NonceInInner,
    /// `payload` is not strict base64url.
    #[error("\"payload\" is not base64url without padding (RFC 7515 section 2)")]
    PayloadEncoding,
    /// The protected header is not exactly one well-formed JSON object.
    #[error("protected header: {0}")]
    Protected(JsonError),
    /// `protected` is not strict base64url.
    #[error("\"protected\" is not base64url without padding (RFC 7515 section 2)")]
    ProtectedEncoding,
    /// `signature` is not strict base64url.
    #[error("\"signature\" is not base64url without padding (RFC 7515 section 2)")]
    SignatureEncoding,
    /// `kid` is not a string, or is empty.
    #[error("the \"kid\" of the protected header is not an account URL")]
    KidNotUrl,
    /// The header has `b64` (RFC 7797).
    #[error(
        "the protected header has \"b64\"; the payload is always base64url (RFC 8555 section 6.2)"
    )]
    UnencodedPayload,
    /// The object has an unprotected `header`.
    #[error("the JWS object has an unprotected \"header\" (RFC 8555 section 6.2)")]
    UnprotectedHeader,
    /// `url` is not a string, or is empty.
    #[error("the \"url\" of the protected header is not a URL")]
    UrlNotUrl,
}

/// Why an envelope does not count as signed by the given key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header's `alg` is not the one that the key signs with.
    #[error("the \"alg\" of the protected header is not that of the account's key")]
    AlgorithmMismatch,
    /// The signature does not verify.
    #[error("the JWS signature does not verify with the signer's key")]
    Invalid,
    /// The header's `jwk` is another key than the one to verify with.
    #[error("the \"jwk\" of the protected header is not the expected key")]
    KeyMismatch,
    /// The signature cannot be one of this key: its length is wrong.
    #[error(
        "the JWS signature does not have the length that its \"alg\" demands (RFC 7518 section 3)"
    )]
    Length,
}
