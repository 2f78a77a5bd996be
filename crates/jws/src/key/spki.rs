use der::{
    Decode, Sequence,
    asn1::{BitStringRef, Null, ObjectIdentifier, UintRef},
};

use super::{
    KeyError, PublicKey,
    curve::{CURVES, ED25519_SPKI_PREFIX},
    import,
};

/// Parses a SubjectPublicKeyInfo: extracts the key, encodes it again, and
/// refuses input that differs from this canonical encoding.
pub(super) fn import(spki: &[u8]) -> Result<PublicKey, KeyError> {
    for curve in &CURVES {
        if let Some(point) = spki.strip_prefix(curve.spki_prefix)
            && let Some((x, y)) = point.split_at_checked(curve.coordinate_len)
        {
            return import::ec(curve, x, y);
        }
    }
    if let Some(key) = spki.strip_prefix(ED25519_SPKI_PREFIX) {
        return import::ed25519(key);
    }
    let info = RsaPublicKeyInfo::from_der(spki).map_err(|_| KeyError::Spki)?;
    let bits = info.subject_public_key.as_bytes().ok_or(KeyError::Spki)?;
    let rsa = RsaPublicKey::from_der(bits).map_err(|_| KeyError::Spki)?;
    let key = import::rsa(rsa.modulus.as_bytes(), rsa.public_exponent.as_bytes())?;
    if key.spki_der() != spki {
        return Err(KeyError::Spki);
    }
    Ok(key)
}

/// RFC 5280 section 4.1 for RSA keys. The object identifier is compared as
/// part of the whole encoding.
///
/// ```text
/// SubjectPublicKeyInfo  ::=  SEQUENCE  {
///      algorithm            AlgorithmIdentifier,
///      subjectPublicKey     BIT STRING  }
/// ```
#[derive(Sequence)]
struct RsaPublicKeyInfo<'a> {
    algorithm: RsaAlgorithm,
    subject_public_key: BitStringRef<'a>,
}

/// RFC 3279 section 2.3.1: "The parameters field MUST have ASN.1 type NULL for
/// this algorithm identifier."
#[derive(Sequence)]
struct RsaAlgorithm {
    algorithm: ObjectIdentifier,
    parameters: Null,
}

/// RFC 8017 appendix A.1.1.
///
/// ```text
/// RSAPublicKey ::= SEQUENCE {
///     modulus           INTEGER,  -- n
///     publicExponent    INTEGER   -- e
/// }
/// ```
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}
