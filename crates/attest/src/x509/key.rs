//! Public keys as certificates carry them.

use const_oid::ObjectIdentifier;
use der::{
    Decode, Reader, SliceReader, Tag,
    asn1::{AnyRef, BitStringRef, UintRef},
};

use super::{
    certificate::{AlgorithmIdentifier, content},
    signature::BadSignature,
};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The kinds of key that are attested: those that a Secure Enclave makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// NIST P-256 (secp256r1).
    P256,
    /// NIST P-384 (secp384r1).
    P384,
}

/// A key that may stand in a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PublicKey<'a> {
    /// The uncompressed point: 65 bytes, the first 0x04.
    P256(&'a [u8]),
    /// The uncompressed point: 97 bytes, the first 0x04.
    P384(&'a [u8]),
    /// An RSAPublicKey (RFC 8017 appendix A.1.1) and its two numbers.
    Rsa {
        #[cfg_attr(
            not(feature = "aws-lc"),
            expect(dead_code, reason = "aws-lc reads the DER")
        )]
        der: &'a [u8],
        modulus: &'a [u8],
        exponent: &'a [u8],
    },
}

impl<'a> PublicKey<'a> {
    /// ```text
    /// SubjectPublicKeyInfo  ::=  SEQUENCE  {
    ///      algorithm            AlgorithmIdentifier,
    ///      subjectPublicKey     BIT STRING  }
    /// ```
    /// (RFC 5280 section 4.1; for EC keys RFC 5480, for RSA keys RFC 3279
    /// section 2.3.1). `None` is any other key.
    pub(crate) fn parse(spki: &'a [u8]) -> Option<Self> {
        let mut reader = SliceReader::new(spki).ok()?;
        let mut fields = SliceReader::new(content(&mut reader, Tag::Sequence).ok()?).ok()?;
        reader.finish().ok()?;
        let algorithm = AlgorithmIdentifier::parse(fields.tlv_bytes().ok()?).ok()?;
        let key = BitStringRef::decode(&mut fields).ok()?.as_bytes()?;
        fields.finish().ok()?;

        let parameters = algorithm.parameters?;
        if algorithm.oid == RSA_ENCRYPTION && parameters == AnyRef::NULL {
            return parse_rsa(key);
        }
        if algorithm.oid != EC_PUBLIC_KEY {
            return None;
        }
        match (parameters.decode_as::<ObjectIdentifier>().ok()?, key) {
            (P256, [0x04, point @ ..]) if point.len() == 64 => Some(Self::P256(key)),
            (P384, [0x04, point @ ..]) if point.len() == 96 => Some(Self::P384(key)),
            _ => None,
        }
    }

    /// The kind of key, if it is one that can be attested: the point must lie
    /// on its curve.
    pub(crate) fn attested_kind(&self) -> Option<KeyKind> {
        match self {
            Self::P256(point) => p256::PublicKey::from_sec1_bytes(point)
                .is_ok()
                .then_some(KeyKind::P256),
            Self::P384(point) => p384::PublicKey::from_sec1_bytes(point)
                .is_ok()
                .then_some(KeyKind::P384),
            Self::Rsa { .. } => None,
        }
    }

    /// The same as [`parse`](Self::parse), for a back-end.
    pub(crate) fn for_verification(spki: &'a [u8]) -> Result<Self, BadSignature> {
        Self::parse(spki).ok_or(BadSignature)
    }
}

/// `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }`,
/// bounded: the cost of a verification grows with the cube of the modulus and
/// with the exponent.
fn parse_rsa(der: &[u8]) -> Option<PublicKey<'_>> {
    const MODULUS_BITS: std::ops::RangeInclusive<u32> = 2048..=4096;
    const MAX_EXPONENT_BYTES: usize = 4;

    let mut reader = SliceReader::new(der).ok()?;
    let mut fields = SliceReader::new(content(&mut reader, Tag::Sequence).ok()?).ok()?;
    reader.finish().ok()?;
    let modulus = UintRef::decode(&mut fields).ok()?.as_bytes();
    let exponent = UintRef::decode(&mut fields).ok()?.as_bytes();
    fields.finish().ok()?;

    let bits = u32::try_from(modulus.len()).ok()? * 8 - modulus.first()?.leading_zeros();
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    (MODULUS_BITS.contains(&bits)
        && exponent.len() <= MAX_EXPONENT_BYTES
        && odd(modulus)
        && odd(exponent)
        && exponent != [1])
    .then_some(PublicKey::Rsa {
        der,
        modulus,
        exponent,
    })
}

#[cfg(test)]
mod tests {
    use der::Encode;

    use super::*;

    /// RSAPublicKey with a modulus of so many bytes, the first and last given.
    fn rsa(bytes: u16, first: u8, last: u8, exponent: &[u8]) -> Vec<u8> {
        let mut modulus = vec![0x55; usize::from(bytes)];
        modulus[0] = first;
        *modulus.last_mut().unwrap() = last;
        let sign: &[u8] = if first < 0x80 { &[] } else { &[0] };
        let modulus_length = bytes + u16::try_from(sign.len()).unwrap();
        let exponent_length = u8::try_from(exponent.len()).unwrap();
        let content = [
            &[0x02, 0x82],
            modulus_length.to_be_bytes().as_slice(),
            sign,
            &modulus,
            &[0x02, exponent_length],
            exponent,
        ]
        .concat();
        let length = u16::try_from(content.len()).unwrap();
        [
            [0x30, 0x82].as_slice(),
            length.to_be_bytes().as_slice(),
            &content,
        ]
        .concat()
    }

    #[test]
    fn rsa_keys_are_bounded() {
        for (der, accepted) in [
            (rsa(256, 0x80, 1, &[1, 0, 1]), true),
            (rsa(256, 0x7f, 1, &[1, 0, 1]), false),
            (rsa(512, 0xff, 1, &[1, 0, 1]), true),
            (rsa(513, 0x01, 1, &[1, 0, 1]), false),
            (rsa(256, 0x80, 2, &[1, 0, 1]), false),
            (rsa(256, 0x80, 1, &[1]), false),
            (rsa(256, 0x80, 1, &[2]), false),
            (rsa(256, 0x80, 1, &[3]), true),
            (rsa(256, 0x80, 1, &[0, 0xff, 0xff, 0xff, 0xff]), true),
            (rsa(256, 0x80, 1, &[1, 0, 0, 0, 1]), false),
        ] {
            let (first, end) = (der[8], &der[der.len() - 6..]);
            assert_eq!(
                parse_rsa(&der).is_some(),
                accepted,
                "first byte {first:x}, end {end:x?}"
            );
        }
    }

    /// RFC 3279 section 2.3.1: RSA's parameters are NULL. RFC 5480 section 2.1.1:
    /// the curve is named; section 2.2: 0x04 announces both coordinates.
    #[test]
    fn a_key_has_the_parameters_and_the_length_of_its_kind() {
        let of = |tag, content: &[u8]| AnyRef::new(tag, content).unwrap().to_der().unwrap();
        let kind = |algorithm: ObjectIdentifier, parameters: Vec<u8>, key: &[u8]| {
            let identifier = [algorithm.to_der().unwrap(), parameters].concat();
            let key = of(Tag::BitString, &[&[0], key].concat());
            let spki = [of(Tag::Sequence, &identifier), key].concat();
            match PublicKey::parse(&of(Tag::Sequence, &spki)) {
                Some(PublicKey::P256(_)) => "P-256",
                Some(PublicKey::P384(_)) => "P-384",
                Some(PublicKey::Rsa { .. }) => "RSA",
                None => "",
            }
        };
        let curve = |curve: ObjectIdentifier| curve.to_der().unwrap();
        let null = || of(Tag::Null, &[]);
        let key = rsa(256, 0x80, 1, &[1, 0, 1]);
        assert_eq!(kind(RSA_ENCRYPTION, null(), &key), "RSA");
        assert_eq!(kind(RSA_ENCRYPTION, of(Tag::OctetString, &[]), &key), "");
        assert_eq!(kind(RSA_ENCRYPTION, Vec::new(), &key), "");
        assert_eq!(kind(EC_PUBLIC_KEY, null(), &key), "");
        for (length, of_256, of_384) in [
            (33, "", ""),
            (64, "", ""),
            (65, "P-256", ""),
            (66, "", ""),
            (96, "", ""),
            (97, "", "P-384"),
            (98, "", ""),
        ] {
            let mut point = vec![4; length];
            assert_eq!(kind(EC_PUBLIC_KEY, curve(P256), &point), of_256, "{length}");
            assert_eq!(kind(EC_PUBLIC_KEY, curve(P384), &point), of_384, "{length}");
            point[0] = 2;
            assert_eq!(kind(EC_PUBLIC_KEY, curve(P256), &point), "", "{length}");
        }
    }
}
