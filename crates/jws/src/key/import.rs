use std::sync::Arc;

use aws_lc_rs::signature::{
    ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use data_encoding::BASE64URL_NOPAD;

use super::{
    Inner, KeyError, PublicKey,
    curve::{Curve, ED25519_SPKI_PREFIX},
};
use crate::{Algorithm, Thumbprint};

/// The y-coordinates, little-endian, of the Ed25519 points whose order divides
/// 8. With such a key one signature can verify for many messages.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    *b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\
       \xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
    *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\
       \x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
    *b"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
       \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
];

/// Imports an ECDSA key from its coordinates.
pub(super) fn ec(curve: &Curve, x: &[u8], y: &[u8]) -> Result<PublicKey, KeyError> {
    // RFC 7518 section 6.2.1.2: "The length of this octet string MUST be the
    // full size of a coordinate for the curve specified in the "crv"
    // parameter." Other lengths would give one key several thumbprints.
    if x.len() != curve.coordinate_len || y.len() != curve.coordinate_len {
        return Err(KeyError::CoordinateLength);
    }
    let spki = [curve.spki_prefix, x, y].concat();
    let parsed = ParsedPublicKey::new(curve.verifier, spki).map_err(|_| KeyError::NotOnCurve)?;
    let jwk = format!(
        r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
        curve.name,
        BASE64URL_NOPAD.encode_display(x),
        BASE64URL_NOPAD.encode_display(y),
    );
    Ok(finish(
        curve.algorithm,
        jwk,
        parsed,
        2 * curve.coordinate_len,
    ))
}

/// Imports an Ed25519 key.
///
/// Whether the point is on the curve is checked only when a signature is
/// verified; verification then fails.
pub(super) fn ed25519(x: &[u8]) -> Result<PublicKey, KeyError> {
    let mut y: [u8; 32] = x.try_into().map_err(|_| KeyError::CoordinateLength)?;
    // RFC 8032 section 5.1.3: "If the resulting value is >= p, decoding
    // fails"; p is 2^255 - 19. The top bit is the sign of x.
    y[31] &= 0x7f;
    let beyond_field = y[0] >= 0xed && y[1..31].iter().all(|b| *b == 0xff) && y[31] == 0x7f;
    if beyond_field || SMALL_ORDER.contains(&y) {
        return Err(KeyError::Ed25519Point);
    }
    let spki = [ED25519_SPKI_PREFIX, x].concat();
    let parsed = ParsedPublicKey::new(&ED25519, spki).map_err(|_| KeyError::Ed25519Point)?;
    let jwk = format!(
        r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
        BASE64URL_NOPAD.encode_display(x),
    );
    Ok(finish(Algorithm::EdDsa, jwk, parsed, 64))
}

/// Imports an RSA key from its big-endian modulus and exponent.
pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<PublicKey, KeyError> {
    let (Some(n_first), Some(e_first)) = (n.first(), e.first()) else {
        return Err(KeyError::MissingMember);
    };
    // RFC 7518 section 2: "the octet sequence MUST utilize the minimum number
    // of octets needed to represent the value." (Base64urlUInt)
    if *n_first == 0 || *e_first == 0 {
        return Err(KeyError::LeadingZero);
    }
    // RFC 7518 section 3.3: "A key of size 2048 bits or larger MUST be used".
    // Without the upper limits one request could cost milliseconds.
    let bits = n.len() * 8 - n_first.leading_zeros() as usize;
    if !(2048..=4096).contains(&bits) {
        return Err(KeyError::ModulusSize);
    }
    if n.last().is_some_and(|last| last & 1 == 0) {
        return Err(KeyError::ModulusEven);
    }
    if e.len() > 4 || e == [1] || e.last().is_some_and(|last| last & 1 == 0) {
        return Err(KeyError::Exponent);
    }
    // The checks above cover everything that the import can refuse.
    let parsed = RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| KeyError::Exponent)?;
    let jwk = format!(
        r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
        BASE64URL_NOPAD.encode_display(e),
        BASE64URL_NOPAD.encode_display(n),
    );
    Ok(finish(Algorithm::Rs256, jwk, parsed, n.len()))
}

fn finish(
    algorithm: Algorithm,
    jwk: String,
    parsed: ParsedPublicKey,
    signature_len: usize,
) -> PublicKey {
    PublicKey(Arc::new(Inner {
        algorithm,
        thumbprint: Thumbprint::of_canonical_jwk(&jwk),
        jwk,
        parsed,
        signature_len,
    }))
}
