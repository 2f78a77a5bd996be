use crate::JsonError;

/// Why a public key is refused. ACME reports all of these as `badPublicKey`
/// (RFC 8555 section 6.2: "The problem document detail SHOULD describe the
/// reason for rejecting the public key").
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The header's `alg` does not match the `jwk`.
    #[error("the JWK does not hold a key for the header's \"alg\"")]
    AlgorithmMismatch,
    /// `x` or `y` does not have the length of the curve's field, or an Ed25519
    /// key is not 32 octets long.
    #[error(
        "a JWK coordinate does not have the exact length of its curve (RFC 7518 section 6.2.1.2)"
    )]
    CoordinateLength,
    /// The `alg` member contradicts the key.
    #[error("the JWK's \"alg\" does not fit its key type; omit it or correct it")]
    DeclaredAlgorithm,
    /// `use` is not `sig`, or `key_ops` lacks `verify`.
    #[error("the JWK's \"use\" or \"key_ops\" does not allow verifying signatures")]
    DeclaredUse,
    /// The Ed25519 point is not canonically encoded, or has small order, so
    /// that forged signatures verify.
    #[error("the Ed25519 key is not canonical or is of small order")]
    Ed25519Point,
    /// A value is not unpadded canonical base64url.
    #[error("a JWK value is not base64url without padding (RFC 7515 section 2)")]
    Encoding,
    /// The RSA exponent is even, below 3 or longer than 32 bits.
    #[error("the RSA exponent must be odd, from 3 to 32 bits; 65537 is usual")]
    Exponent,
    /// The `jwk` is not one strict JSON object.
    #[error("JWK: {0}")]
    Json(#[from] JsonError),
    /// An RSA value starts with a zero octet.
    #[error("an RSA value has leading zero octets (RFC 7518 section 2)")]
    LeadingZero,
    /// A JWK member that must be a string has another type.
    #[error("a JWK member that must be a string has another type")]
    MemberNotString,
    /// A member that the key type requires is missing.
    #[error("the JWK lacks a member that its key type requires (RFC 7518 section 6)")]
    MissingMember,
    /// The RSA modulus is even.
    #[error("the RSA modulus is even")]
    ModulusEven,
    /// The RSA modulus is shorter than 2048 or longer than 4096 bits.
    #[error("the RSA modulus must have 2048 to 4096 bits")]
    ModulusSize,
    /// The coordinates are not a point on the curve.
    #[error("the coordinates are not a point on the curve")]
    NotOnCurve,
    /// The JWK contains private or symmetric key material.
    #[error("the JWK holds private key material; discard this key and send a public key only")]
    PrivateMember,
    /// The SubjectPublicKeyInfo is not the canonical form of a supported type.
    #[error(
        "the SubjectPublicKeyInfo is not a P-256, P-384, P-521, Ed25519 or RSA key in canonical DER"
    )]
    Spki,
    /// The curve is not P-256, P-384, P-521 (EC) or Ed25519 (OKP).
    #[error("unsupported curve; use P-256, P-384, P-521 or Ed25519")]
    UnsupportedCurve,
    /// The key type is not EC, OKP or RSA.
    #[error("unsupported key type; use EC, OKP or RSA")]
    UnsupportedKeyType,
}
