//! Verifies the self-signature of a CSR.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use const_oid::db::{
    rfc5912::{
        ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, ID_EC_PUBLIC_KEY,
        RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1, SHA_256_WITH_RSA_ENCRYPTION,
        SHA_384_WITH_RSA_ENCRYPTION, SHA_512_WITH_RSA_ENCRYPTION,
    },
    rfc8410::ID_ED_25519,
};
use der::{
    Decode, Sequence,
    asn1::{BitStringRef, UintRef},
};
use x509_cert::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use super::CsrError;

/// A key with the one algorithm that its signature names.
pub(super) struct Verification<'a> {
    algorithm: &'static dyn VerificationAlgorithm,
    public_key: &'a [u8],
}

impl Verification<'_> {
    pub(super) fn verify(
        &self,
        signed: &[u8],
        signature: &BitStringRef<'_>,
    ) -> Result<(), CsrError> {
        let signature = signature
            .as_bytes()
            .ok_or(CsrError::Malformed("signature"))?;
        UnparsedPublicKey::new(self.algorithm, self.public_key)
            .verify(signed, signature)
            .map_err(|_| CsrError::BadSignature)
    }
}

enum Key {
    P256,
    P384,
    Rsa,
    Ed25519,
}

/// Selects the algorithm by the key and by the digest that the signature names.
/// The digest is not tied to the curve: OpenSSL signs with SHA-256 on P-384 by
/// default.
pub(super) fn algorithm<'a>(
    spki: &SubjectPublicKeyInfoRef<'a>,
    claimed: &AlgorithmIdentifierRef<'_>,
) -> Result<Verification<'a>, CsrError> {
    let (key, public_key) = read_key(spki)?;
    // RFC 5758 section 3.2 has ECDSA omit the parameters, RFC 4055 section 5
    // has RSA write NULL "and implementations MUST accept the parameters being
    // absent as well as present". Both forms are accepted for both.
    let plain = match claimed.parameters {
        None => true,
        Some(parameters) => parameters.is_null() && !matches!(key, Key::Ed25519),
    };
    if !plain {
        return Err(CsrError::UnsupportedSignature);
    }
    let algorithm: &'static dyn VerificationAlgorithm = match (key, claimed.oid) {
        (Key::P256, ECDSA_WITH_SHA_256) => &ECDSA_P256_SHA256_ASN1,
        (Key::P256, ECDSA_WITH_SHA_384) => &ECDSA_P256_SHA384_ASN1,
        (Key::P256, ECDSA_WITH_SHA_512) => &ECDSA_P256_SHA512_ASN1,
        (Key::P384, ECDSA_WITH_SHA_256) => &ECDSA_P384_SHA256_ASN1,
        (Key::P384, ECDSA_WITH_SHA_384) => &ECDSA_P384_SHA384_ASN1,
        (Key::P384, ECDSA_WITH_SHA_512) => &ECDSA_P384_SHA512_ASN1,
        (Key::Rsa, SHA_256_WITH_RSA_ENCRYPTION) => &RSA_PKCS1_2048_8192_SHA256,
        (Key::Rsa, SHA_384_WITH_RSA_ENCRYPTION) => &RSA_PKCS1_2048_8192_SHA384,
        (Key::Rsa, SHA_512_WITH_RSA_ENCRYPTION) => &RSA_PKCS1_2048_8192_SHA512,
        (Key::Ed25519, ID_ED_25519) => &ED25519,
        _ => return Err(CsrError::UnsupportedSignature),
    };
    Ok(Verification {
        algorithm,
        public_key,
    })
}

/// Returns the key's type and its bytes in the verifier's format: an
/// uncompressed point, an `RSAPublicKey`, or 32 bytes.
fn read_key<'a>(spki: &SubjectPublicKeyInfoRef<'a>) -> Result<(Key, &'a [u8]), CsrError> {
    let public_key = spki
        .subject_public_key
        .as_bytes()
        .ok_or(CsrError::Malformed("public key"))?;
    let key = match (spki.algorithm.oid, spki.algorithm.parameters) {
        (ID_EC_PUBLIC_KEY, Some(curve)) => {
            let (key, length) = match curve.decode_as() {
                Ok(SECP_256_R_1) => (Key::P256, 65),
                Ok(SECP_384_R_1) => (Key::P384, 97),
                _ => return Err(CsrError::UnsupportedKey),
            };
            // SEC 1 section 2.3.3: 04 marks an uncompressed point.
            if public_key.first() != Some(&4) || public_key.len() != length {
                return Err(CsrError::UnsupportedKey);
            }
            key
        }
        // RFC 3279 section 2.3.1: "The parameters field MUST have ASN.1 type
        // NULL for this algorithm identifier."
        (RSA_ENCRYPTION, Some(parameters)) if parameters.is_null() => {
            check_rsa_key(public_key)?;
            Key::Rsa
        }
        // RFC 8410 section 3: "the parameters MUST be absent".
        (ID_ED_25519, None) if public_key.len() == 32 => Key::Ed25519,
        _ => return Err(CsrError::UnsupportedKey),
    };
    Ok((key, public_key))
}

/// RFC 8017 appendix A.1.1:
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

/// Limits the size, because large moduli and exponents cost milliseconds per
/// verification.
fn check_rsa_key(der: &[u8]) -> Result<(), CsrError> {
    let key = RsaPublicKey::from_der(der).map_err(|_| CsrError::Malformed("public key"))?;
    let modulus = key.modulus.as_bytes();
    let leading_zeros = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let bits = modulus.len() * 8 - leading_zeros as usize;
    let exponent = key.public_exponent.as_bytes();
    if bits > 4096 || exponent.len() > 4 {
        return Err(CsrError::UnsupportedKey);
    }
    let exponent = exponent
        .iter()
        .fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
    if bits < 2048 || exponent < 65_537 || exponent % 2 == 0 {
        return Err(CsrError::WeakKey);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use const_oid::ObjectIdentifier;
    use der::{Encode, asn1::AnyRef};

    use super::*;

    fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        RsaPublicKey {
            modulus: UintRef::new(modulus).unwrap(),
            public_exponent: UintRef::new(exponent).unwrap(),
        }
        .to_der()
        .unwrap()
    }

    /// NIST SP 800-57 part 1 revision 5 table 2 counts 2048 bits as the least,
    /// FIPS 186-5 section A.1.1 wants an odd exponent above 2^16.
    #[test]
    fn rsa_keys_have_2048_to_4096_bits_and_a_large_odd_exponent() {
        let modulus = |first: u8, octets: usize| {
            let mut modulus = vec![0xff; octets];
            modulus[0] = first;
            modulus
        };
        let usual: &[u8] = &[1, 0, 1];
        for (modulus, exponent, expected) in [
            (modulus(0x7f, 256), usual, Err(CsrError::WeakKey)),
            (modulus(0x80, 256), usual, Ok(())),
            (modulus(0x01, 257), usual, Ok(())),
            (modulus(0xff, 512), usual, Ok(())),
            (modulus(0x01, 513), usual, Err(CsrError::UnsupportedKey)),
            (modulus(0xff, 256), &[3], Err(CsrError::WeakKey)),
            (modulus(0xff, 256), &[0xff, 0xff], Err(CsrError::WeakKey)),
            (modulus(0xff, 256), &[1, 0, 0], Err(CsrError::WeakKey)),
            (modulus(0xff, 256), &[1, 0, 2], Err(CsrError::WeakKey)),
            (modulus(0xff, 256), &[1, 0, 3], Ok(())),
            (modulus(0xff, 256), &[0xff; 4], Ok(())),
            (
                modulus(0xff, 256),
                &[1, 0, 0, 0, 1],
                Err(CsrError::UnsupportedKey),
            ),
        ] {
            let checked = check_rsa_key(&rsa_key(&modulus, exponent));
            let bits = modulus.len() * 8;
            assert_eq!(checked, expected, "{bits} bits or less, {exponent:x?}");
        }
    }

    #[test]
    fn parameters_and_length_are_those_of_the_kind_of_key() {
        let rsa = rsa_key(&[0xff; 256], &[1, 0, 1]);
        let null = AnyRef::NULL;
        let octets = AnyRef::from_der(&[0x04, 0]).unwrap();
        let read = |oid: ObjectIdentifier, parameters, key: &[u8]| {
            let info = SubjectPublicKeyInfoRef {
                algorithm: AlgorithmIdentifierRef { oid, parameters },
                subject_public_key: BitStringRef::from_bytes(key).unwrap(),
            };
            read_key(&info).map(drop)
        };
        let unsupported = Err(CsrError::UnsupportedKey);
        assert_eq!(read(RSA_ENCRYPTION, Some(null), &rsa), Ok(()));
        assert_eq!(read(RSA_ENCRYPTION, Some(octets), &rsa), unsupported);
        assert_eq!(read(RSA_ENCRYPTION, None, &rsa), unsupported);
        assert_eq!(read(ID_ED_25519, None, &[7; 32]), Ok(()));
        assert_eq!(read(ID_ED_25519, None, &[7; 31]), unsupported);
        assert_eq!(read(ID_ED_25519, None, &[7; 33]), unsupported);
        assert_eq!(read(ID_ED_25519, Some(null), &[7; 32]), unsupported);
    }
}
